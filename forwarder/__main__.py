# SPDX-License-Identifier: Apache-2.0
"""The program `ttfwd`, and `python -m forwarder`."""

import resource
import sys

from forwarder.cli import standard_files


def main() -> None:
    standard_files.open_missing()
    try:
        from forwarder.cli.commands import main as commands

        commands(prog_name="ttfwd")
    except (ImportError, MemoryError, OSError, SystemError) as error:
        # Python says it in many ways when it finds no room to load a module, or to call a function.
        if not _memory_is_bounded():
            raise
        print(f"ttfwd: out of memory (ulimit -v or -d bounds it): {error}", file=sys.stderr)
        sys.exit(1)
    finally:
        standard_files.drop_unwritable()


def _memory_is_bounded() -> bool:
    limits = (resource.getrlimit(which)[0] for which in (resource.RLIMIT_AS, resource.RLIMIT_DATA))
    return any(limit != resource.RLIM_INFINITY for limit in limits)


if __name__ == "__main__":
    main()
