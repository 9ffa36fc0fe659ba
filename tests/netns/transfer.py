# SPDX-License-Identifier: Apache-2.0
"""Bytes between applications on both sides. The kernels may segment and merge them."""

from __future__ import annotations

import hashlib
import os
import socket
import threading

from forwarder.devices.netns import inside
from tests.netns.topology import TIMEOUT_S, Side

_SOL_UDP = 17
_UDP_SEGMENT = 103
_BLOCK_BYTES = 1 << 20
UDP_DATAGRAM_BYTES = 1200
UDP_DATAGRAMS = 40  # of one send call: a GSO frame of 48,000 bytes


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def tcp(source: Side, sink: Side, address: str, size_bytes: int) -> None:
    """Send random bytes to `address` of the sink. The received bytes must have the same hash."""
    family = _family(address)
    with inside(sink.netns):
        server = socket.create_server((address, 0), family=family)
    with inside(source.netns):
        client = socket.socket(family)
    # Blocks that begin at different places of one buffer: all differ, and making them takes no time.
    random = memoryview(os.urandom(2 * _BLOCK_BYTES))
    sent, received, got_bytes = hashlib.sha256(), hashlib.sha256(), 0

    def send() -> None:
        with client:
            for number in range(size_bytes // _BLOCK_BYTES):
                block = random[number * 7 % _BLOCK_BYTES :][:_BLOCK_BYTES]
                sent.update(block)
                client.sendall(block)

    with server:
        for end in (server, client):
            end.settimeout(TIMEOUT_S)
        client.connect(server.getsockname())
        connection, _ = server.accept()
        sender = threading.Thread(target=send)
        sender.start()
        with connection:
            connection.settimeout(TIMEOUT_S)
            while data := connection.recv(_BLOCK_BYTES):
                received.update(data)
                got_bytes += len(data)
        sender.join()
    assert got_bytes == size_bytes
    assert received.digest() == sent.digest()


def udp(source: Side, sink: Side, address: str, rounds: int) -> None:
    """Send datagrams to `address`, a GSO frame per call. Each must arrive whole and in order."""
    family = _family(address)
    with inside(sink.netns):
        receiver = socket.socket(family, socket.SOCK_DGRAM)
    with inside(source.netns):
        sender = socket.socket(family, socket.SOCK_DGRAM)
    with receiver, sender:
        receiver.bind((address, 0))
        receiver.settimeout(TIMEOUT_S)
        sender.setsockopt(_SOL_UDP, _UDP_SEGMENT, UDP_DATAGRAM_BYTES)
        sender.connect(receiver.getsockname())
        for _ in range(rounds):
            whole = os.urandom(UDP_DATAGRAM_BYTES * UDP_DATAGRAMS - 1)  # the last datagram is shorter
            sender.send(whole)
            got = [receiver.recv(1 << 16) for _ in range(UDP_DATAGRAMS)]
            assert {len(datagram) for datagram in got[:-1]} == {UDP_DATAGRAM_BYTES}
            assert b"".join(got) == whole
