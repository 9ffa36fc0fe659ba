# SPDX-License-Identifier: Apache-2.0
"""Which driver a port gets, and what a user is told about it.

netns            instance            netns
[p0]============( p0   p1 )============[p1]
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.drivers import TURBOTAP
from tests.instance import instance, ip, run, start_fails
from tests.netns.frames import flow_frames
from tests.netns.test_drops import stop_worker_and_flood
from tests.netns.topology import assert_same, lab

NODE = "/dev/net/turbotap"
BURST_FRAMES = 64


@pytest.fixture
def _no_turbotap() -> Iterator[None]:
    """A /dev/net with nothing but tun in it, whatever this machine has loaded."""
    tun = os.stat("/dev/net/tun")
    run("mount", "-t", "tmpfs", "tmpfs", "/dev/net")
    try:
        os.mknod("/dev/net/tun", tun.st_mode, tun.st_rdev)
        yield
    finally:
        run("umount", "/dev/net")


@pytest.mark.usefixtures("_no_turbotap")
def test_turbotap_is_refused_with_the_reason() -> None:
    with lab("turbotap", "turbotap") as it_lab:
        done = start_fails(it_lab.config("xconnect"))
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f'ttfwd: port "p0": driver turbotap: turbotap.ko is not loaded (no {NODE})'
    )


@pytest.mark.usefixtures("_no_turbotap")
def test_auto_takes_tap_and_says_why_not_turbotap() -> None:
    with lab("auto", "auto") as it_lab, instance(it_lab.config("xconnect")) as it:
        why = f"the fastest here; not turbotap: turbotap.ko is not loaded (no {NODE})"
        assert [(port.driver, port.note) for port in it.stats().ports] == [("tap", why)] * 2
        assert f"driver tap ({why})" in it.log
        shown = [(port["driver"], port["driver_note"]) for port in it.stats_json()["ports"]]
        assert shown == [("tap", why)] * 2


@pytest.mark.parametrize("driver", TURBOTAP)
def test_a_burst_is_one_system_call_each_way_and_is_told_so(driver: str) -> None:
    """p0 as the test says, p1 as the machine offers."""
    there, back = flow_frames(1, BURST_FRAMES), flow_frames(2, BURST_FRAMES, forth=False)
    with lab(driver, "auto") as it_lab:
        config = it_lab.config("xconnect", queues=1, batch=BURST_FRAMES, heartbeat_timeout_ms=60_000)
        with instance(config) as it:
            left, right = it_lab.sides
            shown = driver.replace("-", "/")
            assert f"driver {shown} (as configured)" in it.log
            assert "driver turbotap/burst (the fastest here)" in it.log
            for source, sink, frames in ((left, right, there), (right, left, back)):
                with sink.capture() as capture:
                    stop_worker_and_flood(it, source, frames)
                    assert_same(capture.take(len(frames)), frames)
            settled = it.settled(received=2 * BURST_FRAMES)
            for port in settled.ports:
                counters = port.counters
                assert (counters.rx_packets, counters.rx_calls) == (BURST_FRAMES, 1)
                assert (counters.tx_packets, counters.tx_calls) == (BURST_FRAMES, 1)
                assert counters.rx_packets_per_call == counters.tx_packets_per_call == BURST_FRAMES
            assert f"p0    {shown} " in it.cli("stats").stdout
            ports = it.stats_json()["ports"]
            assert [(port["driver"], port["io"]) for port in ports] == [
                ("turbotap", shown.partition("/")[2]),
                ("turbotap", "burst"),
            ]


def test_packet_needs_its_device() -> None:
    done = start_fails('mode = "macswap"\n[[port]]\nname = "nowhere0"\ndriver = "packet"\n')
    assert done.returncode == 1
    assert "nowhere0" in done.stderr.splitlines()[-1]
    assert "no such device" in done.stderr.splitlines()[-1]


def test_a_device_that_is_no_tap_is_not_taken() -> None:
    with lab("packet", "packet") as it_lab:
        config = it_lab.config("xconnect", port={0: {"driver": "tap"}, 1: {"driver": "tap"}})
        done = start_fails(config)
    assert done.returncode == 1
    assert "is no tap" in done.stderr.splitlines()[-1]


def test_packet_leaves_a_device_as_it_was() -> None:
    with lab("packet", "packet") as it_lab:
        (middle,) = {str(port["netns"]) for port in it_lab.ports}
        ip("link", "set", "p1", "down", netns=middle)
        with instance(it_lab.config("xconnect")) as it:
            assert "state UP" in ip("link", "show", "p1", netns=middle)
            assert it.port("p1").driver == "packet"
        assert "state UP" in ip("link", "show", "p0", netns=middle)
        assert "state DOWN" in ip("link", "show", "p1", netns=middle)
