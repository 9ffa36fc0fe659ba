# SPDX-License-Identifier: Apache-2.0
"""How a result came about, as sections of a report, and what the report's words mean."""

from __future__ import annotations

from forwarder.report import words
from forwarder.report.document import Section, Table
from forwarder.report.sections.cells import PAIRS
from forwarder.report.sections.lost import lost
from forwarder.report.sections.machine import machine
from forwarder.report.sections.method import method
from forwarder.report.sections.trials import trials
from forwarder.results.load import StoredResult


def circumstances(stored: StoredResult) -> tuple[Section, ...]:
    glossary = Table(PAIRS, words.GLOSSARY, "What the words mean", folded=True)
    return (
        lost(stored.result),
        trials(stored),
        method(stored),
        machine(stored.result),
        Section("Words", (glossary,)),
    )
