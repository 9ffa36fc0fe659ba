# SPDX-License-Identifier: Apache-2.0
"""The instance's crossing: an object of turbotap.ko in which the frames of its ports stay in the kernel.

It is made when the instance starts, where the module offers it. Ports are added to it, and each process of a
worker gets a member of its own. kmod/README.md says what a crossing does, kmod/uapi/turbotap_crossing.h how.
"""

import errno
import fcntl
import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from forwarder.errors import DeviceError
from forwarder.native import ffi, lib

if TYPE_CHECKING:
    from forwarder.native import CData

DEVICE = Path(ffi.string(lib.TURBOTAP_DEVICE).decode())
# What a member's frames may occupy. A burst is sent before the next one comes, so one burst is the most: of
# the longest GSO frames it is more than a core's cache holds.
_MEMBER_BYTES = 4 << 20
# A process that looks at a dead one in /proc holds its memory for a moment, and its member with that.
_SPARE_MEMBERS = 1


class Member(NamedTuple):
    """A worker's part of the crossing."""

    fd: int
    first: int  # of its slots
    slots: int


class Crossing:
    """Members and ports come and go. Not for several threads."""

    def __init__(self, fd: int, slots: int) -> None:
        """Use make()."""
        self._fd = fd
        self._slots = slots  # of each member
        self._members: dict[int, Member] = {}
        self._ports = 0

    @classmethod
    def make(cls, workers: int, batch: int) -> "Crossing | str":
        """A crossing with a member for each worker, for bursts of `batch` frames; or why there is none."""
        if workers > lib.TURBOTAP_CROSSING_MEMBERS:
            return f"a crossing has at most {lib.TURBOTAP_CROSSING_MEMBERS} workers"
        try:
            node = os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return "there was no turbotap.ko when the instance started"
        except OSError as error:
            return f"{DEVICE}: {error.strerror}"
        try:
            crossing = cls(_create(node, workers, batch), batch)
        except OSError as error:
            return _reason(error, workers)
        finally:
            os.close(node)
        try:
            for worker in range(workers):
                crossing.join(worker)
        except OSError as error:
            crossing.close()
            return _reason(error, workers)
        return crossing

    def close(self) -> None:
        for member in self._members.values():
            os.close(member.fd)
        self._members.clear()
        os.close(self._fd)

    # ----------------------------------------------------------------------------------- members

    def join(self, worker: int) -> Member:
        """The worker's member, made if it has none. Raises OSError."""
        if worker not in self._members:
            request = ffi.new(
                "struct turbotap_member *",
                {
                    "size": ffi.sizeof("struct turbotap_member"),
                    "flags": lib.TURBOTAP_CROSSING_CLOEXEC,
                    "slots": self._slots,
                    "rights": lib.TURBOTAP_RIGHT_COPY,
                    "bytes": _MEMBER_BYTES,
                },
            )
            fd = _ioctl(self._fd, lib.TURBOTAP_JOIN, request)
            self._members[worker] = Member(fd, request.first, self._slots)
        return self._members[worker]

    def member_fd(self, worker: int) -> int | None:
        """Of the worker's present or last process."""
        member = self._members.get(worker)
        return None if member is None else member.fd

    def leave(self, worker: int) -> None:
        """The worker's process is dead: the kernel drops the frames that it held."""
        member = self._members.pop(worker, None)
        if member is not None:
            os.close(member.fd)

    # ------------------------------------------------------------------------------------- ports

    def lacks_room(self, queues: int) -> str | None:
        """Why so many queues can't become ports of it; None: they can."""
        if self._ports + queues <= lib.TURBOTAP_CROSSING_PORTS:
            return None
        return f"the crossing has no room for {queues} more of its {lib.TURBOTAP_CROSSING_PORTS} ports"

    def add_tap(self, name: str, tap_fd: int, header_bytes: int) -> int:
        """The number of a queue of the tap `name`, whose offload header is so long. Raises DeviceError."""
        request = ffi.new(
            "struct turbotap_port_tap *",
            {
                "size": ffi.sizeof("struct turbotap_port_tap"),
                "tun_fd": tap_fd,
                "vnet_hdr_size": header_bytes,
            },
        )
        return self._add(name, lib.TURBOTAP_PORT_TAP, request)

    def add_device(self, name: str, ifindex: int) -> int:
        """The number of the device `name` in this thread's namespace; it only sends. Raises DeviceError."""
        request = ffi.new(
            "struct turbotap_port_device *",
            {"size": ffi.sizeof("struct turbotap_port_device"), "ifindex": ifindex},
        )
        return self._add(name, lib.TURBOTAP_PORT_DEVICE, request)

    def _add(self, name: str, call: int, request: "CData") -> int:
        try:
            number = _ioctl(self._fd, call, request)
        except OSError as error:
            raise DeviceError(f'port "{name}": not in the crossing: {error.strerror}') from None
        self._ports += 1
        return number

    def delete(self, number: int) -> None:
        """Forget a port. Nobody else deletes it, so it is there."""
        fcntl.ioctl(self._fd, lib.TURBOTAP_PORT_DELETE, number)
        self._ports -= 1


def _ioctl(fd: int, call: int, request: "CData") -> int:
    """The call's own result. Raises OSError."""
    found: int = fcntl.ioctl(fd, call, ffi.buffer(request), True)
    return found


def _create(node: int, workers: int, batch: int) -> int:
    return _ioctl(
        node,
        lib.TURBOTAP_CREATE,
        ffi.new(
            "struct turbotap_crossing *",
            {
                "size": ffi.sizeof("struct turbotap_crossing"),
                "flags": lib.TURBOTAP_CROSSING_CLOEXEC,
                "slots": (workers + _SPARE_MEMBERS) * batch,
                "header_bytes": lib.TURBOTAP_CELL_HEADERS,
                "bytes": _size_bytes(workers),
            },
        ),
    )


def _size_bytes(workers: int) -> int:
    return (workers + _SPARE_MEMBERS) * _MEMBER_BYTES


def _reason(error: OSError, workers: int) -> str:
    match error.errno:
        case errno.ENOTTY:
            return "the module has no crossings"
        case errno.ENOMEM:
            return f"no memory for a crossing of {_size_bytes(workers) >> 20} MiB"
        case _:
            return f"no crossing: {error.strerror}"
