# SPDX-License-Identifier: Apache-2.0
"""Numbers as people read them."""

from collections.abc import Sequence


def count(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def scaled(value: float | None, unit: str) -> str:
    """Three or four figures with an SI prefix: 1.23 Mpps."""
    if value is None:
        return "-"
    for prefix, factor in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= factor * 0.9995:
            figure = value / factor
            return f"{figure:.2f} {prefix}{unit}" if abs(figure) < 99.995 else f"{figure:.0f} {prefix}{unit}"
    return f"{value:.0f} {unit}"


def figure(value: float | None, digits: int = 1, suffix: str = "") -> str:
    return "-" if value is None else f"{value:,.{digits}f}{suffix}"


def percent(value: float | None) -> str:
    return figure(value, 1, " %")


def age(ns: int | None) -> str:
    if ns is None:
        return "-"
    return f"{ns / 1e6:.0f} ms" if ns < 1_000_000_000 else f"{ns / 1e9:.1f} s"


def duration(seconds: float) -> str:
    """1:02:03, and days before it where there are any."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    return (f"{days} d " if days else "") + f"{hour}:{minute:02}:{second:02}"


def burst_label(bucket: int, batch: int) -> str:
    """The sizes that a bucket counts: 1, 2-3, 4-7, ...; the last one ends at the batch."""
    low, high = 1 << bucket, min((2 << bucket) - 1, max(batch, 1 << bucket))
    return str(low) if low == high else f"{low}-{high}"


def bursts(rx_bursts: Sequence[int], batch: int) -> str:
    """The two commonest burst sizes and their shares: "64 93%, 1 5%"."""
    everything = sum(rx_bursts)
    if not everything:
        return "-"
    ranked = sorted(range(len(rx_bursts)), key=lambda bucket: -rx_bursts[bucket])[:2]
    shares = [(bucket, round(100 * rx_bursts[bucket] / everything)) for bucket in ranked]
    return ", ".join(f"{burst_label(bucket, batch)} {share}%" for bucket, share in shares if share)
