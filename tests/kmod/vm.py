# SPDX-License-Identifier: Apache-2.0
"""Runs a command on another kernel: in a guest that virtme-ng boots with this machine's files, read-only.

Used by the tests of this folder and by the benchmark of the module, as no machine that tests should have to
load a module into the kernel it runs on. The guest is emulated by software, also where there is KVM: it takes
half a minute to boot and Python is some 20 times slower in it, but it is the same everywhere. The guest may
write below /tmp, /etc, /usr and /var, and forgets that when it ends. What should stay goes into `writable`.
"""

from __future__ import annotations

import enum
import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tests.kmod.kernel_log import faults
from tests.kmod.kernels import ROOT, Kernel
from tests.support.capabilities import missing

_VNG = Path(sys.executable).with_name("vng")

# Drivers of hardware in the guest that no test needs. Without them it boots a minute earlier.
_UNUSED = (
    "aesni_intel,ahci,ccp,cdrom,crc32_pclmul,evdev,ghash_clmulni_intel,i2c_i801,i6300esb,iTCO_wdt,kvm,kvm_amd,"
    "kvm_intel,libata,lpc_ich,pcspkr,powernow_k8,psmouse,qemu_fw_cfg,serio_raw,sg,sha1_ssse3,sha256_ssse3,"
    "sha512_ssse3,sr_mod"
)
# A busy machine may stop an emulated CPU for seconds, which is no lockup. A real one ends in the timeout.
_PATIENT = "nowatchdog rcupdate.rcu_cpu_stall_suppress=1"

# virtme-ng's root asks the host for every read of a file, so Python takes a minute to start. The command gets
# a cached root instead, with the same files and the guest's own: the host's files don't change while it runs.
# The modules of a kernel that isn't installed are the guest's own, too: only virtme-ng has them in
# /lib/modules.
_CACHED = "-virtfs local,path=/,mount_tag=cached,security_model=none,readonly=on,multidevs=remap"
_MOUNT_CACHED = "mount -t 9p -o ro,version=9p2000.L,trans=virtio,cache=loose,msize=512000 cached /mnt"
_GUESTS_OWN = ("/proc", "/sys", "/dev", "/run", "/etc", "/var", "/tmp", "/lib/modules")

# Our first line in the guest's kernel log. It means that the boot is over.
_UP = "ttfwd: the guest is up"
# Instead of it, if only the console could be printed on.
_NO_PORT = "ttfwd: the guest has no port for output"
# virtme-ng waits for udev by the guest's clock, which runs ahead where the host's files come slowly. If udev
# has named no ports by then, virtme-ng runs the command on the console, where the kernel's lines are.
_LEAVE_CONSOLE = f"""if [ -t 1 ]; then
    modprobe virtio_console
    for port in /sys/class/virtio-ports/*; do
        [ "$(cat "$port/name")" != virtme.stdout ] || exec >"/dev/${{port##*/}}" 2>&1
    done
fi
if [ -t 1 ]; then echo '{_NO_PORT}' >/dev/kmsg; exit 1; fi"""
# The last line of output, with the command's exit status. Without it the output isn't complete.
_ENDED = "ttfwd: the command ended with status "
_LOG = 8000  # characters of the kernel's log that a failure shows


class Clock(enum.Enum):
    """What drives a guest's clock, as QEMU options. Clocks that count instructions need a single CPU."""

    HOST = ""
    """The host's clock: a guest that gets no CPU time sees its own timeouts pass."""
    INSTRUCTIONS = " -icount shift=0,sleep=off"
    """A nanosecond an instruction. Sleep takes no real time, waiting for the host's files any guest time."""


@dataclass(frozen=True)
class Result:
    """How a command in a guest ended: exit status, output on stdout and stderr, kernel log.

    Without a status, the guest ended before its command did.
    """

    status: int | None
    output: str
    log: str
    boots: int = 1

    @classmethod
    def of(cls, printed: str, log: str) -> Result:
        """From all that the guest printed, which ends with the exit status."""
        output, ended, status = printed.rpartition(_ENDED)
        if not ended or not status.strip().isdigit():
            return cls(None, printed, log)
        return cls(int(status), output, log)

    @property
    def failed_in_boot(self) -> bool:
        """Did the guest end before the command began?"""
        return _UP not in self.log and any(why in self.log for why in ("Kernel panic", _NO_PORT))

    @property
    def told(self) -> str:
        """What a failure shows."""
        return f"{self.output.rstrip()}\n{self.log[-_LOG:]}"

    @property
    def faults(self) -> list[str]:
        """The lines of the kernel's log that report a fault; empty for a healthy kernel."""
        return faults(self.log)

    def check(self) -> Result:
        """This result, of a command that succeeded on a kernel that logged no fault. Else AssertionError."""
        faults = "\n".join(self.faults)
        assert not faults, f"the kernel reported faults:\n{faults}\n{self.output}\n{self.log}"
        assert self.status is not None, f"the guest ended before its command did\n{self.told}"
        assert self.status == 0, f"exit status {self.status}\n{self.told}"
        return self


