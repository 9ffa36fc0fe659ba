# SPDX-License-Identifier: Apache-2.0
"""Reconfiguration: another port is connected and deleted while traffic passes (FD.io CSIT's RECONF)."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import partial

from forwarder.bench.context import Bench
from forwarder.bench.instance_dut import InstanceDut
from forwarder.bench.methods.outage import Act, outage
from forwarder.bench.profile import OutageKeys
from forwarder.control.client import call
from forwarder.errors import TtfwdError


class _Spare:
    """A tap that leads nowhere, in the namespace of the first endpoint."""

    def __init__(self, instance: InstanceDut) -> None:
        self.name = f"ttb{os.getpid()}"
        self._instance = instance
        netns = instance.endpoints[0].netns
        self._keys = {"name": self.name, **({"netns": netns} if netns else {})}

    def is_there(self) -> bool:
        return any(port.name == self.name for port in self._instance.snapshot().ports)

    def connect(self) -> None:
        call(self._instance.name, "connect", self._keys)

    def delete(self) -> None:
        call(self._instance.name, "delete", {"name": self.name})

    def connecting(self) -> Act:
        if self.is_there():  # by an attempt that was void
            self.delete()
        return self.connect

    def deleting(self) -> Act:
        if not self.is_there():
            self.connect()
        return self.delete


def reconf(bench: Bench, instance: InstanceDut, keys: OutageKeys, throughput_per_s: float) -> None:
    spare = _Spare(instance)
    measured = partial(outage, bench, keys, throughput_per_s)
    try:
        for _ in range(keys.events):
            measured(f"port {spare.name} connected", spare.connecting)
            measured(f"port {spare.name} deleted", spare.deleting)
    finally:
        with suppress(TtfwdError):  # the instance may be gone, which is told already
            if spare.is_there():
                spare.delete()
