# SPDX-License-Identifier: Apache-2.0
"""AF_PACKET queues on an existing device: two raw sockets each; the kernel's flow hash picks the queue.

Options and constants are those of linux/if_packet.h and packet(7). PACKET_VNET_HDR puts an offload header in
front of each frame. PACKET_IGNORE_OUTGOING keeps out the frames that the host itself sends. Frames are
received through PACKET_RX_RING (native/packet_rx.c), and most are sent through PACKET_TX_RING
(native/packet_tx.c).
"""

import ctypes
import errno
import logging
import os
import socket
import struct
from contextlib import ExitStack, closing
from typing import Any

from pyroute2.ethtool.ioctl import EthtoolError, IoctlEthtool

from forwarder import capabilities
from forwarder.devices.place import Place
from forwarder.errors import DeviceError, NotPermitted, TtfwdError
from forwarder.native import lib

log = logging.getLogger("ttfwd")

_ETH_P_ALL = 3
_SOL_PACKET = 263
_PACKET_ADD_MEMBERSHIP = 1
_PACKET_RX_RING = 5
_PACKET_STATISTICS = 6
_PACKET_COPY_THRESH = 7
_PACKET_VERSION = 10
_PACKET_RESERVE = 12
_PACKET_TX_RING = 13
_PACKET_VNET_HDR = 15
_PACKET_FANOUT = 18
_PACKET_QDISC_BYPASS = 20
_PACKET_IGNORE_OUTGOING = 23
_PACKET_MR_PROMISC = 1
_PACKET_FANOUT_HASH = 0
_PACKET_FANOUT_FLAG_UNIQUEID = 0x2000
_PACKET_FANOUT_FLAG_IGNORE_OUTGOING = 0x4000
_SO_ATTACH_FILTER = 26
_SO_DETACH_FILTER = 27
_SO_SNDBUFFORCE = 32
_SO_RCVBUFFORCE = 33
_TPACKET_V2 = 1
# For frames sent without a ring, and for received frames that are longer than a slot of the packet ring.
_BUFFER_BYTES = 16 << 20
# Features that a device may offer, by their names in net/ethtool/common.c.
_FEATURES = {
    "tx-tcp-segmentation": lib.TTF_OFFLOAD_TSO4,
    "tx-tcp6-segmentation": lib.TTF_OFFLOAD_TSO6,
    "tx-tcp-ecn-segmentation": lib.TTF_OFFLOAD_TSO_ECN,
    "tx-udp-segmentation": lib.TTF_OFFLOAD_USO4 | lib.TTF_OFFLOAD_USO6,
}
# Limits of GSO frames: Linux sets these unless the device's driver sets lower ones.
_USUAL_LIMITS = {
    "IFLA_GSO_MAX_SIZE": 65536,
    "IFLA_GSO_MAX_SEGS": 65535,
}
_GSO_IPV4_USUAL = 65536
_IFLA_GSO_IPV4_MAX_SIZE = 63  # linux/if_link.h


def _drop_everything(sock: socket.socket) -> None:
    """Set a filter of one instruction, "ret 0". Outside its fanout group a socket would get every packet."""
    program = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", 1, ctypes.addressof(program)))


def _set_buffer(sock: socket.socket, forced: int, bounded: int) -> None:
    """Set the size of a buffer. More than net.core.rmem_max or wmem_max needs CAP_NET_ADMIN in the first user
    namespace. Without it the buffer gets that size.
    """
    try:
        sock.setsockopt(socket.SOL_SOCKET, forced, _BUFFER_BYTES)
    except PermissionError:
        sock.setsockopt(socket.SOL_SOCKET, bounded, _BUFFER_BYTES)


def _note_small_buffers(name: str, sock: socket.socket) -> None:
    """Say so if the kernel allowed less than was wanted. It doubles what it is told, for its own records."""
    for option, limit in ((socket.SO_RCVBUF, "rmem_max"), (socket.SO_SNDBUF, "wmem_max")):
        given = sock.getsockopt(socket.SOL_SOCKET, option) // 2
        if given < _BUFFER_BYTES:
            log.info(
                "packet device %s: buffers of %d KiB, not %d: net.core.%s bounds them without CAP_NET_ADMIN",
                *(name, given >> 10, _BUFFER_BYTES >> 10, limit),
            )


