# SPDX-License-Identifier: Apache-2.0
"""A forwarder's surroundings in a test: namespaces, devices, and raw sockets to send and capture.

    driver tap (and turbotap)                  driver packet

    netns s0         instance                  netns s0         netns mid      instance
    [p0]===========( port p0 )                 [p0]---veth---[p0]===========( port p0 )
    [p1]===========( port p1 )                 [p1]---veth---[p1]===========( port p1 )
    netns s1                                   netns s1

A Side is the left end. With every driver, the forwarder receives the frames sent there, and its own frames
arrive there. The kernel sends nothing on its own: IPv6 is off by default.
"""

from __future__ import annotations

import json
import select
import socket
import struct
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from forwarder.devices.netns import inside
from tests.support import afpacket
from tests.support.commands import COMMAND_TIMEOUT_S, TIME_FACTOR, in_namespace, ip, run
from tests.support.drivers import port_keys
from tests.support.instance import PATIENT
from tests.support.netns import namespace
from tests.support.offloads import NEEDS_CSUM, VNET_HDR_BYTES

TIMEOUT_S = 15.0 * TIME_FACTOR
_QUIET_S = 0.05


class Capture:
    """Captures whole every frame that a device receives. VLAN tags that the kernel removed are put back.

    On request, each begins with its virtio_net_hdr, whose offsets count that tag too.
    """

    def __init__(self, sock: socket.socket, header_bytes: int) -> None:
        self._socket = sock
        self._header_bytes = header_bytes

    def take(self, count: int, timeout_s: float = TIMEOUT_S) -> list[bytes]:
        """The frames, once there are `count` (or time is up) and none follows for a moment."""
        frames: list[bytes] = []
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            wait_s = deadline - time.monotonic() if len(frames) < count else _QUIET_S
            if not select.select([self._socket], [], [], max(0.0, wait_s))[0]:
                break
            frames.append(self._receive())
        return frames

    def first(self, count: int) -> list[bytes]:
        """The first `count` frames, or fewer if time is up. More may follow."""
        frames: list[bytes] = []
        deadline = time.monotonic() + TIMEOUT_S
        while len(frames) < count and time.monotonic() < deadline:
            if select.select([self._socket], [], [], max(0.0, deadline - time.monotonic()))[0]:
                frames.append(self._receive())
        return frames

    def _receive(self) -> bytes:
        frame, ancillary, _, _ = self._socket.recvmsg(1 << 17, 256)
        for level, kind, data in ancillary:
            if (level, kind) == (afpacket.SOL_PACKET, afpacket.PACKET_AUXDATA):
                status, _, _, _, _, tci, tpid = afpacket.TPACKET_AUXDATA.unpack(data)
                if status & afpacket.TP_STATUS_VLAN_VALID:
                    tpid = tpid if status & afpacket.TP_STATUS_VLAN_TPID_VALID else 0x8100
                    frame = self._tagged(frame, struct.pack("!HH", tpid, tci))
        return frame

    def _tagged(self, frame: bytes, tag: bytes) -> bytes:
        at = self._header_bytes + 12
        if self._header_bytes:
            head, start, offset = struct.unpack("=6sHH", frame[: self._header_bytes])
            start += len(tag) if head[0] & NEEDS_CSUM else 0
            frame = struct.pack("=6sHH", head, start, offset) + frame[self._header_bytes :]
        return frame[:at] + tag + frame[at:]


