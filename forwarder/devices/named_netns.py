# SPDX-License-Identifier: Apache-2.0
"""Makes a network namespace, gives it a name, and takes the name away, as `ip netns add` and `delete` do.

A new namespace has no name, and exists while it is open. So its identity can be written down before it can be
seen. A name is a file in /run/netns, with the namespace mounted on it.
"""

import ctypes
import errno
import os
import stat

from pyroute2 import netns
from pyroute2.netlink.exceptions import NetlinkError

from forwarder import capabilities
from forwarder.devices.place import DIRECTORY, Place, here
from forwarder.devices.rtnetlink import RtNetlink
from forwarder.errors import DeviceError, NotPermitted, TtfwdError

_LOOPBACK = 1  # the ifindex of lo in every namespace
_libc = ctypes.CDLL(None, use_errno=True)


def exists(name: str) -> bool:
    """Whether the name is taken, be it by a namespace or by any other file."""
    return os.path.lexists(DIRECTORY / name)


def is_namespace(name: str) -> bool:
    """Whether a namespace is mounted on the name: without, it is an empty file like any other."""
    return os.path.ismount(DIRECTORY / name)


def make_unnamed(name: str) -> Place:
    """A namespace that is to get this name, with its loopback up, as applications expect it.

    It goes with its place if it doesn't get the name. Raises DeviceError, NotPermitted.
    """
    try:
        with here():
            if _libc.unshare(netns.CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "unshare")
            place = Place.of_this_thread(name)
    except OSError as error:
        raise _failure(name, error) from None
    try:
        with place.inside(), RtNetlink() as netlink:
            netlink.link("set", index=_LOOPBACK, state="up")
    except (OSError, NetlinkError, TtfwdError) as error:
        raise _failure(name, error) from None
    return place


def give_name(place: Place) -> None:
    """Let the namespace be found by its name. Raises DeviceError, NotPermitted, and leaves the name free."""
    assert place.name is not None
    try:
        with place.inside():
            netns.attach(place.name, "thread-self")  # a process of /proc: this one
    except FileExistsError:
        raise DeviceError(f'network namespace "{place.name}" was made by somebody else meanwhile') from None
    except OSError as error:
        take_bare_name(place.name)
        raise _failure(place.name, error) from None


def take_name(place: Place) -> None:
    """Remove the name. The namespace goes with its last user. Raises OSError."""
    assert place.name is not None
    netns.remove(place.name)


def take_bare_name(name: str) -> bool:
    """Remove a name that stands for nothing, as one does that got no namespace before the supervisor died.

    Returns whether it was one, and is gone.
    """
    path = DIRECTORY / name
    try:
        status = path.lstat()
        if stat.S_ISREG(status.st_mode) and not stat.S_IMODE(status.st_mode) and not status.st_size:
            path.unlink()
            return True
    except OSError:  # EBUSY: a namespace stands for it
        pass
    return False


def _failure(name: str, error: OSError | NetlinkError | TtfwdError) -> TtfwdError:
    what = f'network namespace "{name}" can\'t be made'
    if isinstance(error, TtfwdError):
        return error
    number = error.code if isinstance(error, NetlinkError) else error.errno
    if number in (errno.EPERM, errno.EACCES):
        return NotPermitted(f"{what}: {capabilities.refusal(capabilities.CAP_SYS_ADMIN)}")
    if number == errno.EROFS:  # as in the sandbox of deploy/ttfwd@.service
        remedy = f"`ip netns add {name}`, or `systemctl start ttfwd-netns@{name}`"
        return DeviceError(f"{what}: {DIRECTORY} is read-only here. Make it before: {remedy}")
    return DeviceError(f"{what}: {os.strerror(number or 0)}")
