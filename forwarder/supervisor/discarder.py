# SPDX-License-Identifier: Apache-2.0
"""Has the queues of dead workers emptied, by a process with a worker's rights (forwarder.worker.discard).

The process serves one occasion and is then ended. What it says is bounded, and so is the time that it gets. A
queue whose content kills it costs that queue's numbers, and no other's.
"""

import logging
import time
from collections.abc import Callable, Sequence

from forwarder.native import lib
from forwarder.supervisor.worker_process import WorkerProcess, wait_for
from forwarder.worker.channel import ChannelClosed
from forwarder.worker.messages import Delivery, Discard, Discarded, Failed, ProtocolError

_ANSWER_NS = lib.TTF_DISCARD_NS + 10_000_000_000  # a new process on a busy machine starts first

log = logging.getLogger("ttfwd")


class Discarder:
    def __init__(self, take_process: Callable[[], WorkerProcess]) -> None:
        """`take_process` returns a process that has got no message yet, or raises OSError."""
        self._take_process = take_process

    def discard(self, queues: Sequence[Delivery[Discard]]) -> list[Discarded]:
        """Empty queues. The answers are in their order; one with an error stands for no numbers."""
        answers: list[Discarded] = []
        while len(answers) < len(queues):
            answers += self._with_one_process(queues[len(answers) :])
        return answers

    def _with_one_process(self, queues: Sequence[Delivery[Discard]]) -> list[Discarded]:
        """The answers up to the first queue that can't be emptied, its own among them."""
        try:
            process = self._take_process()
        except OSError as error:
            return [Discarded(error=f"no process to do it: {error.strerror}")] * len(queues)
        answers: list[Discarded] = []
        try:
            for queue in queues:
                process.channel.send(queue.message, queue.fds)
                answers.append(_answer(process))
        except (ChannelClosed, ProtocolError) as error:
            answers.append(Discarded(error=_why(process, error)))
        finally:
            process.kill()
            process.close()
        return answers


def _why(process: WorkerProcess, error: Exception) -> str:
    """Why a process gave no answer. It is dead afterwards."""
    process.kill()
    for line in process.output.lines():
        log.error("process %d, which empties queues: %s", process.pid, line)
    if isinstance(error, ProtocolError):
        return str(error)
    return process.why_it_ended(process.popen.returncode)


def _answer(process: WorkerProcess) -> Discarded:
    """Raises ChannelClosed or ProtocolError if none comes, or one that can't be."""
    deadline_ns = time.monotonic_ns() + _ANSWER_NS
    while True:
        delivery = process.channel.receive()
        if delivery is not None:
            break
        left_ns = deadline_ns - time.monotonic_ns()
        if left_ns <= 0:
            raise ProtocolError("it didn't answer in time")
        wait_for([process], left_ns // 1_000_000 + 1)
    match delivery.message:
        case Discarded() as answer:
            if answer.size_bytes > answer.packets * lib.TTF_FRAME_MAX_BYTES:
                raise ProtocolError(f"{answer.size_bytes} bytes in {answer.packets} packets")
            return answer
        case Failed() as failed:
            process.failed = failed.error
            raise ChannelClosed(failed.error)
        case other:
            raise ProtocolError(f"{other.op}, where discarded was asked for")
