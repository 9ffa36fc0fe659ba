# SPDX-License-Identifier: Apache-2.0
"""A packet port that joins an instance of taps alone, whose queues carry no offload header.

    [ netns far | v1 ] ---- v0 == packet ==== instance ==== [ t0 | netns near ]

The veth leaves checksums and segmentation of the far end's packets to be done.
"""

from __future__ import annotations

import json
import subprocess
import sys

from tests.instance import instance, ip, run, unique

# The near end: says hello, and prints the datagram that it gets; then takes a connection for a while.
NEAR = """
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s, socket.create_server(("10.99.0.1", 9002)) as tcp:
    s.settimeout(10); tcp.settimeout(10)
    s.bind(("10.99.0.1", 9000))
    s.sendto(b"hello", ("10.99.0.2", 9001))
    print(s.recv(2000).decode(), flush=True)
    tcp.accept()[0].recv(1 << 20)
"""
FAR = """
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    s.settimeout(10)
    s.bind(("10.99.0.2", 9001))
    print("bound", flush=True)
    s.recv(10)
    s.sendto(b"whole", ("10.99.0.1", 9000))
with socket.create_connection(("10.99.0.1", 9002), 10) as s:
    s.send(bytes(60_000))
"""
TOML = """
mode = "xconnect"
[[port]]
name = "t0"
netns = "{near}"
address = ["10.99.0.1/24"]
peer = "t1"
[[port]]
name = "t1"
netns = "{near}"
"""


def python(netns: str, program: str) -> subprocess.Popen[str]:
    command = ["ip", "netns", "exec", netns, sys.executable, "-c", program]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_checksums_are_completed_and_segments_dropped_by_name() -> None:
    far, near = unique("of"), unique("on")
    ip("netns", "add", far)
    try:
        ip("link", "add", "v0", "type", "veth", "peer", "name", "v1", "netns", far)
        ip("addr", "add", "10.99.0.2/24", "dev", "v1", netns=far)
        ip("link", "set", "v1", "up", netns=far)
        with instance(TOML.format(near=near)) as it:
            it.cli("delete", "t1")
            joined = it.cli("connect", "v0", "--driver", "packet", "--peer", "t0", "--json")
            assert "ethtool -K" in json.loads(joined.stdout)["warning"]
            with python(far, FAR) as sender:
                assert sender.stdout is not None
                assert sender.stdout.readline() == "bound\n"
                with python(near, NEAR) as listener:
                    assert listener.stdout is not None
                    # The near end's stack takes the datagram only if its checksum is right.
                    assert listener.stdout.readline() == "whole\n"
                    it.wait(lambda s: s.counters.drops["offload"] > 0, "a segment that can't be cut")
                    listener.kill()
                sender.kill()
    finally:
        run("ip", "netns", "delete", far, code=None)
