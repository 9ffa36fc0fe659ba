# SPDX-License-Identifier: Apache-2.0
"""A measurement from its first trial to result.json. What interrupts it ends in a result, too.

Ctrl-C and the like (interrupts.py), a device that is gone, a full disk, a machine too noisy: what was
measured until then is a result that says `complete: false`, and why. Only if no trial counted yet, the error
goes on.
"""

from __future__ import annotations

from collections.abc import Callable

from forwarder.bench.context import Bench
from forwarder.bench.directory import ResultDirectory
from forwarder.bench.interrupts import signals_ignored
from forwarder.bench.outcome import Setting, outcome
from forwarder.bench.runner import rfc3339
from forwarder.errors import ExitCode, TtfwdError
from forwarder.results.model import Result


def conduct(
    setting: Setting,
    bench: Bench,
    directory: ResultDirectory,
    test: Callable[[Bench], None],
    now: Callable[[], str] = rfc3339,
) -> Result:
    """Run `test`, write its result, return it. Raises TtfwdError, KeyboardInterrupt if there is none."""
    stopped: str | None = None
    tally = directory.journal.tally
    counted = tally.counted
    try:
        test(bench)
    except KeyboardInterrupt:
        if tally.counted == counted:
            raise
        stopped = "interrupted"
    except TtfwdError as error:
        if tally.counted == counted:
            raise
        stopped = str(error)
    with signals_ignored():
        result = outcome(setting, bench, tally, ended=now(), stopped=stopped)
        directory.write(result)
    return result


def exit_code(result: Result) -> ExitCode:
    return ExitCode.DONE if result.publishable else ExitCode.NOT_PUBLISHABLE
