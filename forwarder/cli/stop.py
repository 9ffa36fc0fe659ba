# SPDX-License-Identifier: Apache-2.0
"""`ttfwd stop`: ask an instance to drain, and wait until its supervisor has ended.

A pid is used only if the kernel gave it to this process: the supervisor may run in another PID namespace,
where its number means another process. The release of its lock tells of its end there.
"""

import os
import select
import time
from contextlib import suppress

from forwarder import rundir
from forwarder.control.client import Connection
from forwarder.errors import NotRunning, TtfwdError

_LONGEST_DRAIN_S = 60  # the largest drain_timeout_ms that a configuration may have
_GRACE_S = 10  # for ending the workers and removing the devices
_POLL_S = 0.02


def stop(instance: str, timeout_s: float | None) -> None:
    """Stop an instance. `timeout_s` bounds its drain; None takes its configuration's bound.

    One that is stopping already is waited for. Raises NotRunning, Refused, or TtfwdError when it is still
    draining after the bound. Nothing is killed.
    """
    holder = rundir.holder(instance)
    if holder is None:
        raise NotRunning(instance, rundir.running())
    patience_s = _GRACE_S + (_LONGEST_DRAIN_S if timeout_s is None else timeout_s)
    pidfd = None
    try:
        with Connection(instance) as connection:
            pidfd = _open_process(connection.supervisor_pid)
            connection.call("stop", {} if timeout_s is None else {"timeout_ms": round(timeout_s * 1000)})
    except NotRunning:  # it doesn't listen yet, or it ends just now
        if not _wait_for_end(instance, holder, pidfd, _GRACE_S):
            raise
        return
    else:
        if not _wait_for_end(instance, holder, pidfd, patience_s):
            raise TtfwdError(f'instance "{instance}" ({holder}) is still draining; nothing was killed')
    finally:
        if pidfd is not None:
            os.close(pidfd)


def _open_process(pid: int) -> int | None:
    with suppress(ProcessLookupError):
        return os.pidfd_open(pid) if pid else None
    return None


def _wait_for_end(instance: str, holder: rundir.Holder, pidfd: int | None, timeout_s: float) -> bool:
    """Wait until the process ended, or if it can't be seen, until it holds the instance's lock no more."""
    if pidfd is not None:
        return bool(select.select([pidfd], [], [], timeout_s)[0])
    deadline = time.monotonic() + timeout_s
    while rundir.holder(instance) == holder:
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True
