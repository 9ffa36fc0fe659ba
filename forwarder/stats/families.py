# SPDX-License-Identifier: Apache-2.0
"""Families of metrics of prometheus_client, which grow with each series that is added."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeVar

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

_Family = TypeVar("_Family", bound=Metric)
_It = TypeVar("_It")

Labels = Mapping[str, str]
# By name: the help text, and how the value is got. No value, no series.
Table = Mapping[str, tuple[str, Callable[[_It], float | None]]]


class Families:
    """All names get the prefix ttfwd_. All series of a family have the same labels."""

    def __init__(self) -> None:
        self._families: dict[str, Metric] = {}

    def __iter__(self) -> Iterator[Metric]:
        return iter(self._families.values())

    def counters(self, table: Table[_It], labels: Labels, it: _It) -> None:
        for name, (text, value_of) in table.items():
            if (value := value_of(it)) is not None:
                self.counter(name, text, labels, value)

    def gauges(self, table: Table[_It], labels: Labels, it: _It) -> None:
        for name, (text, value_of) in table.items():
            if (value := value_of(it)) is not None:
                self.gauge(name, text, labels, value)

    def counter(self, name: str, text: str, labels: Labels, value: float) -> None:
        self._family(CounterMetricFamily, name, text, labels).add_metric(list(labels.values()), value)

    def gauge(self, name: str, text: str, labels: Labels, value: float) -> None:
        self._family(GaugeMetricFamily, name, text, labels).add_metric(list(labels.values()), value)

    def state(self, name: str, text: str, labels: Labels, possible: Iterable[str], present: str) -> None:
        """1 for the present state, 0 for every other one."""
        for state in dict.fromkeys((*possible, present)):
            self.gauge(name, text, {**labels, "state": state}, state == present)

    def histogram(
        self, name: str, text: str, labels: Labels, counts: Mapping[int, int], total: float
    ) -> None:
        """`counts`: by the largest value of a bucket, in order. `total`: the sum of all values."""
        seen, buckets = 0, []
        for largest, count in counts.items():
            seen += count
            buckets.append((str(float(largest)), float(seen)))
        family = self._family(HistogramMetricFamily, name, text, labels)
        family.add_metric(list(labels.values()), [*buckets, ("+Inf", seen)], total)

    def _family(self, kind: Callable[..., _Family], name: str, text: str, labels: Labels) -> _Family:
        found = self._families.get(name)
        if found is None:
            found = self._families[name] = kind(f"ttfwd_{name}", text, labels=list(labels))
        return found  # type: ignore[return-value]  # a name is always of one kind
