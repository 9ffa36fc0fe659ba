# SPDX-License-Identifier: Apache-2.0
"""Unmodified applications through a forwarder: ping, iperf3, and a large file by HTTP.

    netns                    instance                    netns
    10.90.0.1 [p0]============( p0  p1 )============[p1] 10.90.0.2
    fd90::1                                              fd90::2

Offloads are on, as is the default: GSO frames of up to 64 KiB and unfinished checksums cross the forwarder.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.netns.applications import iperf3, iperf3_tcp, ping
from tests.netns.topology import Side, lab
from tests.support.instance import Instance, instance

LEFT4, RIGHT4, LEFT6, RIGHT6 = "10.90.0.1", "10.90.0.2", "fd90::1", "fd90::2"
FILE_BYTES = 32 << 20
TSO_FRAME_BYTES = 1514

VARIANTS = {
    "tap": (("tap", "tap"), "xconnect", "queue"),
    "tap-flow": (("tap", "tap"), "xconnect", "flow"),
    "packet": (("packet", "packet"), "xconnect", "queue"),
    "packet-flow": (("packet", "packet"), "xconnect", "flow"),
    "packet-tap": (("packet", "tap"), "xconnect", "queue"),
    "packet-tap-bridge": (("packet", "tap", "packet"), "bridge", "queue"),
}


@contextmanager
def running(variant: str) -> Iterator[tuple[Instance, Side, Side]]:
    drivers, mode, steering = VARIANTS[variant]
    with (
        lab(*drivers, ipv6=True) as it_lab,
        instance(it_lab.config(mode, queues=4, steering=steering)) as it,
    ):
        left, right = it_lab.sides[:2]
        left.address(f"{LEFT4}/24", f"{LEFT6}/64")
        right.address(f"{RIGHT4}/24", f"{RIGHT6}/64")
        yield it, left, right


@pytest.mark.parametrize("variant", VARIANTS)
def test_ping_and_iperf3(variant: str) -> None:
    with running(variant) as (it, left, right):
        ping(left, RIGHT4)
        ping(left, RIGHT6)
        ping(right, LEFT4, "-s", "8000")  # in fragments
        iperf3_tcp(left, right, RIGHT4, streams=8, seconds=1)
        end = iperf3(left, right, RIGHT6, "-u", "-P", "8", "-t", "1", "-b", "5M", "-l", "1200")
        assert len(end["streams"]) == 8
        for stream in end["streams"]:
            assert stream["udp"]["packets"] > stream["udp"]["lost_packets"]
        received = it.stats().ports[0].counters
        # Otherwise the offloads were off, and the test didn't cover them.
        assert received.rx_bytes / received.rx_packets > TSO_FRAME_BYTES


@pytest.fixture(scope="module")
def large_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("http") / "large"
    path.write_bytes(os.urandom(FILE_BYTES))
    return path


@pytest.mark.parametrize("variant", ["tap", "packet", "packet-tap", "packet-tap-bridge"])
def test_a_large_file_arrives_intact(variant: str, large_file: Path, tmp_path: Path) -> None:
    with running(variant) as (_, left, right), large_file.open("rb") as file:
        wanted = hashlib.file_digest(file, "sha256").hexdigest()
        # Both ways: offloads may differ between the directions.
        for server, client, address in ((left, right, LEFT4), (right, left, f"[{RIGHT6}]")):
            any_address = "::" if ":" in address else "0.0.0.0"
            command = ["python3", "-u", "-m", "http.server", "--bind", any_address, "8000"]
            got = tmp_path / "got"
            with server.server(*command, "--directory", str(large_file.parent), ready="Serving HTTP"):
                client.run("curl", "-sSf", "--max-time", "60", "-o", str(got), f"http://{address}:8000/large")
            with got.open("rb") as arrived:
                assert hashlib.file_digest(arrived, "sha256").hexdigest() == wanted
