# SPDX-License-Identifier: Apache-2.0
"""The drivers that tests run over, and the keys of a [[port]] that stand for each.

Used by the topologies of tests/netns and tests/process. PLAIN is what any kernel offers; TURBOTAP needs
turbotap.ko, so a test that runs over it is skipped where the module isn't loaded. Inside the guest that the
tests of tests/kmod start it is loaded, and `pytest -k turbotap-` is what runs there. URING needs io_uring,
which a kernel, a sysctl or a container may refuse.
"""

from __future__ import annotations

from pathlib import Path

from forwarder.devices import uring
from tests.conftest import missing

PLAIN = ("tap", "packet")
# The same, and nothing is left to their devices: `offload = false`.
OFF = "-off"
WITH_AND_WITHOUT_OFFLOAD = ("tap", "tap-off", "packet", "packet-off")
TURBOTAP = ("turbotap-burst", "turbotap-mmsg")
URING = ("uring",)
# A burst a system call, on taps. Where turbotap's ways make no difference, the default stands for both.
BATCHED = ("turbotap-burst", *URING)


def port_keys(driver: str) -> dict[str, object]:
    """The keys of a port with this driver; any other name is the value of `driver` as it is."""
    if driver.endswith(OFF):
        return {**port_keys(driver.removesuffix(OFF)), "offload": False}
    if driver in URING and uring.missing():
        missing("io_uring")
    if driver not in TURBOTAP:
        return {"driver": driver}
    if not Path("/dev/net/turbotap").exists():
        missing("turbotap.ko")
    return {"driver": "turbotap", "io": driver.removeprefix("turbotap-")}
