# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.bench.kmod` (make bench-kmod): what turbotap.ko saves, in a guest.

Needs gcc, liburing, and the requirements of the module's tests: Debian's kernels with headers, virtme-ng,
QEMU. Exit codes: 0 measured (whether or not the bars are met), 1 failed or interrupted, 2 usage. What was
measured before a failure is shown nevertheless. See docs/benchmarks.md.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Collection
from pathlib import Path

import click
import pytest
from rich.console import Console

from tests.bench.kmod import plan, report, results
from tests.bench.kmod.guest import Guest
from tests.bench.programs import ProgramError
from tests.kmod import kernels

_PLAIN_WIDTH = 220
_TIMED_ROUNDS = 9
_COUNTED = ("bytes", "words", "tcp")
_PARTS = (*_COUNTED, "clock")


def _measure(
    kernel: kernels.Kernel,
    parts: Collection[str],
    found: report.KernelReport,
    *,
    quick: bool,
    profile: bool,
    progress: Callable[[str], None],
) -> None:
    """Add each part to `found` when it is measured. Raises ProgramError."""
    rounds = found.rounds
    with tempfile.TemporaryDirectory(prefix="ttfwd-bench-kmod-") as folder:
        progress(f"{kernel.release}: building the module")
        guest = Guest.built(kernel, Path(folder))
        if "bytes" in parts:
            progress(f"{kernel.release}: counting instructions")
            cells = plan.quick_cells() if quick else plan.all_cells()
            found.counted = results.by_cell(guest.counted(cells, rounds))
        if "words" in parts:
            progress(f"{kernel.release}: counting instructions, copies by words")
            found.by_words = results.by_cell(guest.counted_by_words(plan.word_cells(), rounds))
        for by_words in (False, True) if "tcp" in parts else ():
            progress(f"{kernel.release}: TCP through ttfwd{', copies by words' if by_words else ''}")
            found.streams[by_words] = guest.tcp(rounds, by_words=by_words)
        if "clock" in parts:
            progress(f"{kernel.release}: measuring time")
            cells = [*plan.one_batch(), *plan.scope_cells()]
            found.timed = results.by_cell(guest.timed(cells, _TIMED_ROUNDS))
        if profile:
            progress(f"{kernel.release}: profiling")
            found.profiles = results.profiles(guest.profiled(rounds))


@click.command()
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Also write everything to FILE.")
@click.option(
    "--kernel",
    "chosen",
    multiple=True,
    type=click.Choice(kernels.SERIES),
    default=kernels.SERIES[:1],
    show_default=True,
    help="May be given more than once.",
)
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True, help="Of counting.")
@click.option("--quick", is_flag=True, help="Only what the bars are about, and nothing by the clock.")
@click.option(
    "--only",
    "parts",
    multiple=True,
    type=click.Choice(_PARTS),
    help="Counts with copies by bytes, or by words; TCP; time by the clock. May be given more than once.",
)
@click.option("--profile", is_flag=True, help="Also where the instructions go, by kernel function.")
def main(
    json_path: Path | None,
    chosen: tuple[str, ...],
    rounds: int,
    quick: bool,
    parts: tuple[str, ...],
    profile: bool,
) -> None:
    """Measure ways to forward from a tap, in a guest that counts instructions."""
    progress = Console(stderr=True)
    found: list[report.KernelReport] = []
    failure = ""
    try:
        for series in chosen:
            kernel = kernels.of_series(series)
            found.append(report.KernelReport(kernel.release, rounds))
            _measure(
                kernel,
                parts or (_COUNTED if quick else _PARTS),
                found[-1],
                quick=quick,
                profile=profile,
                progress=lambda line: progress.print(line, style="dim"),
            )
    except (ProgramError, AssertionError, pytest.skip.Exception) as error:
        failure = str(error)
    except KeyboardInterrupt:
        failure = "interrupted"
    output = Console()
    for one in found:
        report.show(one, output if output.is_terminal else Console(width=_PLAIN_WIDTH))
    if json_path is not None:
        json_path.write_text(json.dumps(report.as_json(found), indent=2) + "\n")
    if failure:
        click.echo(f"bench-kmod: {failure}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
