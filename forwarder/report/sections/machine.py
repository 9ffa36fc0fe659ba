# SPDX-License-Identifier: Apache-2.0
"""The device under test, its configuration, and the host."""

from __future__ import annotations

from forwarder.report import figures
from forwarder.report.document import Block, Cell, Section, Table
from forwarder.report.flat import flattened
from forwarder.report.sections.cells import PAIRS, cpu_list
from forwarder.results.model import Result
from forwarder.stats.section import Column


def machine(result: Result) -> Section:
    dut = result.dut
    rows: list[tuple[Cell, ...]] = [
        ("device under test", dut.title),
        ("its devices", ", ".join(dut.devices) or "none"),
        ("its version", dut.version or figures.NONE),
        ("its CPUs", cpu_list(dut.cpus)),
        ("its CPU time per packet", figures.time(dut.cpu_ns_per_packet)),
        ("ttfwd", result.ttfwd_version),
        ("fingerprint of the host", result.host.fingerprint),
    ]
    blocks: list[Block] = [Table(PAIRS, tuple(rows))]
    for title, values in (
        ("Facts of the host", result.host.facts),
        ("Counters of the host, from begin to end", result.host.delta),
        ("Configuration of the device under test", dut.config or {}),
    ):
        flat = flattened(values)
        if flat:
            blocks.append(
                Table(
                    (Column("key", left=True), Column("value", left=True)), tuple(flat.items()), title, True
                )
            )
    return Section("The device and the machine", tuple(blocks))
