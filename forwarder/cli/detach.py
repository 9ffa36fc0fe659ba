# SPDX-License-Identifier: Apache-2.0
"""`ttfwd start --detach`: start an instance in the background, and return once it runs.

The process in the background writes to a file of its own, which becomes the instance's log once it holds the
instance's lock. So a start that finds the instance running leaves the log of that one alone.
"""

import os
from pathlib import Path

from forwarder import rundir
from forwarder.config.model import Config
from forwarder.control.launch import launch
from forwarder.errors import TtfwdError


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
        process = launch(path, [*arguments, "--log", str(scratch)], output)
        print(f'instance "{config.name}" runs: process {process.pid}, log {log_path}')
    finally:
        scratch.unlink(missing_ok=True)  # it has another name if this is the instance
        os.close(output)
