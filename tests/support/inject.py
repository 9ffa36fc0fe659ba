# SPDX-License-Identifier: Apache-2.0
"""Runs system calls inside a live process, as code would that took it over. Linux on x86-64 only.

    result = system_call(pid, "openat", -100, b"/etc/passwd\\0", os.O_RDONLY)

The process is stopped (ptrace(2)), its registers are set to make the call, and put back afterwards. Bytes are
written onto its stack and passed as a pointer. The result is the kernel's: a number, or -errno; or Killed, if
the call was the process' last.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.support.capabilities import missing

NUMBERS = {
    "mmap": 9,
    "mprotect": 10,
    "ioctl": 16,
    "socket": 41,
    "setsockopt": 54,
    "fork": 57,
    "execve": 59,
    "kill": 62,
    "ftruncate": 77,
    "ptrace": 101,
    "setuid": 105,
    "mount": 165,
    "tgkill": 234,
    "openat": 257,
    "unshare": 272,
    "process_vm_writev": 311,
    "io_uring_setup": 425,
    "pidfd_open": 434,
}

_PTRACE_SINGLESTEP = 9
_PTRACE_GETREGS = 12
_PTRACE_SETREGS = 13
_PTRACE_DETACH = 17
_PTRACE_SEIZE = 0x4206
_PTRACE_INTERRUPT = 0x4207
_WALL = 0x40000000
_RED_ZONE_BYTES = 128
_SYSCALL = b"\x0f\x05"
# struct user_regs_struct, in its order.
_REGISTERS = (
    *("r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx", "rsi", "rdi"),
    *("orig_rax", "rip", "cs", "eflags", "rsp", "ss", "fs_base", "gs_base", "ds", "es", "fs", "gs"),
)
_ARGUMENTS = ("rdi", "rsi", "rdx", "r10", "r8", "r9")

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.restype = ctypes.c_long
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


@dataclass(frozen=True)
class Killed:
    """The process died of this signal."""

    signal: int


def _ptrace(request: int, pid: int, data: object = None) -> None:
    if libc.ptrace(request, pid, None, data) < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def _registers(pid: int) -> dict[str, int]:
    raw = ctypes.create_string_buffer(8 * len(_REGISTERS))
    _ptrace(_PTRACE_GETREGS, pid, ctypes.addressof(raw))
    return dict(zip(_REGISTERS, struct.unpack(f"{len(_REGISTERS)}Q", raw.raw), strict=True))


def _set_registers(pid: int, registers: dict[str, int]) -> None:
    values = [registers[name] & (2**64 - 1) for name in _REGISTERS]
    raw = ctypes.create_string_buffer(struct.pack(f"{len(values)}Q", *values))
    _ptrace(_PTRACE_SETREGS, pid, ctypes.addressof(raw))


@contextmanager
def _stopped(pid: int) -> Iterator[None]:
    try:
        _ptrace(_PTRACE_SEIZE, pid)
    except PermissionError:
        missing("ptrace(2) of a worker")
    _ptrace(_PTRACE_INTERRUPT, pid)
    os.waitpid(pid, _WALL)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):  # it was killed
            _ptrace(_PTRACE_DETACH, pid)


def _syscall_instruction(pid: int, memory: int) -> int:
    """The address of one. Every process has one in its vDSO."""
    for start, end, _, name in mappings(pid):
        if name == "[vdso]":
            return start + os.pread(memory, end - start, start).index(_SYSCALL)
    raise AssertionError("a process without a vDSO")


def mappings(pid: int) -> list[tuple[int, int, str, str]]:
    """Start, end, permissions and name of each mapping of a process."""
    found = []
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        span, permissions, _, _, _, *name = line.split(maxsplit=5)
        start, end = (int(address, 16) for address in span.split("-"))
        found.append((start, end, permissions, name[0] if name else ""))
    return found


def system_call(pid: int, name: str, *arguments: int | bytes) -> int | Killed:
    """Make a system call inside a process that runs. See the module."""
    if platform.machine() != "x86_64":
        missing("registers of x86-64")
    with _stopped(pid):
        before = _registers(pid)
        memory = os.open(f"/proc/{pid}/mem", os.O_RDWR | os.O_CLOEXEC)
        try:
            return _call(pid, memory, before, NUMBERS[name], arguments)
        finally:
            os.close(memory)


def _call(
    pid: int, memory: int, before: dict[str, int], number: int, arguments: tuple[int | bytes, ...]
) -> int | Killed:
    stack = before["rsp"] - _RED_ZONE_BYTES
    saved: list[tuple[int, bytes]] = []
    # orig_rax: the process was stopped in no call that could be begun again.
    registers = {**before, "rax": number, "orig_rax": -1, "rip": _syscall_instruction(pid, memory)}
    for register, argument in zip(_ARGUMENTS, arguments, strict=False):
        if isinstance(argument, bytes):
            stack = (stack - len(argument)) & ~15
            saved.append((stack, os.pread(memory, len(argument), stack)))
            os.pwrite(memory, argument, stack)
            argument = stack
        registers[register] = argument
    _set_registers(pid, registers)
    _ptrace(_PTRACE_SINGLESTEP, pid)
    _, status = os.waitpid(pid, _WALL)
    if os.WIFSIGNALED(status):
        return Killed(os.WTERMSIG(status))
    result: int = struct.unpack("q", struct.pack("Q", _registers(pid)["rax"]))[0]
    for address, data in reversed(saved):
        os.pwrite(memory, data, address)
    _set_registers(pid, before)
    return result


class _IoVec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


def write_memory(pid: int, address: int, data: bytes) -> bool:
    """Write as the process itself could: False where its memory is read-only."""
    buffer = ctypes.create_string_buffer(data, len(data))
    ours = _IoVec(ctypes.addressof(buffer), len(data))
    theirs = _IoVec(address, len(data))
    return bool(libc.process_vm_writev(pid, ctypes.byref(ours), 1, ctypes.byref(theirs), 1, 0) == len(data))
