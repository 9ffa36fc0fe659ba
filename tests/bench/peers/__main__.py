# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.bench.peers` (make bench-peers): ttfwd beside its alternatives.

Needs root, two CPUs, gcc, dpdk-testpmd, Open vSwitch, iperf3, and what `ttfwd bench` needs.
Exit codes: 0 measured (peers that don't run here are listed), 1 failed,
2 usage, 77 not permitted. See docs/benchmarks.md.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import get_args

import click
import psutil
from rich.console import Console

from forwarder.bench.publishable import RUNS
from forwarder.errors import TtfwdError
from tests.bench import priority
from tests.bench.load import FORWARDER_CPU, GENERATOR_CPU
from tests.bench.peers import bridge, measure, ovs, report, testpmd, ttfwd
from tests.bench.peers.instrument import Goal, Instrument
from tests.bench.programs import ProgramError, Programs

PEERS = {peer.key: peer for family in (ttfwd, testpmd, ovs, bridge) for peer in family.peers()}
_NOT_PERMITTED = 77
_PLAIN_WIDTH = 150
_FULL = measure.Plan(rounds=5, window_s=0.4, tcp_s=2, searches=RUNS)
_QUICK = measure.Plan(rounds=1, window_s=0.2, tcp_s=1, searches=1, latency_s=1.0)


@click.command()
@click.option("--quick", is_flag=True, help="One round, short windows: to see that everything runs.")
@click.option("--rounds", type=click.IntRange(1), help="Default: 5; with --quick 1.")
@click.option(
    "--searches",
    type=click.IntRange(0),
    help="Rounds with PDR and latency by ttfwd bench, too. Default: 3; with --quick 1.",
)
@click.option(
    "--goal", type=click.Choice(get_args(Goal)), default="quick", help="Of these searches. Default: quick."
)
@click.option("--allow-noise", is_flag=True, help="Disturbed trials of theirs count; the results say so.")
@click.option(
    "--results",
    "folder",
    type=click.Path(path_type=Path),
    help="Keep the results of ttfwd bench in this directory: ttfwd report reads them.",
)
@click.option("--only", multiple=True, type=click.Choice(list(PEERS)), help="May be given more than once.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Also write everything to FILE.")
@click.option("--markdown", is_flag=True, help="Tables in Markdown, as docs/benchmarks.md has them.")
@click.option(
    "--picture",
    "picture_path",
    type=click.Path(path_type=Path),
    help="Also draw it, by FILE's suffix: .svg, .png.",
)
def main(
    quick: bool,
    rounds: int | None,
    searches: int | None,
    goal: Goal,
    allow_noise: bool,
    folder: Path | None,
    only: tuple[str, ...],
    json_path: Path | None,
    markdown: bool,
    picture_path: Path | None,
) -> None:
    """Measure ttfwd, DPDK's testpmd, Open vSwitch and a Linux bridge under the same traffic."""
    if os.geteuid() != 0:
        click.echo("bench-peers: not permitted: taps and network namespaces need root", err=True)
        sys.exit(_NOT_PERMITTED)
    allowed = psutil.Process().cpu_affinity()
    if not {GENERATOR_CPU, FORWARDER_CPU} <= set(allowed):
        click.echo(
            f"bench-peers: needs CPUs {GENERATOR_CPU} and {FORWARDER_CPU}; allowed: {allowed}", err=True
        )
        sys.exit(1)
    signal.signal(signal.SIGTERM, _end)
    plan = _QUICK if quick else _FULL
    plan = replace(
        plan,
        rounds=rounds or plan.rounds,
        searches=plan.searches if searches is None else searches,
        goal=goal,
        allow_noise=allow_noise,
    )
    progress = Console(stderr=True)
    try:
        if plan.searches:
            Instrument.require()
        with (
            priority.raised(),
            Programs.compiled() as programs,
            _kept(folder) as results_folder,
        ):
            results = measure.measure(
                [PEERS[key] for key in only or PEERS],
                f"ttfwdpeers{os.getpid()}",
                programs,
                plan,
                lambda line: progress.print(line, style="dim", markup=False),
                results_folder,
            )
    except (ProgramError, TtfwdError) as error:
        click.echo(f"bench-peers: {error}", err=True)
        sys.exit(1)
    found = report.PeersReport(plan, results)
    output = Console()
    report.show(found, output if output.is_terminal else Console(width=_PLAIN_WIDTH), markdown=markdown)
    if json_path is not None:
        json_path.write_text(json.dumps(report.as_json(found), indent=1) + "\n")
    if picture_path is not None:
        from tests.bench.peers import picture  # imported here, as only it needs matplotlib

        picture.draw(results, picture_path)


@contextmanager
def _kept(folder: Path | None) -> Iterator[Path]:
    """The directory of the instrument's results; None: of none that stays."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
    else:
        with tempfile.TemporaryDirectory(prefix="ttfwd-bench-") as name:
            yield Path(name)


def _end(number: int, _frame: FrameType | None) -> None:
    """End like Ctrl-C, so that every clean-up runs."""
    sys.exit(128 + number)


if __name__ == "__main__":
    main()
