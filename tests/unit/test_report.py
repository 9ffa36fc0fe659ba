# SPDX-License-Identifier: Apache-2.0
"""Tables, JSON and the live view: they show the counted figures, and never hinder the instance."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import os
import pty
import random
import select
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import posix_ipc
import pytest
from rich.console import Console

from forwarder.errors import NotRunning, UnknownName
from forwarder.native import ffi, lib
from forwarder.shm_names import stats_name
from forwarder.stats import follow
from forwarder.stats.accounting import accounting
from forwarder.stats.figures import bursts, duration, scaled
from forwarder.stats.live import LiveView
from forwarder.stats.rates import Rates, rates
from forwarder.stats.section import make_console
from forwarder.stats.snapshot import Snapshot
from forwarder.stats.tables import accounting_table, stats_tables
from forwarder.stats.to_json import stats_json
from tests.unit.stats_segment import FakeSegment

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "stats.md"


def rendered(
    snapshot: Snapshot,
    found: Rates | None = None,
    width: int = 110,
    ports: tuple[str, ...] = (),
    workers: tuple[int, ...] = (),
) -> str:
    console = Console(file=io.StringIO(), width=width)
    for table in stats_tables(snapshot, found, ports, workers):
        console.print(table)
    return str(console.file.getvalue())  # type: ignore[attr-defined]


@pytest.fixture
def segment() -> FakeSegment:
    segment = FakeSegment()
    for slot, name in enumerate([b"turbotap0", b"turbotap1"]):
        segment.port(slot, name, peer=1 - slot, mac=bytes.fromhex("0200000000010000"))
        segment.device(slot, rx_packets=11, tx_packets=22, tx_dropped=4567)
        for worker in range(2):
            queue = segment.queue(slot, worker, rx_packets=1_234_567_890, rx_bytes=10**12, rx_calls=10**8)
            queue.tx_packets, queue.tx_bytes = 1_234_567_880, 10**12
            queue.drops[lib.TTF_DROP_TX_FULL] = 10
            queue.rx_bursts[6], queue.rx_bursts[0] = 93, 7
    return segment


@pytest.fixture
def snapshot(segment: FakeSegment) -> Snapshot:
    return segment.reader().snapshot()


@pytest.fixture
def moved(segment: FakeSegment, snapshot: Snapshot) -> tuple[Snapshot, Rates]:
    """The snapshot one second later, with one million more packets at one queue."""
    segment.queue(0, 0, rx_packets=1_235_567_890, rx_calls=10**8 + 20_000)
    after = dataclasses.replace(segment.reader().snapshot(), taken_ns=snapshot.taken_ns + 10**9)
    return after, rates(snapshot, after)


@pytest.mark.slow
def test_tables_show_totals_queues_drops_and_the_kernel(moved: tuple[Snapshot, Rates]) -> None:
    text = rendered(*moved, width=120)
    for shown in ("1,235,567,890", "1.00 Mpps", "50.0", "tx_full", "4,567", "in flight"):
        assert shown in text, shown
    assert "Rings" not in text, "an empty section is not printed"
    assert "64 93%, 1 7%" in rendered(moved[0]), "without an interval: over all bursts"


@pytest.mark.slow
def test_the_total_shows_what_deleted_ports_counted() -> None:
    segment = FakeSegment(ports=1)
    segment.port(0, b"turbotap0")
    segment.queue(0, 0, rx_packets=100)
    assert "total" not in rendered(segment.reader().snapshot()), "a total would repeat the only port"
    segment.status(1).retired.rx_packets = 1_000
    (line,) = (line for line in rendered(segment.reader().snapshot()).splitlines() if "total" in line)
    assert "1,100" in line


@pytest.mark.slow
@pytest.mark.parametrize("width", [60, 80, 100, 110, 120])
def test_a_narrow_terminal_loses_columns_before_it_breaks_a_number(
    moved: tuple[Snapshot, Rates], width: int
) -> None:
    text = rendered(*moved, width=width)
    assert max(len(line) for line in text.splitlines()) <= width
    if width >= 80:
        assert "1,235,567,890" in text
        assert "turbotap0" in text


def test_a_port_says_its_driver_its_io_and_its_packets_per_call(segment: FakeSegment) -> None:
    segment.port(1, b"turbotap1", io=b"burst")
    for worker in range(2):
        segment.queue(1, worker, rx_packets=6_400, rx_calls=100, tx_packets=3_200, tx_calls=100)
    snapshot = segment.reader().snapshot()
    one, other = snapshot.ports
    assert (one.driver_and_io, other.driver_and_io) == ("turbotap", "turbotap/burst")
    ports = stats_json(snapshot)["ports"]
    assert isinstance(ports, list)
    assert [(port["driver"], port["io"]) for port in ports] == [("turbotap", None), ("turbotap", "burst")]
    assert (ports[1]["rx_packets_per_call"], ports[1]["tx_packets_per_call"]) == (64, 32)
    text = rendered(snapshot, width=80, ports=("turbotap1",))
    assert max(len(line) for line in text.splitlines()) <= 80
    for shown in ("turbotap/burst", " 64.0 ", " 32.0 "):
        assert shown in text, shown


def test_filters_restrict_the_tables_and_name_what_is_known(snapshot: Snapshot) -> None:
    text = rendered(snapshot, ports=("turbotap1",), workers=(1,))
    traffic = text.split("Traffic")[1].split("Workers")[0]
    assert "turbotap1" in traffic
    assert "turbotap0" not in traffic
    assert "Accounting" not in text, "of the whole instance"
    with pytest.raises(UnknownName, match="turbotap0, turbotap1"):
        stats_tables(snapshot, ports=["eth9"])


@pytest.mark.slow
def test_names_are_neither_markup_nor_terminal_control(segment: FakeSegment) -> None:
    segment.port(0, b"[red]x\x1b[2J")
    text = rendered(segment.reader().snapshot())
    assert "[red]x?[2J" in text
    assert "\x1b" not in text


@pytest.mark.slow
def test_a_dead_supervisor_is_told(segment: FakeSegment) -> None:
    segment.instance(pid=0)
    assert "supervisor is dead" in rendered(segment.reader().snapshot())


@pytest.mark.parametrize(
    ("sent", "state", "told"),
    [
        (100, lib.TTF_INSTANCE_STOPPED, "every packet is accounted for"),
        (90, lib.TTF_INSTANCE_RUNNING, "in flight"),
        (90, lib.TTF_INSTANCE_STOPPED, "unaccounted for"),
    ],
)
def test_the_last_table_says_whether_packets_are_missing(sent: int, state: int, told: str) -> None:
    segment = FakeSegment()
    segment.port(0, b"tap0")
    segment.queue(0, 0, rx_packets=100, tx_packets=sent)
    segment.instance(state=state)
    console = Console(file=io.StringIO(), width=100)
    console.print(accounting_table(segment.reader().snapshot()))
    assert told in console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.slow
def test_output_that_is_no_terminal_is_plain_and_wide(
    monkeypatch: pytest.MonkeyPatch, snapshot: Snapshot
) -> None:
    for name in ("COLUMNS", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    file = io.StringIO()
    make_console(file).print(*stats_tables(snapshot))
    assert "\x1b" not in file.getvalue()
    assert max(map(len, file.getvalue().splitlines())) > 80


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0, "0 pps"),
        (999.4, "999 pps"),
        (1000, "1.00 kpps"),
        (1.5e6, "1.50 Mpps"),
        (1e11, "100 Gpps"),
    ],
)
def test_rates_carry_their_unit(value: float | None, text: str) -> None:
    assert scaled(value, "pps") == text


def test_figures_for_people() -> None:
    assert duration(3723) == "1:02:03"
    assert duration(90061) == "1 d 1:01:01"
    assert bursts([0] * 9, 64) == "-"
    assert bursts([0, 1, 0, 0, 0, 0, 3, 0, 0], 100) == "64-100 75%, 2-3 25%"


# -------------------------------------------------------------------------------------------------- JSON


def test_json_is_plain_and_says_what_the_tables_say(moved: tuple[Snapshot, Rates]) -> None:
    after, found = moved
    told = json.loads(json.dumps(stats_json(after, found, 1.0)))
    assert told["schema_version"] == 1
    assert told["measured_interval_s"] == told["interval_s"] == 1.0
    queue = told["ports"][0]["queues"][0]
    assert queue["rx_packets"] == 1_235_567_890
    assert queue["rx_packets_per_s"] == 1e6
    assert queue["rx_packets_per_call"] == 50
    assert queue["drops_packets"]["tx_full"] == 10
    assert queue["rx_bursts"]["64"] == 93
    assert told["ports"][0]["kernel_dropped_before_packets"] == 4567
    assert told["accounting"]["difference_packets"] == 1_000_000
    assert json.loads(json.dumps(stats_json(after)))["total"]["rx_packets_per_s"] is None


def keys(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, below in value.items():
            yield key
            yield from keys(below)
    elif isinstance(value, list):
        for below in value:
            yield from keys(below)


def test_every_key_is_documented(moved: tuple[Snapshot, Rates], segment: FakeSegment) -> None:
    segment.ring(0, 1, pushed=1)
    after, found = segment.reader().snapshot(), moved[1]
    document = DOCUMENT.read_text(encoding="utf-8")
    burst_sizes = {str(1 << bucket) for bucket in range(lib.TTF_BURST_BUCKETS)}
    undocumented = {key for key in keys(stats_json(after, found)) if f"`{key}`" not in document} - burst_sizes
    assert undocumented == set()


# -------------------------------------------------------------------------------------------- live view


@pytest.fixture
def shared(segment: FakeSegment) -> Iterator[tuple[str, int]]:
    """A running instance's name and the descriptor of its segment."""
    name = f"view-{os.getpid()}"
    memory = posix_ipc.SharedMemory(stats_name(name), posix_ipc.O_CREX, mode=0o600)
    try:
        os.write(memory.fd, bytes(segment.memory))
        yield name, memory.fd
    finally:
        memory.close_fd()
        memory.unlink()


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, TextIO]]:
    monkeypatch.setenv("TERM", "xterm")
    master, slave = pty.openpty()
    with open(slave, "w", encoding="utf-8") as output:
        yield master, output
    os.close(master)


