# SPDX-License-Identifier: Apache-2.0
"""What the tester takes from others: clocks that run by themselves, NICs' stamps, frames of captures."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrRouting
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Raw

from tests.native.programs import build, environment

# One that keeps its distance, and one that doesn't quite.
CLOCKS = ((time.CLOCK_REALTIME, False), (time.CLOCK_MONOTONIC_RAW, True))


@pytest.fixture(scope="module")
def stamp_clock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("stamp_clock_check", ["tester/stamp_clock.c"], tmp_path_factory.mktemp("clock"))


def _read(program: Path, clock: int, drifts: bool, step_ns: int) -> tuple[int, ...]:
    command: list[str | Path] = [program, str(clock), str(int(drifts)), str(step_ns)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True)
    return tuple(int(word) for word in done.stdout.split())


@pytest.mark.parametrize(("clock", "drifts"), CLOCKS)
def test_a_stamp_is_turned_into_our_time(stamp_clock: Path, clock: int, drifts: bool) -> None:
    wrong, *_ = _read(stamp_clock, clock, drifts, 0)
    assert wrong == 0


@pytest.mark.parametrize(("clock", "drifts"), CLOCKS)
def test_a_step_is_noticed(stamp_clock: Path, clock: int, drifts: bool) -> None:
    _, step_ns, uncertainty_ns = _read(stamp_clock, clock, drifts, 1_000_000)
    assert step_ns == pytest.approx(1_000_000, abs=8 * uncertainty_ns + 1000)


FRAMES = (
    Ether() / IP() / UDP() / Raw(bytes(40)),
    Ether() / Dot1Q() / Dot1Q() / IP(options=[b"\x94\x04\0\0"]) / TCP(options=[("MSS", 9)]) / Raw(bytes(20)),
    Ether() / IPv6() / UDP() / Raw(bytes(17)),
    Ether() / IPv6() / IPv6ExtHdrDestOpt() / IPv6ExtHdrRouting() / TCP() / Raw(bytes(900)),
)


def test_no_frame_leads_out_of_itself(tmp_path: Path) -> None:
    program = build(
        "payload_fuzz",
        ["tester/payload.c", "tester/replay.c", "ethernet.c"],
        tmp_path,
        "-fsanitize=address,undefined",
        "-fno-sanitize-recover=all",
    )
    frames = b"".join(len(frame).to_bytes(2, "big") + bytes(frame) for frame in FRAMES)
    done = subprocess.run([program, "20000"], input=frames, env=environment(), capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


ALL = 1  # HWTSTAMP_FILTER_ALL
WAS = "then 1 0"  # HWTSTAMP_TX_ON, HWTSTAMP_FILTER_NONE
NONE = ["result 0 clock 0", WAS]


@pytest.fixture(scope="module")
def nic_stamps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("nic_stamps_check", [], tmp_path_factory.mktemp("nic"))


@pytest.mark.parametrize(
    ("like", "told"),
    [
        ("good", [f"set {ALL}", "result 1 clock 1", "set 0", WAS]),
        ("on-already", ["result 1 clock 1", f"then 1 {ALL}"]),
        ("software", NONE),
        ("ptp-only", NONE),
        ("clockless", NONE),
        ("old", NONE),
        ("gone", NONE),
        ("unreadable", NONE),
        ("does-less", [f"set {ALL}", "set 0", *NONE]),
        ("forbids", [f"set {ALL}", "result -1 clock 0", WAS]),
    ],
)
def test_a_nic_stamps_for_us_and_then_as_before(nic_stamps: Path, like: str, told: list[str]) -> None:
    done = subprocess.run([nic_stamps, like], env=environment(), capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == told
