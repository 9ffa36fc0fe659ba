# SPDX-License-Identifier: Apache-2.0
"""Unmodified applications at the ends of a lab."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.netns.topology import Side


def ping(source: Side, target: str, *words: str) -> None:
    """Ping twice; every echo must be answered."""
    # Once ping has had a reply, it gives up on others long before -W: on a busy machine that is too soon.
    for _ in range(2):
        source.run("ping", "-c", "1", "-W", "30", *words, target)


def answered(source: Side, target: str, *words: str) -> bool:
    """Whether one echo was answered. Beside a stream that fills the queues, a packet may be dropped."""
    return source.run("ping", "-c", "1", "-W", "1", *words, target, code=None).returncode == 0


@contextmanager
def iperf3_server(side: Side) -> Iterator[None]:
    with side.server("iperf3", "-s", "--forceflush", ready="Server listening"):
        yield


def iperf3(client: Side, server: Side, address: str, *words: str) -> dict[str, Any]:
    with iperf3_server(server):
        done = client.run("iperf3", "-J", "-c", address, "--connect-timeout", "60000", *words)
    found: dict[str, Any] = json.loads(done.stdout)["end"]
    return found


def iperf3_tcp(client: Side, server: Side, address: str, streams: int, seconds: int) -> None:
    end = iperf3(client, server, address, "-P", str(streams), "-t", str(seconds))
    assert len(end["streams"]) == streams
    assert all(stream["receiver"]["bytes"] > 0 for stream in end["streams"])
