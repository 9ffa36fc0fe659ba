# SPDX-License-Identifier: Apache-2.0
"""`ttfwd capture` behind the workers: rings to records, records to packets and lines, packets to files.

With workers: tests/process/test_capture.py.
"""

from __future__ import annotations

import mmap
import os
import shutil
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from forwarder import shm
from forwarder.capture import filter as capture_filter
from forwarder.capture import offload
from forwarder.capture.filter import Filter
from forwarder.capture.lines import Joiner
from forwarder.capture.output import NO_ROTATION, Output, Rotation
from forwarder.capture.pcapng import Writer
from forwarder.capture.record import Record
from forwarder.capture.rings import Rings
from forwarder.capture.sample import Sample
from forwarder.errors import TtfwdError, UsageError
from forwarder.native import ffi, lib
from forwarder.tester.pcap import read_pcap
from tests.support.offloads import vnet_header

RX, TX, DROP = lib.TTF_EVENT_RX, lib.TTF_EVENT_TX, lib.TTF_EVENT_DROP
FLOOD, COPY, HANDED = lib.TTF_EVENT_FLOOD, lib.TTF_EVENT_COPY, lib.TTF_EVENT_HANDED
NOWHERE = (lib.TTF_NOWHERE, 0)
REASON = {"tx_full": 0, "ring_full": 1, "oversize": 3, "no_port": 5}
NAMES = ("west", "east", "south")
MIDNIGHT = 0


def record(event: int, port: int = 0, time_ns: int = 0, **changes: object) -> Record:
    """One of worker 0, of frame 7 there."""
    found = Record(time_ns, event, 0, port, 1, 0, 0, 60, b"", b"", (7, 0), NOWHERE)
    return found._replace(**changes)  # type: ignore[arg-type]


# ----------------------------------------------------------------------------------------------- rings


def in_memory(*records: tuple[int, int], writing: bool = False) -> int:
    """A ring with records of these times and numbers, of received frames without bytes. Its descriptor."""
    size = ffi.sizeof("struct ttf_capture")
    fd = shm.sealed_memory("a ring", size)
    with mmap.mmap(fd, size) as memory:
        for at, (time_ns, number) in enumerate(records):
            head = struct.pack("=IBBBBQQ", 64, RX, 0, 0, 0, number, time_ns)
            memory.seek(lib.TTF_AREA_ALIGN + 64 * at)
            memory.write(head.ljust(64, b"\0"))
        memory.seek(0)
        memory.write(struct.pack("=QQQI", 0, 64 * len(records), 0, writing))
    return fd


def publish(fd: int, count: int, writing: bool = False) -> None:
    os.pwrite(fd, struct.pack("=QQQI", 64 * count, 64 * count, count, writing), 0)


def test_records_of_all_workers_come_in_the_order_of_their_times() -> None:
    fds = [in_memory((10, 0), (30, 1), (50, 2)), in_memory((20, 0), (40, 1))]
    kept = [os.dup(fd) for fd in fds]
    with Rings(fds, 1 << RX) as rings:
        assert rings.take() == []
        publish(kept[0], 3)
        publish(kept[1], 2)
        assert [(it.time_ns, it.by) for it in rings.take()] == [(10, 0), (20, 1), (30, 0), (40, 1), (50, 0)]
        assert rings.lost == (0, 0)
    for fd in kept:
        os.close(fd)


def test_what_is_newer_than_another_workers_last_waits_while_that_one_writes() -> None:
    now = time.monotonic_ns()
    fds = [in_memory((now, 0), (now + 9, 1)), in_memory((now + 5, 0))]
    kept = [os.dup(fd) for fd in fds]
    with Rings(fds, 1 << RX) as rings:
        publish(kept[0], 2)
        publish(kept[1], 1, writing=True)
        assert [it.time_ns for it in rings.take()] == [now]
        publish(kept[1], 1)
        assert [it.time_ns for it in rings.take()] == [now + 5, now + 9]
        publish(kept[1], 1, writing=True)
        assert rings.take(everything=True) == []
    for fd in kept:
        os.close(fd)


def test_numbers_that_are_missing_are_lost_and_what_is_no_record_is_malformed() -> None:
    fds = [in_memory((10, 0), (20, 5)), in_memory((10, 0))]
    kept = [os.dup(fd) for fd in fds]
    with Rings(fds, 1 << RX) as rings:
        publish(kept[0], 2)
        publish(kept[1], 1)
        os.pwrite(kept[1], b"\xff" * 8, lib.TTF_AREA_ALIGN)
        assert len(rings.take()) == 2
        assert rings.lost == (4, 0)
        assert rings.malformed == (0, 1)
    for fd in kept:
        os.close(fd)


