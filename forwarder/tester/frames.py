# SPDX-License-Identifier: Apache-2.0
"""The tester's frames, byte by byte: Ethernet, VLAN tags, IPv4 or IPv6, UDP, the stamp, zeros.

Addresses are those set aside for benchmarks: 198.18.0.0/15 (RFC 2544) and 2001:2::/48 (RFC 5180). A flow of
the way forward and the flow of the same number backward are one conversation: source and destination change
places. Flows differ by the near end's port, and beyond 16,384 of them by its address as well.

A Template has the bytes of a frame that stay, for who writes many frames (native/tester/frame.h). build()
makes one frame.
"""

from __future__ import annotations

import struct
import sys
from dataclasses import dataclass
from functools import cached_property
from ipaddress import IPv4Address, IPv6Address

from forwarder.results.model import Direction
from forwarder.tester.traffic import ETHERNET_BYTES, STAMP_BYTES, UDP_BYTES, VLAN_BYTES, Traffic

STAMP_PORT = 9  # discard (RFC 863)
FLOW_FIRST_PORT = 49152  # of the dynamic ports
FLOW_PORTS_LOG2 = 14
# MAC addresses that no device has: a host's stack drops such frames at once.
NEAR_MAC = bytes.fromhex("027466776401")
FAR_MAC = bytes.fromhex("027466776402")
_NEAR: dict[int, IPv4Address | IPv6Address] = {4: IPv4Address("198.18.0.1"), 6: IPv6Address("2001:2:0:18::1")}
_FAR: dict[int, IPv4Address | IPv6Address] = {4: IPv4Address("198.19.0.1"), 6: IPv6Address("2001:2:0:19::1")}
_ETHERTYPE = {4: 0x0800, 6: 0x86DD}
_VLAN_TYPE = 0x8100
_UDP = 17
_TTL = 64


@dataclass(frozen=True)
class Places:
    """Where in a frame what differs from frame to frame is: struct ttf_places."""

    ip_checksum: int  # 0: IPv6 has none
    address: int  # the lowest 32 bits of the near end's
    port: int  # the near end's
    udp_checksum: int
    stamp: int


def sources(ip: int, direction: Direction) -> tuple[bytes, bytes]:
    """Source and destination address of flow 0."""
    near, far = _NEAR[ip].packed, _FAR[ip].packed
    return (near, far) if direction == "forward" else (far, near)


def places(traffic: Traffic, direction: Direction) -> Places:
    ip_at = ETHERNET_BYTES + VLAN_BYTES * len(traffic.vlans)
    udp_at = traffic.header_bytes - UDP_BYTES
    is_forward = direction == "forward"
    address_bytes = 4 if traffic.ip == 4 else 16
    return Places(
        ip_checksum=ip_at + 10 if traffic.ip == 4 else 0,
        address=udp_at - (address_bytes if is_forward else 0) - 4,
        port=udp_at if is_forward else udp_at + 2,
        udp_checksum=udp_at + 6,
        stamp=traffic.header_bytes,
    )


@dataclass(frozen=True)
class Template:
    """A frame of one direction and size, without what differs from frame to frame: those bytes are zero."""

    traffic: Traffic
    direction: Direction
    frame_bytes: int

    @property
    def places(self) -> Places:
        return places(self.traffic, self.direction)

    @property
    def first_address(self) -> int:
        """The lowest 32 bits of the near end's address, in flow 0."""
        return int(_NEAR[self.traffic.ip]) & 0xFFFFFFFF

    @cached_property
    def header(self) -> bytes:
        """Up to the stamp."""
        forward = self.direction == "forward"
        sources = (NEAR_MAC, FAR_MAC) if forward else (FAR_MAC, NEAR_MAC)
        wanted = self.traffic.dst_macs[0 if forward else 1 :][:1]
        macs = (bytes.fromhex(wanted[0].replace(":", "")) if wanted else sources[1]) + sources[0]
        tags = b"".join(struct.pack("!HH", _VLAN_TYPE, vlan) for vlan in self.traffic.vlans)
        ports = (0, STAMP_PORT) if forward else (STAMP_PORT, 0)
        udp = struct.pack("!HHHH", *ports, self._udp_bytes, 0)
        whole = bytearray(macs + tags + struct.pack("!H", _ETHERTYPE[self.traffic.ip]) + self._ip + udp)
        whole[self.places.address : self.places.address + 4] = bytes(4)
        return bytes(whole)

    @property
    def _udp_bytes(self) -> int:
        return self.frame_bytes - (self.traffic.header_bytes - UDP_BYTES)

    @property
    def _ip(self) -> bytes:
        addresses = b"".join(sources(self.traffic.ip, self.direction))
        if self.traffic.ip == 4:
            length = 20 + self._udp_bytes
            return struct.pack("!BBHHHBBH", 0x45, 0, length, 0, 0x4000, _TTL, _UDP, 0) + addresses
        return struct.pack("!IHBB", 6 << 28, self._udp_bytes, _UDP, _TTL) + addresses

    @property
    def ip_sum(self) -> int:
        """The sum of the IPv4 header's bytes that stay; 0 for IPv6."""
        udp_at = self.traffic.header_bytes - UDP_BYTES
        return _sum(self.header[udp_at - 20 : udp_at]) if self.traffic.ip == 4 else 0

    @property
    def udp_sum(self) -> int:
        """The sum of all bytes that UDP's checksum covers and that stay. The padding is zeros."""
        udp_at = self.traffic.header_bytes - UDP_BYTES
        addresses = self.header[udp_at - (8 if self.traffic.ip == 4 else 32) : udp_at]
        pseudo = addresses + struct.pack("!II", self._udp_bytes, _UDP)
        return _sum(pseudo) + _sum(self.header[udp_at:])

    def build(self, flow: int = 0, stamp: bytes = bytes(STAMP_BYTES)) -> bytes:
        """A whole frame, without FCS."""
        frame = bytearray(
            self.header + stamp + bytes(self.frame_bytes - self.traffic.header_bytes - STAMP_BYTES)
        )
        at = self.places
        address = struct.pack("!I", self.first_address + (flow >> FLOW_PORTS_LOG2))
        port = struct.pack("!H", FLOW_FIRST_PORT + flow % (1 << FLOW_PORTS_LOG2))
        frame[at.address : at.address + 4] = address
        frame[at.port : at.port + 2] = port
        if at.ip_checksum:
            frame[at.ip_checksum : at.ip_checksum + 2] = _checksum(self.ip_sum + _sum(address))
        udp = _checksum(self.udp_sum + _sum(address) + _sum(port) + _sum(stamp))
        frame[at.udp_checksum : at.udp_checksum + 2] = udp if udp != bytes(2) else b"\xff\xff"
        return bytes(frame)


def templates(traffic: Traffic, direction: Direction) -> tuple[Template, ...]:
    """One for each size of the mix, in its order."""
    return tuple(Template(traffic, direction, size) for size, _ in traffic.mix)


def _sum(data: bytes) -> int:
    """RFC 1071's sum, in the machine's byte order: as a program sums up words that it loads."""
    order = "<" if sys.byteorder == "little" else ">"
    return sum(struct.unpack(f"{order}{len(data) // 2}H", data))


def _checksum(total: int) -> bytes:
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return (~total & 0xFFFF).to_bytes(2, sys.byteorder)
