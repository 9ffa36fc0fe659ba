# SPDX-License-Identifier: Apache-2.0
"""A result beside a base: which figures differ beyond the noise, and what else is different."""

from __future__ import annotations

from forwarder.report import figures
from forwarder.report.compare import Difference, Outcome, compare
from forwarder.report.document import Block, Notice, Paragraph, Section, Table, Tone, Toned
from forwarder.report.flat import flattened
from forwarder.report.measures import measures
from forwarder.results.load import StoredResult
from forwarder.results.model import Result
from forwarder.stats.section import Column

_TONES: dict[Outcome, Tone] = {
    "better": "good",
    "worse": "bad",
    "perhaps better": "warn",
    "perhaps worse": "warn",
    "can't tell": "quiet",
    "not comparable": "quiet",
}


def differences(base: StoredResult, now: StoredResult) -> tuple[Difference, ...]:
    """Every figure that both have, or one of them couldn't tell, in the order of `now`."""
    before = {one.key: one for one in measures(base)}
    pairs = [(before[one.key], one) for one in measures(now) if one.key in before]
    return tuple(compare(first, one) for first, one in pairs if (first.value, one.value) != (None, None))


def comparison(base: StoredResult, now: StoredResult) -> Section:
    found = differences(base, now)
    blocks: list[Block] = []
    other = _different_traffic(base.result, now.result)
    if other:
        blocks.append(Notice("The two were measured with different traffic", other, "warn"))
    doubtful = _not_publishable(base.result, now.result)
    if doubtful:
        blocks.append(Notice("A difference may be the machine's", doubtful, "warn"))
    if not found:
        blocks.append(Paragraph("The two have no figure in common."))
        return Section("Compared with the base", tuple(blocks))
    blocks.append(Paragraph(_summary(found)))
    columns = (
        Column("figure", left=True),
        Column("base"),
        Column("this run"),
        Column("change"),
        Column("outcome", left=True),
        Column("how that is known", left=True, spare=1),
    )
    rows = tuple(
        (
            one.now.title,
            one.base.shown,
            one.now.shown,
            figures.change(one.change_ratio),
            Toned(one.outcome, _TONES[one.outcome]),
            one.how,
        )
        for one in found
    )
    blocks.append(Table(columns, rows))
    blocks.append(
        Paragraph(
            "A test at 5 % calls one of twenty equal figures different. Latency at a share of the throughput "
            "is compared at each run's own loads."
        )
    )
    blocks.append(_surroundings(base.result, now.result))
    text = f"Base: {base.result.dut.title}, {base.result.run_id}, {base.result.started}."
    return Section("Compared with the base", (Paragraph(text), *blocks))


def _summary(found: tuple[Difference, ...]) -> str:
    counts = {outcome: sum(one.outcome == outcome for one in found) for outcome in _TONES}
    told = [f"{count} {outcome}" for outcome, count in counts.items() if count]
    return f"Of {len(found)} figures: {', '.join(told)}."


def _not_publishable(base: Result, now: Result) -> tuple[str, ...]:
    return tuple(
        f"{which} isn't publishable: {'; '.join(one.why_not) or 'no reason was recorded'}"
        for which, one in (("the base", base), ("this run", now))
        if not one.publishable
    )


def _different_traffic(base: Result, now: Result) -> tuple[str, ...]:
    before, after = (flattened(one.profile.model_dump(mode="json")) for one in (base, now))
    return tuple(
        f"{key}: {before.get(key, 'none')} in the base, {after.get(key, 'none')} here"
        for key in dict.fromkeys([*before, *after])
        if before.get(key) != after.get(key)
    )


def _surroundings(base: Result, now: Result) -> Table:
    """What differs of device, tester and host."""
    before, after = _settings(base), _settings(now)
    rows = tuple(
        (key, before.get(key, "-"), after.get(key, "-"))
        for key in dict.fromkeys([*before, *after])
        if before.get(key) != after.get(key)
    )
    columns = (Column("", left=True), Column("base", left=True), Column("this run", left=True))
    return Table(columns, rows or (("nothing", "", ""),), "What else differs")


def _settings(result: Result) -> dict[str, str]:
    tester = result.tester.model_dump(mode="json", exclude={"selftest"})
    limit = result.tester.selftest.max_load_per_s if result.tester.selftest else None
    return flattened(
        {
            "ttfwd": result.ttfwd_version,
            "dut": result.dut.model_dump(mode="json", exclude={"cpu_ns_per_packet"}),
            "tester": {**tester, "max_load_per_s": limit},
            "host": {"fingerprint": result.host.fingerprint, **result.host.facts},
            "deviations": list(result.deviations),
        }
    )
