# SPDX-License-Identifier: Apache-2.0
"""The tester in the kernel: what it sends arrives, byte by byte, and is counted as it was."""

from __future__ import annotations

import os
import signal
import struct
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from forwarder.errors import DeviceError, TtfwdError, UsageError
from forwarder.results.model import Direction, Way
from forwarder.tester.attached import Attached
from forwarder.tester.frames import templates
from forwarder.tester.generator import Outgoing, generator_config
from forwarder.tester.kernel import KernelTester
from forwarder.tester.native import load
from forwarder.tester.open import open_tester
from forwarder.tester.programs import loaded
from forwarder.tester.receiver import Receiver
from forwarder.tester.traffic import Traffic
from forwarder.tester.trial import Endpoint, Load, Sent
from tests.netns.topology import Side, lab
from tests.support.capabilities import missing, require_tester
from tests.support.commands import in_namespace, ip, run
from tests.support.fake_dut.device import Behaviour, fake_dut
from tests.support.instance import instance
from tests.support.netns import namespace
from tests.support.tap import multi_queue_tap
from tests.support.veth import Wire, wire

CPU = min(os.sched_getaffinity(0))
SHORT = Load(per_s=2000, duration_s=0.1)
CATCH_UP = 64


@pytest.fixture(scope="module", autouse=True)
def _tester() -> None:
    require_tester()


@contextmanager
def opened(ends: Wire, traffic: Traffic | None = None, **keys: Any) -> Iterator[KernelTester]:
    with closing(open_tester(*ends, traffic or Traffic(), **{"cpus": (CPU,), **keys})) as tester:
        yield tester


def burst(frames: int) -> Load:
    return Load(per_s=0, duration_s=0, burst_frames=frames)


def assert_whole(way: Way, load_: Load) -> None:
    """All that was sent arrived once and in order, and every figure is of so many frames."""
    assert way.intended == (load_.burst_frames or round(load_.per_s * load_.duration_s))
    assert way.sent + way.unsent == way.intended
    assert way.sent == way.received > 0
    assert (way.duplicates, way.reordered, way.reordered_extent, way.stale) == (0, 0, 0, 0)
    assert way.lateness.samples == way.path.samples == way.response.samples == way.sent
    assert sum(count for _, count in way.path.buckets) == way.sent
    assert set(way.lost_each_second) == {0}


def bare(sent: Sent) -> None:
    """No frame was refused or dropped, and the device counted the same as the receiver."""
    assert sent.books.refused == sent.books.receiver_dropped == (0,) * len(sent.ways)
    assert sent.books.arrived == tuple(way.received for way in sent.ways)


@pytest.mark.parametrize("receiving", ["tc", "xdp"])
def test_what_is_sent_arrives(ends: Wire, receiving: Any) -> None:
    with opened(ends, receiving=receiving) as tester:
        for _ in range(2):  # the second trial begins with empty books
            sent = tester.trial(SHORT)
            (way,) = sent.ways
            assert way.direction == "forward"
            assert_whole(way, SHORT)
            bare(sent)
        (way,) = tester.trial(burst(1000)).ways
        assert_whole(way, burst(1000))
        assert way.sent == 1000
        assert way.lateness.max_ns == 0, "nothing was due before"


def test_frames_that_the_device_still_holds_are_waited_for() -> None:
    """Its worker gets no CPU for longer than the tester waits for stragglers."""
    frames = burst(200)
    with (
        lab("tap", "tap") as there,
        instance(there.config("xconnect", queues=1, heartbeat_timeout_ms=60_000)) as it,
    ):
        (worker,) = it.worker_pids()

        def rest() -> None:
            os.kill(worker, signal.SIGCONT)
            it.wait(lambda s: s.counters.tx_packets >= 200, "it has sent all")

        near, far = (Endpoint(side.device, side.netns) for side in there.sides)
        with opened((near, far)) as tester:
            os.kill(worker, signal.SIGSTOP)
            (way,) = tester.trial(frames, rest).ways
        assert_whole(way, frames)
        assert way.path.max_ns is not None
        assert way.path.max_ns > 300_000_000


