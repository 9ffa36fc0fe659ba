# SPDX-License-Identifier: Apache-2.0
"""The drivers that tests run over, and the keys of a [[port]] that stand for each.

PLAIN is what any kernel offers. TURBOTAP needs turbotap.ko: a test that runs over it is skipped where the
module isn't loaded. In the guest that tests/kmod starts it is loaded, and `pytest -k turbotap` runs there.
URING needs io_uring.
"""

from __future__ import annotations

from pathlib import Path

from forwarder.devices import uring
from tests.support.capabilities import missing

PLAIN = ("tap", "packet")
# The same with `offload = false`: nothing is left to their devices.
OFF = "-off"
WITH_AND_WITHOUT_OFFLOAD = ("tap", "tap-off", "packet", "packet-off")
TURBOTAP = ("turbotap-burst", "turbotap-mmsg")
URING = ("uring",)
# A burst a system call, on taps. Where turbotap's two ways do not differ, the default stands for both.
BATCHED = ("turbotap-burst", *URING)


def require_uring() -> None:
    """Skips the test where a kernel, a sysctl or a container refuses io_uring."""
    if uring.missing():
        missing("io_uring")


def port_keys(driver: str) -> dict[str, object]:
    """The keys of a port with this driver; any other name is the value of `driver` as it is."""
    if driver.endswith(OFF):
        return {**port_keys(driver.removesuffix(OFF)), "offload": False}
    if driver in URING:
        require_uring()
    if driver not in TURBOTAP:
        return {"driver": driver}
    if not Path("/dev/net/turbotap").exists():
        missing("turbotap.ko")
    return {"driver": "turbotap", "io": driver.removeprefix("turbotap-")}
