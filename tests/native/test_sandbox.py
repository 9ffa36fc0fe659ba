# SPDX-License-Identifier: Apache-2.0
"""A worker shuts itself in: no privileges, nothing of the host, and no system call that it doesn't need."""

from __future__ import annotations

import ctypes
import faulthandler
import os
import platform
import resource
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from forwarder.native import lib
from tests.native.programs import build, run
from tests.support.capabilities import missing, require_root

USER = 60999  # any that isn't root
LAST_CALL = 479  # Linux 6.18 has fewer
UNSEEN = (335, 336)  # the kernel's own, for probes: no filter sees them
# What the filter lets through on x86-64, by its number. docs/security.md says what each is for.
PERMITTED = {
    0: "read",
    1: "write",
    3: "close",
    7: "poll",
    11: "munmap",
    12: "brk",
    13: "rt_sigaction",
    14: "rt_sigprocmask",
    15: "rt_sigreturn",
    20: "writev",
    23: "select",
    24: "sched_yield",
    25: "mremap",
    28: "madvise",
    39: "getpid",
    44: "sendto",
    45: "recvfrom",
    46: "sendmsg",
    47: "recvmsg",
    51: "getsockname",
    60: "exit",
    96: "gettimeofday",
    131: "sigaltstack",
    186: "gettid",
    202: "futex",
    219: "restart_syscall",
    228: "clock_gettime",
    231: "exit_group",
    270: "pselect6",
    271: "ppoll",
    299: "recvmmsg",
    307: "sendmmsg",
    318: "getrandom",
    426: "io_uring_enter",
}
KILLED = 256 + signal.SIGSYS

libc = ctypes.CDLL(None, use_errno=True)


def in_child(body: Callable[[], object]) -> int:
    """How a child process ended that ran this: its exit code, 256 and more for a signal."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if body() is not False else 2
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return 256 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def confined(number: int, *arguments: int) -> int:
    """How a confined process ends that makes this system call."""

    def body() -> None:
        if lib.ttf_sandbox_confine() != 0:
            os._exit(3)
        libc.syscall(number, *(ctypes.c_long(argument) for argument in arguments))
        os._exit(0)

    return in_child(body)


@pytest.fixture(scope="module")
def _filter() -> None:
    if platform.machine() != "x86_64":
        missing("the numbers of x86-64's system calls")
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    if confined(39) == 3:
        missing("filters of system calls (seccomp)")


@pytest.mark.usefixtures("_filter")
def test_every_other_system_call_is_a_process_end(tmp_path: Path) -> None:
    probe = build("sandbox_probe", ["sandbox.c", "sandbox_calls.c"], tmp_path)
    spared = [str(number) for number in (*PERMITTED, *UNSEEN)]
    done = run([probe, str(LAST_CALL), *spared])
    ends = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert len(ends) == LAST_CALL + 1 - len(spared)
    others = {int(number): end for number, end in ends.items() if end != f"signal {signal.SIGSYS.value}"}
    # mmap, mprotect and sched_setaffinity: see below.
    assert others == {9: "exit 0", 10: "exit 0", 203: "exit 0"}


@pytest.mark.usefixtures("_filter")
def test_calls_with_conditions_on_their_arguments() -> None:
    anonymous = 0x22
    assert confined(9, 0, 4096, 3, anonymous, -1, 0) == 0  # mmap, read and write
    assert confined(9, 0, 4096, 5, anonymous, -1, 0) == KILLED  # mmap, read and execute
    assert confined(10, 0, 4096, 4) == KILLED  # mprotect, execute
    assert confined(203, os.getpid(), 0, 0) == KILLED  # sched_setaffinity, of its parent
    assert confined(55, 0, 1, 4, 0, 0) == 0  # getsockopt, SO_ERROR
    assert confined(55, 0, 1, 77, 0, 0) == KILLED  # getsockopt, SO_PEERPIDFD
    assert confined(16, 0, 0x400454CB, 1) == KILLED  # ioctl, TUNSETPERSIST
    for call in (lib.TURBOTAP_CROSS, lib.TURBOTAP_COPY_OUT, lib.TURBOTAP_LISTEN):
        assert confined(16, 0, call, 0) == 0
    for call in (lib.TURBOTAP_CREATE, lib.TURBOTAP_JOIN, lib.TURBOTAP_PORT_TAP, lib.TURBOTAP_ATTACH):
        assert confined(16, 0, call, 0) == KILLED
    assert confined(144, 0, os.SCHED_BATCH, 0) == 0  # sched_setscheduler
    assert confined(144, 0, os.SCHED_FIFO, 0) == KILLED
    assert confined(144, os.getpid(), os.SCHED_BATCH, 0) == KILLED  # of its parent
    assert confined(427, 0, 6, 0, 0) == 0  # io_uring_register, a queue's file
    assert confined(427, 0, 2, 0, 0) == KILLED  # io_uring_register, files
    assert confined(234, os.getpid(), os.getpid(), 0) == KILLED  # tgkill, its parent


@pytest.mark.usefixtures("_filter")
def test_a_process_may_end_itself_by_a_signal() -> None:
    def body() -> None:
        faulthandler.disable()  # pytest's, which would report this
        lib.ttf_sandbox_confine()
        os.abort()

    assert in_child(body) == 256 + signal.SIGABRT


def status_inside(begin: Callable[[], object] = lambda: None, user: int = USER) -> dict[str, str]:
    """/proc/self/status of a child that entered the sandbox; "Entries": what its root directory holds."""
    read_end, write_end = os.pipe()
    parent = os.getpid()

    def body() -> None:
        own = os.open("/proc/self/status", os.O_RDONLY)
        begin()
        result = lib.ttf_sandbox_enter(user, user, parent)
        entries = ",".join(os.listdir("/"))
        os.write(write_end, f"Result:\t{result}\nEntries:\t{entries}\n".encode() + os.pread(own, 4096, 0))

    try:
        assert in_child(body) == 0
    finally:
        os.close(write_end)
    with open(read_end, encoding="utf-8") as pipe:
        return dict(line.split(":\t", 1) for line in pipe.read().splitlines() if ":\t" in line)


def test_no_capability_is_left_nor_can_be_gained() -> None:
    status = status_inside()
    assert int(status["Result"]) >= 0
    for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(status[name], 16) == 0, name
    assert status["NoNewPrivs"] == "1"


def test_root_becomes_the_user_and_sees_no_file() -> None:
    require_root()
    status = status_inside()
    assert status["Uid"].split() == status["Gid"].split() == [str(USER)] * 4
    assert status["Groups"].strip() == ""
    assert int(status["CapBnd"], 16) == 0
    missing_parts = int(status["Result"])
    if not missing_parts & 1 << lib.TTF_SANDBOX_MOUNTS:
        assert status["Entries"] == ""


def test_an_ordinary_user_gets_the_rest_by_a_user_namespace() -> None:
    require_root()
    status = status_inside(begin=lambda: os.setresuid(USER, USER, USER), user=0)
    assert int(status["Result"]) >= 0, status["Result"]
    assert int(status["CapEff"], 16) == 0
    if status["Result"] == "0":  # some distributions permit no user namespaces
        assert status["Entries"] == ""


def test_a_process_whose_parent_is_gone_does_not_start() -> None:
    assert in_child(lambda: lib.ttf_sandbox_enter(USER, USER, 1) == -3) == 0  # ESRCH
