# SPDX-License-Identifier: Apache-2.0
"""A checkup for people: what is wrong in full, what is unknown and what is right in short.

Pure: a checkup becomes rich renderables.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from forwarder.host.checkup import Checkup
from forwarder.host.compare import Comparison
from forwarder.host.finding import Finding, Level, cpus_shown
from forwarder.stats.section import Column, Section, printable

_COLOURS: dict[Level, str] = {
    "block": "bold red",
    "warn": "bold yellow",
    "advise": "cyan",
    "unknown": "dim",
    "ok": "green",
}
_MOST_COMMANDS = 2


def checkup_tables(checkup: Checkup) -> Iterator[RenderableType]:
    yield _headline(checkup)
    body = Table.grid(padding=(0, 2, 0, 0))
    body.add_column(min_width=len("unknown"))
    body.add_column(overflow="fold")
    for finding in checkup.of("block", "warn", "advise"):
        body.add_row(_level(finding.level), _told(finding))
    unknown, right = checkup.of("unknown"), checkup.of("ok")
    if unknown:
        body.add_row(_level("unknown"), Text("\n").join(map(_unknown, unknown)))
    if right:
        body.add_row(_level("ok"), Text(", ").join(map(_right, right)))
    yield Padding(body, (1, 0))
    yield _conclusion(checkup)


def _headline(checkup: Checkup) -> Text:
    machine, kernel, case = checkup.facts.machine, checkup.facts.kernel, checkup.case
    text = Text.assemble((printable(machine.model or "unknown CPU"), "bold"))
    text.append(f"  {cpus_shown(case.cpus | case.others)}{', virtual' if machine.virtual else ''}")
    text.append(f"  Linux {printable(kernel.release or 'unknown')}")
    text.append(f"\nfor {case.purpose} on {cpus_shown(case.cpus)}", style="bold")
    return text.append(f"  fingerprint {checkup.facts.fingerprint[:19]}")


def _level(level: Level) -> Text:
    return Text(level, style=_COLOURS[level])


def _told(finding: Finding) -> Text:
    """What, where, why, and what to do about it."""
    text = Text.assemble((f"{printable(finding.what)}: ", "bold"), (printable(finding.value), "bold"))
    text.append(f"  {printable(finding.file)}", style="dim")
    text.append(f"\n{finding.why}")
    for command in finding.commands[:_MOST_COMMANDS]:
        text.append(f"\n# {printable(command)}", style="cyan")
    more = len(finding.commands) - _MOST_COMMANDS
    if more > 0:
        text.append(f"\n# {more} more like it: ttfwd doctor --script", style="cyan")
    if not finding.commands and finding.keep:
        text.append(f"\nat boot: {' '.join(keep.line for keep in finding.keep)}", style="cyan")
    return text.append("\n")


def _unknown(finding: Finding) -> Text:
    return Text.assemble(printable(finding.what), (f"  {printable(finding.file)}", "dim"))


def _right(finding: Finding) -> Text:
    return Text.assemble(printable(finding.what), (f" ({printable(finding.value)})", "dim"))


def _conclusion(checkup: Checkup) -> Text:
    blocking = checkup.of("block")
    if not blocking:
        return Text(f"Nothing here stands against publishing {checkup.case.purpose}.", style="green")
    what = ", ".join(printable(finding.what) for finding in blocking)
    return Text(f"Figures of this host aren't fit to be published: {what}.", style="bold red")


def comparison_tables(comparison: Comparison, name: str) -> Iterator[RenderableType]:
    """What differs. Of facts that vary from run to run, only which ones."""
    same = "the same fingerprint" if comparison.same_fingerprint else "another fingerprint"
    title = f"Beside the host of {printable(name)}: {same}"
    rows = tuple((each.fact, _value(each.then), _value(each.now)) for each in comparison.settings)
    if rows:
        yield Section(
            title, (Column("fact", left=True), Column("then", left=True), Column("now", left=True)), rows
        )
    else:
        yield Text(f"\n{title}; no setting differs.", style="bold cyan")
    varied = [each.fact for each in comparison.differences if each.varies]
    if varied:
        yield Text(f"Other than then, as may be from run to run: {printable(', '.join(varied))}", style="dim")


def _value(value: Any) -> str:
    if value is None:
        return "unknown"
    return value if isinstance(value, str) and value else json.dumps(value)
