#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Probe frames over the cables of a host. All hosts of a lab run it at the same time."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: ttfwd_probe
short_description: Find out by probe frames what is at the other end of each cable
version_added: 0.1.0
author: ttfwd
description:
  - Sends frames with the host's name and the interface's over each interface, and listens on each.
  - Ends as soon as every interface has heard a neighbour that hears it, or after O(seconds).
  - The frames have an EtherType of their own and a destination that no bridge forwards.
  - Interfaces that are down are set up, and stay so.
options:
  host:
    description: Name of this host in the inventory.
    type: str
    required: true
  interfaces:
    description: The interfaces at which cables end.
    type: list
    elements: str
    required: true
  nonce:
    description: A word of this run. Frames of other runs are ignored.
    type: str
    required: true
  seconds:
    description: How long to wait for neighbours.
    type: float
    default: 30
"""

EXAMPLES = r"""
- name: Probe the cables
  ttfwd.lab.ttfwd_probe:
    host: "{{ inventory_hostname }}"
    interfaces: [eth1, eth2]
    nonce: "{{ lab_nonce }}"
"""

RETURN = r"""
heard:
  description: The senders that each interface heard, as HOST/INTERFACE.
  returned: always
  type: dict
  sample: {"eth1": ["dut1/eth1"]}
"""

import fcntl
import json
import select
import socket
import struct
import time
from contextlib import suppress

from ansible.module_utils.basic import AnsibleModule

ETHERTYPE = 0x88B5  # IEEE 802: for local experiments
TO_NEIGHBOUR = bytes.fromhex("0180c200000e")  # the nearest bridge: no bridge forwards it
INTERVAL_S = 0.2
FAREWELL = 5  # frames after all is known: the neighbours must learn of it, too
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1


class Port:
    """An interface, and who was heard there."""

    def __init__(self, interface: str, own: str, nonce: str) -> None:
        self.interface, self._own, self._nonce = interface, own, nonce
        self.was_down = _set_up(interface)
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETHERTYPE))
        self.socket.bind((interface, ETHERTYPE))
        self._mac = self.socket.getsockname()[4]
        self.heard: set[str] = set()
        self.is_heard = False

    def send(self) -> None:
        said = {"nonce": self._nonce, "from": self._own, "heard": sorted(self.heard)}
        payload = json.dumps(said).encode()
        head = TO_NEIGHBOUR + self._mac + struct.pack("!HH", ETHERTYPE, len(payload))
        with suppress(OSError):  # without a carrier nothing is sent, and nothing is heard
            self.socket.send((head + payload).ljust(60, b"\0"))

    def receive(self) -> None:
        frame, address = self.socket.recvfrom(2048)
        if address[2] == socket.PACKET_OUTGOING:
            return
        try:
            (length,) = struct.unpack_from("!H", frame, 14)
            said = json.loads(frame[16 : 16 + length])
            sender, heard, nonce = said["from"], said["heard"], said["nonce"]
        except (ValueError, KeyError, TypeError, struct.error):
            return  # somebody else's experiment
        if nonce == self._nonce and isinstance(sender, str):
            self.heard.add(sender)
            self.is_heard = self.is_heard or self._own in heard


def _set_up(interface: str) -> bool:
    """Set the interface up; whether it was down."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sh14x", interface.encode(), 0)
        (flags,) = struct.unpack_from("h", fcntl.ioctl(control, _SIOCGIFFLAGS, request), 16)
        if not flags & _IFF_UP:
            fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sh14x", interface.encode(), flags | _IFF_UP))
        return not flags & _IFF_UP


def probe(ports: list[Port], seconds: float) -> None:
    """Send and listen, until every port has heard a neighbour that hears it."""
    deadline = time.monotonic() + seconds
    farewell = FAREWELL
    while farewell and time.monotonic() < deadline:
        for port in ports:
            port.send()
        until = time.monotonic() + INTERVAL_S
        while (left := until - time.monotonic()) > 0:
            for ready in select.select([port.socket for port in ports], [], [], left)[0]:
                next(port for port in ports if port.socket is ready).receive()
        if all(port.heard and port.is_heard for port in ports):
            farewell -= 1


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "host": {"type": "str", "required": True},
            "interfaces": {"type": "list", "elements": "str", "required": True},
            "nonce": {"type": "str", "required": True},
            "seconds": {"type": "float", "default": 30},
        }
    )
    given = module.params
    ports = []
    for interface in given["interfaces"]:
        try:
            ports.append(Port(interface, f"{given['host']}/{interface}", given["nonce"]))
        except OSError as error:
            module.fail_json(msg=f"{given['host']}/{interface}: {error.strerror or error}")
    probe(ports, given["seconds"])
    module.exit_json(
        changed=any(port.was_down for port in ports),
        heard={port.interface: sorted(port.heard) for port in ports},
    )


if __name__ == "__main__":
    main()
