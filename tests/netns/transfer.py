# SPDX-License-Identifier: Apache-2.0
"""Bytes between applications on both sides. The kernels may segment and merge them."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
from contextlib import suppress

from forwarder.devices.netns import inside
from tests.netns.topology import TIMEOUT_S, Side
from tests.support.wait import wait_until

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


class Stream:
    """An endless TCP stream from `source` to `address` of `sink`, as a context manager."""

    def __init__(self, source: Side, sink: Side, address: str) -> None:
        family = _family(address)
        with inside(sink.netns):
            self._server = socket.create_server((address, 0), family=family)
        with inside(source.netns):
            self._client = socket.socket(family)
        self._threads = [threading.Thread(target=self._send), threading.Thread(target=self._receive)]
        self._received_bytes = 0

    def __enter__(self) -> Stream:
        self._server.settimeout(TIMEOUT_S)
        self._client.settimeout(TIMEOUT_S)
        self._client.connect(self._server.getsockname())
        self._connection, _ = self._server.accept()
        for end in (self._client, self._connection):
            end.settimeout(None)
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for end in (self._client, self._connection):
            end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for end in (self._client, self._connection, self._server):
            end.close()

    def flows(self, size_bytes: int, when: str) -> None:
        """Wait until so many more bytes have come through."""
        goal = self._received_bytes + size_bytes
        wait_until(lambda: self._received_bytes >= goal, f"{size_bytes} more bytes came through {when}")

    def _send(self) -> None:
        block = os.urandom(_BLOCK_BYTES)
        with suppress(OSError):  # shut down
            while True:
                self._client.sendall(block)

    def _receive(self) -> None:
        with suppress(OSError):
            while data := self._connection.recv(_BLOCK_BYTES):
                self._received_bytes += len(data)
