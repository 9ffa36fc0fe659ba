# SPDX-License-Identifier: Apache-2.0
"""A model of the module's crossings (kmod/README.md), for the datapath that the tests are built with.

A member is a memfd with the cells and the lists where the module has them. Frames wait in the queues of
ports, and what was sent to a port is in its `sent`. Only one model can be in use at a time.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.native.ext import ffi, lib
from tests.support.offloads import vnet_header

_LISTS_BYTES = ffi.sizeof("struct turbotap_lists")
_FILE_BYTES = lib.TURBOTAP_MAP_LISTS + _LISTS_BYTES


@dataclass
class CrossingPort:
    waiting: deque[tuple[bytes, bytes, int]] = field(default_factory=deque)  # frame, offload header, flags
    sent: list[bytes] = field(default_factory=list)
    refuses: int = 0  # the errno of each send
    gone: bool = False

    def bring(self, *frames: bytes, header: bytes = vnet_header(), flags: int = 0) -> None:
        self.waiting.extend((frame, header, flags) for frame in frames)


@dataclass
class Held:
    frame: bytes
    generation: int


class Member:
    def __init__(self, first: int, slots: int) -> None:
        self.first, self.slots = first, slots
        self.fd = os.memfd_create("member", os.MFD_CLOEXEC)
        os.ftruncate(self.fd, _FILE_BYTES)
        self._base: Any = lib.ttf_map(self.fd, _FILE_BYTES, True)
        assert self._base != ffi.NULL
        self.lists = ffi.cast(
            "struct turbotap_lists *", ffi.cast("char *", self._base) + lib.TURBOTAP_MAP_LISTS
        )
        self.cells = ffi.cast("struct turbotap_cell *", self._base)
        self.held: dict[int, Held] = {}
        self.listens: set[int] = set()

    def close(self) -> None:
        lib.ttf_unmap(self._base, _FILE_BYTES)
        os.close(self.fd)


class CrossingModule:
    def __init__(self, workers: int, slots: int) -> None:
        global _in_use
        self.ports: dict[int, CrossingPort] = {}
        self.members = [Member(worker * slots, slots) for worker in range(workers)]
        self.calls: list[tuple[int, int]] = []  # of TURBOTAP_CROSS: entries to send, frames received
        self.copied = 0  # frames, by TURBOTAP_COPY_OUT
        self.lost = 0  # frames that the next call loses
        self.refuses_copies = False
        self.before_call: Callable[[], None] = lambda: None
        self.after_call: Callable[[], None] = lambda: None
        _in_use = self

    def close(self) -> None:
        for member in self.members:
            member.close()

    def rejoin(self, worker: int) -> None:
        """The member is gone with its process; another one has its slots."""
        old = self.members[worker]
        self.members[worker] = Member(old.first, old.slots)
        old.close()

    def member(self, fd: int) -> Member:
        (found,) = (member for member in self.members if member.fd == fd)
        return found

    # ------------------------------------------------------------------------------------ its calls

    def cross(self, member: Member) -> int:
        self.before_call()
        lists = member.lists
        lists.sent = 0
        for i in range(lists.send_count):
            lists.send[i].result = -self._send(member, lists.send[i], bytes(lists.headers[i]))
            lists.sent += not lists.send[i].result
        count = self._receive(member)
        lists.lost, self.lost = self.lost, 0
        lists.received = max(count, 0)
        lists.calls += 1
        self.calls.append((lists.send_count, lists.received))
        self.after_call()
        return count

    def _send(self, member: Member, send: Any, headers: bytes) -> int:
        held = member.held.get(send.slot)
        if held is None:
            return errno.ENOENT
        if held.generation != send.generation:
            return errno.ESTALE
        if not send.flags & lib.TURBOTAP_SEND_KEEP:
            del member.held[send.slot]
        if send.port == lib.TURBOTAP_RELEASE:
            return 0
        port = self.ports.get(send.port)
        if port is None:
            return errno.ENXIO
        if port.refuses:
            return port.refuses
        port.sent.append(headers[: send.rewrite] + held.frame[send.rewrite :])
        return 0

    def _receive(self, member: Member) -> int:
        lists = member.lists
        wanted = int(lists.receive_count)
        if not wanted:
            return 0
        port = self.ports.get(lists.receive_port)
        if port is None:
            return -errno.ENXIO
        if port.gone:
            return -errno.EBADFD
        count = min(wanted, len(port.waiting))
        for i in range(count):
            self._fill(member, lists.receive[i], *port.waiting.popleft())
        return count

    def _fill(self, member: Member, slot: int, frame: bytes, header: bytes, flags: int) -> None:
        cell = member.cells[slot]
        cell.length, cell.flags, cell.vnet = len(frame), flags, list(header)
        cell.header_bytes = min(len(frame), lib.TURBOTAP_CELL_HEADERS)
        cell.generation += 1
        ffi.memmove(cell.headers, frame, cell.header_bytes)
        member.held[slot] = Held(frame, cell.generation)

    def copy_out(self, member: Member, copies: Any, count: int) -> int:
        for i in range(count):
            held = member.held[copies[i].slot]
            copies[i].result = -errno.ENOMEM
            if not self.refuses_copies:
                data = held.frame[copies[i].offset :][: copies[i].length]
                ffi.memmove(ffi.cast("void *", copies[i].buffer), data, len(data))
                copies[i].result = len(data)
                self.copied += 1
        return count

    def listen(self, member: Member, port: int, frames: int) -> int:
        if frames:
            member.listens.add(port)
        else:
            member.listens.discard(port)
        return 0


_in_use: CrossingModule


@ffi.def_extern()  # type: ignore[untyped-decorator]
def fake_cross(member: int) -> int:
    return _in_use.cross(_in_use.member(member))


@ffi.def_extern()  # type: ignore[untyped-decorator]
def fake_copy_out(member: int, copies: Any, count: int) -> int:
    return _in_use.copy_out(_in_use.member(member), copies, count)


@ffi.def_extern()  # type: ignore[untyped-decorator]
def fake_listen(member: int, port: int, frames: int, microseconds: int) -> int:
    return _in_use.listen(_in_use.member(member), port, frames)
