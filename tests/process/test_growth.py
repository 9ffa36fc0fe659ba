# SPDX-License-Identifier: Apache-2.0
"""An instance that runs for months needs no more memory and descriptors than in its first minute, however
many workers died in it. `make soak` looks for the same for longer."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import closing
from pathlib import Path

from tests.process.conftest import Recorder
from tests.process.control_client import Client
from tests.process.topology import Pair, is_ready
from tests.soak import kills
from tests.soak.growth import Use, used
from tests.support.commands import run, unique
from tests.support.instance import instance, private_environment
from tests.support.wait import wait_until

_FAST_SUPERVISOR = Path(__file__).with_name("fast_supervisor.py")


def test_the_work_of_each_second_keeps_nothing(pair: Pair, tmp_path: Path) -> None:
    """An acknowledgement that a library kept for each reading of a counter once cost 135 MB a day."""
    config = tmp_path / "config.toml"
    config.write_text(f'name = "{unique("tg")}"\n' + pair.config())
    done = run(sys.executable, "-P", _FAST_SUPERVISOR, config, env=private_environment(tmp_path))
    blocks_per_turn = float(done.stdout)
    assert blocks_per_turn < 0.2, f"each turn of the supervisor keeps {blocks_per_turn} blocks"


def test_ports_and_workers_that_come_and_go_leave_no_descriptor_behind(pair: Pair) -> None:
    with instance(pair.config(queues=2)) as it, closing(Client(it)) as client:

        def round_of(number: int) -> Use:
            for port in ("late0", "late1"):
                client.call("connect", name=port, driver="tap", netns=pair.left)
            os.kill(it.worker_pids()[number % 2], signal.SIGKILL)
            it.wait(lambda s: is_ready(s, number % 2, number // 2 + 1), "it is replaced")
            for port in ("late0", "late1"):
                client.call("delete", name=port)
            return used(it)

        before = round_of(0)
        for number in range(1, 4):
            round_of(number)
        wait_until(lambda: used(it).counts() == before.counts(), f"as many as before: {before}")


def test_many_kills_leave_nothing_behind_and_every_packet_accounted_for(pair: Pair, record: Recorder) -> None:
    outcome = kills.run(pair, kills=30, mean_pause_s=0.25)
    assert len(outcome.to_ready_ms) == 30
    record("kills", outcome.lines())
