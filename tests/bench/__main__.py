# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.bench` (make bench): measure ttfwd against bare loops. See docs/benchmarks.md.

Needs root, two CPUs and gcc. Exit codes: 0 measured (whether or not the bars are met), 1 failed, 2 usage,
77 not permitted.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import click
import psutil
from rich.console import Console

from tests.bench import cases, priority, report, ring, start, tcp
from tests.bench.lab import Lab
from tests.bench.load import FORWARDER_CPU, GENERATOR_CPU
from tests.bench.programs import ProgramError, Programs
from tests.bench.rounds import Bench, Plan

SECTIONS = ("tap", "tap-sleeping", "uring", "uring-sleeping", "hop", "packet", "ring", "tcp", "start")
_NOT_PERMITTED = 77
_PLAIN_WIDTH = 120
_OTHER_ROUNDS = 5  # of measurements without a comparison


def _measure(
    found: report.Report, wanted: Sequence[str], programs: Programs, lab: Lab, progress: Callable[[str], None]
) -> None:
    bench = Bench(lab, programs, found.plan)
    for case in cases.all_cases(programs):
        if case.key in wanted:
            found.results.append(bench.measure(case, progress))
    if "ring" in wanted:
        found.ring = ring.measure(programs, _OTHER_ROUNDS, progress)
    if "tcp" in wanted:
        variants = (tcp.OFFLOAD, tcp.NO_OFFLOAD)
        found.streams = tcp.measure(variants, _OTHER_ROUNDS, FORWARDER_CPU, progress)
    if "start" in wanted:
        found.start = start.measure(lab, programs, _OTHER_ROUNDS, progress)


@click.command()
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Also write everything to FILE.")
@click.option(
    "--lives", type=click.IntRange(1), default=4, show_default=True, help="Starts of each forwarder."
)
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True, help="Rounds in each life.")
@click.option(
    "--window", "window_s", type=click.FloatRange(0.01), default=0.15, show_default=True, help="Seconds."
)
@click.option("--only", multiple=True, type=click.Choice(SECTIONS), help="May be given more than once.")
def main(json_path: Path | None, lives: int, rounds: int, window_s: float, only: tuple[str, ...]) -> None:
    """Measure ttfwd against bare loops that read and write the same packets."""
    if os.geteuid() != 0:
        click.echo("bench: not permitted: taps and network namespaces need root", err=True)
        sys.exit(_NOT_PERMITTED)
    allowed = psutil.Process().cpu_affinity()
    if not {GENERATOR_CPU, FORWARDER_CPU} <= set(allowed):
        click.echo(f"bench: needs CPUs {GENERATOR_CPU} and {FORWARDER_CPU}; allowed: {allowed}", err=True)
        sys.exit(1)
    progress = Console(stderr=True)
    found = report.Report(Plan(lives, rounds, window_s))
    try:
        with priority.raised(), Programs.compiled() as programs, Lab.made(f"ttfwdbench{os.getpid()}") as lab:
            _measure(found, only or SECTIONS, programs, lab, lambda line: progress.print(line, style="dim"))
    except ProgramError as error:
        click.echo(f"bench: {error}", err=True)
        sys.exit(1)
    output = Console()
    report.show(found, output if output.is_terminal else Console(width=_PLAIN_WIDTH))
    if json_path is not None:
        json_path.write_text(json.dumps(report.as_json(found), indent=2) + "\n")


if __name__ == "__main__":
    main()
