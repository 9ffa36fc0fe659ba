# SPDX-License-Identifier: Apache-2.0
"""The queues of a tap: open one, set its offloads, detach and attach it, find its device, and clean up.

The ioctls are those of linux/if_tun.h. With offloads, a virtio_net_hdr of 10 bytes stands in front of each
frame of a queue, so that a GSO frame passes as it was sent (docs/drivers.md says why 10 bytes).
"""

import errno
import fcntl
import os
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from forwarder import capabilities
from forwarder.devices.place import Place
from forwarder.errors import DeviceError, NotPermitted, TtfwdError
from forwarder.native import lib

TUN_DEVICE = Path("/dev/net/tun")

_TUNSETIFF = 0x400454CA
_TUNSETPERSIST = 0x400454CB
_TUNSETOWNER = 0x400454CC
_TUNSETGROUP = 0x400454CE
_TUNSETOFFLOAD = 0x400454D0
_TUNSETVNETHDRSZ = 0x400454D8
_TUNSETQUEUE = 0x400454D9
_TUNGETIFF = 0x800454D2
_TUNGETDEVNETNS = 0x54E3
_IFF_TAP = 0x0002
_IFF_MULTI_QUEUE = 0x0100
_IFF_ATTACH_QUEUE = 0x0200
_IFF_DETACH_QUEUE = 0x0400
_IFF_NO_PI = 0x1000
_IFF_VNET_HDR = 0x4000

# Requested from the kernel one by one. It knows USO since Linux 6.2, for both versions of IP at once only.
_FEATURES = (
    lib.TTF_OFFLOAD_CSUM,
    lib.TTF_OFFLOAD_TSO4,
    lib.TTF_OFFLOAD_TSO6,
    lib.TTF_OFFLOAD_TSO_ECN,
    lib.TTF_OFFLOAD_USO4 | lib.TTF_OFFLOAD_USO6,
)


_NOBODY = 2**32 - 1  # no owner: every user may open the tap


@dataclass(frozen=True)
class Rights:
    """What decides who may use a tap, and whether it stays without a process that has it open."""

    persistent: bool = False
    owner: int = _NOBODY
    group: int = _NOBODY


def _ifreq(name: str, flags: int) -> bytes:
    return struct.pack("16sH22x", name.encode(), flags)


def _failure(name: str, error: OSError) -> TtfwdError:
    if error.errno in (errno.EPERM, errno.EACCES):
        return NotPermitted(f'tap device "{name}": {capabilities.refusal(capabilities.CAP_NET_ADMIN)}')
    reason = {
        errno.EBUSY: "its queues are held by another process",
        errno.EINVAL: "a device of that name exists and is not a multi-queue tap",
        errno.E2BIG: "the kernel takes no more queues",
        errno.ENOENT: f"{TUN_DEVICE} doesn't exist (modprobe tun)",
        errno.ENODEV: f"{TUN_DEVICE} has no driver (modprobe tun)",
    }.get(error.errno or 0, os.strerror(error.errno or 0))
    return DeviceError(f'tap device "{name}": {reason}')


def open_queue(name: str, place: Place, vnet_hdr: bool) -> int:
    """One queue of the tap `name` in a namespace, made with its first queue; a non-blocking fd."""
    try:
        with place.inside():
            fd = os.open(TUN_DEVICE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise _failure(name, error) from None
    try:
        flags = _IFF_TAP | _IFF_NO_PI | _IFF_MULTI_QUEUE | (_IFF_VNET_HDR if vnet_hdr else 0)
        fcntl.ioctl(fd, _TUNSETIFF, _ifreq(name, flags))
    except OSError as error:
        os.close(fd)
        raise _failure(name, error) from None
    return fd


def set_offloads(name: str, fd: int, wanted: bool) -> int:
    """Have the kernel leave to us all the work that it can, or none. Raises DeviceError.

    Returns the TTF_OFFLOAD_ bits that it granted. Offloads belong to the device and may be left over from an
    earlier owner, so they are always set.
    """
    granted = 0
    try:
        fcntl.ioctl(fd, _TUNSETOFFLOAD, 0)
        if wanted:
            fcntl.ioctl(fd, _TUNSETVNETHDRSZ, struct.pack("i", lib.TTF_VNET_HDR_BYTES))
    except OSError as error:
        raise _failure(name, error) from None
    for feature in _FEATURES if wanted else ():
        try:
            fcntl.ioctl(fd, _TUNSETOFFLOAD, granted | feature)
        except OSError:  # EINVAL: this kernel doesn't know it; the features set so far stay
            continue
        granted |= feature
    return granted


def set_attached(fd: int, attached: bool) -> None:
    """Have the kernel steer packets to this queue, or to the others. Detaching drops the queue's packets."""
    fcntl.ioctl(fd, _TUNSETQUEUE, _ifreq("", _IFF_ATTACH_QUEUE if attached else _IFF_DETACH_QUEUE))


def device_name(fd: int) -> bytes | None:
    """The name of the queue's device now; None if the queue is detached, or the device gone."""
    try:
        found = fcntl.ioctl(fd, _TUNGETIFF, _ifreq("", 0))
    except OSError as error:
        if error.errno == errno.EBADFD:
            return None
        raise
    return found[:16].partition(b"\0")[0]


def open_netns(fd: int) -> int | None:
    """An fd of the namespace that the queue's device is in now; None if the kernel doesn't tell."""
    try:
        found: int = fcntl.ioctl(fd, _TUNGETDEVNETNS)
    except OSError:  # before Linux 5.5; no CAP_NET_ADMIN there; no fd left; the device has just gone
        return None
    return found


def restore(fds: Iterable[int], now: Rights, wanted: Rights) -> None:
    """Give a tap back its rights, which a worker may have changed. `fds` are its queues.

    The kernel can't be told that a tap has no owner or group again; it then gets root.
    """
    changes = [(_TUNSETPERSIST, int(wanted.persistent))] if now.persistent != wanted.persistent else []
    for request, found, value in (
        (_TUNSETOWNER, now.owner, wanted.owner),
        (_TUNSETGROUP, now.group, wanted.group),
    ):
        if found != value:
            changes.append((request, 0 if value == _NOBODY else value))
    for fd in fds if changes else ():
        try:
            for request, value in changes:
                fcntl.ioctl(fd, request, value)
        except OSError:  # EBADFD: this queue is detached, as its worker is away, or the device is gone
            continue
        return
