# SPDX-License-Identifier: Apache-2.0
"""What was measured, as sections of a report. A section without figures is left out."""

from __future__ import annotations

from forwarder.report.document import Section
from forwarder.report.sections.burst import burst
from forwarder.report.sections.latency import latency
from forwarder.report.sections.loss import loss
from forwarder.report.sections.mrr import mrr
from forwarder.report.sections.outages import outages
from forwarder.report.sections.selftest import selftest
from forwarder.report.sections.soak import soak
from forwarder.report.sections.throughput import throughput
from forwarder.results.load import StoredResult


def findings(stored: StoredResult, base: StoredResult | None) -> tuple[Section, ...]:
    """The figures; charts have the base's beside them where that helps."""
    result = stored.result
    sections = (
        selftest(result),
        throughput(result),
        mrr(result),
        loss(stored),
        latency(result, base.result.latency if base else ()),
        burst(result),
        soak(result),
        outages(result),
    )
    return tuple(section for section in sections if section is not None)
