# SPDX-License-Identifier: Apache-2.0
"""The configuration's models: every key, its type, its bounds and its default.

A model bounds each value by itself, and its errors say what would be right. Rules between values are in
forwarder.config.checks. Models are frozen, strict (a number in quotes is not a number) and closed (an unknown
key is an error).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Interface, IPv6Interface, ip_address, ip_interface
from json import dumps
from typing import Annotated, Literal, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    WithJsonSchema,
)

from forwarder import drivers
from forwarder.config.cpus import AUTO, parse_cpu_list
from forwarder.native import lib

MAX_QUEUES: int = lib.TTF_MAX_WORKERS
MAX_PORTS: int = lib.TTF_MAX_PORTS
MAX_BATCH: int = lib.TTF_MAX_BATCH

ETHERNET_HEADER_BYTES = 14
DEFAULT_MTU = 1500  # of a device that we make

Mode = Literal["xconnect", "bridge", "macswap", "rxonly", "txonly"]
Steering = Literal["queue", "flow"]
RxMode = Literal["polling", "interrupt", "adaptive"]
Driver = Literal["auto", drivers.Name]
MODES: tuple[Mode, ...] = get_args(Mode)

_INSTANCE = r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}"
_KERNELS_SPACE = 0xA0  # isspace() in lib/ctype.c: the no-break space of Latin-1, part of "à" in UTF-8
_MAC = r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}"


def shown(value: object) -> str:
    """A value as its author wrote it, or nearly: one printable line of bounded length."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            text = value if len(value) <= 40 else value[:37] + "..."
            return f'"{text}"' if text.isprintable() and '"' not in text else dumps(text)
        case int():
            return str(value) if value.bit_length() <= 64 else f"a number of {value.bit_length()} bits"
        case float():
            return repr(value)
        case list() | tuple():
            return "an array"
        case dict():
            return "a table"
        case None:
            return "null"
        case _:
            return f"a {type(value).__name__}"


def _instance_name(value: str) -> str:
    if re.fullmatch(_INSTANCE, value) is None:
        raise ValueError(
            f"{shown(value)} can't name an instance: 1 to 32 of A-Z a-z 0-9 _ -, no _ or - first"
        )
    return value


def _cpu_spec(value: str) -> str:
    text = value.strip()
    if text != AUTO:
        try:
            parse_cpu_list(text)
        except ValueError as error:
            raise ValueError(f'{shown(value)} is neither "auto" nor a list of CPUs: {error}') from None
    return text


def _power_of_two(value: int) -> int:
    if value & (value - 1):
        below = 1 << (value.bit_length() - 1)
        raise ValueError(f"{value} is not a power of two: the nearest are {below} and {2 * below}")
    return value


def _interface_name(value: str) -> str:
    """A name that the kernel's dev_valid_name() accepts (net/core/dev.c), but not one that it reserves."""
    if not 1 <= len(value.encode(errors="replace")) <= 15:
        raise ValueError(f"{shown(value)} can't name an interface: the kernel takes 1 to 15 bytes")
    if value in (".", "..", "all", "default"):
        raise ValueError(f"{shown(value)} can't name an interface: the kernel reserves it")
    if any(c in "/:%" or c.isspace() or not c.isprintable() for c in value):
        raise ValueError(f"{shown(value)} can't name an interface: no white space, '/', ':' or '%'")
    if _KERNELS_SPACE in value.encode():
        raise ValueError(f"{shown(value)} can't name an interface: to the kernel, a byte of it is a space")
    return value


def _netns_name(value: str) -> str:
    if value in ("", ".", "..") or any(c == "/" or c.isspace() or not c.isprintable() for c in value):
        raise ValueError(
            f"{shown(value)} can't name a network namespace: a name as `ip netns list` shows it, without '/'"
        )
    if not value.isascii():
        raise ValueError(f"{shown(value)} can't name a network namespace: only ASCII characters can")
    if len(value) > 63:
        raise ValueError(f"{shown(value)} is too long for a network namespace: at most 63 bytes")
    return value


def _mac(value: str) -> str:
    if re.fullmatch(_MAC, value) is None:
        raise ValueError(f'{shown(value)} is not a MAC address: write six bytes, such as "02:00:00:00:00:01"')
    return value.lower()


