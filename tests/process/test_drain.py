# SPDX-License-Identifier: Apache-2.0
"""An instance is stopped while traffic runs. It receives every packet that its devices accepted, and delivers
or drops each by name: offered = received + dropped by the kernel.
"""

from __future__ import annotations

import signal

import pytest

from forwarder.stats.accounting import accounting
from tests.process.topology import Pair
from tests.process.traffic import Sink, Source, assert_in_order, assert_unique
from tests.support.commands import run
from tests.support.drivers import extended
from tests.support.instance import instance, port_of


@pytest.mark.parametrize(
    ("pair", "steering", "rx_mode", "batch", "rate"),
    [
        ("tap", "queue", "adaptive", 64, 20_000),
        ("tap", "flow", "adaptive", 64, 20_000),
        ("tap", "flow", "interrupt", 1, 10_000),
        ("tap", "queue", "polling", 256, 20_000),
        ("uring", "flow", "adaptive", 64, 20_000),
        extended("turbotap-zerocopy", "flow", "adaptive", 64, 20_000),
    ],
    indirect=["pair"],
)
def test_a_stop_under_load_accounts_for_every_packet(
    pair: Pair, steering: str, rx_mode: str, batch: int, rate: int
) -> None:
    config = pair.config(queues=3, steering=steering, rx_mode=rx_mode, batch=batch)
    with (
        instance(config) as it,
        Sink(pair.right, "t1") as right,
        Sink(pair.left, "t0") as left,
        Source(pair.left, "t0", rate=rate, stream=1) as rightward,
        Source(pair.right, "t1", rate=rate, stream=2) as leftward,
    ):
        it.wait(lambda s: all(p.counters.rx_packets > 2_000 for p in s.ports), "traffic both ways")
        final = it.stop()
    closing = accounting(final)
    assert closing.difference_packets == closing.waiting_packets == closing.lost_in_crash_packets == 0
    for port, sent in (("t0", rightward.result), ("t1", leftward.result)):
        received = port_of(final, port).counters.rx_packets
        assert received == sent.accepted_packets, (port, sent)
        assert sum(sent.refused_packets.values()) > 0  # the source ran until after the end
    delivered = right.received.packets + left.received.packets
    assert right.received.missed_packets == left.received.missed_packets == 0
    assert delivered == closing.sent_packets
    for arrivals in (right.received.of(1), left.received.of(2)):
        assert_unique(arrivals)
        if steering == "flow":
            assert_in_order(arrivals)


def test_overload_is_named_by_the_kernel_and_by_us(pair: Pair) -> None:
    """More than fits a tap's queue: the device's drop counter and ours together account for every packet."""
    with instance(pair.config(queues=1)) as it:
        run("ip", "-n", pair.left, "link", "set", "t0", "txqueuelen", "8")
        with Sink(pair.right, "t1") as sink:
            with Source(pair.left, "t0", rate=200_000, flows=64, limit_packets=128_000) as source:
                source.wait()
            it.settled()
        final = it.stop()
    closing, port = accounting(final), port_of(final, "t0")
    sent = source.result
    assert sent.accepted_packets + sent.full_packets == sent.offered_packets
    assert port.dropped_before_packets == sent.full_packets
    assert closing.received_packets == sent.accepted_packets
    assert sink.received.packets + sink.received.missed_packets == closing.sent_packets


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_each_signal_drains(pair: Pair, number: signal.Signals) -> None:
    with instance(pair.config()) as it, Source(pair.left, "t0", rate=4_000):
        it.wait(lambda s: s.counters.rx_packets > 200, "traffic")
        final = it.stop(number)
        assert it.process.returncode == 0
        assert final.instance.state == "stopped"
        assert "draining" in it.log
        assert "every packet is accounted for" in it.output


def test_a_stop_without_time_to_drain(pair: Pair) -> None:
    with instance(pair.config(steering="flow")) as it, Source(pair.left, "t0", rate=20_000) as source:
        it.wait(lambda s: s.counters.rx_packets > 2_000, "traffic")
        it.cli("stop", "--timeout", "0")
        it.process.wait(20)
        final = it.stop()
    closing = accounting(final)
    assert closing.closes
    assert closing.waiting_packets == 0
    assert closing.received_packets == source.result.accepted_packets
