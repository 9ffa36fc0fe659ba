# SPDX-License-Identifier: Apache-2.0
"""turbotap.ko from user space: what the loaded module offers, and sockets in exchange for tap queues.

Constants and structures are those of kmod/uapi/turbotap.h, which the extension module is built with. The
module of 2016 knows TUNGETSOCKFD alone: a socket with recvmmsg and sendmmsg.
"""

import errno
import fcntl
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from forwarder.errors import DeviceError
from forwarder.native import ffi, lib

DEVICE = Path(ffi.string(lib.TURBOTAP_DEVICE).decode())


@dataclass(frozen=True)
class Module:
    """What a module says of itself. ABI versions only add; 0 stands for the module of 2016."""

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
    # With its family said, Python doesn't ask for an address, which such a socket hasn't.
    sock = socket.socket(socket.AF_UNSPEC, socket.SOCK_DGRAM, 0, fileno=fd)
    try:
        sock.setsockopt(lib.SOL_TURBOTAP, lib.TURBOTAP_BURST, 1)
    finally:
        sock.detach()


def open_sockets(name: str, tap_fds: Sequence[int], header_bytes: int, burst: bool) -> list[int]:
    """One non-blocking socket for each queue of the tap `name`, whose fds stay the caller's.

    `header_bytes` is the size of the queues' offload header, 0 without; `burst` has a message be a burst.
    Raises DeviceError, and leaves nothing open.
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
