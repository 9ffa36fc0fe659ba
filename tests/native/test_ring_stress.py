# SPDX-License-Identifier: Apache-2.0
"""Two processes, ten million descriptors, dozens of kills: the ring keeps its guarantees (ring_stress.c)."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tests.native import programs

KILLS = 24  # of each side


@pytest.fixture(scope="module")
def stress(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return programs.build("ring_stress", ["pool.c", "layout.c"], tmp_path_factory.mktemp("stress"))


@pytest.mark.parametrize(
    ("slots", "start", "count"),
    [
        # Small rings spend most of their time waiting.
        pytest.param(512, 2**32 - 4_000_000, 10_000_000, id="512-slots-through-the-wrap"),
        pytest.param(64, 0, 1_000_000, id="64-slots"),
        pytest.param(2, 2**32 - 50_000, 100_000, id="2-slots-through-the-wrap"),
    ],
)
def test_nothing_is_lost_but_what_a_kill_had_in_hand(
    stress: Path, slots: int, start: int, count: int
) -> None:
    seed = int(os.environ.get("TTFWD_SEED", random.SystemRandom().randrange(2**32)))
    command = [str(stress), str(seed), str(count), str(KILLS), str(slots), str(start)]
    done = programs.run(command)
    report = f"TTFWD_SEED={seed}\n{done.stdout}{done.stderr}"
    print(report)
    assert done.returncode == 0, report
    words = done.stdout.split()
    found = {key: int(words[words.index(key) + 1]) for key in ("producer_kills", "consumer_kills", "lost")}
    assert found["producer_kills"] >= KILLS
    assert found["consumer_kills"] >= KILLS
    assert found["lost"] <= 64 * found["consumer_kills"]