def seen(master: int, text: str) -> bool:
    """Read the terminal until it shows `text`."""
    found = ""
    while text not in found:
        if not select.select([master], [], [], 20)[0]:
            return False
        found += os.read(master, 65536).decode(errors="replace")
    return True


@pytest.mark.slow
def test_the_view_draws_until_it_is_stopped(shared: tuple[str, int], terminal: tuple[int, TextIO]) -> None:
    master, output = terminal
    view = LiveView(shared[0], output, interval_s=0.01)
    with view:
        assert seen(master, "turbotap1")
        assert seen(master, "rates: the last"), "a second look"
        assert not view.wait(0)
    assert view.stop()
    assert not output.closed


@pytest.mark.slow
def test_a_stopped_terminal_does_not_hang_the_supervisor(
    shared: tuple[str, int], terminal: tuple[int, TextIO]
) -> None:
    master, output = terminal
    filler = os.open(os.ttyname(output.fileno()), os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(filler, b" ")
    os.close(filler)
    view = LiveView(shared[0], output)
    view.start()
    assert view.stop(timeout_s=0.05) is False
    while not view.stop(timeout_s=0):
        if select.select([master], [], [], 0.01)[0]:
            os.read(master, 65536)


@pytest.mark.slow
def test_the_view_ends_with_its_instance(
    shared: tuple[str, int], tmp_path: Path, segment: FakeSegment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "SUCCESSOR_S", 0.1)
    segment.instance(state=lib.TTF_INSTANCE_STOPPED)
    os.pwrite(shared[1], bytes(segment.memory), 0)
    with open(tmp_path / "out", "w+", encoding="utf-8") as output:
        with LiveView(shared[0], output) as view:
            assert view.wait(20)
        text = (tmp_path / "out").read_text(encoding="utf-8")
    assert "stopped" in text
    assert "\x1b" not in text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("end", "told"),
    [({"pid": 0}, "supervisor is dead"), ({"state": lib.TTF_INSTANCE_STOPPED}, "stopped")],
)
def test_the_view_follows_an_instance_that_was_started_again(
    shared: tuple[str, int],
    terminal: tuple[int, TextIO],
    segment: FakeSegment,
    end: dict[str, int],
    told: str,
) -> None:
    segment.instance(**end)
    os.pwrite(shared[1], bytes(segment.memory), 0)
    with LiveView(shared[0], terminal[1], interval_s=0.01):
        assert seen(terminal[0], told)
        again = FakeSegment(workers=1, ports=1, epoch=8)
        again.port(0, b"newport0")
        posix_ipc.unlink_shared_memory(stats_name(shared[0]))
        memory = posix_ipc.SharedMemory(stats_name(shared[0]), posix_ipc.O_CREX, mode=0o600)
        os.write(memory.fd, bytes(again.memory))
        memory.close_fd()
        assert seen(terminal[0], "newport0")
        assert seen(terminal[0], "Started again since the first look: 1.")


def test_the_view_says_what_is_wrong_before_it_draws(shared: tuple[str, int], tmp_path: Path) -> None:
    with open(tmp_path / "out", "w", encoding="utf-8") as output:
        with pytest.raises(NotRunning):
            LiveView("no-such-instance", output).start()
        with pytest.raises(UnknownName):
            LiveView(shared[0], output, ports=["eth9"]).start()


@pytest.mark.slow
def test_no_number_that_a_worker_writes_breaks_a_reader(segment: FakeSegment) -> None:
    """A worker may write anything into its area, and a reader may come before that is mended."""
    before = segment.reader().snapshot()
    area = lib.ttf_stats_area(2, 2, 1)
    worker = lib.ttf_stats_worker(segment.base, 1)
    for seed in range(20):
        ffi.memmove(worker, random.Random(seed).randbytes(area.bytes), area.bytes)
        after = segment.reader().snapshot()
        found_rates = rates(before, after)
        assert not accounting(after).exact
        assert not accounting(after).closes
        json.dumps(stats_json(after, found_rates))
        assert "not exact: counters were damaged" in rendered(after, found_rates)
        before = after
