# SPDX-License-Identifier: Apache-2.0
"""Metrics and the list of instances: every counter is there once, and no instance spoils another's."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console

from forwarder.cli.prometheus import address
from forwarder.errors import SegmentError
from forwarder.native import lib
from forwarder.stats import metrics, overview
from tests.unit.stats_segment import FakeSegment

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
def segment(monkeypatch: pytest.MonkeyPatch) -> FakeSegment:
    """Instance lab, and one that this ttfwd can't read."""
    segment = FakeSegment()
    for port_id, name in enumerate([b"turbotap0", b"turbotap1"]):
        segment.port(port_id, name, peer=1 - port_id)
        segment.queue(port_id, 0, rx_packets=70, rx_bytes=7000, rx_calls=3, tx_packets=60, tx_bytes=6000)
        segment.queue(port_id, 0).drops[lib.TTF_DROP_OVERSIZE] = 10
        bursts = segment.queue(port_id, 0).rx_bursts
        bursts[0], bursts[5] = 1, 2  # of 1 packet, and of 32 to 63
    segment.worker(1, state=lib.TTF_WORKER_BACKOFF, restarts=3, cpu_ns=2_500_000_000)

    def attach(name: str) -> object:
        if name == "other":
            raise SegmentError("other: ABI 1, and not 5")
        return segment.reader()

    for module in (metrics, overview):
        monkeypatch.setattr(module, "running_instances", lambda: ("lab", "other"))
        monkeypatch.setattr(module.StatsReader, "attach", staticmethod(attach))
    return segment


def exposed() -> str:
    registry = CollectorRegistry()
    registry.register(metrics.Collector())
    return generate_latest(registry).decode()


def samples() -> Samples:
    found: Samples = {}
    for family in text_string_to_metric_families(exposed()):
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found, f"{key} twice"
            found[key] = sample.value
    return found


def value(name: str, **labels: str) -> float:
    return samples()[f"ttfwd_{name}", frozenset(labels.items())]


@pytest.mark.slow
def test_what_a_queue_counted_is_there(segment: FakeSegment) -> None:
    queue = {"ttfwd": "lab", "port": "turbotap0", "queue": "0"}
    assert value("port_received_packets_total", **queue) == 70
    assert value("port_sent_bytes_total", **queue) == 6000
    assert value("port_dropped_packets_total", **queue, reason="oversize") == 10
    assert value("port_dropped_packets_total", **queue, reason="no_port") == 0
    assert value("received_packets_total", ttfwd="lab") == 140
    assert value("dropped_packets_total", ttfwd="lab", reason="oversize") == 20
    assert value("worker_restarts_total", ttfwd="lab", worker="1") == 3
    assert value("worker_cpu_seconds_total", ttfwd="lab", worker="1") == 2.5
    assert value("worker_state", ttfwd="lab", worker="1", state="backoff") == 1
    assert value("worker_state", ttfwd="lab", worker="1", state="ready") == 0


@pytest.mark.slow
def test_bursts_are_a_histogram(segment: FakeSegment) -> None:
    queue = {"ttfwd": "lab", "port": "turbotap0", "queue": "0"}
    burst = "port_receive_burst_packets"
    counted = {le: value(f"{burst}_bucket", **queue, le=le) for le in ("1.0", "31.0", "63.0", "+Inf")}
    assert counted == {"1.0": 1, "31.0": 1, "63.0": 3, "+Inf": 3}
    assert value(f"{burst}_sum", **queue) == 70


def test_a_port_that_is_connected_again_has_another_epoch(segment: FakeSegment) -> None:
    def epoch() -> str:
        (found,) = re.findall(r'ttfwd_port_info\{.*epoch="([^"]+)".*port="turbotap0"', exposed())
        return str(found)

    before = epoch()
    assert epoch() == before
    segment.port(0, b"turbotap0", generation=2)
    assert epoch() != before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, "running"),
        ({"pid": 0}, "dead"),
        ({"heartbeat_ns": 1}, "hung"),
        ({"state": lib.TTF_INSTANCE_BOOT}, "boot"),
    ],
)
def test_the_state_of_an_instance(segment: FakeSegment, changes: dict[str, int], state: str) -> None:
    segment.instance(**changes)
    states = {it: value("instance_state", ttfwd="lab", state=it) for it in overview.STATES}
    assert states == {it: float(it == state) for it in overview.STATES}
    lab, other = overview.look(0, pause=lambda _: None)
    assert (lab.state, other.state) == (state, "unreadable")


def test_one_that_cant_be_read_is_told_beside_the_others(segment: FakeSegment) -> None:
    assert value("instance_state", ttfwd="other", state="unreadable") == 1
    console = Console(file=io.StringIO(), width=120)
    found = overview.look(0.01)
    console.print(*overview.tables(found), sep="\n")
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert re.search(r"^lab +running +xconnect +2 +turbotap0 turbotap1 ", shown, re.MULTILINE)
    assert re.search(r"^other +unreadable +- ", shown, re.MULTILINE)
    assert "other: other: ABI 1, and not 5" in shown
    assert json.loads(json.dumps(overview.to_json(found[1]))) == {
        "name": "other",
        "state": "unreadable",
        "reason": "other: ABI 1, and not 5",
    }


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("127.0.0.1:9467", ("127.0.0.1", 9467)),
        ("[::1]:1", ("::1", 1)),
        (":9467", ("127.0.0.1", 9467)),
        ("0.0.0.0:65535", ("0.0.0.0", 65535)),
    ],
)
def test_an_address(text: str, found: tuple[str, int]) -> None:
    assert address(text) == found


@pytest.mark.parametrize("text", ["9467", "host", "host:", "host:0", "host:65536", "host:+1", ":"])
def test_no_address(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not ADDR:PORT"):
        address(text)


def expressions() -> Iterator[str]:
    dashboard = json.loads((DEPLOY / "grafana" / "ttfwd.json").read_text())
    yield from (target["expr"] for panel in dashboard["panels"] for target in panel["targets"])
    yield from (each["query"]["query"] for each in dashboard["templating"]["list"] if each["type"] == "query")
    yield (DEPLOY / "prometheus" / "ttfwd.rules.yml").read_text()


def test_dashboard_and_alerts_ask_for_metrics_that_exist(segment: FakeSegment) -> None:
    segment.device(0, rx_packets=1)
    names = {name for name, _ in samples()}
    asked = {name for text in expressions() for name in re.findall(r"\bttfwd_[a-z_]+", text)}
    assert len(asked) > 15
    assert asked <= names


def test_the_page_lists_every_metric_with_its_labels(segment: FakeSegment) -> None:
    segment.device(0, rx_packets=1)
    segment.ring(0, 1, pushed=1)
    page = (ROOT / "docs" / "operations.md").read_text()
    rows = re.findall(r"^\| `(ttfwd_[a-z_]+)` \| (.*?) \| (.*?) \|$", page, re.MULTILINE)
    listed = {(name, frozenset(re.findall(r"`([a-z_]+)`", labels)), text) for name, labels, text in rows}
    found = set()
    for family in text_string_to_metric_families(exposed()):
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        name = f"{family.name}_total" if family.type == "counter" else family.name
        found.add((name, frozenset(labels), family.documentation))
    assert listed == found
