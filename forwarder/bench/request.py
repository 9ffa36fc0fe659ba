# SPDX-License-Identifier: Apache-2.0
"""What the user asks to be measured."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from forwarder.bench.profile import BenchProfile
from forwarder.errors import UsageError
from forwarder.results.model import Test
from forwarder.tester.trial import Endpoint

Ends = tuple[Endpoint, Endpoint]

# Tests whose event is one that only an instance has.
_OF_INSTANCES: tuple[Test, ...] = ("reset", "reconf")
# Tests that are done again after each start of the DUT.
REPEATED: tuple[Test, ...] = ("mrr", "ndrpdr")
_STARTS = 3  # that tell a spread


@dataclass(frozen=True, slots=True)
class Request:
    test: Test
    profile: BenchProfile
    out: Path
    command: tuple[str, ...] = ()
    config: Path | None = None  # the DUT: an instance to start,
    instance: str | None = None  # or one that runs,
    external: Ends | None = None  # or what is between two devices; none of the three: the self-test alone
    ports: tuple[str, str] | None = None  # of the instance
    ends: Ends | None = None  # the tester's devices, where they can't be told from the ports
    dut_cpus: str | None = None  # of an external device
    dut_pids: tuple[int, ...] = ()  # its processes, which work on these CPUs
    tester_cpus: str | None = None
    allow_shared_cpus: bool = False
    allow_noise: bool = False  # disturbed trials count, too

    def check(self) -> None:
        """Raises UsageError for what doesn't go together."""
        duts = [each for each in (self.config, self.instance, self.external) if each is not None]
        if len(duts) > 1:
            raise UsageError("--dut and --external are two devices under test: name one")
        if self.test == "selftest":
            if duts:
                raise UsageError("the self-test is of the tester alone: leave out --dut and --external")
        elif self.test != "quick" and not duts:
            raise UsageError(
                "no device under test: --dut FILE starts one, --dut NAME is a running instance, "
                "--external A B is anything between two devices"
            )
        if self.external is not None:
            if self.test in _OF_INSTANCES:
                raise UsageError(f"{self.test} is of an instance of ttfwd: --external has no such event")
            if self.ports is not None or self.ends is not None:
                raise UsageError("--ports and --ends are of an instance: --external names the devices itself")
        elif self.dut_cpus is not None or self.dut_pids:
            raise UsageError(
                "--dut-cpus and --dut-pid are for --external: an instance tells its CPUs and processes itself"
            )
        if self.dut_pids and self.dut_cpus is None:
            raise UsageError("--dut-pid needs --dut-cpus: on which CPUs these processes work")
        if self.profile.repeat is not None and self.profile.repeat > 1 and self.test != "quick":
            if self.test not in REPEATED:
                raise UsageError(f"--repeat is for {' and '.join(REPEATED)}: {self.test} starts the DUT once")
            if self.config is None:
                raise UsageError("--repeat needs a DUT that can be started anew: --dut FILE")

    @property
    def starts(self) -> int:
        """How often the DUT is started."""
        if self.test == "quick":
            return self.profile.repeat or 1
        if self.test not in REPEATED:
            return 1
        return self.profile.repeat or (_STARTS if self.config is not None else 1)
