# SPDX-License-Identifier: Apache-2.0
"""What a user can cause, as exceptions that carry an exit code. The CLI prints them without a traceback."""

from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes of `ttfwd`, documented in README.md."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NOT_RUNNING = 3
    NOT_PERMITTED = 77


class TtfwdError(Exception):
    """Something that the user can act on; str() says what is wrong and where."""

    exit_code = ExitCode.FAILED


class NotPermitted(TtfwdError):
    exit_code = ExitCode.NOT_PERMITTED


class NotRunning(TtfwdError):
    exit_code = ExitCode.NOT_RUNNING


class AlreadyRunning(TtfwdError):
    pass


class DeviceError(TtfwdError):
    """A network device can't be made or used as asked."""


class BootFailed(TtfwdError):
    """The instance could not be brought up; everything that was made is removed again."""
