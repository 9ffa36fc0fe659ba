# SPDX-License-Identifier: Apache-2.0
"""Starts an instance in a process of its own, and waits until it runs.

The process is `python -m forwarder start` in a session of its own, so no Ctrl-C of this terminal reaches it.
`ttfwd start --detach` leaves it running, `ttfwd bench` stops it.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from forwarder import rundir
from forwarder.errors import ExitCode, TtfwdError

_BOOT_TIMEOUT_S = 150.0  # longer than a supervisor waits for its workers
_LONGEST_OUTPUT_BYTES = 64 << 10
_PR_SET_PDEATHSIG = 1


def launch(
    config: Path, arguments: Sequence[str], output: int, ends_with_us: bool = False
) -> subprocess.Popen[bytes]:
    """Start the instance of a configuration file, and return once it runs.

    `arguments` are more options of `ttfwd start`. `output` is an fd of a file for what it prints, and stays
    the caller's. `ends_with_us`: the instance is told to stop when the thread that calls this ends.
    Raises TtfwdError, in the words and with the exit code of the process, which has ended then.
    """
    command = [sys.executable, "-P", "-m", "forwarder", "start", "-c", str(config), *arguments]
    libc = ctypes.CDLL(None)  # loaded here: there is no telling what a forked child may load
    read_fd, write_fd = os.pipe()
    try:
        process = subprocess.Popen(
            [*command, "--ready-fd", str(write_fd)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=[write_fd],
            start_new_session=True,
            preexec_fn=(lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)) if ends_with_us else None,
        )
    except OSError:
        os.close(read_fd)
        raise
    finally:
        os.close(write_fd)
    try:
        with open(read_fd, "rb", buffering=0) as ready:
            runs = bool(select.select([ready], [], [], _BOOT_TIMEOUT_S)[0] and ready.read(16))
    except BaseException:  # Ctrl-C: nobody would know of the process
        process.terminate()
        process.wait()
        raise
    if not runs:
        raise _failure(process, output)
    return process


def _failure(process: subprocess.Popen[bytes], output: int) -> TtfwdError:
    """Why it doesn't run, in its own words."""
    try:
        code = process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        return TtfwdError(f"not ready after {_BOOT_TIMEOUT_S:.0f} s")
    said = os.pread(output, _LONGEST_OUTPUT_BYTES, 0).decode(errors="replace").strip()
    silent = f"exit code {code}, and no word of why: is there room in {rundir.directory()}?"
    error = TtfwdError(said.removeprefix("ttfwd: ") or silent)
    error.exit_code = ExitCode(code) if code in set(ExitCode) else ExitCode.FAILED
    return error
