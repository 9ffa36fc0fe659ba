# SPDX-License-Identifier: Apache-2.0
"""Reset (RFC 6201): a worker of the instance is killed under load, one after another in turn."""

from __future__ import annotations

import os
import signal
import time
from functools import partial

from forwarder.bench.context import Bench
from forwarder.bench.instance_dut import InstanceDut
from forwarder.bench.methods.outage import Act, outage
from forwarder.bench.profile import OutageKeys
from forwarder.errors import TtfwdError

_READY_S = 30.0
_POLL_S = 0.05


def reset(bench: Bench, instance: InstanceDut, keys: OutageKeys, throughput_per_s: float) -> None:
    workers = len(instance.snapshot().workers)
    for number in range(keys.events):
        victim = number % workers
        event = f"worker {victim} killed"
        outage(bench, keys, throughput_per_s, event, partial(_killer, instance, victim))


def _killer(instance: InstanceDut, number: int) -> Act:
    """What kills a worker, once it forwards. Raises TtfwdError, DutStopped."""
    deadline = time.monotonic() + _READY_S
    while (worker := instance.snapshot().workers[number]).state != "ready":
        if time.monotonic() > deadline:
            raise TtfwdError(
                f'worker {number} of instance "{instance.name}" isn\'t ready after {_READY_S:g} s'
            )
        time.sleep(_POLL_S)
    return partial(os.kill, worker.pid, signal.SIGKILL)
