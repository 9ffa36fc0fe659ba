# SPDX-License-Identifier: Apache-2.0
"""The host in a measurement's result: its facts at the begin, and what its counters counted until the end."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import replace

from forwarder.errors import TtfwdError
from forwarder.host.counters import Counters, delta
from forwarder.host.device import Device
from forwarder.host.facts import facts
from forwarder.host.tree import HOST, Tree
from forwarder.results.model import Host


class Recording:
    """Begins when it is made."""

    def __init__(self, cpus: Collection[int], tree: Tree = HOST) -> None:
        self._cpus = frozenset(cpus)
        self._tree = tree
        self._facts = facts(tree=tree)
        self._begin = Counters.now(tree)

    def host(self, devices: Iterable[tuple[str, str | None]] = ()) -> Host:
        """Until now. `delta` is about the CPUs of tester and DUT, and about the machine.

        `devices`, by name and network namespace, are the test's. They may be younger than the recording.
        One that is gone by now is left out.
        """
        found = {}
        for name, netns in devices:
            with suppress(TtfwdError):
                device = Device.read(name, netns, self._tree)
                found[device.shown] = device
        return Host(
            fingerprint=self._facts.fingerprint,
            facts=replace(self._facts, devices=found).to_json(),
            delta=delta(self._begin, Counters.now(self._tree), self._cpus),
        )
