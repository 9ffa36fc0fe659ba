# SPDX-License-Identifier: Apache-2.0
"""Burst messages without the module: how the driver handles the kernel's answers (burst_socket.c), and how it
recognises a socket that doesn't support them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.native import programs
from tests.native.conftest import MakeHarness
from tests.native.ext import lib
from tests.native.harness import frame


@pytest.mark.parametrize("flags", [[], ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]])
def test_the_driver_keeps_to_the_uapi(tmp_path: Path, flags: list[str]) -> None:
    program = programs.build("burst_socket", ["turbotap_burst.c", "socket_batch.c"], tmp_path, *flags)
    done = programs.run([program])
    assert (done.returncode, done.stdout) == (0, "ok\n"), done.stdout + done.stderr


def test_a_socket_without_burst_messages_stops_its_queue_and_loses_nothing_unnamed(
    harness: MakeHarness,
) -> None:
    made = harness()
    made.connect(0, peer=1)
    made.connect(1, peer=0, driver=lib.TTF_DRIVER_TURBOTAP_BURST)
    frames = [frame(n) for n in range(4)]
    made.ports[0].send(0, *frames)
    made.step()
    # The socket took the burst as one datagram. The driver rejects its answer and drops the frames by name.
    assert made.drops(1) == {"tx_error": 4}
    assert made.total(1, "tx_packets") == 0
    made.ports[1].receive(0)
    made.ports[1].send(0, frames[0])
    made.step()
    assert os.strerror(lib.ttf_worker_queue_error(made.live[0], 1)) == "Protocol error"
    assert made.total(1, "rx_packets") == 0