@dataclass(frozen=True)
class Side:
    """The tester's end of a port."""

    netns: str
    device: str

    def send(self, frames: Sequence[bytes], *, offload_headers: bool = False) -> None:
        """`offload_headers`: each frame begins with its virtio_net_hdr."""
        with inside(self.netns):
            sock = afpacket.sender(self.device, offload_headers=offload_headers)
        with sock:
            for frame in frames:
                sock.send(frame)

    @contextmanager
    def capture(self, *, offload_headers: bool = False) -> Iterator[Capture]:
        with inside(self.netns):
            sock = afpacket.receiver(self.device, 64 << 20, offload_headers=offload_headers)
        with sock:
            yield Capture(sock, VNET_HDR_BYTES if offload_headers else 0)

    def counters(self, direction: str) -> dict[str, int]:
        """The kernel's counters of the device now: packets, bytes, dropped, errors."""
        link = json.loads(ip("-s", "-j", "link", "show", "dev", self.device, netns=self.netns))[0]
        found: dict[str, int] = link["stats64"][direction]
        return found

    def address(self, *addresses: str) -> None:
        """Add addresses. Senders ask for a minute who has one: a busy machine may need more than 3 s."""
        for address in addresses:
            flags, neighbours = (("nodad",), "ipv6") if ":" in address else ((), "ipv4")
            ip("address", "add", address, "dev", self.device, *flags, netns=self.netns)
            with inside(self.netns):
                Path(f"/proc/sys/net/{neighbours}/neigh/{self.device}/mcast_solicit").write_text("60\n")

    def run(
        self, *command: str, code: int | None = 0, timeout_s: float = COMMAND_TIMEOUT_S
    ) -> subprocess.CompletedProcess[str]:
        return run(*in_namespace(self.netns, *command), code=code, timeout_s=timeout_s)

    @contextmanager
    def server(self, *command: str, ready: str) -> Iterator[None]:
        """Run a server until the block ends. The block begins once it has printed `ready`."""
        process = subprocess.Popen(
            in_namespace(self.netns, *command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
        )
        try:
            assert process.stdout is not None
            printed, deadline = b"", time.monotonic() + TIMEOUT_S
            while ready.encode() not in printed:
                wait_s = max(0.0, deadline - time.monotonic())
                data = (
                    process.stdout.read(4096) if select.select([process.stdout], [], [], wait_s)[0] else b""
                )
                assert data, f"{command} is not ready: {printed.decode(errors='replace')}"
                printed += data
            yield
        finally:
            process.kill()
            process.communicate()


@dataclass(frozen=True)
class Lab:
    """Sides, and the [[port]] tables of an instance between them."""

    sides: tuple[Side, ...]
    ports: tuple[Mapping[str, object], ...]

    def config(
        self,
        mode: str,
        *,
        tables: str = "",
        port: Mapping[int, Mapping[str, object]] | None = None,
        **keys: object,
    ) -> str:
        """TOML: top-level keys, then `tables`, then the ports; `port` adds keys to some of them.

        In mode xconnect, ports 0 and 1 are peers, 2 and 3, ...
        """
        top = {"mode": mode, **PATIENT, **keys}
        lines = [*(_line(key, value) for key, value in top.items()), tables]
        for index, found in enumerate(self.ports):
            lines.append("[[port]]")
            own = {**found, **(port or {}).get(index, {})}
            if mode == "xconnect" and index % 2 == 0:
                own["peer"] = self.ports[index + 1]["name"]
            lines += (_line(key, value) for key, value in own.items())
        return "\n".join(lines) + "\n"


def _line(key: str, value: object) -> str:
    return f"{key} = {json.dumps(value)}"


@contextmanager
def lab(*drivers: str, mtus: Sequence[int] = (), ipv6: bool = False) -> Iterator[Lab]:
    """One side and one port for each driver named (tests.support.drivers). `mtus`: the ports', or 1500."""
    sides: list[Side] = []
    ports: list[Mapping[str, object]] = []
    with ExitStack() as stack:
        middle: str | None = None
        for index, driver in enumerate(drivers):
            name = f"p{index}"
            mtu = mtus[index] if index < len(mtus) else 1500
            keys = port_keys(driver)
            netns = stack.enter_context(namespace(ipv6=ipv6))
            sides.append(Side(netns, name))
            if keys["driver"] != "packet":
                ports.append({"name": name, **keys, "netns": netns, "mtu": mtu})
                continue
            middle = middle or stack.enter_context(namespace())
            end = (name, "mtu", str(mtu))
            ip("link", "add", *end, "type", "veth", "peer", "name", *end, "netns", netns, netns=middle)
            ip("link", "set", name, "up", netns=netns)
            ip("link", "set", name, "up", netns=middle)
            ports.append({"name": name, **keys, "netns": middle})
        yield Lab(tuple(sides), tuple(ports))
