# SPDX-License-Identifier: Apache-2.0
"""The program `ttfwd`, and `python -m forwarder`."""

import os
import resource
import sys

from forwarder.cli import standard_files


def main() -> None:
    standard_files.open_missing()
    try:
        lacked = _run()
        # Here, what was done has given its memory back. Nothing is raised: that would need some.
        print(f"ttfwd: out of memory (ulimit -v or -d may bound it){lacked}", file=sys.stderr)
    finally:
        standard_files.drop_unwritable()
    os._exit(1)


def _run() -> str:
    """The command, which ends the process. Without memory it returns what that was for, if Python says it."""
    try:
        from forwarder.cli.commands import main as commands

        sys.exit(commands(prog_name="ttfwd"))
    except (ImportError, MemoryError, OSError, SystemError) as error:
        # Python says it in many ways when it finds no room to load a module, or to call a function.
        if not isinstance(error, MemoryError) and not _memory_is_bounded():
            raise
        return f": {error}" if str(error) else ""


def _memory_is_bounded() -> bool:
    limits = (resource.getrlimit(which)[0] for which in (resource.RLIMIT_AS, resource.RLIMIT_DATA))
    return any(limit != resource.RLIM_INFINITY for limit in limits)


if __name__ == "__main__":
    main()
