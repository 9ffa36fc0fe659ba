# SPDX-License-Identifier: Apache-2.0
"""The driver that a port gets, and the reason shown to the user.

netns            instance            netns
[p0]============( p0   p1 )============[p1]
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from forwarder.devices import uring
from tests.netns.checks import stop_worker_and_flood
from tests.netns.frames import assert_same, flow_frames
from tests.netns.topology import lab
from tests.support.capabilities import missing
from tests.support.commands import ip, run
from tests.support.drivers import URING, extended
from tests.support.instance import instance, start_fails
from tests.support.processes import open_files

NODE = "/dev/net/turbotap"
BURST_FRAMES = 64
POLL_ADD = 6  # IORING_OP_POLL_ADD


@pytest.fixture
def _no_turbotap() -> Iterator[None]:
    """A /dev/net with only tun in it, even if this machine has turbotap.ko loaded."""
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


@pytest.fixture
def sysctl(tmp_path: Path) -> Iterator[Path]:
    """Set the value read from kernel.io_uring_disabled, without changing the sysctl for the machine."""
    if not uring.DISABLED.exists():
        missing("kernel.io_uring_disabled")
    path = tmp_path / "io_uring_disabled"
    path.write_text("0\n")
    run("mount", "--bind", path, uring.DISABLED)
    try:
        yield path
    finally:
        run("umount", uring.DISABLED)


@pytest.mark.usefixtures("_no_turbotap")
@pytest.mark.parametrize(("disabled", "chosen"), [("0", "uring"), ("1", "uring"), ("2", "tap")])
def test_auto_takes_the_fastest_and_says_why_not_a_faster_one(
    sysctl: Path, disabled: str, chosen: str
) -> None:
    sysctl.write_text(f"{disabled}\n")
    why = f"the fastest here; not turbotap: turbotap.ko is not loaded (no {NODE})"
    if chosen == "tap":
        why += f"; not uring: kernel.io_uring_disabled is {disabled}"
    with lab("auto", "auto") as it_lab, instance(it_lab.config("xconnect")) as it:
        assert [(port.driver, port.note) for port in it.stats().ports] == [(chosen, why)] * 2
        assert f"driver {chosen} ({why})" in it.log
        shown = [(port["driver"], port["driver_note"]) for port in it.stats_json()["ports"]]
        assert shown == [(chosen, why)] * 2


def test_uring_is_refused_with_the_reason(sysctl: Path) -> None:
    sysctl.write_text("2\n")
    with lab("auto", "auto") as it_lab:
        config = it_lab.config("xconnect", port={0: {"driver": "uring"}, 1: {"driver": "uring"}})
        done = start_fails(config)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == ('ttfwd: port "p0": driver uring: kernel.io_uring_disabled is 2')


@pytest.mark.parametrize("driver", URING)
def test_a_worker_owns_no_frame_between_bursts(driver: str) -> None:
    """A request must not outlive a killed worker: its buffer may hold another packet by then."""
    frames = flow_frames(1, BURST_FRAMES)
    with lab(driver, driver) as it_lab:
        with instance(it_lab.config("xconnect", queues=1)) as it:
            left, right = it_lab.sides
            with right.capture() as capture:
                left.send(frames)
                assert_same(capture.take(len(frames)), frames)
            it.settled(received=len(frames))
            (pid,) = it.worker_pids()
            requests = [re.findall(r"op=(\d+)", info) for info in ring_infos(pid)]
            used = [found for found in requests if found]
            assert used == [[str(POLL_ADD)]] * 2, "a ring a port, and nothing in it but a poll"
            os.kill(pid, signal.SIGKILL)
        for device, netns in (("p0", left.netns), ("p1", right.netns)):
            assert device not in ip("link", "show", netns=netns)


def ring_infos(pid: int) -> Iterator[str]:
    """The kernel's description of each io_uring of a process."""
    for number, file in open_files(pid).items():
        if file == "anon_inode:[io_uring]":
            yield Path(f"/proc/{pid}/fdinfo/{number}").read_text().partition("PollList:")[2]


@pytest.mark.parametrize("driver", ["turbotap-mmsg", extended("turbotap-burst")])
def test_a_burst_is_one_system_call_each_way_and_is_told_so(driver: str) -> None:
    """p0 as the test sets it, p1 with the machine's default."""
    there, back = flow_frames(1, BURST_FRAMES), flow_frames(2, BURST_FRAMES, forth=False)
    with lab(driver, "auto") as it_lab:
        config = it_lab.config("xconnect", queues=1, batch=BURST_FRAMES, heartbeat_timeout_ms=60_000)
        with instance(config) as it:
            left, right = it_lab.sides
            shown = driver.replace("-", "/")
            assert f"driver {shown} (as configured)" in it.log
            assert "driver turbotap/zerocopy (the fastest here)" in it.log
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
                ("turbotap", "zerocopy"),
            ]


@pytest.mark.parametrize("driver", ["turbotap-zerocopy"])
def test_a_burst_that_crosses_is_one_system_call_for_both_ways(driver: str) -> None:
    there, back = flow_frames(1, BURST_FRAMES), flow_frames(2, BURST_FRAMES, forth=False)
    with lab(driver, driver) as it_lab:
        config = it_lab.config("xconnect", queues=1, batch=BURST_FRAMES, heartbeat_timeout_ms=60_000)
        with instance(config) as it:
            left, right = it_lab.sides
            for source, sink, frames in ((left, right, there), (right, left, back)):
                with sink.capture() as capture:
                    stop_worker_and_flood(it, source, frames)
                    assert_same(capture.take(len(frames)), frames)
            first, second = (port.counters for port in it.settled(received=2 * BURST_FRAMES).ports)
            for counters in (first, second):
                assert (counters.rx_packets, counters.rx_calls) == (BURST_FRAMES, 1)
                assert counters.tx_packets == BURST_FRAMES
            # The call that asked the second port for frames has sent the first one's.
            assert second.tx_calls == 0
            # The other way that is a call of the next round, unless the worker's slice ended before it.
            assert first.tx_calls <= 1


@pytest.mark.parametrize("outside", [extended("turbotap-burst"), extended("turbotap-mmsg")])
def test_a_port_in_the_crossing_and_one_outside_carry_every_frame(outside: str) -> None:
    there, back = flow_frames(1, 200), flow_frames(2, 200, forth=False)
    with (
        lab("turbotap-zerocopy", outside) as it_lab,
        instance(it_lab.config("xconnect", queues=2)) as it,
    ):
        left, right = it_lab.sides
        with right.capture() as capture:
            left.send(there)
            assert_same(capture.take(len(there)), there)
        with left.capture() as capture:
            right.send(back)
            assert_same(capture.take(len(back)), back)
        assert it.settled(received=400).counters.dropped_packets == 0


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
    assert "is not a tap" in done.stderr.splitlines()[-1]


def test_packet_leaves_a_device_as_it_was() -> None:
    with lab("packet", "packet") as it_lab:
        (middle,) = {str(port["netns"]) for port in it_lab.ports}
        ip("link", "set", "p1", "down", netns=middle)
        with instance(it_lab.config("xconnect")) as it:
            assert "state UP" in ip("link", "show", "p1", netns=middle)
            assert it.port("p1").driver == "packet"
        assert "state UP" in ip("link", "show", "p0", netns=middle)
        assert "state DOWN" in ip("link", "show", "p1", netns=middle)