@pytest.mark.parametrize("count", [1, 2])
def test_both_directions(ends: Wire, count: int) -> None:
    """Each on a CPU of its own, or both on one, in turns."""
    cpus = sorted(os.sched_getaffinity(0))[:count]
    with opened(ends, Traffic(directions=2, flows=10), cpus=cpus) as tester:
        assert len(tester.pids) == len(cpus)
        sent = tester.trial(SHORT)
        assert [way.direction for way in sent.ways] == ["forward", "backward"]
        for way in sent.ways:
            assert_whole(way, SHORT)
        bare(sent)


KINDS = {
    "ipv4": Traffic(),
    "ipv6": Traffic(sizes="78", ip=6),
    "tagged": Traffic(sizes="64", vlans=(5,)),
    "ipv6 tagged twice": Traffic(sizes="100", ip=6, vlans=(5, 6), flows=3),
    "to a router": Traffic(dst_macs=("02:00:00:00:00:0a", "02:00:00:00:00:0b")),
    "mix": Traffic(sizes="60x7,566x4,1514x1", seed=4, flows=1000),
    "random flows": Traffic(sizes="1514", flows=50_000, flow_order="random", seed=7),
    "ipv6 mix": Traffic(sizes="82x2,1400x1", ip=6, vlans=(9,), flows=20_000),
}


@pytest.mark.parametrize(
    ("kind", "sending"),
    [
        *((kind, "xdp") for kind in KINDS),
        ("tagged", "xdp+tc"),
        ("ipv6 mix", "xdp+tc"),
        ("to a router", "xdp+tc"),
    ],
)
def test_frames_are_those_that_were_promised(ends: Wire, kind: str, sending: Any) -> None:
    traffic = KINDS[kind].model_copy(update={"directions": 2})
    near, far = (Side(end.netns or "", end.device) for end in ends)
    with (
        opened(ends, traffic, sending=sending, cpus=_as_many_cpus(2)) as tester,
        far.capture() as forward,
        near.capture() as backward,
    ):
        ways = tester.trial(burst(120)).ways
        arrived = {"forward": forward.take(120), "backward": backward.take(120)}
    for way in ways:
        assert_whole(way, burst(120))
        assert_promised(traffic, way.direction, arrived[way.direction])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("to_stack", [False, True])
def test_the_kernel_accepts_every_kind(ends: Wire, kind: str, to_stack: bool) -> None:
    """A program is compiled once, and proved anew for each kind of traffic and number of ways."""
    forward, backward = (Attached.find(end) for end in ends)
    ways = [Outgoing("forward", forward), Outgoing("backward", backward)]
    native = load()
    for some in (ways[:1], ways[1:], ways):
        config = generator_config(some, KINDS[kind], to_stack)
        made = native.ffi.new("struct ttf_generator_config *", config)
        with loaded(partial(native.lib.ttf_load_generator, made)):
            pass


def assert_promised(traffic: Traffic, direction: Direction, frames: Sequence[bytes]) -> None:
    made = templates(traffic, direction)
    at = traffic.header_bytes
    stamps = [frame[at : at + 16] for frame in frames]
    assert [struct.unpack("!IIQ", stamp)[0] for stamp in stamps] == list(range(120))
    for number, (frame, stamp) in enumerate(zip(frames, stamps, strict=True)):
        template = made[traffic.order[number % len(traffic.order)]]
        assert frame == template.build(flow_of(traffic, number), stamp)


@pytest.mark.parametrize("ip_version", [4, 6])
def test_a_router_forwards_them(ip_version: Any) -> None:
    """The kernel's own: it takes frames to its own address, looks at checksums, and changes the header."""
    net = {4: "198.{}.255.254/16", 6: "2001:2:0:{}::ff/64"}[ip_version]
    neighbour = {4: "198.{}.0.1", 6: "2001:2:0:{}::1"}[ip_version]
    with namespace() as near, namespace(ipv6=True) as router, namespace() as far:
        macs = ("02:00:00:00:00:0a", "02:00:00:00:00:0b")
        for netns, device, number, mac in ((near, "in", 18, macs[0]), (far, "out", 19, macs[1])):
            end = ("peer", "name", "end", "netns", netns)
            ip("link", "add", device, "address", mac, "type", "veth", *end, netns=router)
            ip("link", "set", "end", "up", netns=netns)
            ip("link", "set", device, "up", netns=router)
            run(*in_namespace(router, "ethtool", "-K", device, "gro", "on"))
            ip("address", "add", net.format(number), "dev", device, *NODAD[ip_version], netns=router)
            permanent = ("lladdr", "02:00:00:00:00:99", "nud", "permanent", "dev", device)
            ip("neighbour", "add", neighbour.format(number), *permanent, netns=router)
        run(*in_namespace(router, "sysctl", "-qw", FORWARDING[ip_version]))
        traffic = Traffic(sizes="100", ip=ip_version, directions=2, dst_macs=macs)
        with opened((Endpoint("end", near), Endpoint("end", far)), traffic) as tester:
            for way in tester.trial(SHORT).ways:
                assert_whole(way, SHORT)


