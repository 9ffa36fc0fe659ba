# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.process.traffic_process SETTINGS`: a paced source or a recording sink of UDP frames.

SETTINGS are JSON. Only the standard library is imported, for a quick start. Frames are sent by sendmmsg() on
a packet socket that bypasses the queueing discipline. A frame that the call accepted is in the device's
queue. A frame that it refused was counted by the device (tx_dropped). There is no third case.

Each round sends one frame of every flow. Frame n of a flow carries the number n, so that a sink sees loss,
duplication and reordering of each flow. Ends by SIGTERM, or by itself after `limit_packets` or `limit_s`.
"""

from __future__ import annotations

import ctypes
import errno
import json
import select
import signal
import socket
import struct
import sys
import time
from array import array
from pathlib import Path
from typing import Any

from tests.support import afpacket
from tests.support.frames import ones_sum

MAGIC = b"ttfwd-t!"
ETHER_BYTES, IPV4_BYTES, UDP_BYTES = 14, 20, 8
PAYLOAD_AT = ETHER_BYTES + IPV4_BYTES + UDP_BYTES
FIELDS = struct.Struct("!8sHHQQ")  # magic, stream, flow, number, CLOCK_MONOTONIC at sending
NUMBER_AT = PAYLOAD_AT + 12
FRAME_BYTES = PAYLOAD_AT + FIELDS.size

_CATCH_UP_ROUNDS = 4  # after a pause of this process: a longer burst could overflow a queue

_libc = ctypes.CDLL(None, use_errno=True)


class _IoVec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("bytes", ctypes.c_size_t))


class _MMsgHdr(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_bytes", ctypes.c_uint32),
        ("iov", ctypes.POINTER(_IoVec)),
        ("iov_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_bytes", ctypes.c_size_t),
        ("flags", ctypes.c_int),
        ("sent_bytes", ctypes.c_uint32),
    )


def frame(stream: int, flow: int, dst_mac: str, src_mac: str) -> bytearray:
    """One flow's frame, number 0."""
    udp_bytes = UDP_BYTES + FIELDS.size
    addresses = bytes([198, 18, 0, 1, 198, 18, 0, 2])
    head = struct.pack("!BBHHHBBH", 0x45, 0, IPV4_BYTES + udp_bytes, 0, 0x4000, 64, 17, 0)
    ip = head[:10] + struct.pack("!H", ~ones_sum(head + addresses) & 0xFFFF) + addresses
    udp = struct.pack("!HHHH", 20000 + flow * 7, 30000 + stream, udp_bytes, 0)
    macs = bytes.fromhex((dst_mac + src_mac).replace(":", ""))
    return bytearray(macs + b"\x08\x00" + ip + udp + FIELDS.pack(MAGIC, stream, flow, 0, 0))


class _Stop:
    """True once SIGTERM arrived, or the test that started this process is gone."""

    def __init__(self) -> None:
        self.asked = False
        signal.signal(signal.SIGTERM, self._ask)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _libc.prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG

    def _ask(self, *_: object) -> None:
        self.asked = True


def source(settings: dict[str, Any], stop: _Stop) -> dict[str, Any]:
    flows, rate = settings["flows"], settings["rate"]
    sock = afpacket.sender(settings["device"], bypass_qdisc=True)
    frames = [
        frame(settings["stream"], flow, settings["dst_mac"], settings["src_mac"]) for flow in range(flows)
    ]
    vectors = (_IoVec * flows)()
    messages = (_MMsgHdr * flows)()
    for i, data in enumerate(frames):
        vectors[i].base = ctypes.addressof((ctypes.c_char * len(data)).from_buffer(data))
        vectors[i].bytes = len(data)
        messages[i].iov = ctypes.pointer(vectors[i])
        messages[i].iov_count = 1
    sizes = ctypes.sizeof(_MMsgHdr)
    numbers = struct.Struct("!QQ")
    accepted = number = 0
    refused: dict[str, int] = {}
    accepted_of = [0] * flows
    print("ready", flush=True)
    began = due = time.monotonic()
    interval = flows / rate
    while not stop.asked and (number + 1) * flows <= settings["limit_packets"]:
        now = time.monotonic()
        if now - began > settings["limit_s"]:
            break
        if now < due:
            time.sleep(due - now)
            continue
        due = max(due + interval, now - _CATCH_UP_ROUNDS * interval)
        stamp = time.monotonic_ns()
        for data in frames:
            numbers.pack_into(data, NUMBER_AT, number, stamp)
        number += 1
        done = 0
        while done < flows:
            sent = _libc.sendmmsg(
                sock.fileno(), ctypes.byref(messages, done * sizes), flows - done, socket.MSG_DONTWAIT
            )
            if sent > 0:
                for flow in range(done, done + sent):
                    accepted_of[flow] += 1
                accepted += sent
                done += sent
                continue
            name = errno.errorcode[ctypes.get_errno()]
            if name == "EINTR":
                continue
            refused[name] = refused.get(name, 0) + 1
            done += 1
    return {
        "offered_packets": number * flows,
        "accepted_packets": accepted,
        "accepted_of": accepted_of,
        "refused_packets": refused,
        "seconds": time.monotonic() - began,
    }


def sink(settings: dict[str, Any], stop: _Stop) -> dict[str, Any]:
    sock = afpacket.receiver(settings["device"], 256 << 20)
    sock.setblocking(False)
    streams, keys, sent_ns, received_ns = array("H"), array("Q"), array("Q"), array("Q")
    buffer = bytearray(4096)
    poller = select.poll()
    poller.register(sock, select.POLLIN)
    others = 0
    print("ready", flush=True)
    while True:
        try:
            got = sock.recv_into(buffer)
        except BlockingIOError:
            if stop.asked:
                break
            poller.poll(20)
            continue
        except OSError as error:
            if error.errno != errno.ENETDOWN or stop.asked:
                break
            continue  # reported once; the device may come up again
        if got != FRAME_BYTES or not buffer.startswith(MAGIC, PAYLOAD_AT):
            others += 1
            continue
        _, stream, flow, number, stamp = FIELDS.unpack_from(buffer, PAYLOAD_AT)
        streams.append(stream)
        keys.append(flow << 48 | number)
        sent_ns.append(stamp)
        received_ns.append(time.monotonic_ns())
    _, dropped = struct.unpack("II", sock.getsockopt(afpacket.SOL_PACKET, afpacket.PACKET_STATISTICS, 8))
    with Path(settings["path"]).open("wb") as output:
        for column in (streams, keys, sent_ns, received_ns):
            column.tofile(output)
    return {"packets": len(keys), "missed_packets": dropped, "other_frames": others}


def main() -> None:
    settings = json.loads(sys.argv[1])
    stop = _Stop()
    run = {"source": source, "sink": sink}[settings["what"]]
    print(json.dumps(run(settings, stop)), flush=True)


if __name__ == "__main__":
    main()
