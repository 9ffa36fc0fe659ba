# SPDX-License-Identifier: Apache-2.0
"""`make test-kmod-debug`: runs the module's C programs on a kernel with debug checks, and prints a summary.

    qemu, two emulated CPUs
      the debug kernel (kernel.py)
        an initramfs: init.sh, busybox, turbotap.ko, the programs of tests/kmod/guest, static
          load; cases; fuzz; failslab; kmemleak; unload; kmemleak; load and unload again

The initramfs is the only file system and has no Python: Debian's user space is too slow on such a kernel.
Exit status: 0 if each step succeeded and the kernel reported no fault, 1 if not, 2 if it could not be run.
"""

from __future__ import annotations

import argparse
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.kmod.debug import kernel
from tests.kmod.kernel_log import faults
from tests.kmod.kernels import ROOT, make

_STEPS = ("cases", "fuzz", "failslab")
_ALWAYS = ("load", "leaks-loaded", "unload", "leaks-unloaded", "reload", "unload-again")
_PROGRAMS = ROOT / "tests" / "kmod" / "guest"
_BUSYBOX = Path("/bin/busybox")
# A busy host may stop an emulated CPU for a while. The kernel must not take that for a lockup.
_PATIENT = "watchdog_thresh=60 rcupdate.rcu_cpu_stall_suppress=1"


def _initramfs(module: Path, programs: list[Path], into: Path) -> Path:
    """Make the initramfs: its path. The kernel tree's tool can make device nodes without root."""
    content = ["dir /dev 755 0 0", "nod /dev/console 600 0 0 c 5 1", "dir /bin 755 0 0"]
    content += [f"file /bin/busybox {_BUSYBOX} 755 0 0", f"file /turbotap.ko {module} 644 0 0"]
    content += [f"file /init {Path(__file__).with_name('init.sh')} 755 0 0"]
    content += [f"file /bin/{program.name} {program} 755 0 0" for program in programs]
    listing = into / "initramfs.list"
    listing.write_text("\n".join(content) + "\n")
    archive = into / "initramfs.cpio"
    with archive.open("wb") as out:
        subprocess.run([kernel.TREE / "usr" / "gen_init_cpio", listing], stdout=out, check=True)
    return archive


def _boot(archive: Path, steps: list[str], calls: int, seed: str, timeout_s: float) -> str:
    """Run the machine, until it ends or the timeout, and print its console: the text of the console."""
    environment = f'steps="{" ".join(steps)}" calls={calls} seed={seed}'
    # -1: a kernel that panics reboots at once, which ends qemu.
    arguments = f"console=ttyS0 panic=-1 {_PATIENT} {environment}"
    command: list[str | Path] = [
        "qemu-system-x86_64",
        "-accel",
        "tcg,thread=multi",
        "-smp",
        "2,sockets=2",
        "-m",
        "3G",
    ]
    command += ["-nodefaults", "-no-reboot", "-display", "none", "-serial", "stdio"]
    command += ["-kernel", kernel.IMAGE, "-initrd", archive, "-append", arguments]
    deadline = time.monotonic() + timeout_s
    machine = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    signal.signal(signal.SIGALRM, lambda *_: machine.kill())
    signal.setitimer(signal.ITIMER_REAL, timeout_s)
    seen = []
    try:
        assert machine.stdout is not None
        for raw in machine.stdout:
            seen.append(raw.decode(errors="replace").rstrip())
            print(seen[-1], flush=True)
    finally:
        machine.kill()
        machine.wait()
        signal.setitimer(signal.ITIMER_REAL, 0)
    if time.monotonic() >= deadline:
        seen.append(f"no end after {timeout_s:.0f} s")
    return "\n".join(seen)


def _summary(console: str, steps: list[str], seconds: float) -> bool:
    """Print the results of all steps. True if all succeeded and the kernel reported no fault."""
    ended = dict(re.findall(r"^step ([\w-]+) (\d+)$", console, re.MULTILINE))
    wanted = [*_ALWAYS, *steps] + (["tracing"] if "fuzz" in steps else [])
    reports = faults(console)
    print(f"\nturbotap on the debug kernel, {seconds / 60:.0f} minutes")
    for step in wanted:
        status = ended.get(step)
        verdict = "not reached" if status is None else "ok" if status == "0" else f"FAILED, {status}"
        print(f"  {step:15} {verdict}")
    for line in re.findall(r"^seed \d+$", console, re.MULTILINE):
        print(f"  fuzz: {line}")
    for line in re.findall(r"^\d+ ran, .*$", console, re.MULTILINE):
        print(f"  cases: {line}")
    print(f"  faults in the kernel log: {len(reports)}")
    for line in reports:
        print(f"    {line}")
    return not reports and "all steps done" in console and all(ended.get(step) == "0" for step in wanted)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="test-kmod-debug",
        description="Test the module on a kernel with KASAN, lockdep and other checks.",
    )
    parser.add_argument("steps", nargs="*", choices=[*_STEPS, []], help="run only these (all)")
    parser.add_argument(
        "--calls", type=int, default=100_000, help="number of calls of the fuzzer (%(default)s)"
    )
    parser.add_argument(
        "--seed", default="random", help="of the fuzzer; it prints the one that it takes (%(default)s)"
    )
    parser.add_argument(
        "--timeout", type=float, default=7200, metavar="S", help="time for the whole run (%(default)s)"
    )
    given = parser.parse_args()
    steps = given.steps or list(_STEPS)
    began = time.monotonic()
    try:
        tree = kernel.build()
    except kernel.DebugKernelError as error:
        print(error, file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="turbotap-debug-") as name:
        scratch = Path(name)
        try:
            make(tree, scratch / "module")
        except AssertionError as error:
            print(error, file=sys.stderr)
            return 2
        out = scratch / "programs"
        programs = [out / step for step in steps]
        if subprocess.run(["make", "-s", "-C", _PROGRAMS, f"OUT={out}", *programs]).returncode:
            return 2
        archive = _initramfs(scratch / "module" / "turbotap.ko", programs, scratch)
        console = _boot(archive, steps, given.calls, given.seed, given.timeout)
    (kernel.FOLDER / "console.log").write_text(console + "\n")
    return 0 if _summary(console, steps, time.monotonic() - began) else 1


if __name__ == "__main__":
    sys.exit(main())
