# SPDX-License-Identifier: Apache-2.0
"""Programs in the kernel, from loading to closing: a context for each of their kinds of resources."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, TypeVar

from forwarder.errors import DeviceError, TtfwdError
from forwarder.tester.attached import Attached, worded
from forwarder.tester.native import load

if TYPE_CHECKING:
    from forwarder.tester.native import CData, ttf_programs

_NO_SUCH_LINK = errno.EINVAL  # a kernel before 6.6 can't attach to tc by a link

_Handle = TypeVar("_Handle", bound="CData")
Hook = Literal["tc", "xdp"]


def taken(handle: _Handle, what: str) -> _Handle:
    """What C returned, unless it is NULL. Raises TtfwdError with errno's reason."""
    ffi = load().ffi
    if handle == ffi.NULL:
        raise worded(what, OSError(ffi.errno, ""))
    return handle


def succeeded(result: int) -> int:
    """What C returned. Raises OSError if it is -errno."""
    if result < 0:
        raise OSError(-result, os.strerror(-result))
    return result


@contextmanager
def loaded(load_them: Callable[[], ttf_programs]) -> Iterator[ttf_programs]:
    """Programs and their maps. Raises NotPermitted, TtfwdError: the kernel refuses them."""
    programs = load_them()
    if programs == load().ffi.NULL and load().ffi.errno == errno.EACCES:  # who may not load gets EPERM
        raise TtfwdError(f"the verifier of this kernel ({os.uname().release}) refuses the tester's programs")
    taken(programs, "the kernel doesn't load the tester's programs")
    try:
        yield programs
    finally:
        load().lib.ttf_programs_free(programs)


def program_fd(programs: ttf_programs, name: str) -> int:
    """The programs keep it."""
    return succeeded(load().lib.ttf_program_fd(programs, name.encode()))


def map_memory(programs: ttf_programs, name: str) -> CData:
    """The memory of a map, as long as the programs are loaded."""
    return taken(load().lib.ttf_map_memory(programs, name.encode()), f"map {name}")


@contextmanager
def attached(programs: ttf_programs, name: str, hook: Hook, device: Attached) -> Iterator[None]:
    """A program at a device's ingress. What others have attached there stays.

    Raises DeviceError, NotPermitted.
    """
    lib = load().lib
    program = program_fd(programs, name)
    attach = lib.ttf_attach_xdp if hook == "xdp" else lib.ttf_attach_tc
    with device.doing(f"the receiver can't be attached ({hook})"):
        link = attach(program, device.ifindex)
        if link == -errno.EBUSY:
            raise DeviceError(f"{device.shown}: it has an XDP program of somebody else: ip link set xdp off")
        if link != -_NO_SUCH_LINK or hook == "xdp":
            succeeded(link)
    if link < 0:
        with filtering(program, device):
            yield
        return
    try:
        yield
    finally:
        os.close(link)


@contextmanager
def filtering(program: int, device: Attached) -> Iterator[None]:
    """A program as a filter of tc: on kernels without links for it. A killed process leaves it behind."""
    module = load()
    ours = module.ffi.new("struct ttf_filter *")
    with device.doing("the receiver can't be attached (clsact)"):
        succeeded(module.lib.ttf_filter_attach(program, device.ifindex, ours))
    try:
        yield
    finally:
        with device.place.inside():
            module.lib.ttf_filter_detach(ours)  # with the device, its filters are gone already
