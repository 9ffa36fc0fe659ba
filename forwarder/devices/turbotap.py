# SPDX-License-Identifier: Apache-2.0
"""Driver turbotap: a tap for whose queues turbotap.ko gives sockets; one system call moves a burst.

With io zerocopy the queues are in the instance's crossing, too. Frames between its ports stay in the kernel,
and the sockets serve the others.

Constants and structures are those of kmod/uapi/turbotap.h, which the extension module is built with. The
module of 2016 knows only TUNGETSOCKFD: a socket with recvmmsg and sendmmsg.
"""

import errno
import fcntl
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from forwarder import drivers
from forwarder.config.model import PortConfig
from forwarder.devices.crossing import DEVICE, Crossing
from forwarder.devices.port import Offer
from forwarder.devices.tap import TapPort
from forwarder.errors import DeviceError
from forwarder.native import ffi, lib


class TurbotapPort(TapPort):
    """A tap and a socket for each of its queues. The queue's own fd serves to steer it and to empty it."""

    _crossing_ports: tuple[int, ...] = ()  # of each queue, with io zerocopy

    @classmethod
    def offer(cls, config: PortConfig, crossing: Crossing | str) -> Offer | str:
        module = find()
        if isinstance(module, str):
            return module
        if config.io in (None, "zerocopy") and isinstance(crossing, Crossing):
            return Offer(drivers.TURBOTAP_ZEROCOPY)
        if config.io == "zerocopy":
            raise DeviceError(f'port "{config.name}": io zerocopy: {crossing}')
        remark = "" if config.io else f"not zerocopy: {crossing}"
        if module.burst:
            return Offer(drivers.TURBOTAP_MMSG if config.io == "mmsg" else drivers.TURBOTAP_BURST, remark)
        if config.io == "burst":
            raise DeviceError(f'port "{config.name}": io burst: {module} has no burst messages')
        return Offer(drivers.TURBOTAP_MMSG, "" if config.io else f"{module} has no burst messages")

    def _open_worker_fds(self) -> tuple[int, ...]:
        if self.driver is drivers.TURBOTAP_ZEROCOPY and self._crossing is not None:
            for fd in self._tap_fds:
                self._crossing_ports += (self._crossing.add_tap(self.name, fd, self.header_bytes),)
        burst = self.driver is not drivers.TURBOTAP_MMSG
        return tuple(open_sockets(self.name, self._tap_fds, self.header_bytes, burst))

    def crossing_port(self, queue: int) -> int:
        """A worker without a queue sends by another's: to the device it makes no difference."""
        return self._crossing_ports[queue % self.queues] if self._crossing_ports else 0

    def close(self) -> None:
        if self._crossing is not None:
            for number in self._crossing_ports:
                self._crossing.delete(number)
        self._crossing_ports = ()
        super().close()


@dataclass(frozen=True)
class Module:
    """What a module reports of itself. A higher ABI version only adds; 0 stands for the module of 2016."""

    abi_version: int
    features: int = 0

    @property
    def burst(self) -> bool:
        """Does it take burst messages?"""
        return bool(self.features & lib.TURBOTAP_FEATURE_BURST)

    def __str__(self) -> str:
        return f"turbotap.ko (ABI {self.abi_version})" if self.abi_version else "the module of 2016"


@contextmanager
def _control() -> Iterator[int]:
    fd = os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


def _ask(control: int) -> Module:
    info = ffi.new("struct turbotap_info *", {"size": ffi.sizeof("struct turbotap_info")})
    try:
        fcntl.ioctl(control, lib.TURBOTAP_GET_INFO, ffi.buffer(info))
    except OSError as error:
        if error.errno != errno.ENOTTY:
            raise
        return Module(0)
    return Module(info.abi_version, info.features)


def find() -> Module | str:
    """The module that is loaded, or why none can be used here."""
    if not DEVICE.exists():
        return f"turbotap.ko is not loaded (no {DEVICE})"
    try:
        with _control() as control:
            return _ask(control)
    except OSError as error:
        return f"{DEVICE}: {error.strerror}"


def _attach(control: int, module: Module, tap_fd: int, header_bytes: int) -> int:
    if not module.abi_version:
        # A mutable buffer makes fcntl return the ioctl's own result, which is the new fd.
        fd: int = fcntl.ioctl(control, lib.TUNGETSOCKFD, bytearray(struct.pack("i", tap_fd)), True)
        os.set_inheritable(fd, False)
        os.set_blocking(fd, False)
        return fd
    batches = bool(module.features & lib.TURBOTAP_FEATURE_BATCH)
    request = ffi.new(
        "struct turbotap_attach *",
        {
            "size": ffi.sizeof("struct turbotap_attach"),
            "tun_fd": tap_fd,
            "flags": lib.TURBOTAP_ATTACH_CLOEXEC
            | lib.TURBOTAP_ATTACH_NONBLOCK
            | (lib.TURBOTAP_ATTACH_BATCH if batches else 0),
            "vnet_hdr_size": header_bytes if batches else 0,
        },
    )
    found: int = fcntl.ioctl(control, lib.TURBOTAP_ATTACH, ffi.buffer(request), True)
    return found


def _take_bursts(fd: int) -> None:
    # Given the family, Python doesn't call getsockname(), which such a socket doesn't support.
    sock = socket.socket(socket.AF_UNSPEC, socket.SOCK_DGRAM, 0, fileno=fd)
    try:
        sock.setsockopt(lib.SOL_TURBOTAP, lib.TURBOTAP_BURST, 1)
    finally:
        sock.detach()


def open_sockets(name: str, tap_fds: Sequence[int], header_bytes: int, burst: bool) -> list[int]:
    """One non-blocking socket for each queue of the tap `name`. The queues' own fds stay the caller's.

    `header_bytes` is the size of the queues' offload header, 0 without. With `burst` a message is a burst.
    Raises DeviceError, and then leaves no socket open.
    """
    sockets: list[int] = []
    with ExitStack() as undo:
        try:
            with _control() as control:
                module = _ask(control)
                for tap_fd in tap_fds:
                    sockets.append(_attach(control, module, tap_fd, header_bytes))
                    undo.callback(os.close, sockets[-1])
                    if burst:
                        _take_bursts(sockets[-1])
        except OSError as error:
            raise DeviceError(f'tap device "{name}": no socket from {DEVICE}: {error.strerror}') from None
        undo.pop_all()
    return sockets
