# SPDX-License-Identifier: Apache-2.0
"""`ttfwd capture` on a running instance, read by tshark and tcpdump."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from forwarder.devices.netns import inside
from forwarder.tester.pcap import read_pcap
from tests.process.topology import is_ready
from tests.support.afpacket import sender
from tests.support.commands import TIME_FACTOR, run, unique
from tests.support.instance import PATIENT, TTFWD, Instance, instance, private_environment
from tests.support.netns import namespace
from tests.support.wait import wait_until

PATIENCE_S = 60 * TIME_FACTOR
LONG = 1400  # bytes of a packet that still fits


def config(left: str, right: str) -> str:
    """Two workers and flow steering: most packets are handed over. The ports differ in MTU."""
    top = [
        f"{key} = {json.dumps(value)}" for key, value in {**PATIENT, "queues": 2, "steering": "flow"}.items()
    ]
    west = ["[[port]]", 'name = "west"', 'driver = "tap"', f'netns = "{left}"', "mtu = 3000", 'peer = "east"']
    east = ["[[port]]", 'name = "east"', 'driver = "tap"', f'netns = "{right}"', "mtu = 1500"]
    return "\n".join([*top, *west, *east]) + "\n"


class Lab:
    """An instance between two quiet namespaces."""

    def __init__(self, it: Instance, left: str, right: str) -> None:
        self.it, self.left, self.right = it, left, right
        with inside(left):
            self._west = sender("west")

    def send(self, *frames: bytes) -> None:
        """From the left, and wait until they are forwarded or dropped."""
        before = self.it.stats().counters.rx_packets
        self.offer(*frames)
        self.it.settled(received=before + len(frames))

    def wait_received(self, packets: int) -> None:
        wait_until(lambda: self.it.stats().counters.rx_packets >= packets, f"{packets} packets received")

    def offer(self, *frames: bytes) -> None:
        """From the left."""
        for data in frames:
            self._west.send(data)


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with namespace() as left, namespace() as right, instance(config(left, right)) as it:
        yield Lab(it, left, right)


class Capturing:
    """A `ttfwd capture` that runs, and captures already."""

    def __init__(self, it: Instance, *words: str, stdout: Any = subprocess.PIPE) -> None:
        self.process = subprocess.Popen(
            [TTFWD, "capture", "--name", it.name, *words],
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            env=it.environment,
        )
        assert self.process.stderr is not None
        ready, _, _ = select.select([self.process.stderr], [], [], PATIENCE_S)
        assert ready, "it doesn't begin"
        line = self.process.stderr.readline().decode()
        assert line == f'capturing instance "{it.name}"; Ctrl-C ends\n', line

    def wait(self) -> tuple[bytes, str]:
        """Its output, and what it says at its end."""
        out, said = self.process.communicate(timeout=PATIENCE_S)
        assert self.process.returncode == 0, said
        return out, said.decode()

    def stop(self) -> tuple[bytes, str]:
        self.process.send_signal(signal.SIGINT)
        return self.wait()


@contextmanager
def capturing(it: Instance, *words: str) -> Iterator[Capturing]:
    found = Capturing(it, *words)
    try:
        yield found
    finally:
        found.process.kill()
        found.process.communicate()


def udp(flow: int, number: int, size: int = 60) -> bytes:
    head = Ether(dst="02:00:00:00:00:02", src="02:00:00:00:00:01") / IP(src="10.0.0.1", dst="10.0.0.2")
    data = bytes(head / UDP(sport=1000 + flow, dport=53) / Raw(number.to_bytes(4, "big")))
    return data.ljust(size, b".")


def tshark(path: Path, *fields: str) -> list[list[str]]:
    """Fields of each packet."""
    words = [word for field in fields for word in ("-e", field)]
    shown = run("tshark", "-r", path, "-T", "fields", "-E", "separator=|", *words).stdout
    return [line.split("|") for line in shown.splitlines()]


def tshark_bytes(path: Path) -> list[bytes]:
    found = json.loads(run("tshark", "-r", path, "-T", "json", "-x", "-j", "frame").stdout)
    return [bytes.fromhex(packet["_source"]["layers"]["frame_raw"][0]) for packet in found]


# -------------------------------------------------------------------------------------------- packets


def test_tshark_reads_every_byte_with_port_direction_and_time(lab: Lab, tmp_path: Path) -> None:
    path = tmp_path / "x.pcapng"
    frames = [udp(n % 7, n, 60 + 33 * n) for n in range(40)]
    with capturing(lab.it, "-w", str(path)) as capture:
        lab.send(*frames)
        _, said = capture.stop()
    assert said == "80 packets captured\n"
    found = tshark(path, "frame.interface_name", "frame.packet_flags_direction", "frame.time_epoch")
    raw = tshark_bytes(path)
    for port, direction in (("west", "0x00000001"), ("east", "0x00000002")):
        chosen = [data for data, about in zip(raw, found, strict=True) if about[:2] == [port, direction]]
        assert sorted(chosen) == sorted(frames)
    times = [float(it[2]) for it in found]
    assert times == sorted(times)
    assert abs(times[-1] - time.time()) < PATIENCE_S
    # A packet is sent after it was received, by its flow in order.
    for data in frames:
        first, second = (n for n, each in enumerate(raw) if each == data)
        assert (found[first][0], found[second][0]) == ("west", "east")


def test_drops_are_captured_with_their_reason(lab: Lab, tmp_path: Path) -> None:
    path = tmp_path / "x.pcapng"
    long = [udp(n, n, 1900 + n) for n in range(10)]
    with capturing(lab.it, "--direction", "drop", "-w", str(path)) as capture:
        lab.send(*long, udp(1, 1), udp(2, 2))
        capture.stop()
    assert sorted(tshark_bytes(path)) == sorted(long)
    assert tshark(path, "frame.comment", "frame.interface_name") == [["dropped: oversize", "east"]] * len(
        long
    )


def test_a_filter_agrees_with_tcpdumps_and_several_capture_at_once(lab: Lab, tmp_path: Path) -> None:
    head = Ether(dst="02:00:00:00:00:02") / IP(src="10.0.0.1", dst="10.0.0.2")
    frames = [udp(n, n, 60 + 50 * n) for n in range(20)]
    frames += [bytes(head / TCP(sport=n, dport=80, flags="S")) for n in range(5)]
    frames += [bytes(Ether(dst="ff:ff:ff:ff:ff:ff", type=0x88B5) / Raw(bytes(50)))]
    expressions = [
        "udp src port 1003",
        "tcp[tcpflags] & tcp-syn != 0",
        "greater 500",
        "ether broadcast",
        "not ip",
    ]
    everything = tmp_path / "all.pcapng"
    captures = [Capturing(lab.it, "-w", str(everything))]
    for n, expression in enumerate(expressions):
        captures.append(Capturing(lab.it, "--filter", expression, "-w", str(tmp_path / f"{n}.pcapng")))
    lab.send(*frames)
    for capture in captures:
        capture.stop()
    assert len(read_pcap(everything)) == 2 * len(frames)
    for n, expression in enumerate(expressions):
        run("tcpdump", "-r", everything, "-w", tmp_path / "theirs.pcap", expression)
        assert sorted(read_pcap(tmp_path / f"{n}.pcapng")) == sorted(read_pcap(tmp_path / "theirs.pcap"))


def test_another_program_reads_packets_as_they_come(lab: Lab) -> None:
    with capturing(lab.it, "--count", "4") as capture:
        reader = subprocess.Popen(
            ["tshark", "-l", "-r", "-"], stdin=capture.process.stdout, stdout=subprocess.PIPE, text=True
        )
        lab.send(udp(1, 1), udp(2, 2), udp(3, 3))
        shown, _ = reader.communicate(timeout=PATIENCE_S)
        assert capture.process.wait(PATIENCE_S) == 0
    assert len(shown.splitlines()) == 4


def test_a_reader_that_hangs_up_is_no_error(lab: Lab) -> None:
    read, write = os.pipe()
    capture = Capturing(lab.it, stdout=write)
    os.close(write)
    os.close(read)
    lab.send(udp(1, 1))
    capture.wait()


def test_a_second_ctrl_c_ends_one_whose_reader_reads_nothing(lab: Lab) -> None:
    read, write = os.pipe()
    capture = Capturing(lab.it, stdout=write)
    lab.send(*(udp(1, n, LONG) for n in range(200)))  # more than the pipe takes
    for _ in range(2):
        time.sleep(0.3)
        capture.process.send_signal(signal.SIGINT)
    assert capture.process.wait(PATIENCE_S) == -signal.SIGINT
    for fd in (read, write):
        os.close(fd)


def test_ports_and_snaplen(lab: Lab, tmp_path: Path) -> None:
    path = tmp_path / "x.pcapng"
    with capturing(lab.it, "east", "--snaplen", "20", "-w", str(path)) as capture:
        lab.send(udp(1, 1, 100))
        capture.stop()
    assert tshark(path, "frame.interface_name", "frame.len", "frame.cap_len") == [["east", "100", "20"]]


def test_a_sample_follows_its_packets(lab: Lab, tmp_path: Path) -> None:
    path = tmp_path / "x.pcapng"
    with capturing(lab.it, "--sample", "5", "-w", str(path)) as capture:
        lab.send(*(udp(n, n) for n in range(20)))
        capture.stop()
    found = read_pcap(path)
    assert len(found) == 8
    assert all(found.count(data) == 2 for data in found), "what was sampled is there as received and as sent"


def test_files_take_turns(lab: Lab, tmp_path: Path) -> None:
    with capturing(
        lab.it, "-w", str(tmp_path / "x.pcapng"), "--rotate-size", "2k", "--files", "2"
    ) as capture:
        lab.send(*(udp(1, n, 500) for n in range(20)))
        capture.stop()
    files = sorted(tmp_path.iterdir())
    assert len(files) == 2
    assert tshark_bytes(files[0])[-1] == udp(1, 19, 500) or tshark_bytes(files[1])[-1] == udp(1, 19, 500)


# ---------------------------------------------------------------------------------------------- lines


def test_a_line_for_the_way_of_each_packet(lab: Lab) -> None:
    with capturing(lab.it, "--text") as capture:
        lab.send(*(udp(n, n) for n in range(16)), udp(1, 1, 2000))
        out, said = capture.stop()
    lines = out.decode().splitlines()
    assert said == "17 lines captured\n"
    time_of_day = r"^\d\d:\d\d:\d\d\.\d{9} "
    way = r"west queue (\d) worker \1 (\d+) B -> east: (?:handed to worker (\d), )?"
    end = r"(sent|dropped \(oversize\))(?: after \d+\.\d us)?$"
    found = [re.match(time_of_day + way + end, line) for line in lines]
    ways = [match.groups() for match in found if match]
    assert sorted((size, end) for _, size, _, end in ways) == [("2000", "dropped (oversize)")] + 16 * [
        ("60", "sent")
    ]
    handed = [(worker, to) for worker, _, to, _ in ways if to]
    assert handed, "with 16 flows, some change the worker"
    assert all(worker != to for worker, to in handed)


def test_lines_of_drops_alone(lab: Lab) -> None:
    with capturing(lab.it, "--text", "--direction", "drop", "--filter", "greater 1950") as capture:
        lab.send(udp(1, 1), udp(1, 2, 1900), udp(1, 3, 2000))
        out, _ = capture.stop()
    (line,) = out.decode().splitlines()
    assert re.search(r" 2000 B -> east: .*dropped \(oversize\)", line)


# --------------------------------------------------------------------------------- workers don't notice


def test_a_killed_reader_changes_nothing(lab: Lab) -> None:
    with capturing(lab.it, "-w", "/dev/null") as capture:
        lab.send(udp(1, 1))
        ended = lab.it.log.count("a capture ended")
        capture.process.kill()
        wait_until(lambda: lab.it.log.count("a capture ended") == ended + 1, "the supervisor has seen it")
    lab.send(udp(1, 2))
    assert [worker.restarts for worker in lab.it.stats().workers] == [0, 0]


def test_a_reader_that_is_too_slow_loses_only_its_own_packets_and_says_how_many(
    lab: Lab, tmp_path: Path
) -> None:
    path = tmp_path / "x.pcapng"
    dropped = lab.it.stats().counters.dropped_packets
    with capturing(lab.it, "-w", str(path)) as capture:
        lab.send(udp(0, 0))
        os.kill(capture.process.pid, signal.SIGSTOP)
        before = lab.it.stats().counters.rx_packets
        # More than a ring holds, of one flow: so it is one worker's that comes round.
        for burst in range(1, 18):
            lab.offer(*(udp(5, n, LONG) for n in range(400)))
            lab.wait_received(before + 400 * burst)
        lab.it.settled()
        os.kill(capture.process.pid, signal.SIGCONT)
        _, said = capture.stop()
    after = lab.it.stats().counters
    assert after.dropped_packets == dropped
    forwarded = after.rx_packets - before
    captured = int(re.match(r"(\d+) packets captured", said)[1])  # type: ignore[index]
    lost = sum(map(int, re.findall(r"(\d+) records of worker \d lost: they came too fast", said)))
    assert lost > 0, said
    # Records of packets that are handed over aren't asked for, so each is a received or a sent packet.
    assert captured + lost == 2 * forwarded + 2
    assert len(tshark(path, "frame.number")) == captured
    assert re.search(r"^lost: \d+ records of worker", run("strings", path).stdout, re.MULTILINE)


def test_a_worker_that_is_restarted_is_captured_on(tmp_path: Path) -> None:
    path = tmp_path / "x.pcapng"
    with namespace() as left, namespace() as right, instance(config(left, right)) as it:
        lab = Lab(it, left, right)
        with capturing(it, "-w", str(path)) as capture:
            lab.send(*(udp(n, n) for n in range(16)))
            for worker, pid in enumerate(it.worker_pids()):
                os.kill(pid, signal.SIGKILL)
                it.wait(partial(is_ready, worker=worker, restarts=1), "it is back")
            lab.send(*(udp(n, 100 + n) for n in range(16)))
            it.cli("stop")
            _, said = capture.wait()  # the instance's end is the capture's
    assert "lost" not in said
    found = read_pcap(path)
    assert sorted(found) == sorted(2 * [udp(n, more + n) for more in (0, 100) for n in range(16)])


# --------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["north", "--text"], 2, 'no port "north" (ports: east, west)'),
        (["--filter", "tcp prot 80", "--text"], 2, '--filter: "tcp prot 80": '),
        (["-w", "/nowhere/x"], 1, "/nowhere/x: can't be written: No such file or directory"),
        (["--rotate-size", "1M"], 2, "--rotate-size and --rotate-time need a file: -w FILE"),
        (["--rotate-size", "1T", "-w", "x"], 2, "'1T' is not a size, such as 500k, 10M or 2G"),
        (["--files", "2", "-w", "x"], 2, "--files needs --rotate-size or --rotate-time"),
        (["--count", "0", "--text"], 2, "--count"),
        (["--direction", "up", "--text"], 2, "'up' is not one of 'rx', 'tx', 'drop'"),
        (["--snaplen", "x", "--text"], 2, "--snaplen"),
    ],
)
def test_what_cant_be_done_is_named(lab: Lab, words: list[str], code: int, says: str) -> None:
    refused = lab.it.cli("capture", *words, code=code)
    assert says in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_full_disk_is_named(lab: Lab) -> None:
    with capturing(lab.it, "-w", "/dev/full") as capture:
        lab.send(udp(1, 1))
        _, said = capture.process.communicate(timeout=PATIENCE_S)
        assert capture.process.returncode == 1
    assert said.decode() == "ttfwd: /dev/full: can't be written: No space left on device\n"


def test_without_an_instance_an_older_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "x.pcapng"
    path.write_bytes(b"older")
    name = unique("none")
    refused = run(TTFWD, "capture", "--name", name, "-w", path, code=3, env=private_environment(tmp_path))
    assert f'instance "{name}" is not running' in refused.stderr
    assert path.read_bytes() == b"older"


def test_packets_dont_go_to_a_terminal(lab: Lab) -> None:
    refused = run(
        "script", "-qec", f"{TTFWD} capture --name {lab.it.name}", "/dev/null", code=2, env=lab.it.environment
    )
    assert "standard output is a terminal: write a file (-w FILE), pipe it" in refused.stdout