def _add_ring(sock: socket.socket, option: int, slots: int) -> None:
    blocks = slots * lib.TTF_PACKET_SLOT_BYTES // lib.TTF_PACKET_BLOCK_BYTES
    request = struct.pack(  # struct tpacket_req
        "IIII", lib.TTF_PACKET_BLOCK_BYTES, blocks, lib.TTF_PACKET_SLOT_BYTES, slots
    )
    sock.setsockopt(_SOL_PACKET, _PACKET_VERSION, _TPACKET_V2)
    sock.setsockopt(_SOL_PACKET, option, request)


def _open_socket(name: str, ifindex: int) -> socket.socket:
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, 0)
    with ExitStack() as undo:
        undo.callback(sock.close)
        _drop_everything(sock)
        for option in (_PACKET_VNET_HDR, _PACKET_IGNORE_OUTGOING, _PACKET_QDISC_BYPASS):
            sock.setsockopt(_SOL_PACKET, option, 1)
        _set_buffer(sock, _SO_RCVBUFFORCE, socket.SO_RCVBUF)
        _set_buffer(sock, _SO_SNDBUFFORCE, socket.SO_SNDBUF)
        # A frame longer than a slot waits whole in the socket's queue (PACKET_COPY_THRESH: any value but 0).
        for option, value in (
            (_PACKET_RESERVE, lib.TTF_PACKET_RESERVE_BYTES),
            (_PACKET_COPY_THRESH, 1),
        ):
            sock.setsockopt(_SOL_PACKET, option, value)
        _add_ring(sock, _PACKET_RX_RING, lib.TTF_PACKET_SLOTS)
        promiscuous = struct.pack("iHH8s", ifindex, _PACKET_MR_PROMISC, 0, b"")
        sock.setsockopt(_SOL_PACKET, _PACKET_ADD_MEMBERSHIP, promiscuous)
        sock.bind((name, _ETH_P_ALL))
        undo.pop_all()
    return sock


def _open_sender(name: str) -> socket.socket:
    """A socket that only sends, by a packet ring."""
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, 0)
    with ExitStack() as undo:
        undo.callback(sock.close)
        for option in (_PACKET_VNET_HDR, _PACKET_QDISC_BYPASS):
            sock.setsockopt(_SOL_PACKET, option, 1)
        _set_buffer(sock, _SO_SNDBUFFORCE, socket.SO_SNDBUF)
        _add_ring(sock, _PACKET_TX_RING, lib.TTF_PACKET_TX_SLOTS)
        sock.bind((name, 0))
        undo.pop_all()
    return sock


def _join(sockets: list[socket.socket]) -> None:
    """Put the sockets into one fanout group, among which the kernel's symmetric flow hash chooses."""
    kind = _PACKET_FANOUT_HASH | _PACKET_FANOUT_FLAG_IGNORE_OUTGOING
    first, *others = sockets
    first.setsockopt(
        _SOL_PACKET, _PACKET_FANOUT, struct.pack("I", (kind | _PACKET_FANOUT_FLAG_UNIQUEID) << 16)
    )
    group = struct.unpack("I", first.getsockopt(_SOL_PACKET, _PACKET_FANOUT, 4))[0] & 0xFFFF
    for sock in others:
        sock.setsockopt(_SOL_PACKET, _PACKET_FANOUT, struct.pack("I", group | kind << 16))


def _failure(name: str, error: OSError) -> TtfwdError:
    if error.errno in (errno.EPERM, errno.EACCES):
        return NotPermitted(f'packet device "{name}": {capabilities.refusal(capabilities.CAP_NET_RAW)}')
    return DeviceError(f'packet device "{name}": {os.strerror(error.errno or 0)}')


def _open_all(name: str, queues: int, undo: ExitStack) -> tuple[list[socket.socket], list[socket.socket]]:
    """Both sockets of each queue, in the namespace that the thread is in. Raises OSError, NotPermitted."""
    try:
        ifindex = socket.if_nametoindex(name)
        sockets = [undo.enter_context(_open_socket(name, ifindex)) for _ in range(queues)]
        return sockets, [undo.enter_context(_open_sender(name)) for _ in range(queues)]
    except PermissionError as error:
        raise _failure(name, error) from None


