# SPDX-License-Identifier: Apache-2.0
"""Figures of a measurement as people read them. Rates are of frames, times of single frames."""

from __future__ import annotations

from math import floor, log10

from forwarder.stats.figures import scaled

NONE = "-"


def rate(per_s: float | None) -> str:
    """Frames a second, four figures: 571.0 kfps, 1.190 Mfps. A search tells that much."""
    if per_s is None:
        return NONE
    for prefix, factor in (("M", 1e6), ("k", 1e3)):
        if per_s >= factor * 0.99995:
            value = per_s / factor
            digits = 3 if value < 9.9995 else 2 if value < 99.995 else 1
            return f"{value:.{digits}f} {prefix}fps"
    return f"{per_s:.0f} fps"


def round_rate(per_s: float) -> str:
    """A round number of frames a second, as an axis has it: 500 kfps, 1.5 Mfps."""
    for prefix, factor in (("M", 1e6), ("k", 1e3)):
        if per_s >= factor * 0.9995:
            return f"{per_s / factor:.4g} {prefix}fps"
    return f"{per_s:.4g} fps"


def bits(per_s: float | None, frame_bytes: float) -> str:
    """Bits a second of frames of so many bytes, without preamble and gap."""
    return scaled(None if per_s is None else per_s * frame_bytes * 8, "bit/s")


def time(ns: float | None) -> str:
    """Three figures: 310 ns, 2.31 us, 48.2 ms."""
    if ns is None:
        return NONE
    for unit, factor in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if abs(ns) >= factor * 0.9995:
            return f"{_three(ns / factor)} {unit}"
    return f"{ns:.0f} ns"


def round_time(ns: float) -> str:
    """A power of ten, as an axis has it: 10 ns, 1 µs."""
    for unit, factor in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if ns >= factor:
            return f"{ns / factor:.4g} {unit}"
    return f"{ns:.4g} ns"


def seconds(value: float | None) -> str:
    return time(None if value is None else value * 1e9)


def _three(value: float) -> str:
    size = abs(value)
    return f"{value:.2f}" if size < 9.995 else f"{value:.1f}" if size < 99.95 else f"{value:.0f}"


def ratio(value: float | None) -> str:
    """A ratio as a percentage, with two figures at least. What isn't zero never looks like it."""
    if value is None:
        return NONE
    if value == 0:
        return "0 %"
    part = abs(value) * 100
    digits = 1 if part >= 9.95 else 1 - floor(log10(part) + 1e-9)
    return f"{value * 100:.{digits}f}".rstrip("0").rstrip(".") + " %"


def change(part: float | None) -> str:
    """A difference as a part of the base, signed; what is tenfold and more, as a factor."""
    if part is None:
        return NONE
    return f"{100 * part:+.1f} %" if part < 9 else f"times {part + 1:,.0f}"
