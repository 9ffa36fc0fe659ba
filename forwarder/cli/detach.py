# SPDX-License-Identifier: Apache-2.0
"""`ttfwd start --detach`: start an instance in the background, and return once it runs.

The process in the background writes to a file of its own, which becomes the instance's log once it holds the
instance's lock. So a start that finds the instance running leaves the log of that one alone.
"""

import os
import select
import subprocess
import sys
from pathlib import Path

from forwarder import rundir
from forwarder.config.model import Config
from forwarder.errors import ExitCode, TtfwdError

_BOOT_TIMEOUT_S = 60.0
_LONGEST_OUTPUT_BYTES = 64 << 10


def detach(config: Config, path: Path, arguments: list[str]) -> None:
    """Start the instance in a session of its own, and return once it runs. Raises TtfwdError."""
    if not path.is_file():
        raise TtfwdError(f"{path}: not a regular file; with --detach the background process reads it again")
    rundir.prepare()
    rundir.check_free(
        config.name
    )  # sooner, and in fewer words, than the process in the background would say it
    log_path = rundir.log_path(config.name)
    scratch = log_path.with_name(f"{config.name}.{os.urandom(4).hex()}.log~")
    output = rundir.open_file(scratch, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND)
    try:
        process, ready = _start_in_background(path, [*arguments, "--log", str(scratch)], output)
        if ready:
            print(f'instance "{config.name}" runs: process {process.pid}, log {log_path}')
            return
        raise _failure(process, output)
    finally:
        scratch.unlink(missing_ok=True)  # it has another name if this is the instance
        os.close(output)


def _start_in_background(
    path: Path, arguments: list[str], output: int
) -> tuple["subprocess.Popen[bytes]", bool]:
    """The process, and whether it runs the instance now."""
    command = [sys.executable, "-P", "-m", "forwarder", "start", "-c", str(path), *arguments]
    read_fd, write_fd = os.pipe()
    try:
        process = subprocess.Popen(
            [*command, "--ready-fd", str(write_fd)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=[write_fd],
            start_new_session=True,
        )
    except OSError:
        os.close(read_fd)
        raise
    finally:
        os.close(write_fd)
    with open(read_fd, "rb", buffering=0) as ready:
        return process, bool(select.select([ready], [], [], _BOOT_TIMEOUT_S)[0] and ready.read(16))


def _failure(process: "subprocess.Popen[bytes]", output: int) -> TtfwdError:
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
