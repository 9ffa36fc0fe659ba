# SPDX-License-Identifier: Apache-2.0
"""A real Prometheus scrapes the exporter over faults: no counter goes backwards without a new epoch."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.netns.frames import flow_frames
from tests.netns.topology import Lab, lab
from tests.process.topology import is_ready
from tests.support.commands import unique
from tests.support.instance import Instance, instance
from tests.support.monitoring import Prometheus, exporter, prometheus

COUNT = 50
COUNTERS = '{__name__=~"ttfwd_.+_(total|bucket|count|sum)",ttfwd="%s"}'
INFOS = '{__name__=~"ttfwd_(instance|port)_info",ttfwd="%s"}'


def test_no_counter_goes_backwards_without_a_new_epoch(tmp_path: Path) -> None:
    name = unique("t")
    received = f'sum(ttfwd_port_received_packets_total{{ttfwd="{name}",port="p0"}})'
    with lab("tap", "tap") as it_lab, exporter(tmp_path) as target, prometheus(tmp_path, target) as prom:
        config = it_lab.config("xconnect", queues=2)
        with instance(config, name=name) as it:
            cross(it_lab, it, COUNT)
            prom.wait_for(received, COUNT)
            prom.wait_for(f'ttfwd_worker_restarts_total{{ttfwd="{name}",worker="0"}}', 0)
            crash_a_worker(it)
            cross(it_lab, it, COUNT)
            prom.wait_for(received, 2 * COUNT)
            prom.wait_for(f'ttfwd_worker_restarts_total{{ttfwd="{name}",worker="0"}}', 1)
            prom.wait_for(f'count(ALERTS{{alertname="TtfwdWorkerRestarted",ttfwd="{name}",worker="0"}})', 1)
            connect_again(it_lab, it)
            cross(it_lab, it, 3)
            prom.wait_for(received, 3)
            prom.wait_for(f'ttfwd_received_packets_total{{ttfwd="{name}"}}', 2 * COUNT + 3)
        with instance(config, name=name) as it:
            cross(it_lab, it, 2)
            prom.wait_for(received, 2)
        went_back = decreases(prom, name)
    assert {"ttfwd_port_received_packets_total", "ttfwd_received_packets_total"} <= went_back


def cross(it_lab: Lab, it: Instance, count: int) -> None:
    """Packets go from p0 to p1."""
    before = it.stats().counters.tx_packets
    with it_lab.sides[1].capture() as captured:
        it_lab.sides[0].send(flow_frames(1, count))
        assert len(captured.take(count)) == count
    it.wait(lambda now: now.counters.tx_packets == before + count, f"{count} packets sent")


def crash_a_worker(it: Instance) -> None:
    os.kill(it.worker_pids()[0], signal.SIGKILL)
    it.wait(lambda now: is_ready(now, 0, restarts=1), "the worker is back")


def connect_again(it_lab: Lab, it: Instance) -> None:
    it.cli("delete", "p0")
    it.cli("connect", "p0", "--netns", it_lab.sides[0].netns, "--driver", "tap", "--peer", "p1")


def decreases(prom: Prometheus, name: str) -> set[str]:
    """Names of the counters that went backwards. Asserts that each did with another epoch of what has it."""
    epochs: dict[tuple[str | None, float], str] = {}  # by port (None: the instance) and time of the scrape
    for series in prom.scraped(INFOS % name):
        for time, _ in series.samples:
            epochs[series.labels.get("port"), time] = series.labels["epoch"]
    found = set()
    counters = prom.scraped(COUNTERS % name)
    assert len(counters) > 100
    for series in counters:
        owner = series.labels.get("port")
        for (then, before), (now, after) in zip(series.samples, series.samples[1:], strict=False):
            if after < before:
                found.add(series.labels["__name__"])
                assert epochs[owner, then] != epochs[owner, now], (
                    f"{series.labels}: {before:g}, then {after:g}"
                )
    return found
