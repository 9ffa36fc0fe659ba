# SPDX-License-Identifier: Apache-2.0
"""What `ttfwd bench quick` measures: the default forwarder with one queue, between two new namespaces.

Its configuration is a file in the result's directory. So it says what was measured, and serves again.
Names are the same each time: what a killed instance left is removed by the next one of its name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

from forwarder.bench.directory import ResultDirectory
from forwarder.bench.journal import CannotWrite

FILE = "dut.toml"

# Below what a profile or an option says.
PROFILE: Mapping[str, Any] = MappingProxyType(
    {
        "goals": ["quick"],
        "repeat": 1,
        "max_time_s": 50.0,
        "selftest": {"trial_s": 0.5},
        "latency": {"loads_percent": [50], "duration_s": 5.0, "trial_s": 1.0},
    }
)

_TEXT = """\
# What `ttfwd bench quick` measured. To measure it for longer:  ttfwd bench ndrpdr --dut {path}
# SPDX-License-Identifier: Apache-2.0

name = "quick"
queues = 1

[[port]]
name = "quick0"
driver = "auto"
netns = "ttfwd-quick-a"
peer = "quick1"

[[port]]
name = "quick1"
driver = "auto"
netns = "ttfwd-quick-b"
"""


@contextmanager
def written_config(directory: ResultDirectory) -> Iterator[Path]:
    """The instance's configuration. It stays if a trial was made. Raises CannotWrite."""
    path = directory.path / FILE
    try:
        path.write_text(_TEXT.format(path=path))
    except OSError as error:
        raise CannotWrite(path, error) from None
    try:
        yield path
    finally:
        if directory.journal.next_number == 1:
            path.unlink(missing_ok=True)
