# SPDX-License-Identifier: Apache-2.0
"""A process that empties the queues of dead workers: their packets are counted, and dropped.

What a dead worker shared with the kernel may be hostile. So this is done here, with a worker's rights, and
the supervisor believes no more than bounded numbers.
"""

import os
import select

from forwarder.native import check, ffi, lib
from forwarder.worker.channel import WorkerEnd
from forwarder.worker.messages import Delivery, Discard, Discarded, ProtocolError, ToWorker, text


def serve(channel: WorkerEnd, first: Delivery[ToWorker]) -> None:
    """Empty queue after queue, until the supervisor ends this process. Raises ChannelClosed."""
    delivery: Delivery[ToWorker] | None = first
    while True:
        if delivery is None:
            select.select([channel], [], [])
        elif isinstance(delivery.message, Discard):
            channel.send(_empty(delivery.message, *delivery.fds))
        else:
            raise ProtocolError(f"{delivery.message.op}: after discard")
        delivery = channel.receive()


def _empty(request: Discard, fd: int) -> Discarded:
    found = ffi.new("struct ttf_discarded *")
    try:
        check(lib.ttf_queue_discard(request.driver, fd, request.header_bytes, found))
    except OSError as error:
        return Discarded(error=text(error))
    finally:
        os.close(fd)
    return Discarded(found.packets, found.bytes, min(found.kernel_drops, 2**32 - 1))