@dataclass(frozen=True)
class Running:
    """A guest that runs its command, in its own session of processes. Its output is read all the time."""

    command: str
    process: subprocess.Popen[str]
    printed: Future[tuple[str, str]]

    def wait(self, timeout: float | None) -> Result:
        """How it ended. After `timeout` seconds it is killed: AssertionError, with its output so far."""
        try:
            return Result.of(*self.printed.result(timeout))
        except TimeoutError:
            self.end()
            result = Result.of(*self.printed.result())
            raise AssertionError(f"no end after {timeout} s: {self.command}\n{result.told}") from None

    def end(self) -> None:
        """Kill all its remaining processes."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)


@contextmanager
def _started(
    kernel: Kernel,
    command: str,
    *,
    cpus: int,
    clock: Clock,
    append: str,
    writable: Path | None,
) -> Iterator[Running]:
    """A guest as run() describes it. The end of the block kills all its remaining processes."""
    if not _VNG.is_file():
        missing("virtme-ng")
    assert cpus == 1 or clock is Clock.HOST, "a clock that counts instructions counts those of one CPU"
    line: list[str | Path] = [_VNG, "-r", kernel.image, "--verbose", "--disable-kvm", "--cpus", str(cpus)]
    line += ["--memory", "2G", "--append", f"module_blacklist={_UNUSED} {_PATIENT} {append}"]
    if writable:
        line += ["--rwdir", writable]
    line += [f"--qemu-opts={_CACHED}{clock.value}"]
    with ThreadPoolExecutor(1) as reader, tempfile.NamedTemporaryFile("w", prefix="ttfwd-guest-") as script:
        # virtme-ng hands a command over on the kernel's command line, which holds 2 KiB.
        script.write(_below_cached_root(command, [*_GUESTS_OWN, *([str(writable)] if writable else [])]))
        script.flush()
        process = subprocess.Popen(
            [*line, "--", f"sh {script.name}"],
            env=os.environ | {"PATH": f"{_VNG.parent}:{os.environ['PATH']}"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        guest = Running(command, process, reader.submit(process.communicate))
        try:
            yield guest
        finally:
            guest.end()


def _below_cached_root(command: str, shared: Iterable[str]) -> str:
    steps = [
        # The kernel logs to the console, which is virtme-ng's standard error: keep the command out of it.
        "exec 2>&1",
        "set -e",
        _LEAVE_CONSOLE,
        f"echo '{_UP}' >/dev/kmsg",
        _MOUNT_CACHED,
        *_show_below_its_own(ROOT),
        *(f"mount --rbind {shlex.quote(folder)} {shlex.quote(f'/mnt{folder}')}" for folder in shared),
        "status=0",
        f"chroot /mnt sh -c {shlex.quote(f'cd {shlex.quote(str(ROOT))}; {command}')} || status=$?",
        f'echo "{_ENDED}$status"',
    ]
    return "\n".join(steps) + "\n"


def _show_below_its_own(folder: Path) -> list[str]:
    """Commands that show a folder of the host where the guest has a folder of its own above it."""
    if not any(folder.is_relative_to(own) for own in _GUESTS_OWN):
        return []
    there = shlex.quote(str(folder))
    return [f"mkdir -p {there}", f"mount --bind /mnt{there} {there}"]


def run(
    kernel: Kernel,
    command: str,
    *,
    cpus: int = 2,
    clock: Clock = Clock.HOST,
    timeout: float | None = 600,
    append: str = "",
    writable: Path | None = None,
    on_start: Callable[[Running], None] = lambda guest: None,
) -> Result:
    """Boot `kernel` and run `command`, a line for sh, as root and in ROOT, to its end.

    append: more of the kernel's command line.
    writable: a folder of the host that the guest can write to, at the same path.
    on_start: called with each guest that is started.

    An emulated machine can panic in its kernel's own boot, or boot without a port for the command's output.
    It is then booted once more. Result.boots tells.
    """
    boots = 0
    while True:
        boots += 1
        with _started(kernel, command, cpus=cpus, clock=clock, append=append, writable=writable) as guest:
            on_start(guest)
            result = guest.wait(timeout)
        if boots == 2 or not result.failed_in_boot:
            return replace(result, boots=boots)
        print(f"{kernel.release} failed in its own boot: booted once more", file=sys.stderr)
