# SPDX-License-Identifier: Apache-2.0
"""The drivers that tests run over, and the [[port]] keys that select each.

PLAIN works on any kernel. URING needs io_uring. TURBOTAP needs turbotap.ko: its tests are skipped where the
module isn't loaded. The guest that tests/kmod starts loads it and runs these tests. A guest is slow, so
.ci/run has those alone whose course depends on the driver; `make test-turbotap` runs the extended ones, too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from forwarder.devices import uring
from tests.support.capabilities import missing

PLAIN = ("tap", "packet")
# The same with `offload = false`: frames cross these ports complete.
OFF = "-off"
WITH_AND_WITHOUT_OFFLOAD = ("tap", "tap-off", "packet", "packet-off")
TURBOTAP = ("turbotap-zerocopy", "turbotap-burst", "turbotap-mmsg")
URING = ("uring",)
# Drivers for taps that move a burst by one system call. Where turbotap's ways don't differ, its default
# stands for all.
BATCHED = ("turbotap-zerocopy", *URING)


def extended(*values: object) -> Any:
    """Parameters of a test over turbotap that runs in a guest by `make test-turbotap` alone."""
    return pytest.param(*values, marks=pytest.mark.extended)


def require_uring() -> None:
    """Skips the test where a kernel, a sysctl or a container refuses io_uring."""
    if uring.missing():
        missing("io_uring")


def port_keys(driver: str) -> dict[str, object]:
    """The keys of a port with this driver. Any other name becomes the value of `driver`."""
    if driver.endswith(OFF):
        return {**port_keys(driver.removesuffix(OFF)), "offload": False}
    if driver in URING:
        require_uring()
    if driver not in TURBOTAP:
        return {"driver": driver}
    if not Path("/dev/net/turbotap").exists():
        missing("turbotap.ko")
    return {"driver": "turbotap", "io": driver.removeprefix("turbotap-")}
