# SPDX-License-Identifier: Apache-2.0
"""What a fact of the host means for a measurement, and the command that would change it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from forwarder.config.cpus import format_cpu_list

Purpose = Literal["throughput", "latency"]

# From the worst: figures of this host aren't publishable; they will be worse, or spread more; they could be
# better; nothing here tells; as it should be.
Level = Literal["block", "warn", "advise", "unknown", "ok"]
LEVELS: tuple[Level, ...] = ("block", "warn", "advise", "unknown", "ok")


@dataclass(frozen=True, slots=True)
class Case:
    """What is to be measured, and on which CPUs."""

    purpose: Purpose
    cpus: frozenset[int]  # that are to be quiet: of the workers
    others: frozenset[int]  # the other CPUs that are online
    interrupts: frozenset[str] = frozenset()  # numbers, of the devices that are measured: theirs belong here

    def level(self, throughput: Level, latency: Level) -> Level:
        return throughput if self.purpose == "throughput" else latency


@dataclass(frozen=True, slots=True)
class Keep:
    """A line of a tuned profile. It keeps a setting when the machine starts again."""

    section: Literal["bootloader", "cpu", "sysctl", "sysfs", "vm"]
    line: str


@dataclass(frozen=True, slots=True)
class Finding:
    name: str  # a row of docs/doctor.md
    level: Level
    what: str  # for people, some words
    value: str  # what was found
    file: str  # where
    why: str  # it matters; whole sentences
    commands: tuple[str, ...] = ()  # lines for a root shell; they hold until the machine starts again
    keep: tuple[Keep, ...] = ()


# Commands that change something, and the lines that keep it.
Change = tuple[tuple[str, ...], tuple[Keep, ...]]


def judged(
    name: str,
    what: str,
    value: str | None,
    good: bool,
    level: Level,
    file: str,
    why: str,
    commands: tuple[str, ...] = (),
    keep: tuple[Keep, ...] = (),
) -> Finding:
    """A finding of that level, but for a value that is unknown or good: that has no commands."""
    if value is None:
        return Finding(name, "unknown", what, "the host doesn't tell", file, why)
    if good:
        return Finding(name, "ok", what, value, file, why)
    return Finding(name, level, what, value, file, why, commands, keep)


def sysctl(key: str, value: object) -> Change:
    return (f"sysctl -w {key}={value}",), (Keep("sysctl", f"{key}={value}"),)


def write(value: object, *files: str) -> Change:
    """The files are sysfs'."""
    return (
        tuple(f"echo {value} > {file}" for file in files),
        tuple(Keep("sysfs", f"{file}={value}") for file in files),
    )


def cpus_shown(cpus: Collection[int]) -> str:
    """ "CPU 1" or "CPUs 1-3"."""
    return f"CPU {format_cpu_list(cpus)}" if len(cpus) == 1 else f"CPUs {format_cpu_list(cpus)}"


def each_shown(values: dict[str, frozenset[int]]) -> str:
    """ "powersave on CPUs 1-3, performance on CPU 4"."""
    return ", ".join(f"{value} on {cpus_shown(cpus)}" for value, cpus in values.items())
