# SPDX-License-Identifier: Apache-2.0
"""Frames with an offload header (missing checksum, GSO frames), and the complete packets as scapy makes them.

scapy is the reference: none of the product's code takes part.
"""

from __future__ import annotations

import struct
from typing import Any

from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from tests.support.frames import ones_sum

VNET_HDR_BYTES = 10
NEEDS_CSUM, DATA_VALID = 1, 2
GSO_TCPV4, GSO_UDP, GSO_TCPV6, GSO_UDP_L4, GSO_ECN = 1, 3, 4, 5, 0x80
CWR, FIN, PSH = 0x80, 0x01, 0x08


def vnet_header(
    flags: int = 0, gso_type: int = 0, hdr_len: int = 0, gso_size: int = 0, start: int = 0, offset: int = 0
) -> bytes:
    return struct.pack("=BBHHHH", flags, gso_type, hdr_len, gso_size, start, offset)


def _transport(packet: Packet) -> tuple[Any, int]:
    """The TCP or UDP layer, and the offset of the checksum in it."""
    return (TCP, 16) if TCP in packet else (UDP, 6)


def left_to_the_device(packet: Packet) -> tuple[bytes, bytes, bytes]:
    """A frame with a partial checksum (the pseudo-header's), its offload header, and the complete frame."""
    done = bytes(packet)
    layer, offset = _transport(packet)
    start = len(done) - len(bytes(packet[layer]))
    at = start + offset
    (complete,) = struct.unpack("!H", done[at : at + 2])
    body = done[start:at] + b"\0\0" + done[at + 2 :]
    # The final checksum is the complement of pseudo-header plus body: subtract the body again.
    pseudo = ones_sum(struct.pack("!HH", complete ^ 0xFFFF, ones_sum(body) ^ 0xFFFF))
    undone = done[:at] + struct.pack("!H", pseudo) + done[at + 2 :]
    return undone, vnet_header(flags=NEEDS_CSUM, start=start, offset=offset), done


def gso_frame(packet: Packet, gso_size: int) -> tuple[bytes, bytes]:
    """A GSO frame and its offload header."""
    undone, _, _ = left_to_the_device(packet)
    layer, offset = _transport(packet)
    start = len(undone) - len(bytes(packet[layer]))
    gso_type = GSO_UDP_L4 if layer is UDP else GSO_TCPV4 if IP in packet else GSO_TCPV6
    if layer is TCP and int(packet[TCP].flags) & CWR:
        gso_type |= GSO_ECN
    hdr_len = len(undone) - len(payload_of(packet))
    return undone, vnet_header(NEEDS_CSUM, gso_type, hdr_len, gso_size, start, offset)


def big_frame(packet: Packet, gso_size: int, *, jumbo: bool = False) -> tuple[bytes, bytes]:
    """A GSO frame of TCP that is longer than 64 KiB, as a BIG TCP sender makes it, and its offload header.

    IP has no length. `jumbo`: a hop-by-hop option of IPv6 has it.
    """
    payload = payload_of(packet)
    short = packet.copy()
    short[TCP].remove_payload()
    undone, header = gso_frame(short, gso_size)
    flags, gso_type, hdr_len, _, start, offset = struct.unpack("=BBHHHH", header)
    tcp_bytes = len(undone) - start
    (pseudo,) = struct.unpack_from("!H", undone, start + offset)
    whole = tcp_bytes + len(payload)
    pseudo = ones_sum(struct.pack("!HHHH", pseudo, tcp_bytes ^ 0xFFFF, whole >> 16, whole & 0xFFFF))
    front, tcp = bytearray(undone[:start]), bytearray(undone[start:])
    struct.pack_into("!H", tcp, offset, pseudo)
    if IP in packet:
        ip = start - len(bytes(short[IP])) + tcp_bytes
        front[ip + 2 : ip + 4] = bytes(2)
    else:
        ip = start - len(bytes(short[IPv6])) + tcp_bytes
        front[ip + 4 : ip + 6] = bytes(2)
        if jumbo:
            option = struct.pack("!BBBBI", front[ip + 6], 0, 0xC2, 4, whole + 8)
            front[ip + 6] = 0
            front += option
            start, hdr_len = start + len(option), hdr_len + len(option)
    return bytes(front + tcp) + payload, vnet_header(flags, gso_type, hdr_len, gso_size, start, offset)


