# SPDX-License-Identifier: Apache-2.0
"""Another process that wants a CPU."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_LOOP = """
import os, sys
cpu, nice = map(int, sys.argv[1:])
os.sched_setaffinity(0, {cpu})
os.setpriority(os.PRIO_PROCESS, 0, nice)
if os.path.exists("/proc/self/autogroup"):  # without it, the session's priority counts
    with open("/proc/self/autogroup", "w") as file:
        file.write(str(nice))
print(flush=True)
while True:
    pass
"""


@contextmanager
def busy_neighbour(cpu: int, nice: int = 0) -> Iterator[None]:
    """A loop on that CPU, in a session of its own. It runs already when the block begins."""
    command = [sys.executable, "-c", _LOOP, str(cpu), str(nice)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            yield
        finally:
            process.kill()