def _unicast_mac(value: str) -> str:
    mac = _mac(value)
    if int(mac[:2], 16) & 1:
        raise ValueError(f"{shown(mac)} is a group address: the first byte of a sender's address is even")
    if mac == "00:00:00:00:00:00":
        raise ValueError(f'{shown(mac)} is not a device\'s address: write one such as "02:00:00:00:00:01"')
    return mac


def _ipv4(value: object) -> IPv4Address:
    if isinstance(value, IPv4Address):
        return value
    try:
        address = ip_address(value) if isinstance(value, str) else None
    except ValueError:
        address = None
    if not isinstance(address, IPv4Address):
        raise ValueError(f'{shown(value)} is not an IPv4 address: write a string, such as "198.18.0.1"')
    return address


def _interface(value: object) -> IPv4Interface | IPv6Interface:
    if isinstance(value, IPv4Interface | IPv6Interface):
        return value
    wanted = 'write an address and its prefix length, such as "10.77.0.1/24" or "fd00::1/64"'
    if not isinstance(value, str):
        raise ValueError(f"{shown(value)} is not a string: {wanted}")
    host, slash, prefix = value.partition("/")
    try:
        interface = ip_interface(value)
    except ValueError:
        raise ValueError(f"{shown(value)} is not an interface address: {wanted}") from None
    if not slash:
        typical = 24 if interface.version == 4 else 64
        raise ValueError(
            f'{shown(value)} has no prefix length: write "{host}/{typical}", or the network\'s own'
        )
    if not prefix.isdigit() or "%" in host:
        raise ValueError(f"{shown(value)} is not an interface address: {wanted}")
    if interface.ip.is_multicast or interface.ip.is_unspecified:
        raise ValueError(f"{shown(value)} is not the address of a host: {wanted}")
    return interface


InterfaceAddress = Annotated[
    IPv4Interface | IPv6Interface,
    PlainValidator(_interface),
    WithJsonSchema({"type": "string", "pattern": "/[0-9]+$", "examples": ["10.77.0.1/24", "fd00::1/64"]}),
]
Ipv4 = Annotated[IPv4Address, PlainValidator(_ipv4), WithJsonSchema({"type": "string", "format": "ipv4"})]
Mac = Annotated[str, AfterValidator(_mac), WithJsonSchema({"type": "string", "pattern": f"^{_MAC}$"})]
UnicastMac = Annotated[
    str,
    AfterValidator(_unicast_mac),
    WithJsonSchema({"type": "string", "pattern": "^[0-9A-Fa-f][02468ACEace](:[0-9A-Fa-f]{2}){5}$"}),
]
InterfaceName = Annotated[
    str,
    AfterValidator(_interface_name),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 15, "pattern": "^[^/:%\\s]+$"}),
]


class _Table(BaseModel):
    # A file's keys are aliases (forwarder.config.load). Names are for Python callers.
    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, validate_by_name=True, validate_by_alias=True
    )


class PortConfig(_Table):
    """One [[port]]: a network device and how its queues are driven."""

    name: InterfaceName = Field(description="the interface's name, unique within the instance")
    driver: Driver = Field(
        default="auto", description="how bursts cross the kernel's boundary; auto: the fastest tap"
    )
    io: drivers.Io | None = Field(
        default=None,
        description="driver turbotap: frames stay in the kernel, or a burst is one message, or one message a "
        "frame; by default the first of these that the module offers",
    )
    offload: bool = Field(
        default=True,
        description="checksums and GSO frames that a sender leaves to its device pass as they are",
    )
    queues: int | None = Field(
        default=None, ge=1, le=MAX_QUEUES, description="at most the instance's queues, which is the default"
    )
    netns: Annotated[str, AfterValidator(_netns_name)] | None = Field(
        default=None, description="network namespace, made when missing; without it the host's"
    )
    address: tuple[InterfaceAddress, ...] = Field(
        default=(),
        strict=False,
        description="addresses with prefix length that the interface gets",
        examples=[["10.77.0.1/24"]],
    )
    mtu: int | None = Field(default=None, ge=68, le=9000, description="bytes; 1500 by default")
    mac: UnicastMac | None = Field(
        default=None, description="the interface's MAC address; the kernel picks one by default"
    )
    peer: InterfaceName | None = Field(default=None, description="mode xconnect: the port at the other end")

    @property
    def makes_device(self) -> bool:
        """Whether its driver makes the device and sets it up. Otherwise the device's owner does."""
        return any(driver.makes_device for driver in drivers.choices(self.driver))

    @property
    def effective_mtu(self) -> int | None:
        """Bytes; None where the device keeps the MTU that its owner set."""
        return (self.mtu or DEFAULT_MTU) if self.makes_device else None


