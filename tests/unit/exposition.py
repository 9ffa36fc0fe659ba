# SPDX-License-Identifier: Apache-2.0
"""What Prometheus' own parser reads in an exposition."""

from __future__ import annotations

from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import parser


def exposed(text: str) -> dict[str, Metric]:
    """The families by their names. Raises ValueError for what isn't OpenMetrics."""
    return {family.name: family for family in parser.text_string_to_metric_families(text)}  # type: ignore[no-untyped-call]
