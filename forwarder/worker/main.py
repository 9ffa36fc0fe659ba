# SPDX-License-Identifier: Apache-2.0
"""One worker process: shut itself in, map and check the memory, then run the C loop slice by slice.

Runs as `python -I -m forwarder.worker.main USER OOM_SCORE_ADJ INSTANCE FD` with its end of the worker channel
on FD. USER is the user to become, 0 to stay the same; INSTANCE is there for those who list processes. The
messages and their order are in forwarder.worker.messages. Guarantees that nothing is read outside the
sandbox, that Python does nothing per packet or per burst (between slices it only looks for messages), and
that a worker which forwards never waits for the supervisor.
"""

import errno
import faulthandler
import gc
import os
import select
import signal
import sys
from collections import deque
from typing import NoReturn

from forwarder.errors import TtfwdError
from forwarder.native import check, ffi, lib
from forwarder.worker import discard
from forwarder.worker.channel import ChannelClosed, ChannelFull, WorkerEnd
from forwarder.worker.memory import MappedMemory
from forwarder.worker.messages import (
    MODES,
    RX_MODES,
    STEERINGS,
    Ack,
    Attach,
    Delivery,
    Detach,
    Discard,
    Failed,
    Go,
    Hello,
    Join,
    M,
    Memory,
    Pktgen,
    Pools,
    ProtocolError,
    QueueError,
    QueueStuck,
    Ready,
    SetPeer,
    ToSupervisor,
    ToWorker,
    UpdatePort,
    text,
)
from forwarder.worker.sandbox import Sandbox, enter

SLICE_NS = 250_000_000  # bounds how stale the counters of CPU time get; messages end a slice early
_NO_PEER = -1


class Worker:
    """A worker's state between slices."""

    def __init__(
        self,
        channel: WorkerEnd,
        sandbox: Sandbox,
        hello: Hello,
        doorbells: tuple[int, ...],
        memory: MappedMemory,
    ) -> None:
        """Raises TtfwdError."""
        self._channel = channel
        self._sandbox = sandbox
        self._unsent: deque[ToSupervisor] = deque()
        self._queue_fds: dict[int, tuple[int, ...]] = {}  # of each port that has a queue here
        self._reported: dict[int, int] = {}  # the errno last reported of each queue, 0: none
        memory.check()
        config = ffi.new("struct ttf_worker_config *")
        frames = ffi.new("void *[]", list(memory.pools))
        bells = ffi.new("int[]", list(doorbells))
        self._keep_alive = (frames, bells)
        config.id = hello.worker
        config.batch = hello.batch
        config.mode = MODES[hello.mode]
        config.steering = STEERINGS[hello.steering]
        config.rx_mode = RX_MODES[hello.rx_mode]
        config.spin_ns = hello.spin_us * 1000
        config.stats = memory.stats
        config.rings = memory.rings
        config.frames = frames
        config.capture = memory.capture
        config.doorbells = bells
        self._worker = lib.ttf_worker_new(config)
        if self._worker == ffi.NULL:
            raise TtfwdError(f"the datapath refused its settings: {os.strerror(ffi.errno)}")

    def join(self, request: Join, member_fd: int) -> None:
        """Become a member of the crossing, with an fd that stays open. Raises OSError."""
        check(lib.ttf_worker_join(self._worker, member_fd, request.first, request.slots))

    def run(self) -> None:
        """Forward until told to stop. Raises ChannelClosed when the supervisor is gone."""
        # Not before go: a packet for a port that is yet to be attached would have nowhere to go.
        while not isinstance((early := _next(self._channel)).message, Go):
            self._handle(early)
        self._say(Ready(", ".join(self._sandbox.missing) or None))
        while True:
            attention = lib.ttf_worker_attention(self._worker)  # before the look, see native/worker.h
            while (delivery := self._channel.receive()) is not None:
                self._handle(delivery)
            if lib.ttf_worker_run(self._worker, SLICE_NS, attention) == lib.TTF_RUN_STOPPED:
                return
            self._say_what_waits()
            self._report_queues()

    def close(self) -> None:
        """Close every queue now: a driver's kernel objects may outlive this process by a moment."""
        lib.ttf_worker_free(self._worker)

    # ---------------------------------------------------------------------------------- messages

    def _say(self, message: ToSupervisor) -> None:
        """Send a message, as soon as there is room for it."""
        self._unsent.append(message)
        self._say_what_waits()

    def _say_what_waits(self) -> None:
        """Send the unsent messages. A full channel means that the supervisor hangs: they go out later."""
        try:
            while self._unsent:
                self._channel.send(self._unsent[0])
                self._unsent.popleft()
        except ChannelFull:
            return

    def _handle(self, delivery: Delivery[ToWorker]) -> None:
        """Carry out a request, and answer it. Raises ProtocolError for any other message."""
        request, fds = delivery
        if isinstance(request, Hello | Memory | Pools | Join | Go | Discard):
            raise ProtocolError(f"{request.op}: to a worker that runs")
        try:
            match request:
                case Attach():
                    self._attach(request, fds)
                case UpdatePort():
                    self._update(request)
                case SetPeer():
                    check(lib.ttf_worker_set_peer(self._worker, request.port_id, _peer(request.peer)))
                case Detach():
                    self._detach(request.port_id)
        except (OSError, TtfwdError) as error:
            self._say(Ack(request.seq, text(error)))
        else:
            self._say(Ack(request.seq, None))

    def _attach(self, request: Attach, fds: tuple[int, ...]) -> None:
        config = ffi.new("struct ttf_port_config *")
        config.port_id = request.port_id
        config.generation = request.generation
        config.queues = request.queues
        config.mtu = request.mtu
        config.peer = _peer(request.peer)
        config.driver = request.driver
        config.header_bytes = request.header_bytes
        config.offloads = request.offloads
        config.fd, config.plain_fd = (*fds, -1, -1)[:2]
        config.crossing_port = request.crossing_port
        config.urings = self._sandbox.urings
        try:
            check(lib.ttf_worker_attach(self._worker, config))
        except OSError:
            for fd in fds:
                os.close(fd)
            raise
        if fds:
            self._queue_fds[request.port_id] = fds
        if fds and request.pktgen is not None:
            self._generate(request.port_id, request.pktgen)

    def _update(self, request: UpdatePort) -> None:
        check(lib.ttf_worker_update_port(self._worker, request.port_id, request.mtu, request.offloads))
        if request.port_id in self._queue_fds and request.pktgen is not None:
            self._generate(request.port_id, request.pktgen)

    def _generate(self, port_id: int, settings: Pktgen) -> None:
        config = ffi.new("struct ttf_pktgen_config *")
        config.size = settings.size
        config.flows = settings.flows
        config.rate = settings.rate
        config.src_mac = settings.src_mac
        config.dst_mac = settings.dst_mac
        config.src_ip = settings.src_ip
        config.dst_ip = settings.dst_ip
        check(lib.ttf_worker_pktgen(self._worker, port_id, config))

    def _detach(self, port_id: int) -> None:
        check(lib.ttf_worker_detach(self._worker, port_id))
        for fd in self._queue_fds.pop(port_id, ()):
            os.close(fd)
        self._reported.pop(port_id, None)

    def _report_queues(self) -> None:
        """Tell the supervisor of queues that stopped, or work again, since it was last told."""
        for port_id in self._queue_fds:
            error = lib.ttf_worker_queue_error(self._worker, port_id)
            if error != self._reported.get(port_id, 0) and not self._unsent:
                self._reported[port_id] = error
                if error == errno.ENOTRECOVERABLE:  # native/driver.h: rx()
                    self._say(QueueStuck(port_id))
                else:
                    self._say(QueueError(port_id, os.strerror(error) if error else None))


