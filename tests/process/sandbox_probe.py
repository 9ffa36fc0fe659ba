# SPDX-License-Identifier: Apache-2.0
"""`python sandbox_probe.py`: try what a service must not do, and print as JSON how each attempt ended.

Without a sandbox each attempt either changes nothing, or only files of its own. Only the standard library is
imported here.
"""

from __future__ import annotations

import ctypes
import errno
import json
import mmap
import os
import platform
import socket
from collections.abc import Callable
from pathlib import Path

DONE = "done"
_NUMBERS = {  # of system calls: x86-64, arm64
    "init_module": (175, 105),
    "reboot": (169, 142),
    "swapoff": (168, 225),
    "settimeofday": (164, 170),
    "add_key": (248, 217),
    "ptrace": (101, 117),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "kexec_load": (246, 104),
    "syslog": (103, 116),
}
_SYSLOG_SIZE_BUFFER = 10
_PERSONALITY_OF_32_BITS = 8
_libc = ctypes.CDLL(None, use_errno=True)


def _checked(returned: int) -> None:
    if returned < 0:
        raise OSError(ctypes.get_errno(), "")


def _call(name: str, *arguments: int) -> Callable[[], None]:
    number = _NUMBERS[name][0 if platform.machine() == "x86_64" else 1]
    words = [ctypes.c_long(argument) for argument in arguments]
    return lambda: _checked(_libc.syscall(ctypes.c_long(number), *words))


def _write(path: str) -> Callable[[], None]:
    def attempt() -> None:
        Path(path).write_text("")
        Path(path).unlink()

    return attempt


def _write_setting() -> None:
    setting = Path("/proc/sys/net/ipv4/ip_forward")
    setting.write_text(setting.read_text())


def _make_cgroup() -> None:
    os.mkdir("/sys/fs/cgroup/probe")
    os.rmdir("/sys/fs/cgroup/probe")


def _send_ip() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"", ("127.0.0.1", 9))


def _make_device() -> None:
    os.mknod("/run/ttfwd/probe", 0o600 | 0o60000, os.makedev(7, 200))
    os.unlink("/run/ttfwd/probe")


def _make_setuid() -> None:
    path = Path("/run/ttfwd/probe")
    path.touch()
    try:
        path.chmod(0o4755)
    finally:
        path.unlink()


def _map_writable_code() -> None:
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()


def _run_in_real_time() -> None:
    os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


REFUSED: dict[str, Callable[[], object]] = {
    "write /etc": _write("/etc/probe"),
    "write /usr": _write("/usr/probe"),
    "write /var": _write("/var/lib/probe"),
    "write /run": _write("/run/probe"),
    "name a network namespace": _write("/run/netns/probe"),
    "read /home": lambda: Path("/home/somebody/secret").read_text(),
    "read /root": lambda: Path("/root/secret").read_text(),
    "read another's /tmp": lambda: Path("/tmp/secret").read_text(),
    "read modules": lambda: next(Path("/usr/lib/modules").iterdir(), None),
    "change a setting of the kernel": _write_setting,
    "make a cgroup": _make_cgroup,
    "name the host": lambda: socket.sethostname(socket.gethostname()),
    "send IP": _send_ip,
    "make a device": _make_device,
    "open another device": lambda: os.close(os.open("/dev/probe", os.O_RDONLY)),
    "make a setuid file": _make_setuid,
    "map writable code": _map_writable_code,
    "run in real time": _run_in_real_time,
    "be another system": lambda: _checked(_libc.personality(_PERSONALITY_OF_32_BITS)),
    "make a user namespace": lambda: _checked(_libc.unshare(0x10000000)),
    "make a PID namespace": lambda: _checked(_libc.unshare(0x20000000)),
    "open a vsock": lambda: socket.socket(40, socket.SOCK_STREAM).close(),
    "open a crypto socket": lambda: socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET).close(),
    "load a module": _call("init_module", 0, 0, 0),
    "reboot": _call("reboot", 0, 0, 0, 0),
    "swap": _call("swapoff", 0),
    "set the clock": _call("settimeofday", 0, 0),
    "add a key": _call("add_key", 0, 0, 0, 0, 0),
    "trace a process": _call("ptrace", 16, 1, 0, 0),
    "load BPF": _call("bpf", 0, 0, 0),
    "watch the kernel": _call("perf_event_open", 0, 0, 0, 0, 0),
    "load a kernel": _call("kexec_load", 0, 1 << 20, 0, 0),
    "read the kernel's log": _call("syslog", _SYSLOG_SIZE_BUFFER, 0, 0),
}
# Machines that are virtual or containers may refuse these to everybody.
RARELY_POSSIBLE = {
    *("reboot", "swap", "set the clock", "trace a process", "read the kernel's log", "open a crypto socket"),
    *("open a vsock", "load a module", "load a kernel"),
}
PERMITTED: dict[str, Callable[[], object]] = {
    "open /dev/net/tun": lambda: os.close(os.open("/dev/net/tun", os.O_RDWR)),
    "write /run/ttfwd": _write("/run/ttfwd/probe"),
    "write /dev/shm": _write("/dev/shm/probe"),
    "open a packet socket": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close(),
}


def _result(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    return DONE


if __name__ == "__main__":
    # unshare() of a user namespace is last: the rest would be tried inside.
    print(json.dumps({what: _result(attempt) for what, attempt in (PERMITTED | REFUSED).items()}))