# ---------------------------------------------------------------------------------------------- pcapng


def blocks(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Kind and body of each block; both of its lengths are right."""
    at = 0
    while at < len(data):
        kind, size = struct.unpack_from("<II", data, at)
        assert size % 4 == 0
        assert data[at + size - 4 : at + size] == data[at + 4 : at + 8]
        yield kind, data[at + 8 : at + size - 4]
        at += size


def options(body: bytes) -> dict[int, bytes]:
    found, at = {}, 0
    while at < len(body):
        code, size = struct.unpack_from("<HH", body, at)
        if code:
            found[code] = body[at + 4 : at + 4 + size]
        at += 4 + (size + 3) // 4 * 4
    return found


def test_packets_have_port_direction_time_and_reason(tmp_path: Path) -> None:
    writer = Writer("ttfwd test", 100, "ip", unix_ns=10**18)
    frames = [bytes([n]) * (60 + n) for n in range(4)]
    data = writer.begin()
    data += writer.packet(record(RX, time_ns=5, length=60, kept=frames[0]), "west")
    data += writer.packet(record(TX, by=3, length=61, kept=frames[1]), "east", lost=2)
    data += writer.packet(record(DROP, reason=REASON["oversize"], length=62, kept=frames[2]), "east")
    data += writer.packet(
        record(RX, length=63, kept=frames[3], offload=vnet_header(1, 1, 54, 1448, 34, 16)), "west"
    )
    data += writer.end((0, 7))
    found = list(blocks(data))
    assert [kind for kind, _ in found] == [0x0A0D0D0A, 1, 6, 1, 6, 6, 6, 5, 5]
    assert [options(body[8:])[2] for kind, body in found if kind == 1] == [b"west", b"east"]
    assert options(found[1][1][8:])[9] == b"\x09"
    assert options(found[1][1][8:])[11] == b"\0ip"
    packets = [body for kind, body in found if kind == 6]
    high, low = struct.unpack_from("<II", packets[0], 4)
    assert high << 32 | low == 10**18 + 5
    about = [options(body[20 + (size + 3) // 4 * 4 :]) for body, size in zip(packets, range(60, 64))]  # noqa: B905
    flags = [it.get(2) and struct.unpack("<I", it[2])[0] for it in about]
    assert flags == [1, 2, None, 1]
    assert [it.get(1) for it in about] == [
        None,
        None,
        b"dropped: oversize",
        b"GSO TCPv4, 1448 bytes a packet",
    ]
    assert struct.unpack("<Q", about[1][4]) == (2,)
    assert [struct.unpack("<I", it[6])[0] for it in about] == [0, 3, 0, 0]
    ends = [options(body[12:]) for kind, body in found if kind == 5]
    assert [struct.unpack("<Q", it[8])[0] for it in ends] == [2, 2]
    assert ends[0][1] == b"lost: 7 records of worker 1"
    (tmp_path / "x.pcapng").write_bytes(data)
    assert list(read_pcap(tmp_path / "x.pcapng")) == frames


def test_a_packet_is_cut_to_what_is_asked_for() -> None:
    writer = Writer("ttfwd test", 10, None, 0)
    ((_, _), (_, body)) = blocks(writer.packet(record(RX, length=60, kept=bytes(60)), "west"))
    assert struct.unpack_from("<II", body, 12) == (10, 60)


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (vnet_header(1, 4, 74, 1440, 54, 16), "GSO TCPv6, 1440 bytes a packet"),
        (vnet_header(1, 0x81, 54, 1448, 34, 16), "GSO TCPv4, 1448 bytes a packet"),
        (vnet_header(1, 5, 42, 1400, 34, 6), "GSO UDP, 1400 bytes a packet"),
        (vnet_header(1, 99, 42, 1400, 34, 6), "GSO of an unknown kind, 1400 bytes a packet"),
        (vnet_header(1, 0, 0, 0, 34, 16), "checksum to be completed"),
        (vnet_header(2), "checksum verified"),
    ],
)
def test_an_offload_header_in_words(header: bytes, words: str) -> None:
    assert offload.description(header) == words


# ----------------------------------------------------------------------------------------------- lines


def lines(*records: Record) -> list[str]:
    joiner = Joiner(lambda port, _: "-" if port == lib.TTF_NO_PORT else NAMES[port], MIDNIGHT)
    found = [line for each in records for line in joiner.add(each)]
    found += joiner.end()
    return [line.text.partition(" ")[2] for line in found]


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        (
            [record(RX), record(TX, 1, 12_300)],
            ["west queue 0 worker 0 60 B -> east: sent after 12.3 us"],
        ),
        (
            [record(RX), record(HANDED, 1, to=1), record(TX, 1, 900, by=1)],
            ["west queue 0 worker 0 60 B -> east: handed to worker 1, sent after 0.9 us"],
        ),
        (
            [record(RX), record(DROP, 1, reason=REASON["oversize"])],
            ["west queue 0 worker 0 60 B -> east: dropped (oversize)"],
        ),
        (
            [record(RX), record(DROP, 0, reason=REASON["no_port"])],
            ["west queue 0 worker 0 60 B dropped (no_port)"],
        ),
        (
            [record(RX), record(FLOOD), record(TX, 1, 1000), record(TX, 2, 2000)],
            [
                "west queue 0 worker 0 60 B flood -> east: sent after 1.0 us",
                "west queue 0 worker 0 60 B flood -> south: sent after 2.0 us",
            ],
        ),
        (
            [
                record(RX, offload=vnet_header(1, 1, 54, 1448, 34, 16)),
                record(COPY, name=(8, 0), origin=(7, 0)),
                record(TX, 1, 1000, name=(8, 0), length=1514),
            ],
            ["west queue 0 worker 0 1514 B copy -> east: sent after 1.0 us"],
        ),
        (
            [record(RX), record(RX, 1)],
            ["west queue 0 worker 0 60 B end not seen", "east queue 0 worker 0 60 B end not seen"],
        ),
        ([record(TX, 1)], ["not seen received 60 B -> east: sent"]),
        ([record(TX, 1, name=NOWHERE)], ["generated 60 B -> east: sent"]),
        (
            [record(DROP, lib.TTF_NO_PORT, reason=REASON["no_port"], name=NOWHERE)],
            ["generated 60 B -> -: dropped (no_port)"],
        ),
        (
            [
                record(RX, offload=vnet_header(1, 0, 0, 0, 34, 16)),
                record(TX, 1, 1000, offload=vnet_header(1, 0, 0, 0, 34, 16)),
            ],
            ["west queue 0 worker 0 60 B (checksum to be completed) -> east: sent after 1.0 us"],
        ),
    ],
)
def test_a_line_tells_the_way_of_a_packet(records: Sequence[Record], expected: list[str]) -> None:
    assert lines(*records) == expected


def test_a_line_begins_with_the_time_of_day_in_nanoseconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    joiner = Joiner(lambda *_: "west", 3_600 * 10**9)
    (line,) = [*joiner.add(record(RX, time_ns=1_000_000_042)), *joiner.end()]
    assert line.text.startswith("01:00:01.000000042 west")
    monkeypatch.undo()
    time.tzset()


def test_names_of_lost_records_are_forgotten() -> None:
    joiner = Joiner(lambda port, _: NAMES[port], MIDNIGHT)
    assert list(joiner.add(record(RX))) == []
    joiner.forget()
    (line,) = joiner.add(record(TX, 1, 1000))
    assert "not seen received" in line.text


# ---------------------------------------------------------------------------------------------- filter


UDP = (
    bytes(12) + b"\x08\x00" + bytes.fromhex("4500001c0000000040110000") + bytes(8) + b"\0\x35\0\x35\0\x08\0\0"
)


@pytest.mark.parametrize(
    ("expression", "passes"),
    [("udp", True), ("udp port 53", True), ("tcp", False), ("greater 100", False), ("less 100", True)],
)
def test_a_filter(expression: str, passes: bool) -> None:
    assert Filter(expression).passes(record(RX, length=len(UDP), kept=UDP)) is passes


def test_a_filter_knows_how_long_a_cut_frame_was() -> None:
    assert Filter("greater 1000").passes(record(RX, length=1500, kept=UDP))


@pytest.mark.parametrize("expression", ["tcp prot 80", "host", "(udp", "\udcff"])
def test_what_is_no_filter_is_named(expression: str) -> None:
    with pytest.raises(UsageError, match=r"^--filter: .*: ") as refused:
        Filter(expression)
    assert refused.value.exit_code == 2


def test_a_missing_library_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture_filter, "_LIBRARY", "libnosuch.so.1")
    with pytest.raises(TtfwdError, match=r"libnosuch\.so\.1 isn't there \(Debian package libpcap0\.8\)"):
        Filter("udp")


# ---------------------------------------------------------------------------------------------- sample


def test_a_sample_is_every_nth_frame_with_all_that_happens_to_it() -> None:
    sample = Sample(3)
    chosen = []
    for n in range(7):
        name = (n, 0)
        chosen.append([sample.has(record(event, name=name), True) for event in (RX, HANDED, TX)])
    assert [any(it) for it in chosen] == [True, False, False, True, False, False, True]
    assert all(len(set(it)) == 1 for it in chosen)
    assert sample.has(record(COPY, name=(90, 0), origin=(6, 0)), True)
    assert sample.has(record(DROP, name=(90, 0)), True)
    sample.forget()
    assert not sample.has(record(TX, name=(6, 0)), True)


def test_a_sample_counts_what_passes_the_filter() -> None:
    sample = Sample(2)
    found = [sample.has(record(RX, name=(n, 0)), passes=n % 5 == 0) for n in range(20)]
    assert [n for n, chosen in enumerate(found) if chosen] == [0, 10]


# ---------------------------------------------------------------------------------------------- output


def output(path: Path | None, rotation: Rotation = NO_ROTATION) -> Output:
    return Output(path, rotation, lambda: b"<", lambda: b">")


def test_a_file_begins_and_ends_and_is_nobody_elses(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"older and longer than what comes")
    path.chmod(0o600)
    found = output(path)
    found.write(b"one")
    found.close()
    assert path.read_bytes() == b"<one>"
    output(tmp_path / "new").close()
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o600


def test_what_waits_is_written_after_a_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("forwarder.capture.output.time.monotonic", lambda: now)
    found = output(tmp_path / "x")
    found.write(b"one")
    found.flush_when_due()
    assert (tmp_path / "x").read_bytes() == b""
    now += 1
    found.flush_when_due()
    assert (tmp_path / "x").read_bytes() == b"<one"
    found.close()


def test_files_take_turns_by_size_and_the_last_are_kept(tmp_path: Path) -> None:
    found = output(tmp_path / "x.pcapng", Rotation(most_bytes=10, files=2))
    for n in range(9):
        found.turn_when_due()
        found.write(f"{n}{n}{n}".encode())
    found.close()
    files = sorted(tmp_path.iterdir())
    assert [path.read_bytes() for path in files] == [b"<333444555>", b"<666777888>"]
    assert [path.name[:8] for path in files] == ["x_00002_", "x_00003_"]
    assert all(path.suffix == ".pcapng" and len(path.stem) == len("x_00001_20261127160000") for path in files)


def test_files_take_turns_by_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("forwarder.capture.output.time.monotonic", lambda: now)
    found = output(tmp_path / "x", Rotation(most_s=10))
    for block in (b"one", b"two", b"three"):
        found.turn_when_due()
        found.write(block)
        now += 5
    found.close()
    assert [path.read_bytes() for path in sorted(tmp_path.iterdir())] == [b"<onetwo>", b"<three>"]


def test_a_full_disk_leaves_whole_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = output(tmp_path / "x")
    found.write(b"one")
    found.flush()
    write: Callable[[int, bytes], int] = os.write
    room = [2]

    def little(fd: int, data: bytes) -> int:
        if not room[0]:
            raise OSError(28, "No space left on device")
        done, room[0] = write(fd, data[: room[0]]), 0
        return done

    found.write(b"two")
    monkeypatch.setattr("forwarder.capture.output.os.write", little)
    with pytest.raises(TtfwdError, match="x: can't be written: No space left on device"):
        found.flush()
    found.abandon()
    assert (tmp_path / "x").read_bytes() == b"<one"


def test_the_next_file_that_cant_be_made_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    found = output(folder / "x", Rotation(most_bytes=1))
    found.write(b"one")
    shutil.rmtree(folder)
    with pytest.raises(TtfwdError, match=r"x_00002_.*: can't be written: No such file or directory"):
        found.turn_when_due()
    found.abandon()


def test_a_file_that_cant_be_made_is_named(tmp_path: Path) -> None:
    with pytest.raises(TtfwdError, match="no/x: can't be written: No such file or directory"):
        output(tmp_path / "no" / "x")
    with pytest.raises(TtfwdError, match="Is a directory"):
        output(tmp_path)
