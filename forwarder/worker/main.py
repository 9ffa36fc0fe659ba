# SPDX-License-Identifier: Apache-2.0
"""One worker process: pin, map, give up privileges, then run the C loop slice after slice.

Started by forwarder.supervisor.worker_process as `python -m forwarder.worker.main FD`, with its control
channel on FD. Messages:

    hello   instance, worker, cpu, and the datapath's settings; fds: every worker's doorbell
    attach  a port appears: slot, generation, queues, mtu, peer, io, header_bytes,
            offloads; fd: this worker's queue
    peer    a port's peer changes
    detach  a port goes
    go      everything is attached: answer `ready`, forward from now on

Every message but hello and go is answered by `ack` with its `seq` and an error or null. This process does
nothing per packet or per burst; between slices it only looks for messages.
"""

import faulthandler
import gc
import os
import select
import signal
import socket
import sys
from typing import Any

import psutil

from forwarder import shm
from forwarder.errors import TtfwdError
from forwarder.native import check, ffi, lib
from forwarder.worker.channel import Channel, ChannelClosed, Message

SLICE_NS = 250_000_000  # bounds how stale the counters of CPU time get; messages end a slice early
NOBODY = 65534


class Worker:
    """What a worker holds between slices."""

    def __init__(self, channel: Channel, hello: Message) -> None:
        body = hello.body
        # Pin first: memory that is touched afterwards comes from this CPU's node.
        psutil.Process().cpu_affinity([body["cpu"]])
        self._channel = channel
        self._queue_fds: dict[int, tuple[int, ...]] = {}
        self._errors: dict[int, int] = {}
        instance = body["instance"]
        self._stats = shm.Segment.attach(shm.stats_name(instance), lib.TTF_MAGIC_STATS)
        self._rings = shm.Segment.attach(shm.rings_name(instance), lib.TTF_MAGIC_RINGS)
        self._frames = [
            shm.Segment.attach(shm.frames_name(instance, w), lib.TTF_MAGIC_FRAMES)
            for w in range(len(hello.fds))
        ]
        config = ffi.new("struct ttf_worker_config *")
        frames = ffi.new("void *[]", [segment.base for segment in self._frames])
        doorbells = ffi.new("int[]", list(hello.fds))
        self._keep_alive = (frames, doorbells)
        config.id = body["worker"]
        config.batch = body["batch"]
        config.mode = body["mode"]
        config.steering = body["steering"]
        config.rx_mode = body["rx_mode"]
        config.spin_ns = body["spin_us"] * 1000
        config.stats = self._stats.base
        config.rings = self._rings.base
        config.frames = frames
        config.doorbells = doorbells
        self._worker = lib.ttf_worker_new(config)
        if self._worker == ffi.NULL:
            raise TtfwdError(f"the datapath refused its settings: {os.strerror(ffi.errno)}")

    def handle(self, message: Message) -> None:
        body = message.body
        try:
            match message.op:
                case "attach":
                    self._attach(body, message.fds)
                case "peer":
                    check(lib.ttf_worker_set_peer(self._worker, body["slot"], body["peer"]))
                case "detach":
                    self._detach(body["slot"])
                case _:
                    raise TtfwdError(f"unknown message {message.op}")
        except (OSError, TtfwdError) as error:
            self._channel.send("ack", seq=body["seq"], error=str(error))
        else:
            self._channel.send("ack", seq=body["seq"], error=None)

    def _attach(self, body: dict[str, Any], fds: tuple[int, ...]) -> None:
        config = ffi.new("struct ttf_port_config *")
        for key in ("port_id", "generation", "queues", "mtu", "peer", "driver", "header_bytes", "offloads"):
            setattr(config, key, body[key])
        config.fd, config.plain_fd = (*fds, -1, -1)[:2]
        try:
            check(lib.ttf_worker_attach(self._worker, config))
        except OSError:
            for fd in fds:
                os.close(fd)
            raise
        if fds:
            self._queue_fds[body["port_id"]] = fds
        if fds and body["generate"] is not None:
            generate = ffi.new("struct ttf_pktgen_config *")
            for key, value in body["generate"].items():
                setattr(generate, key, bytes(value) if isinstance(value, list) else value)
            check(lib.ttf_worker_pktgen(self._worker, body["port_id"], generate))

    def _detach(self, slot: int) -> None:
        check(lib.ttf_worker_detach(self._worker, slot))
        for fd in self._queue_fds.pop(slot, ()):
            os.close(fd)
        self._errors.pop(slot, None)

    def close(self) -> None:
        """Let go of every queue, now: what a driver made for one may outlive this process by a moment."""
        lib.ttf_worker_free(self._worker)

    def run(self) -> None:
        """Forward until told to stop. Raises ChannelClosed when the supervisor is gone."""
        # Not before go: a packet for a port that is yet to be attached would have nowhere to go.
        while (early := _next_message(self._channel)).op != "go":
            self.handle(early)
        self._channel.send("ready")
        while True:
            attention = lib.ttf_worker_attention(self._worker)  # before the look, see native/worker.h
            while (message := self._channel.receive()) is not None:
                self.handle(message)
            if lib.ttf_worker_run(self._worker, SLICE_NS, attention) == lib.TTF_RUN_STOPPED:
                return
            self._report_errors()

    def _report_errors(self) -> None:
        for slot in self._queue_fds:
            error = lib.ttf_worker_queue_error(self._worker, slot)
            if error != self._errors.get(slot, 0):
                self._errors[slot] = error
                self._channel.send("queue_error", slot=slot, error=os.strerror(error) if error else None)


def _next_message(channel: Channel) -> Message:
    """Wait for a message."""
    while (message := channel.receive()) is None:
        select.select([channel.socket], [], [])
    return message


def _give_up_privileges() -> None:
    try:
        check(lib.ttf_drop_privileges(NOBODY, NOBODY))
    except OSError as error:
        raise TtfwdError(f"privileges can't be given up: {error.strerror}") from None


def main() -> int:
    # Ctrl-C is the supervisor's to act on; it tells us through the control word.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    faulthandler.enable()  # a hung worker gets SIGABRT: say where it hung
    channel = Channel(socket.socket(fileno=int(sys.argv[1])))
    parent = os.getppid()
    try:
        hello = _next_message(channel)
        try:
            worker = Worker(channel, hello)
            _give_up_privileges()
            check(lib.ttf_die_with_parent())
        except (OSError, TtfwdError, psutil.Error, ValueError) as error:
            channel.send("failed", error=str(error))
            return 1
        if os.getppid() != parent:
            return 1  # the supervisor died before it could be tied to our life
        gc.freeze()
        worker.run()
        worker.close()
    except ChannelClosed:
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
