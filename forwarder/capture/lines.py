# SPDX-License-Identifier: Apache-2.0
"""A line for the way of each packet: where it came in, who took it, where it left or why not, and when.

Records of one frame are joined by its name. A name is used again once its frame is gone, so a reader that
lost records forgets all names.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from forwarder.capture.offload import description
from forwarder.capture.record import Name, Record
from forwarder.native import lib
from forwarder.stats.counters import drop_reasons


@dataclass
class _Life:
    """What is known of a frame."""

    received: Record | None = None
    flooded: bool = False
    handed: Record | None = None
    copied: bool = False
    is_over: bool = False  # it was sent, dropped, or copied


@dataclass(frozen=True)
class Line:
    """One, and what selects it."""

    text: str
    last: Record  # its last event
    received: Record | None
    ports: tuple[str, ...]


class Joiner:
    def __init__(self, port_name: Callable[[int, int], str], unix_ns: int) -> None:
        """`unix_ns`: the time of day minus CLOCK_MONOTONIC."""
        self._port_name = port_name
        self._unix_ns = unix_ns
        self._lives: dict[Name, _Life] = {}
        self._reasons = tuple(drop_reasons())

    def add(self, record: Record) -> Iterator[Line]:
        """What is complete with this record. Records come in the order of their times."""
        name = record.name
        match record.event:
            case lib.TTF_EVENT_RX:
                yield from self._unended(self._lives.pop(name, None))
                self._lives[name] = _Life(received=record)
            case lib.TTF_EVENT_COPY:
                origin = self._lives.setdefault(record.origin, _Life())
                origin.is_over = True
                self._lives[name] = replace(origin, copied=True, is_over=False)
            case lib.TTF_EVENT_FLOOD:
                self._lives.setdefault(name, _Life()).flooded = True
            case lib.TTF_EVENT_HANDED:
                self._lives.setdefault(name, _Life()).handed = record
            case lib.TTF_EVENT_TX | lib.TTF_EVENT_DROP:
                life = self._lives.setdefault(name, _Life()) if record.has_name else _Life()
                life.is_over = True
                yield self._line(life, record)

    def forget(self) -> None:
        """Records were lost."""
        self._lives.clear()

    def end(self) -> Iterator[Line]:
        """Nothing more comes."""
        for life in self._lives.values():
            yield from self._unended(life)
        self._lives.clear()

    def _unended(self, life: _Life | None) -> Iterator[Line]:
        if life is not None and life.received is not None and not life.is_over:
            yield self._line(life, life.received)

    def _line(self, life: _Life, last: Record) -> Line:
        received = life.received
        port = self._port_name(last.port, last.generation)
        ports, words = [port], []
        if received is None:
            words.append("not seen received" if last.has_name else "generated")
        else:
            came_by = self._port_name(received.port, received.generation)
            ports.append(came_by)
            words.append(f"{came_by} queue {received.by} worker {received.by}")
        words.append(f"{last.length} B")
        if last.offload:
            words.append(f"({description(last.offload)})")
        words += self._verdict(life, last, port)
        time_ns = (received or last).time_ns + self._unix_ns
        moment = time.strftime("%H:%M:%S", time.localtime(time_ns // 10**9))
        text = f"{moment}.{time_ns % 10**9:09} {' '.join(words)}"
        return Line(text, last, received, tuple(ports))

    def _verdict(self, life: _Life, last: Record, port: str) -> Iterator[str]:
        """Words: where it was to go, and what became of it."""
        received = life.received
        if life.copied:
            yield "copy"
        if life.flooded:
            yield "flood"
        if last is received:
            yield "end not seen"
            return
        if last.event == lib.TTF_EVENT_TX or received is None or last.port != received.port:
            yield f"-> {port}:"
        if life.handed is not None:
            yield f"handed to worker {life.handed.to},"
        what = "sent" if last.event == lib.TTF_EVENT_TX else f"dropped ({self._reasons[last.reason]})"
        yield f"{what}{_after(received, last)}"


def _after(received: Record | None, record: Record) -> str:
    """How long after it was received. Within a burst there is no telling."""
    if received is None or record.time_ns == received.time_ns:
        return ""
    return f" after {(record.time_ns - received.time_ns) / 1000:.1f} us"
