# SPDX-License-Identifier: Apache-2.0
"""The errors that a user can cause, in one tree. Each has the exit code of the command that it ends.

    TtfwdError             1   anything that a user can act on
      UsageError           2   the request is wrong
        ConfigError            a configuration file, or the parameters of `connect`
        BadRequest             the parameters of any other control request
        UnknownName            a port or worker to show that the instance doesn't have
        ResultError            a measurement's result can't be read
      NotRunning           3   no such instance
      Stopping             3   the instance is about to end
      NotPermitted        77   the kernel or the instance's owner forbids it
      AlreadyRunning       1   another process owns the instance's name
      SegmentError         1   a shared-memory segment can't be made or read
        SegmentMissing         there is no segment of that name
        SegmentNameTaken       there is something else of that name
      DeviceError          1   a network device can't be made or used as asked
      UnknownPort          1   the instance has no port of that name
      BootFailed           1   the instance didn't come up; what it made is removed again
        Interrupted            a signal ended the boot
      LeftBehind           1   the instance ended, and something that it made or changed is still there
      Refused              *   a running instance refused; its reply has the exit code

The CLI prints them without a traceback. An error that never reaches a user (a worker's malformed message, an
unknown method of the control socket) is not a TtfwdError. It stays with the code that handles it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes of `ttfwd`, documented in README.md."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NOT_RUNNING = 3
    NOT_PUBLISHABLE = 4  # measured, or looked at, and not fit to be published as it is
    NOT_PERMITTED = 77


class TtfwdError(Exception):
    """Something that the user can act on; str() says what is wrong and where."""

    exit_code = ExitCode.FAILED

    def for_terminal(self) -> str:
        """The lines that the CLI prints."""
        return f"ttfwd: {self}"


class UsageError(TtfwdError):
    exit_code = ExitCode.USAGE


@dataclass(frozen=True)
class Problem:
    """One problem: its place ("port[1].mtu"), and a line that says what would be right."""

    key_path: str
    message: str


WHOLE = "(whole)"  # the key path of a problem that no key has


class ConfigError(UsageError):
    """A configuration that can't be used: `source` (a file, or "connect") and at least one problem."""

    def __init__(self, source: str, problems: Sequence[Problem]) -> None:
        super().__init__(source, problems)
        self.source = source
        self.problems = tuple(dict.fromkeys(problems))  # each once

    def __str__(self) -> str:
        return "\n".join(
            f"{self.source}: {p.message}"
            if p.key_path == WHOLE
            else f"{self.source}: {p.key_path}: {p.message}"
            for p in self.problems
        )

    def for_terminal(self) -> str:
        """As compilers do it: each line begins with the file, so that editors find the place."""
        return str(self)


class BadRequest(UsageError):
    pass


class UnknownName(UsageError):
    pass


class ResultError(UsageError):
    def for_terminal(self) -> str:
        """As for a configuration: each line begins with the file."""
        return str(self)


class NotRunning(TtfwdError):
    """No instance of that name is running, or none at all (None). `running` are those that are.

    If the instance is among them, its supervisor lives and serves no requests: not yet, or no longer.
    `readable` are those whose counters can be read though nobody serves them here.
    """

    exit_code = ExitCode.NOT_RUNNING

    def __init__(
        self, instance: str | None, running: Sequence[str] = (), readable: Sequence[str] = ()
    ) -> None:
        if instance is None and readable:
            super().__init__(f"no instance is running; --name shows the counters of {listed(readable)}")
        elif instance is None:
            super().__init__("no instance is running; start one with: ttfwd start -c configs/4q.toml")
        elif instance in running:
            super().__init__(f'instance "{instance}" does not answer: it is starting or stopping')
        else:
            super().__init__(f'instance "{instance}" is not running (running: {listed(running)})')


class Stopping(TtfwdError):
    exit_code = ExitCode.NOT_RUNNING


class NotPermitted(TtfwdError):
    exit_code = ExitCode.NOT_PERMITTED


class AlreadyRunning(TtfwdError):
    pass


class SegmentError(TtfwdError):
    pass


class SegmentMissing(SegmentError):
    pass


class SegmentNameTaken(SegmentError):
    pass


class DeviceError(TtfwdError):
    pass


class UnknownPort(TtfwdError):
    pass


class BootFailed(TtfwdError):
    pass


class Interrupted(BootFailed):
    pass


class LeftBehind(TtfwdError):
    pass


class Refused(TtfwdError):
    """A running instance refused a request. The message and the exit code are those of its reply."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = ExitCode(exit_code)


def listed(names: Sequence[object]) -> str:
    """Names for a message: "a, b", or "none"."""
    return ", ".join(str(name) for name in names) or "none"