NODAD = {4: (), 6: ("nodad",)}
FORWARDING = {4: "net.ipv4.ip_forward=1", 6: "net.ipv6.conf.all.forwarding=1"}


def _as_many_cpus(directions: int) -> Sequence[int]:
    """By the stack, ways into different namespaces need a CPU each."""
    cpus = sorted(os.sched_getaffinity(0))[:directions]
    if len(cpus) < directions:
        missing("2 CPUs")
    return cpus


def flow_of(traffic: Traffic, number: int) -> int:
    if traffic.flow_order == "incremental":
        return number % traffic.flows
    mixed = number ^ traffic.seed
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):  # MurmurHash3's finalizer
        mixed = ((mixed ^ mixed >> shift) * factor) & 0xFFFFFFFF
    return mixed * traffic.flows >> 32


def test_random_flows_are_spread(ends: Wire) -> None:
    traffic = Traffic(flows=64, flow_order="random", seed=11)
    flows = Counter(flow_of(traffic, number) for number in range(6400))
    assert len(flows) == 64
    assert max(flows.values()) < 200


def test_a_tap_selects_among_its_queues(ends: Wire) -> None:
    with namespace() as netns, multi_queue_tap("manyq", netns, 4) as queues:
        with opened((Endpoint("manyq", netns), ends[1]), Traffic(flows=256)) as tester:
            sent = tester.trial(burst(1000))
        assert sent.ways[0].sent == 1000
        assert sent.books.refused == (0,)
        read = [len(_drained(queue)) for queue in queues]
    assert sum(read) == 1000
    assert min(read) > 50, "of 256 flows, each queue has some"


@pytest.mark.parametrize(("packet_info", "sending"), [(False, "xdp"), (True, "xdp+tc")])
def test_a_taps_reader_gets_whole_frames_with_what_it_expects_before_them(
    ends: Wire, packet_info: bool, sending: str
) -> None:
    """A frame that goes straight into a tap has no struct tun_pi, also for a reader that cuts it off."""
    with namespace() as netns, multi_queue_tap("infoq", netns, 1, packet_info) as (queue,):
        with opened((Endpoint("infoq", netns), ends[1])) as tester:
            assert tester.sending == sending
            tester.trial(burst(120))
        read = _drained(queue)
    before = struct.pack("!HH", 0, 0x0800) if packet_info else b""
    assert {frame[: len(before)] for frame in read} == {before}
    assert_promised(Traffic(), "forward", [frame[len(before) :] for frame in read])


def _drained(queue: int) -> list[bytes]:
    frames = []
    while True:
        try:
            frames.append(os.read(queue, 2048))
        except BlockingIOError:
            return frames


@pytest.mark.parametrize(("queues", "sending"), [(1, "xdp"), (1, "xdp+tc"), (4, "xdp+tc")])
def test_a_full_tap_refuses_and_counts_it(ends: Wire, queues: int, sending: Any) -> None:
    """Nobody reads it: what its queues don't hold is refused, frame by frame."""
    with namespace() as netns, multi_queue_tap("fullq", netns, queues) as fds:
        with opened((Endpoint("fullq", netns), ends[1]), Traffic(flows=256), sending=sending) as tester:
            sent = tester.trial(burst(9000))
        held = sum(len(_drained(fd)) for fd in fds)
    assert 0 < held < 9000
    assert sent.ways[0].sent == 9000
    assert sent.books.refused == (9000 - held,)


def test_a_generator_that_cannot_keep_up_leaves_frames_out(tmp_path: Path) -> None:
    """The device delays each frame on the generator's CPU, by ten times what is between two of them."""
    with fake_dut(tmp_path) as dut:
        dut.forward.behave(Behaviour(delay_ns=100_000))
        ends = (Endpoint(dut.left[1], dut.left[0]), Endpoint(dut.right[1], dut.right[0]))
        load_ = Load(per_s=100_000, duration_s=0.1)
        with opened(ends) as tester:
            (way,) = tester.trial(load_).ways
    assert_whole(way, load_)
    assert way.unsent >= 0.8 * way.intended
    interval_ns = 10_000
    assert way.lateness.max_ns is not None
    assert way.lateness.max_ns <= (CATCH_UP + 1) * interval_ns, "what is later is left out"


