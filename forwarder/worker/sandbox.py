# SPDX-License-Identifier: Apache-2.0
"""A worker's process shuts itself in before it reads its first message (native/sandbox.h).

From then on nothing can be opened, so every module that is needed later is imported by then.
"""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from forwarder.errors import TtfwdError
from forwarder.native import check, ffi, lib

if TYPE_CHECKING:
    from forwarder.native import ttf_urings

_OOM_SCORE = Path("/proc/self/oom_score_adj")


@dataclass(frozen=True)
class Sandbox:
    missing: tuple[str, ...]  # the parts that this kernel doesn't permit
    urings: "ttf_urings"  # for driver uring, which can't make any later; NULL if this kernel permits none


def enter(user: int, oom_score_adj: int, supervisor: int) -> Sandbox:
    """Become that user (0: stay who we are), without privileges, and die with the supervisor.

    Raises TtfwdError.
    """
    with suppress(OSError):  # no /proc here
        _OOM_SCORE.write_text(str(oom_score_adj))
    urings = lib.ttf_urings_new()
    try:
        missing = check(lib.ttf_sandbox_enter(user, user, supervisor))
    except OSError as error:
        raise TtfwdError(f"privileges can't be given up: {error.strerror}") from None
    if lib.ttf_sandbox_confine() != 0:
        missing |= 1 << lib.TTF_SANDBOX_CALLS
    names = tuple(
        ffi.string(lib.ttf_sandbox_part_name(part)).decode()
        for part in range(lib.TTF_SANDBOX_PART_COUNT)
        if missing & 1 << part
    )
    return Sandbox(names, urings)
