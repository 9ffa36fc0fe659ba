# SPDX-License-Identifier: Apache-2.0
"""The comparison with other forwarders: it shows the measured figures, and every peer is listed."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import get_args

import pytest
from rich.console import Console

from forwarder.bench.publishable import few_starts
from forwarder.bench.request import Request
from forwarder.cli import bench as cli
from forwarder.config.model import Driver
from forwarder.results.load import StoredResult
from forwarder.results.model import Result
from forwarder.tester.trial import Endpoint
from tests.bench import iperf3
from tests.bench.lab import Lab
from tests.bench.peers import bars, bridge, instrument, measure, ovs, report, testpmd, ttfwd
from tests.bench.peers.peer import Running
from tests.bench.peers.results import SIZES_BYTES, STREAMS, PeerResult, RateSample, TcpSample
from tests.bench.peers.topology import Topology
from tests.bench.programs import ProgramError
from tests.support import results

SECOND_NS = 1_000_000_000
PLAN = measure.Plan(rounds=3, window_s=0.4, tcp_s=3)
IPERF3 = {
    "end": {
        "sum_received": {"bytes": 2_000_000_000, "seconds": 4.0},
        "cpu_utilization_percent": {"host_total": 40.0, "remote_total": 10.0},
    }
}


def rate(cpu_ns_per_packet: float, delivered: int = 1000, offered: int = 4000) -> RateSample:
    return RateSample(round(cpu_ns_per_packet * delivered), delivered, SECOND_NS, offered)


def tcp(gbit_per_s: float) -> TcpSample:
    return TcpSample(round(gbit_per_s * 1e9 / 8), 1.0, SECOND_NS, SECOND_NS)


def measured(key: str, *costs_ns: float, gbit_per_s: float = 1.0, **samples: int) -> PeerResult:
    return PeerResult(
        key,
        f"title of {key}",
        "tap",
        polls=False,
        saturated={size: [rate(cost, **samples) for cost in costs_ns] for size in SIZES_BYTES},
        paced=[rate(cost) for cost in costs_ns],
        packets_per_syscall=[31.5 for _ in costs_ns],
        tcp={streams: [tcp(gbit_per_s) for _ in costs_ns] for streams in STREAMS},
    )


def rendered(*results: PeerResult, markdown: bool = False) -> str:
    console = Console(file=io.StringIO(), width=160)
    report.show(report.PeersReport(PLAN, results), console, markdown=markdown)
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


def test_iperf3_is_read() -> None:
    received = iperf3.parsed(json.dumps(IPERF3))
    assert received.gbit_per_s == pytest.approx(4.0)
    assert received.iperf3_cpu_ns == pytest.approx(2 * SECOND_NS), "half of four seconds is iperf3's"


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"error": "unable to connect to server: No route to host"}, "No route to host"),
        ({"end": {**IPERF3["end"], "sum_received": {"bytes": 0, "seconds": 3.0}}}, "no byte"),
    ],
)
def test_a_transfer_that_failed_is_an_error(told: object, message: str) -> None:
    with pytest.raises(ProgramError, match=message):
        iperf3.parsed(json.dumps(told))


@pytest.mark.parametrize(
    ("delivered", "offered", "loss", "limited"),
    [
        (1000, 1000, 0.0, True),
        (1001, 1000, 0.0, True),  # some were queued before the start
        (995, 1000, 0.005, True),
        (990, 1000, 0.01, False),
        (250, 1000, 0.75, False),
    ],
)
def test_who_loses_nothing_ran_out_of_load(delivered: int, offered: int, loss: float, limited: bool) -> None:
    result = measured("one", 1000.0, delivered=delivered, offered=offered)
    assert result.saturated[64][0].loss == pytest.approx(loss)
    assert result.generator_limited(64) is limited
    assert ("1000 (1000 to 1000)*" in rendered(result)) is limited


def test_medians_and_quartiles_are_of_the_rounds() -> None:
    spread = measured("one", 900, 1000, 5000).at_saturation(1518, lambda sample: sample.ns_per_packet)
    assert spread is not None
    assert (spread.median, spread.quartile_1, spread.quartile_3) == (1000, 950, 3000)
    assert PeerResult("none", "none", "tap", False).at_saturation(64, lambda sample: sample.loss) is None


def test_every_peer_is_shown_whether_it_ran_or_not() -> None:
    failed = PeerResult("two", "the second", "tap", False, error="no such\nmodule [here]")
    half_way = measured("three", 1234.0)
    half_way.error = "stopped delivering"
    text = rendered(measured("one", 900.0, gbit_per_s=7.5), failed, half_way)
    for shown in (
        "title of one",
        "900 (900 to 900)",
        "31.50",
        "0.00 at 1",
        "7.50 (7.50 to 7.50)",
        "75% lost",
    ):
        assert shown in text, shown
    for shown in ("the second", "no such", "module [here]", "1234", "stopped delivering"):
        assert shown in text, shown


def test_markdown_has_a_line_for_each_peer() -> None:
    failed = PeerResult("two", "the second", "tap", False, error="no such\nmodule [here]")
    lines = rendered(measured("one", 900.0), failed, markdown=True).splitlines()
    (cost,) = (line for line in lines if line.startswith("| title of one | tap"))
    assert cost.split(" | ")[2] == "900 (900 to 900)"
    assert "| the second | no such module [here] |" in lines


def test_the_json_holds_every_peer_with_units_in_the_keys() -> None:
    found = report.PeersReport(
        PLAN, [measured("one", 900.0), PeerResult("two", "the second", "tap", True, error="why")]
    )
    one, two = json.loads(json.dumps(report.as_json(found)))["peers"]
    assert one["saturated"][0]["size_bytes"] == 64
    assert one["saturated"][0]["cpu_ns_per_packet"]["median"] == 900
    assert one["saturated"][0]["loss"]["median"] == 0.75
    assert [cell["streams"] for cell in one["tcp"]] == list(STREAMS)
    assert (two["error"], two["packets_per_system_call"]) == ("why", None)


@pytest.mark.parametrize(("mine", "met"), [(899.0, True), (901.0, False)])
def test_a_bar_is_against_the_better_rival(mine: float, met: bool) -> None:
    bar = bars.Bar("me", ("slow", "fast", "absent"), "cost", bars.BARS[0].figure, 0.90)
    results = [measured("me", mine), measured("slow", 5000.0), measured("fast", 1000.0)]
    (outcome,) = bars.outcomes(results, [bar])
    assert (outcome.rival, outcome.met) == ("title of fast", met)
    assert outcome.ratio.median == pytest.approx(mine / 1000, abs=1e-3)


@pytest.mark.parametrize(("mine", "met"), [(5.1, True), (4.9, False)])
def test_more_is_better_where_it_is(mine: float, met: bool) -> None:
    (bar,) = (bar for bar in bars.BARS if bar.rivals == ("ttfwd-tap-no-offload",))
    results = [
        measured("ttfwd-tap", 1.0, gbit_per_s=mine),
        measured("ttfwd-tap-no-offload", 1.0, gbit_per_s=1.0),
    ]
    assert [outcome.met for outcome in bars.outcomes(results, [bar])] == [met]
    assert list(bars.outcomes(results[:1], [bar])) == [], "nothing to compare with"


def test_every_driver_takes_part() -> None:
    keys = {peer.key for peer in ttfwd.peers()}
    assert {f"ttfwd-{driver}" for driver in get_args(Driver) if driver != "auto"} <= keys


def test_no_two_peers_share_a_name_and_bars_name_peers() -> None:
    keys = [peer.key for family in (ttfwd, testpmd, ovs, bridge) for peer in family.peers()]
    assert len(keys) == len(set(keys))
    assert {key for bar in bars.BARS for key in bar.rivals} - {"ttfwd-tap-no-offload"} <= set(keys)


# ------------------------------------------------------------------------------------------- the instrument


def by_instrument(
    *pdr_per_s: float | None, regular: bool = True, why_not: tuple[str, ...] = ()
) -> PeerResult:
    """A peer with a result of the instrument for each round."""
    found = measured("one", 900.0)
    for each in pdr_per_s:
        found.measured.append(
            results.result(
                test="latency",
                goals=(results.goal("pdr", [each], loss_ratio=0.005, regular=regular),),
                latency=tuple(results.latency(f"pdr_{percent}", each or 1.0, 2300.0) for percent in (50, 90)),
                publishable=False,
                why_not=(few_starts("pdr", 1), *why_not),
            )
        )
    return found


def row_of(title: str, text: str) -> list[str]:
    (line,) = (line for line in text.splitlines() if line.startswith(f"| {title} | ") and "limited" in line)
    return line.strip("| ").split(" | ")


def test_pdr_and_latency_of_the_rounds_are_shown_with_verdict_and_whether_publishable() -> None:
    row = row_of("title of one", rendered(by_instrument(4.0e5, 5.0e5, 4.5e5), markdown=True))
    assert row[1:4] == ["dut_limited", "yes", "450 (425 to 475)"]
    assert [float(cell) for cell in row[4:]][::2] == pytest.approx([2.3, 2.3], rel=0.02)


def test_each_round_is_a_start_and_too_few_of_them_stand_against_publishing() -> None:
    assert by_instrument(4e5, 4e5, 4e5).publishable
    assert by_instrument(4e5, 4e5).why_not() == (few_starts("pdr", 2),)
    assert by_instrument(4e5, 4e5, 4e5, why_not=("steal: 2 %",)).why_not() == ("steal: 2 %",)
    assert not PeerResult("two", "never measured", "tap", False).publishable


def test_a_search_that_ended_early_counts_only_where_there_is_no_other() -> None:
    found = by_instrument(4e5, None)
    irregular = by_instrument(1e5, regular=False)
    spread = irregular.pdr_per_s()
    assert spread is not None
    assert spread.median == 1e5
    found.measured += irregular.measured
    spread = found.pdr_per_s()
    assert spread is not None
    assert (spread.low, spread.high) == (4e5, 4e5)
    assert (
        row_of("title of one", rendered(found, markdown=True))[1] == "2 dut_limited; 1 dut_limited, irregular"
    )


def test_reasons_are_shown_once_for_all_and_a_peer_that_was_not_measured_has_its_own() -> None:
    one = by_instrument(4e5, 4e5, 4e5, why_not=("steal [2 %]", "late"))
    two = measured("two", 900.0)
    two.unmeasured.append("too noisy\nhere")
    three = by_instrument(4e5, 4e5, 4e5, why_not=("steal [2 %]",))
    lines = rendered(one, three, markdown=True).splitlines()
    assert "| all | steal [2 %] |" in lines
    assert "| title of one | late |" in lines
    lines = rendered(one, two, markdown=True).splitlines()
    assert "| title of two | - | no | - | - | - | - | - |" in lines
    assert "| title of two | too noisy here |" in lines
    assert "| title of one | steal [2 %]; late |" in lines


def test_without_the_instrument_there_is_no_such_table() -> None:
    assert "ttfwd bench" not in rendered(measured("one", 900.0))


def test_the_json_has_the_searches_and_latency_with_units() -> None:
    found = report.PeersReport(PLAN, [by_instrument(4e5, 5e5, 4.5e5), measured("two", 1.0)])
    one, two = (peer["instrument"] for peer in json.loads(json.dumps(report.as_json(found)))["peers"])
    assert one["pdr_per_s"]["median"] == 450_000
    assert (one["publishable"], one["why_not"]) == (True, [])
    assert [run["verdict"] for run in one["searches"]] == ["dut_limited"] * 3
    assert all(run["lower_per_s"] < run["upper_per_s"] for run in one["searches"])
    assert [row["pdr_percent"] for row in one["latency"]] == [50, 90]
    assert one["latency"][0]["path_p50_ns"]["median"] == pytest.approx(2300, rel=0.02)
    assert (two["pdr_per_s"], two["publishable"], two["latency"][1]["path_p99_ns"]) == (None, False, None)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Request]:
    """What `ttfwd bench` is asked for; it answers with some result."""
    found: list[Request] = []

    def run(test: str, *words: str) -> None:
        context = cli.bench.commands[test].make_context(test, list(words))
        request = cli._request("latency", context.params)
        found.append(request)
        results.write(StoredResult(request.out, results.result(test="latency"), ()), request.out)

    monkeypatch.setattr(instrument, "_run", run)
    return found


def a_measurement(folder: Path, goal: instrument.Goal, allow_noise: bool = False) -> Result:
    topology = Topology(*(Lab(f"x-{place}", -1) for place in ("source", "middle", "sink")))
    own = Running((os.getpid(),), kernel_threads=(1,))
    return instrument.Instrument(goal, 5.0, allow_noise, folder).measure(topology, own, "one-1")


def test_a_peer_is_external_to_the_instrument_which_knows_its_processes(
    asked: list[Request], tmp_path: Path
) -> None:
    assert a_measurement(tmp_path, "quick").test == "latency"
    (request,) = asked
    assert request.external == (Endpoint("source", "x-source"), Endpoint("sink", "x-sink"))
    assert (request.dut_cpus, request.dut_pids, request.tester_cpus) == ("1", (os.getpid(), 1), "0")
    assert request.out == tmp_path / "one-1"
    assert not request.allow_noise


@pytest.mark.parametrize(("goal", "longest_s"), [("quick", 45), ("pdr", 315)])
def test_the_search_has_its_goal_and_an_end(
    asked: list[Request], tmp_path: Path, goal: instrument.Goal, longest_s: float
) -> None:
    a_measurement(tmp_path, goal, allow_noise=True)
    (request,) = asked
    profile = request.profile
    assert (profile.goals, profile.max_time_s) == ((goal,), longest_s)
    assert (profile.latency.loads_percent, profile.latency.duration_s) == ((50, 90), 5)
    assert profile.traffic.sizes == "60", "64 B with the FCS, as the other columns"
    assert request.allow_noise
