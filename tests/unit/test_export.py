# SPDX-License-Identifier: Apache-2.0
"""What other programs read of a result: their own readers accept it, and find the figures."""

from __future__ import annotations

import base64
import re
from datetime import datetime

import pytest
from hdrh.histogram import HdrHistogram
from prometheus_client.metrics_core import Metric

from forwarder.errors import TtfwdError
from forwarder.report.hdr import encoded, hdr_log
from forwarder.report.openmetrics import openmetrics
from forwarder.report.uti import uti
from forwarder.results.load import StoredResult
from tests.support import results
from tests.unit.exposition import exposed

EVERY = {
    **results.every_test(),
    "interrupted": results.interrupted(),
    "generator limited": results.generator_limited(),
}


def metrics(stored: StoredResult) -> dict[str, Metric]:
    return exposed(openmetrics(stored))


@pytest.mark.parametrize("name", EVERY)
def test_prometheus_reads_every_result(name: str) -> None:
    found = metrics(EVERY[name])
    assert all(name.startswith("ttfwd_bench") for name in found)
    result = EVERY[name].result
    (sample,) = found["ttfwd_bench_publishable"].samples
    assert (sample.value, sample.labels["test"]) == (int(result.publishable), result.test)


def test_prometheus_finds_the_figures() -> None:
    stored = results.full()
    found = metrics(stored)
    throughput = found["ttfwd_bench_throughput_frames_per_second"]
    assert throughput.unit == "frames_per_second"
    bounds = {(s.labels["goal"], s.labels["run"], s.labels["bound"]): s.value for s in throughput.samples}
    assert bounds["pdr", "2", "lower"] == 569_500
    path = found["ttfwd_bench_path_seconds"]
    at_half = [sample for sample in path.samples if sample.labels["load"] == "pdr_50"]
    assert {s.labels["quantile"]: s.value for s in at_half if "quantile" in s.labels}["0.5"] == 2960 / 1e9
    assert [sample.value for sample in at_half if sample.name.endswith("_count")] == [1_200_000]


def test_a_label_may_hold_anything() -> None:
    title = 'a "b" \\ c\nd'
    (sample,) = metrics(results.full(dut=results.dut(title)))["ttfwd_bench_complete"].samples
    assert sample.labels["dut"] == title


def test_a_histogram_has_every_frame_at_its_time() -> None:
    times = results.distribution(100_000, 2_300)
    histogram = HdrHistogram.decode(encoded(times).encode())
    assert histogram.get_total_count() == 100_000
    for part, ns in ((50, times.p50_ns), (99, times.p99_ns), (99.9, times.p999_ns)):
        assert histogram.get_value_at_percentile(part) == pytest.approx(ns, rel=0.002)
    assert base64.b64decode(encoded(times))[:4] == bytes.fromhex("1c849314")  # V2, compressed


def test_a_log_has_an_interval_for_each_load_and_kind() -> None:
    stored = results.full()
    lines = hdr_log(stored).splitlines()
    assert lines[0] == "#[Histogram log format version 1.3]"
    tags = {}
    for line in lines[3:]:
        tag, start, length, highest_ms, histogram = line.split(",")
        tags[tag.removeprefix("Tag=")] = HdrHistogram.decode(histogram.encode())
        assert (start, length) == ("0.000", "570.000")
        assert float(highest_ms) > 0
    assert set(tags) == {
        f"pdr_{part}-forward-{kind}" for part in (0, 10, 50, 90) for kind in ("path", "response", "lateness")
    }
    assert tags["pdr_50-forward-path"].get_total_count() == 1_200_000


def test_a_result_without_latency_has_no_log() -> None:
    with pytest.raises(TtfwdError, match=r"holds no latency to export: its test is mrr"):
        hdr_log(EVERY["mrr"])


@pytest.mark.parametrize("name", EVERY)
def test_a_test_case_is_of_csits_form(name: str) -> None:
    """The rules of its schema (UTI 1.5.1) that a mistake here would break first."""
    stored = EVERY[name]
    case = uti(stored)
    assert set(case) == {
        *(
            "version",
            "test_id",
            "test_name_long",
            "test_name_short",
            "test_documentation",
            "test_type",
            "tags",
        ),
        *("dut_type", "dut_version", "tg_type", "tg_version", "hosts", "start_time", "end_time", "duration"),
        *("passed", "message", "telemetry", "result"),
    }
    assert case["version"] == "1.5.1"
    assert case["test_type"] in {"device", "gso", "hoststack", "mrr", "ndrpdr", "reconf", "soak"}
    assert case["passed"] == (case["message"] == "")
    assert case["result"]["type"] in {"unknown", "mrr", "ndrpdr", "reconf"}
    assert not re.search(r"[A-Z ]", case["test_id"] + case["test_name_long"] + case["test_name_short"])
    assert datetime.fromisoformat(case["start_time"]) <= datetime.fromisoformat(case["end_time"])
    assert all(line.startswith("ttfwd_bench") for line in case["telemetry"])


def test_csits_rates_are_of_both_directions_and_its_bandwidth_is_that_on_the_wire() -> None:
    goals = (
        results.goal("ndr", [300e3, 300e3], directions=2),
        results.goal("pdr", [500e3, 510e3], loss_ratio=0.005, directions=2),
    )
    found = uti(results.full(goals=goals, profile=results.profile(directions=2)))["result"]
    assert found["ndr"]["lower"]["rate"] == {"value": 600e3, "unit": "pps"}
    assert found["ndr"]["lower"]["bandwidth"] == {"value": 600e3 * (64 + 20) * 8, "unit": "bps"}
    assert found["pdr"]["lower"]["rate"]["value"] == pytest.approx(505e3 * 0.9975 * 2)
    assert set(found["latency_forward"]) == {"pdr_0", "pdr_10", "pdr_50", "pdr_90"}
    assert "latency_reverse" not in found


def test_csits_latency_is_in_whole_microseconds() -> None:
    numbers = uti(results.full())["result"]["latency_forward"]["pdr_90"]
    assert {key: numbers[key] for key in ("min", "avg", "max", "unit")} == {
        "min": 0,
        "avg": 6,
        "max": 519,
        "unit": "us",
    }
    histogram = HdrHistogram.decode(numbers["hdrh"].encode())
    assert histogram.get_total_count() == 1_200_000
    assert histogram.get_value_at_percentile(99) == 37


def test_the_costliest_event_is_csits_reconfiguration() -> None:
    found = uti(EVERY["reconf"])["result"]
    assert found["loss"]["packet"] == {"value": 12, "unit": "packets"}
    assert found["aggregate_rate"]["rate"]["value"] == 2e5