def _peer(port_id: int | None) -> int:
    return _NO_PEER if port_id is None else port_id


def _next(channel: WorkerEnd) -> Delivery[ToWorker]:
    """Wait for a message."""
    while (delivery := channel.receive()) is None:
        select.select([channel], [], [])
    return delivery


def _expected(channel: WorkerEnd, kind: type[M]) -> Delivery[M]:
    """Wait for a message of that kind. Raises ProtocolError for any other."""
    message, fds = _next(channel)
    if not isinstance(message, kind):
        raise ProtocolError(f"{message.op}: before {kind.op}")
    return Delivery(message, fds)


def _mapped(channel: WorkerEnd, hello: Hello, workers: int) -> MappedMemory:
    """Map what the supervisor sends. No descriptor of a segment is left."""
    # Pin first: memory that is touched afterwards comes from this CPU's node.
    os.sched_setaffinity(0, {hello.cpu})
    memory, segments = _expected(channel, Memory)
    _, pools = _expected(channel, Pools)
    try:
        return MappedMemory(memory, hello.worker, workers, segments, pools)
    finally:
        for fd in (*segments, *pools):
            os.close(fd)


def _serve(channel: WorkerEnd, sandbox: Sandbox) -> None:
    """Become what the supervisor's first message says. Raises ChannelClosed when the supervisor is gone."""
    first = _next(channel)
    match first.message:
        case Hello() as hello:
            memory = _mapped(channel, hello, len(first.fds))
            worker = Worker(channel, sandbox, hello, first.fds, memory)
            if hello.crosses:
                request, (member_fd,) = _expected(channel, Join)
                worker.join(request, member_fd)
            gc.freeze()
            worker.run()
            worker.close()
        case Discard():
            discard.serve(channel, first)
        case other:
            raise ProtocolError(f"{other.op}: before hello")


def _where(error: BaseException) -> str:
    """Where an error was raised. In the sandbox a traceback can't read the lines of the source."""
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    return f"{at.tb_frame.f_code.co_filename}:{at.tb_lineno}" if at is not None else "?"


def main() -> NoReturn:
    # The supervisor acts on Ctrl-C, and tells us through the run state.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    faulthandler.enable()  # a hung worker gets SIGABRT: say where it hung
    user, oom_score_adj, _, fd = sys.argv[1:]
    supervisor = os.getppid()
    channel = WorkerEnd.inherited(int(fd))
    code = 1
    try:
        try:
            _serve(channel, enter(int(user), int(oom_score_adj), supervisor))
        except ChannelClosed:
            raise
        except (OSError, TtfwdError, ValueError, ProtocolError) as error:
            channel.send(Failed(text(error)))
        except Exception as error:
            channel.send(Failed(f"{type(error).__name__}: {text(error)[:500]}, at {_where(error)}"))
        else:
            code = 0
    except ChannelClosed:
        pass
    # Not by the interpreter's own end, which makes system calls that the sandbox forbids.
    os._exit(code)


if __name__ == "__main__":
    main()
