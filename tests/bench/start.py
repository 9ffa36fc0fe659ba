# SPDX-License-Identifier: Apache-2.0
"""The time until the first packet is delivered, and each worker's memory."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from tests.bench.forwarders import Ttfwd, instance_name, snapshot_of
from tests.bench.lab import Devices, Lab
from tests.bench.load import FORWARDER_CPU, GENERATOR_CPU, Generator
from tests.bench.programs import ProgramError, Programs
from tests.bench.rounds import Spread

QUEUES = 4
_TIMEOUT_S = 30.0
_FLOWS = 64
_TRAFFIC_PPS = 100_000
_TRAFFIC_S = 0.3


@dataclass(frozen=True)
class StartResult:
    """Times from exec of `ttfwd start`; memory after traffic on every queue."""

    first_packet_ms: Spread
    workers_ready_ms: Spread  # as the instance itself reports
    worker_uss_mib: Spread
    worker_pss_mib: Spread
    supervisor_uss_mib: Spread


def measure(lab: Lab, programs: Programs, rounds: int, progress: Callable[[str], None]) -> StartResult:
    ttfwd = Ttfwd("tap", rx_mode="adaptive", cpus=f"{GENERATOR_CPU},{FORWARDER_CPU}", queues=QUEUES)
    devices = Devices.taps(0)
    generator = Generator(programs, lab, devices.source)
    first_ms, ready_ms, uss, pss, supervisor_uss = [], [], [], [], []
    for number in range(rounds):
        progress(f"start: round {number + 1} of {rounds}")
        with generator.probing() as probe:
            began_ns = time.monotonic_ns()
            with ttfwd.started(lab, devices) as process:
                first_ms.append((_first_delivery_ns(lab, devices, process) - began_ns) / 1e6)
                probe.kill()
                with generator.spreading(_FLOWS, 1500, _TRAFFIC_PPS):
                    time.sleep(_TRAFFIC_S)
                snapshot = snapshot_of(instance_name(lab, devices))
                ready_ms.append(snapshot.instance.boot_ms or 0.0)
                for worker in snapshot.workers:
                    memory = psutil.Process(worker.pid).memory_full_info()
                    uss.append(memory.uss / 2**20)
                    pss.append(memory.pss / 2**20)
                supervisor_uss.append(psutil.Process(process.pid).memory_full_info().uss / 2**20)
    return StartResult(
        Spread.of(first_ms), Spread.of(ready_ms), Spread.of(uss), Spread.of(pss), Spread.of(supervisor_uss)
    )


def _first_delivery_ns(lab: Lab, devices: Devices, process: subprocess.Popen[bytes]) -> int:
    deadline = time.monotonic() + _TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        if lab.delivered(devices.sink):
            return time.monotonic_ns()
        time.sleep(0.001)
    raise ProgramError(f"ttfwd forwarded nothing from {devices.left} to {devices.right}")
