# SPDX-License-Identifier: Apache-2.0
"""The instrument that `make bench-peers` starts: what it says when it fails reaches the report."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.peers import instrument
from tests.bench.programs import ProgramError


def test_what_the_instrument_says_when_it_fails_is_the_peers_reason(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match=r"^ttfwd bench: .*reset is of an instance of ttfwd"):
        instrument._run("reset", "--external", "a", "b", "--out", str(tmp_path / "out"))
