# SPDX-License-Identifier: Apache-2.0
"""What `ttfwd bench` shows while it measures, on stderr: a picture on a terminal, lines elsewhere.

On a terminal: the trial that runs, the bounds of each goal, the time left. Nothing is drawn during a trial:
that would take CPU time. A line for each trial that is over goes into a file or a pipe.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from forwarder.results.model import Trial
from forwarder.stats.figures import duration, scaled
from forwarder.stats.section import make_console
from forwarder.tester.trial import Load


class ProgressView:
    """A context manager: what is on the terminal is taken away at its end."""

    def __init__(self, output: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = make_console(output or sys.stderr)
        self._clock = clock
        self._began_s = clock()
        self._now = "starting"
        self._last: str | None = None
        self._bounds: dict[str, tuple[float | None, float | None]] = {}
        self._left_s: float | None = None
        self._counted = self._void = 0
        self._live: Live | None = None
        if self._console.is_terminal and not self._console.is_dumb_terminal:
            self._live = Live(
                console=self._console,
                auto_refresh=False,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        with suppress(OSError):  # the terminal is gone
            if self._live is not None:
                self._live.stop()

    # ---------------------------------------------------------- what the engine tells (bench.seams.Progress)

    def doing(self, what: str) -> None:
        self._now = what
        self._draw()
        if self._live is None:
            self._say(what)

    def begins(self, load: Load, purpose: str) -> None:
        self._now = f"{purpose}: {_load(load)}"
        self._draw()

    def ended(self, trial: Trial) -> None:
        if trial.void:
            self._void += 1
        else:
            self._counted += 1
        self._last = trial_line(trial)
        if self._live is None:
            self._say(self._last)

    def bounds(self, goal: str, lower_per_s: float | None, upper_per_s: float | None) -> None:
        if self._bounds.get(goal, (None, None)) != (lower_per_s, upper_per_s):
            self._bounds[goal] = (lower_per_s, upper_per_s)
            if self._live is None:
                self._say(bounds_line(goal, lower_per_s, upper_per_s))

    def left(self, seconds: float | None) -> None:
        self._left_s = seconds

    # -------------------------------------------------------------------------------------------- drawing

    def _draw(self) -> None:
        with suppress(OSError):
            if self._live is not None:
                self._live.update(self._picture(), refresh=True)

    def _say(self, line: str) -> None:
        with suppress(OSError):  # nobody reads it
            self._console.print(line, soft_wrap=True)

    def _picture(self) -> RenderableType:
        spent_s = self._clock() - self._began_s
        left = "" if self._left_s is None else f", about {duration(self._left_s)} left"
        counted = f"{self._counted} trial{'' if self._counted == 1 else 's'}"
        void = f", {self._void} void" if self._void else ""
        lines = [
            Text(self._now, style="bold"),
            Text(f"{counted}{void}, {duration(spent_s)}{left}"),
            *(Text(bounds_line(goal, *found)) for goal, found in self._bounds.items()),
        ]
        if self._last is not None:
            lines.append(Text(f"last: {self._last}", style="dim"))
        return Group(*lines)


class NoProgress(ProgressView):
    """For a program that reads the result: nothing is shown."""

    def __init__(self) -> None:
        super().__init__()
        self._live = None
        self._console = Console(quiet=True)


def trial_line(trial: Trial) -> str:
    """One line for one trial."""
    sent = sum(way.sent for way in trial.ways)
    lost = sum(way.lost for way in trial.ways)
    said = f"void: {'; '.join(trial.void)}" if trial.void else (trial.verdict or "")
    share = f" ({lost / sent:.3%})" if sent and lost else ""
    what = f"trial {trial.number}  {trial.purpose}  {_rate(trial.intended_per_s)}"
    return f"{what}  lost {lost:,}{share}  {said}".rstrip()


def bounds_line(goal: str, lower_per_s: float | None, upper_per_s: float | None) -> str:
    lower = "?" if lower_per_s is None else _rate(lower_per_s)
    upper = "?" if upper_per_s is None else _rate(upper_per_s)
    return f"{goal}: between {lower} and {upper}"


def _rate(per_s: float) -> str:
    return scaled(per_s, "fps")


def _load(load: Load) -> str:
    if load.burst_frames is not None:
        return f"{load.burst_frames:,} frames at once"
    return f"{_rate(load.per_s)} for {load.duration_s:g} s"
