# SPDX-License-Identifier: Apache-2.0
"""Every instance of the host, from shared memory alone: what `ttfwd list` shows.

An instance is found by its statistics segment. That stays when a supervisor is killed: so a dead instance is
found, too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from rich.console import RenderableType
from rich.text import Text

from forwarder.errors import TtfwdError
from forwarder.stats.figures import duration, scaled
from forwarder.stats.rates import CounterRates, rates
from forwarder.stats.reader import RUN_STATES, StatsReader, running_instances
from forwarder.stats.section import Column, Section, printable
from forwarder.stats.snapshot import Snapshot

HUNG, DEAD, UNREADABLE = "hung", "dead", "unreadable"
STATES = (*RUN_STATES.values(), HUNG, DEAD, UNREADABLE)
_COLOURS = {"running": "green", "stopped": "red", HUNG: "bold red", DEAD: "bold red"}

JsonObject = dict[str, object]


@dataclass(frozen=True)
class Listed:
    """An instance, as far as this user can read it."""

    name: str
    state: str  # one of STATES
    snapshot: Snapshot | None = None
    total: CounterRates | None = None
    reason: str = ""  # why it can't be read


def state_of(snapshot: Snapshot) -> str:
    """The run state; DEAD without a supervisor, HUNG with one that doesn't beat."""
    it = snapshot.instance
    if it.state == "stopped" or it.supervisor_alive:
        return it.state
    return HUNG if it.supervisor_pid_exists else DEAD


def look(interval_s: float, pause: Callable[[float], None] = time.sleep) -> list[Listed]:
    """Every instance, sorted by name, with rates over `interval_s`. One that can't be read says why."""
    found = []
    with ExitStack() as readers:
        opened: dict[str, StatsReader | str] = {}
        for name in running_instances():
            try:
                opened[name] = readers.enter_context(StatsReader.attach(name))
            except TtfwdError as error:
                opened[name] = str(error)
        before = {
            name: reader.snapshot() for name, reader in opened.items() if isinstance(reader, StatsReader)
        }
        if before:
            pause(interval_s)
        for name, reader in opened.items():
            if isinstance(reader, str):
                found.append(Listed(name, UNREADABLE, reason=reader))
                continue
            after = reader.snapshot()
            found.append(Listed(name, state_of(after), after, rates(before[name], after).total))
    return found


def tables(instances: Sequence[Listed]) -> list[RenderableType]:
    """A line for each instance, and one for each that can't be read."""
    columns = (
        Column("instance", left=True),
        Column("state", left=True),
        Column("mode", left=True),
        Column("workers", spare=3),
        Column("ports", left=True),
        Column("rx"),
        Column("tx"),
        Column("drops", spare=1),
        Column("up", spare=2),
        Column("supervisor", spare=4),
    )
    shown: list[RenderableType] = [Section("", columns, tuple(_row(each) for each in instances))]
    shown += [Text(printable(f"{each.name}: {each.reason}")) for each in instances if each.reason]
    return shown


def _row(it: Listed) -> tuple[str | Text, ...]:
    state = Text(it.state, _COLOURS.get(it.state, "yellow"))
    if it.snapshot is None:
        return (it.name, state, *["-"] * 8)
    about, rate = it.snapshot.instance, it.total
    return (
        it.name,
        state,
        about.mode,
        str(len(it.snapshot.workers)),
        " ".join(port.name for port in it.snapshot.ports) or "-",
        scaled(rate.rx_packets_per_s if rate else None, "pps"),
        scaled(rate.tx_packets_per_s if rate else None, "pps"),
        scaled(rate.dropped_packets_per_s if rate else None, "pps"),
        duration(about.uptime_s),
        str(about.supervisor_pid),
    )


def to_json(it: Listed) -> JsonObject:
    """The object of an instance in `ttfwd list --json`."""
    if it.snapshot is None:
        return {"name": it.name, "state": it.state, "reason": it.reason}
    about, rate = it.snapshot.instance, it.total
    return {
        "name": it.name,
        "state": it.state,
        "mode": about.mode,
        "workers": len(it.snapshot.workers),
        "ports": [port.name for port in it.snapshot.ports],
        "rx_packets_per_s": rate and rate.rx_packets_per_s,
        "tx_packets_per_s": rate and rate.tx_packets_per_s,
        "dropped_packets_per_s": rate and rate.dropped_packets_per_s,
        "uptime_s": about.uptime_s,
        "supervisor_pid": about.supervisor_pid,
    }
