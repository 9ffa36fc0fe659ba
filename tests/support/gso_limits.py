# SPDX-License-Identifier: Apache-2.0
"""The longest GSO frames that a device of this namespace sends and merges: more than 64 KiB is BIG TCP.

By a netlink message of our own, as Debian 12's iproute2 doesn't know the limits for IPv4 (Linux 6.3).
"""

from __future__ import annotations

import os
import socket
import struct

_RTM_NEWLINK = 16
_NLM_F_REQUEST, _NLM_F_ACK = 1, 4
_IFLA_GSO_MAX_SIZE, _IFLA_GRO_MAX_SIZE, _IFLA_GSO_IPV4_MAX_SIZE, _IFLA_GRO_IPV4_MAX_SIZE = 41, 58, 63, 64


def set_gso_limits(device: str, size_bytes: int) -> None:
    """Raises OSError: EINVAL if the device sends none as long."""
    body = struct.pack("=BxHiII", socket.AF_UNSPEC, 0, socket.if_nametoindex(device), 0, 0)
    for attribute in (
        _IFLA_GSO_MAX_SIZE,
        _IFLA_GRO_MAX_SIZE,
        _IFLA_GSO_IPV4_MAX_SIZE,
        _IFLA_GRO_IPV4_MAX_SIZE,
    ):
        body += struct.pack("=HHI", 8, attribute, size_bytes)
    header = struct.pack("=IHHII", 16 + len(body), _RTM_NEWLINK, _NLM_F_REQUEST | _NLM_F_ACK, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as sock:
        sock.send(header + body)
        answer = sock.recv(4096)
    (error,) = struct.unpack_from("=i", answer, 16)
    if error:
        raise OSError(-error, os.strerror(-error))