class BridgeConfig(_Table):
    """[bridge]: mode bridge."""

    ageing_s: int = Field(
        default=300, ge=1, le=86400, description="seconds after which a silent address is forgotten"
    )


class TxOnlyConfig(_Table):
    """[txonly]: the UDP frames that mode txonly makes."""

    size: int = Field(
        default=60,
        ge=lib.TTF_PKTGEN_MIN_BYTES,
        le=lib.TTF_PKTGEN_MAX_BYTES,
        description="bytes of a frame, Ethernet header included, FCS not",
    )
    flows: int = Field(
        default=1,
        ge=1,
        le=lib.TTF_PKTGEN_MAX_FLOWS,
        description="UDP flows to spread over, by source port",
    )
    rate: int = Field(
        default=0,
        ge=0,
        le=1_000_000_000,
        description="packets/s of a port, over all its queues; 0: as fast as it goes",
    )
    dst_mac: Mac = "02:00:00:00:00:01"
    src_mac: UnicastMac = "02:00:00:00:00:02"
    dst_ip: Ipv4 = IPv4Address("198.18.0.2")
    src_ip: Ipv4 = IPv4Address("198.18.0.1")


class Config(_Table):
    """One instance. `ports` is [[port]] in the file, in its order."""

    name: Annotated[
        str,
        AfterValidator(_instance_name),
        WithJsonSchema({"type": "string", "pattern": f"^{_INSTANCE}$"}),
    ] = Field(default="ttfwd", description="names the shared memory and the control socket")
    queues: int = Field(default=1, ge=1, le=MAX_QUEUES, description="one worker process per queue")
    cpus: Annotated[str, AfterValidator(_cpu_spec)] = Field(
        default=AUTO, description='where the workers are pinned: "auto", or a list such as "2-5,7"'
    )
    batch: int = Field(default=64, ge=1, le=MAX_BATCH, description="packets of a burst, at most")
    mode: Mode = Field(default="xconnect", description="what is done with a packet")
    steering: Steering = Field(default="queue", description="which worker forwards a packet")
    rx_mode: RxMode = Field(default="adaptive", description="what a worker does when its queues are empty")
    spin_us: int = Field(
        default=50, ge=0, le=10000, description="rx_mode adaptive: microseconds of polling before sleep"
    )
    ring_slots: Annotated[int, Field(ge=64, le=65536), AfterValidator(_power_of_two)] = Field(
        default=512, description="packets that may wait between two workers; a power of two"
    )
    heartbeat_timeout_ms: int = Field(
        default=2000, ge=1000, le=60000, description="a worker silent for this long is replaced"
    )
    drain_timeout_ms: int = Field(
        default=1000, ge=0, le=60000, description="how long a stop waits for packets that are under way"
    )
    bridge: BridgeConfig = BridgeConfig()
    txonly: TxOnlyConfig = TxOnlyConfig()
    ports: tuple[PortConfig, ...] = Field(
        default=(), strict=False, max_length=MAX_PORTS, validation_alias="port", serialization_alias="port"
    )

    def queues_of(self, port: PortConfig) -> int:
        """How many queues a port of this instance has: its own number, or else the instance's."""
        return self.queues if port.queues is None else port.queues


def peers_of(ports: Sequence[PortConfig]) -> dict[str, str]:
    """Who is connected to whom in mode xconnect, by name and in both directions.

    Naming on one side suffices. Names of ports that are not among `ports` are passed over.
    """
    names = {port.name for port in ports}
    peers: dict[str, str] = {}
    for port in ports:
        if port.peer is not None and port.peer in names and port.peer != port.name:
            peers.setdefault(port.name, port.peer)
            peers.setdefault(port.peer, port.name)
    return peers