def open_queues(name: str, place: Place, queues: int) -> tuple[list[int], list[int]]:
    """Open both sockets of each queue. Raises DeviceError, NotPermitted, and then leaves no socket open.

    Returns two lists of non-blocking fds: sockets that receive, and send by sendmmsg(); and sockets that only
    send, by a packet ring.
    """
    with ExitStack() as undo:
        try:
            with place.inside():
                sockets, senders = _open_all(name, queues, undo)
            if queues > 1:
                _join(sockets)
            for sock in sockets:
                sock.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)
            _note_small_buffers(name, sockets[0])
        except OSError as error:
            raise _failure(name, error) from None
        undo.pop_all()
    return [sock.detach() for sock in sockets], [sock.detach() for sock in senders]


def renew_ring(fd: int) -> None:
    """Give a socket an empty receive ring instead of its present one, which nobody may have mapped.

    Packets that the ring and the socket's queue hold are lost. Raises OSError.
    """
    with socket.socket(fileno=os.dup(fd)) as sock:
        sock.setsockopt(_SOL_PACKET, _PACKET_RX_RING, bytes(16))  # no block, no slot: frees it
        _add_ring(sock, _PACKET_RX_RING, lib.TTF_PACKET_SLOTS)


def drops(fd: int) -> int:
    """Packets that the kernel had no room for, since the last call."""
    with socket.socket(fileno=os.dup(fd)) as sock:
        stats = sock.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8)  # struct tpacket_stats
    dropped: int = struct.unpack("II", stats)[1]
    return dropped


def bound_device(fd: int) -> str:
    """The name, now, of the device that a queue receives from; "" once that is gone from its namespace.

    The kernel unbinds the socket then, for good.
    """
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0, fileno=fd)
    try:
        name: str = sock.getsockname()[0]
    finally:
        sock.detach()
    return name


def features(name: str | bytes, place: Place) -> int:
    """What the device can take over now: TTF_OFFLOAD_ bits.

    Checksums are always among them: for a socket that bypasses the queueing discipline, the kernel completes
    them where the device doesn't. But it drops a GSO frame that the device can't segment (__dev_direct_xmit()
    in net/core/dev.c).
    """
    found: int = lib.TTF_OFFLOAD_CSUM
    if isinstance(name, bytes):  # not UTF-8, and pyroute2 can't ask for such a device
        return found
    try:
        with place.inside(), closing(IoctlEthtool(name)) as device:
            features = device.get_features()
    except (OSError, EthtoolError):  # NoSuchDevice: it was renamed just now, and a notification follows
        return found
    for feature, bits in _FEATURES.items():
        if feature in features and features.is_active(feature):
            found |= bits
    return found


def limit(link: Any) -> str:
    """A limit of the device that is lower than usual, as "gso_max_size 32768"; "" if there is none.

    The kernel drops a GSO frame beyond the device's limits (gso_features_check() in net/core/dev.c). So a
    device with such a limit gets no GSO frames. `link` is the kernel's message about it.
    """
    for attribute, usual in _USUAL_LIMITS.items():
        value = link.get_attr(attribute) or usual
        if value < usual:
            return f"{attribute.removeprefix('IFLA_').lower()} {value}"
    ipv4 = _gso_ipv4_max_size(link)
    return f"gso_ipv4_max_size {ipv4}" if ipv4 < _GSO_IPV4_USUAL else ""


def _gso_ipv4_max_size(link: Any) -> int:
    """An attribute that pyroute2 doesn't know yet, so that it leaves its bytes as they are. Linux 6.3."""
    for attribute in link["attrs"]:
        if attribute.name == "UNKNOWN" and attribute.nla["header"]["type"] == _IFLA_GSO_IPV4_MAX_SIZE:
            found: int = struct.unpack_from("=4xI", attribute.nla.data, attribute.nla.offset)[0]
            return found
    return _GSO_IPV4_USUAL
