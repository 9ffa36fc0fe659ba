# SPDX-License-Identifier: Apache-2.0
"""Packet sockets for tests: the kernel's constants, and sockets that send to a device or capture from it.

The constants are written here again, so that an error in the product's own shows. Only the standard library
is imported.
"""

from __future__ import annotations

import socket
import struct

ETH_P_ALL = 3
SO_SNDBUFFORCE = 32
SO_RCVBUFFORCE = 33
SOL_PACKET = 263
PACKET_STATISTICS = 6
PACKET_AUXDATA = 8
PACKET_VNET_HDR = 15
PACKET_QDISC_BYPASS = 20
PACKET_IGNORE_OUTGOING = 23

TPACKET_AUXDATA = struct.Struct("=IIIHHHH")  # status, len, snaplen, mac, net, vlan_tci, vlan_tpid
TP_STATUS_VLAN_VALID = 1 << 4
TP_STATUS_VLAN_TPID_VALID = 1 << 6


def sender(device: str, *, offload_headers: bool = False, bypass_qdisc: bool = False) -> socket.socket:
    """Sends frames by a device of this namespace. `offload_headers`: each begins with a virtio_net_hdr."""
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    sock.setsockopt(SOL_PACKET, PACKET_VNET_HDR, offload_headers)
    sock.setsockopt(SOL_PACKET, PACKET_QDISC_BYPASS, bypass_qdisc)
    sock.bind((device, 0))
    return sock


def receiver(device: str, buffer_bytes: int, *, offload_headers: bool = False) -> socket.socket:
    """Captures the frames that a device of this namespace receives, but not those that it sends.

    The kernel removes VLAN tags from frames and reports them in auxiliary data.
    """
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, buffer_bytes)
    sock.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
    sock.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    sock.setsockopt(SOL_PACKET, PACKET_VNET_HDR, offload_headers)
    sock.bind((device, ETH_P_ALL))
    return sock
