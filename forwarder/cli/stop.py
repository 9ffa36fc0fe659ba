# SPDX-License-Identifier: Apache-2.0
"""`ttfwd stop`: ask an instance to drain, and wait until its supervisor has ended."""

import os
import select

from forwarder import rundir
from forwarder.control.client import call
from forwarder.errors import NotRunning, TtfwdError

_LONGEST_DRAIN_S = 60  # the largest drain_timeout_ms that a configuration may have
_GRACE_S = 10  # for ending the workers and removing the devices


def stop(instance: str, timeout_s: float | None) -> None:
    """Stop an instance. `timeout_s` bounds its drain; None takes its configuration's bound.

    Raises NotRunning, Refused, or TtfwdError when it is still draining after the bound. Nothing is killed.
    """
    pid = rundir.owner(instance)
    if pid is None:
        raise NotRunning(instance, rundir.running())
    try:
        pidfd = os.pidfd_open(pid)  # before the request: later the pid may be another process'
    except ProcessLookupError:
        raise NotRunning(instance, rundir.running()) from None
    try:
        call(instance, "stop", {} if timeout_s is None else {"timeout_ms": round(timeout_s * 1000)})
        if not select.select([pidfd], [], [], (timeout_s or _LONGEST_DRAIN_S) + _GRACE_S)[0]:
            raise TtfwdError(f'instance "{instance}" (process {pid}) is still draining; nothing was killed')
    finally:
        os.close(pidfd)