def payload_of(packet: Packet) -> bytes:
    layer, _ = _transport(packet)
    return bytes(packet[layer].payload)


def segmented(packet: Packet, gso_size: int) -> list[bytes]:
    """The packets that a GSO frame is segmented into, with scapy's lengths and checksums."""
    layer, _ = _transport(packet)
    payload = payload_of(packet)
    pieces = [payload[at : at + gso_size] for at in range(0, len(payload), gso_size)] or [b""]
    made = []
    for index, piece in enumerate(pieces):
        one = packet.copy()
        one[layer].remove_payload()
        one = one / Raw(piece) if piece else one
        if IP in one:
            one[IP].id = (packet[IP].id + index) & 0xFFFF
            del one[IP].len, one[IP].chksum
        else:
            del one[IPv6].plen
        if layer is TCP:
            one[TCP].seq = (packet[TCP].seq + index * gso_size) & 0xFFFFFFFF
            flags = int(packet[TCP].flags)
            flags &= ~0 if index == len(pieces) - 1 else ~(FIN | PSH)
            flags &= ~0 if index == 0 else ~CWR
            one[TCP].flags = flags
        else:
            del one[UDP].len
        del one[layer].chksum
        made.append(bytes(one))
    return made


def checksums_right(frame: Packet) -> bool:
    """Does scapy compute the same checksums as this captured frame of TCP or UDP has?"""
    again = frame.copy()
    layer, _ = _transport(again)
    del again[layer].chksum
    if IP in again:
        del again[IP].chksum
    return bytes(again) == bytes(frame)


# -- malformed headers ----------------------------------------------------------------------------------

_FIELDS = {"flags": 1, "gso_type": GSO_TCPV4, "hdr_len": 54, "gso_size": 1448, "start": 34, "offset": 16}
# A frame and its header. A malformed header differs from it in a field or two.
GOOD = (
    gso_frame(
        Ether(dst="02:00:00:00:00:0b", src="02:00:00:00:00:0a")
        / IP(src="198.18.0.1", dst="198.18.0.2")
        / TCP(sport=1024, dport=9)
        / Raw(bytes(4000)),
        1448,
    )[0],
    vnet_header(**_FIELDS),
)
_WRONG: dict[str, dict[str, int]] = {
    "gso_size 0": {"gso_size": 0},
    "hdr_len past the end": {"hdr_len": len(GOOD[0]) + 1},
    "no checksum to complete": {"flags": 0},
    "unknown flag": {"flags": 1 | 4},
    "unknown type": {"gso_type": 2},
    "fragmentation": {"gso_type": GSO_UDP},
    "type with an unknown bit": {"gso_type": GSO_TCPV4 | 0x40},
    "nothing but ECN": {"gso_type": GSO_ECN},
    "ECN of UDP": {"gso_type": GSO_UDP_L4 | GSO_ECN, "offset": 6},
    "TCP over IPv6": {"gso_type": GSO_TCPV6},
    "checksum past the end": {"start": len(GOOD[0]) - 17},
    "start past the end": {"start": 65535},
    "start in the Ethernet header": {"start": 13},
    "start in the IP header": {"start": 30},
    "start behind the transport header": {"start": 38},
    "offset of another protocol": {"offset": 6},
    "offset past the end": {"offset": 65535},
}
MALFORMED = {what: vnet_header(**{**_FIELDS, **wrong}) for what, wrong in _WRONG.items()}
