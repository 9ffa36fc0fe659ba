# SPDX-License-Identifier: Apache-2.0
"""Anything between two devices as a device under test: what it is and does inside, nobody here knows."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from forwarder.bench.dut import Account, Cost, shown
from forwarder.errors import UsageError
from forwarder.results import model
from forwarder.tester.device_counters import require_device
from forwarder.tester.trial import Endpoint


class External:
    """Two devices of somebody else's, and what is between them."""

    def __init__(
        self,
        first: Endpoint,
        second: Endpoint,
        cpus: tuple[int, ...] = (),
        pids: Collection[int] = (),
    ) -> None:
        """`cpus` that it works on, `pids` of its processes: as far as the user says.

        Raises DeviceError, UsageError.
        """
        if first == second:
            raise UsageError(
                f"--external: {shown(first)} twice; a device under test lies between two devices"
            )
        for endpoint in (first, second):
            require_device(endpoint)
        for pid in pids:
            if not Path(f"/proc/{pid}").exists():
                raise UsageError(f"--dut-pid: there is no process {pid}")
        self.endpoints = (first, second)
        self.cpus = cpus
        self.pids = frozenset(pids)
        self.gives_reasons = False

    def describe(self) -> model.Dut:
        names = (shown(self.endpoints[0]), shown(self.endpoints[1]))
        return model.Dut(
            kind="external", title=f"external {names[0]} {names[1]}", devices=names, cpus=self.cpus
        )

    def account(self, whole: bool = True) -> Account:
        return Account()

    def spent(self, cost: Cost) -> None:
        """Nothing: nobody tells what it takes."""

    def restart(self) -> None:
        raise UsageError("an external device is not ours to start anew: it runs once")

    def close(self) -> None:
        """Nothing: it was there before."""


def parse_endpoint(text: str) -> Endpoint:
    """ "device" or "netns/device". Raises UsageError."""
    netns, slash, device = text.rpartition("/")
    if not device or (slash and not netns) or "/" in netns:
        raise UsageError(f'"{text}" is no device: write DEVICE, or NETNS/DEVICE for one in a namespace')
    return Endpoint(device, netns or None)
