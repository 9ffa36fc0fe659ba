# SPDX-License-Identifier: Apache-2.0
"""Who is ended when the machine is out of memory: a worker, which is replaced, before the supervisor."""

from contextlib import suppress
from pathlib import Path

_OWN = Path("/proc/self/oom_score_adj")
_WORKERS_MORE = 100  # a tenth of the machine's memory, which a supervisor never has
_OWN_LESS = 500


def protect_supervisor() -> int:
    """Lower this process' oom_score_adj where that is permitted. Returns the one for workers."""
    try:
        found = int(_OWN.read_text())
    except (OSError, ValueError):
        return _WORKERS_MORE
    with suppress(OSError):  # lowering takes CAP_SYS_RESOURCE
        _OWN.write_text(str(max(-1000, found - _OWN_LESS)))
    return min(1000, found + _WORKERS_MORE)
