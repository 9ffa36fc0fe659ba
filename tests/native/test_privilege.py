# SPDX-License-Identifier: Apache-2.0
"""A worker drops its privileges before it forwards its first packet."""

from __future__ import annotations

import os
from pathlib import Path

from forwarder.native import lib
from tests.support.capabilities import require_root

NOBODY = 65534


def status_after_drop() -> dict[str, str]:
    """/proc/self/status of a child that dropped everything."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            result = lib.ttf_drop_privileges(NOBODY, NOBODY)
            os.write(write_end, f"Result:\t{result}\n{Path('/proc/self/status').read_text()}".encode())
        finally:
            os._exit(0)
    os.close(write_end)
    with open(read_end, encoding="utf-8") as pipe:
        lines = pipe.read().splitlines()
    os.waitpid(child, 0)
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def test_no_capability_is_left_nor_can_be_gained() -> None:
    status = status_after_drop()
    assert status["Result"] == "0"
    for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
        assert int(status[name], 16) == 0, name
    assert status["NoNewPrivs"] == "1"


def test_root_becomes_nobody() -> None:
    require_root()
    status = status_after_drop()
    assert status["Uid"].split() == status["Gid"].split() == [str(NOBODY)] * 4
    assert status["Groups"].strip() == ""
    assert int(status["CapBnd"], 16) == 0