def test_losses_are_told_by_their_second(tmp_path: Path) -> None:
    with fake_dut(tmp_path) as dut:
        dut.forward.behave(Behaviour(drop_every=5, die_after=300))
        ends = (Endpoint(dut.left[1], dut.left[0]), Endpoint(dut.right[1], dut.right[0]))
        load_ = Load(per_s=200, duration_s=2.5)
        with opened(ends) as tester:
            (way,) = tester.trial(load_).ways
        lost = dut.forward.book().dropped
    if way.unsent:  # the machine stood still: the seconds have fewer frames
        assert sum(way.lost_each_second) == way.lost == lost
    else:
        assert way.lost_each_second == (40, 20 + 100, 100)


def test_a_long_trial_is_settled_on_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a window of 500 frames, seconds are counted off while frames come."""
    settled: list[int] = []
    count_off = Receiver.count_off

    def noted(receiver: Receiver, first_of_seconds: Sequence[int]) -> None:
        count_off(receiver, first_of_seconds)
        settled.append(receiver._all.floor)

    monkeypatch.setattr("forwarder.tester.receiver._KEPT", 500)
    monkeypatch.setattr("forwarder.tester.kernel._LOOK_S", 0.2)
    monkeypatch.setattr(Receiver, "count_off", noted)
    load_ = Load(per_s=1000, duration_s=3)
    with fake_dut(tmp_path) as dut:
        dut.forward.behave(Behaviour(drop_every=10))
        ends = (Endpoint(dut.left[1], dut.left[0]), Endpoint(dut.right[1], dut.right[0]))
        with opened(ends) as tester:
            (way,) = tester.trial(load_).ways
    assert max(settled) > 0
    assert (way.received, way.stale, way.duplicates) == (way.sent - way.sent // 10, 0, 0)
    assert len(way.lost_each_second) == 3
    assert sum(way.lost_each_second) == way.sent // 10
    if not way.unsent:
        assert way.lost_each_second == (100, 100, 100)


def test_ctrl_c_ends_a_trial_at_once(ends: Wire) -> None:
    with opened(ends) as tester:
        timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            tester.trial(Load(per_s=1000, duration_s=120))
        timer.join()
        (way,) = tester.trial(SHORT).ways
        assert_whole(way, SHORT)


def test_a_run_that_pauses_goes_on(ends: Wire) -> None:
    """As it does when the kernel has counted 2^32 calls of the program, which takes an hour."""
    load_ = Load(per_s=1000, duration_s=0.5)
    with opened(ends) as tester:
        (pid,) = tester.pids
        timer = threading.Timer(0.2, os.kill, (pid, signal.SIGUSR1))
        timer.start()
        (way,) = tester.trial(load_).ways
        timer.join()
    assert_whole(way, load_)


def test_others_frames_pass(ends: Wire) -> None:
    near, far = (Side(end.netns or "", end.device) for end in ends)
    frame = bytes.fromhex("ffffffffffff 020000000001 88b5") + bytes(46)
    for receiving in ("tc", "xdp"):
        with opened(ends, receiving=receiving) as tester, far.capture() as capture:
            timer = threading.Timer(0.05, near.send, ([frame] * 5,))
            timer.start()
            sent = tester.trial(Load(per_s=500, duration_s=0.4))
            timer.join()
            assert_whole(sent.ways[0], Load(per_s=500, duration_s=0.4))
            bare(sent)
            seen = capture.take(5)
        assert seen.count(frame) == 5


def test_what_was_attached_is_gone_afterwards(ends: Wire) -> None:
    far = ends[1]
    for receiving in ("tc", "xdp"):
        with opened(ends, receiving=receiving, sending="xdp+tc"):
            assert _is_clean(far) == (receiving == "tc"), "links of tc aren't shown by old tools"
        assert _is_clean(far)


def _is_clean(end: Endpoint) -> bool:
    shown = ip("-d", "link", "show", "dev", end.device, netns=end.netns)
    return "prog/xdp" not in shown and not _has_clsact(end)


def _has_clsact(end: Endpoint) -> bool:
    return "clsact" in run(*in_namespace(end.netns or "", "tc", "qdisc", "show", "dev", end.device)).stdout


def test_a_process_that_is_killed_leaves_nothing_running(ends: Wire) -> None:
    with opened(ends) as tester:
        (pid,) = tester.pids
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(TtfwdError, match="the generator's process was killed"):
            tester.trial(SHORT)
    assert not Path(f"/proc/{pid}").exists()


def test_a_device_that_goes_ends_the_trial() -> None:
    with wire() as ends, opened(ends) as tester:
        where = (ends[0].netns or "", ends[0].device)
        timer = threading.Timer(0.2, ip, ("link", "delete", where[1]), {"netns": where[0]})
        timer.start()
        with pytest.raises(DeviceError, match="there is no such device"):
            tester.trial(Load(per_s=100, duration_s=1))
        timer.join()


def test_a_veth_that_takes_no_frames_is_named() -> None:
    with wire() as ends:
        run(*in_namespace(ends[1].netns or "", "ethtool", "-K", ends[1].device, "gro", "off"))
        with (
            opened(ends, sending="xdp") as tester,
            pytest.raises(DeviceError, match=r"near in .*: ethtool -K PEER gro on"),
        ):
            tester.trial(SHORT)


@pytest.mark.parametrize(
    ("change", "error", "told"),
    [
        ({"far": Endpoint("none", None)}, DeviceError, "none: there is no such device"),
        ({"far": Endpoint("a/b", None)}, DeviceError, "a/b: there is no such device"),
        ({"far": Endpoint("x" * 40, None)}, DeviceError, "x: there is no such device"),
        ({"far": Endpoint("lo", "nowhere")}, DeviceError, 'network namespace "nowhere" doesn\'t exist'),
        ({"traffic": Traffic(sizes="1515")}, DeviceError, "its MTU is 1500: frames of 1515 bytes need 1501"),
        (
            {"traffic": Traffic(sizes="3401"), "sending": "xdp"},
            UsageError,
            "frames of 3401 bytes: .* up to 3400",
        ),
        ({"cpus": ()}, UsageError, "needs a CPU"),
        ({"cpus": (CPU, CPU)}, UsageError, "or one for each direction"),
        ({"cpus": (100_000,)}, UsageError, "CPU 100000 doesn't exist or is not allowed"),
        ({"traffic": Traffic(directions=2), "sending": "xdp+tc"}, UsageError, "need a CPU each"),
    ],
)
def test_what_cannot_be_opened_is_named(
    ends: Wire, change: dict[str, Any], error: type[TtfwdError], told: str
) -> None:
    keys = {"near": ends[0], "far": ends[1], "traffic": Traffic(), "cpus": (CPU,), **change}
    with pytest.raises(error, match=told):
        open_tester(**keys)


@pytest.mark.parametrize(
    ("load_", "told"),
    [
        (Load(per_s=0.5, duration_s=1), "a load of 0.5 frames/s: 1 to"),
        (Load(per_s=10, duration_s=0), "a trial of 0 s: more than 0"),
        (Load(per_s=10, duration_s=86_401), "a trial of 86401 s: more than 0, up to 86400"),
        (burst(0), "a burst of 0 frames"),
    ],
)
def test_a_load_that_cannot_be_sent_is_named(ends: Wire, load_: Load, told: str) -> None:
    with opened(ends) as tester, pytest.raises(UsageError, match=told):
        tester.trial(load_)


def test_a_device_that_is_down_is_named() -> None:
    with wire() as ends:
        ip("link", "set", ends[1].device, "down", netns=ends[1].netns)
        with pytest.raises(DeviceError, match=r"near in .* it has no carrier"):
            open_tester(*ends, Traffic(), cpus=(CPU,))
        with pytest.raises(DeviceError, match=r"far in .* it is down"):
            open_tester(ends[1], ends[0], Traffic(), cpus=(CPU,))


def test_anothers_xdp_program_stays(ends: Wire) -> None:
    with opened(ends, receiving="xdp") as first:
        with pytest.raises(DeviceError, match="it has an XDP program of somebody else"):
            open_tester(*ends, Traffic(), cpus=(CPU,), receiving="xdp")
        (way,) = first.trial(SHORT).ways
        assert_whole(way, SHORT)
