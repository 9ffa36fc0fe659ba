# SPDX-License-Identifier: Apache-2.0
"""The messages between the supervisor and one worker, and their form on the worker channel.

    supervisor                               worker
        |                                      |   is in its sandbox already
        | hello + every worker's doorbell      |   pins itself
        | memory + the segments' fds           |
        | pools + every worker's pool          |   maps, closes these fds
        | join + the fd of its member          |   if hello says so
        | attach + its queue's fds, per port   |
        | go                                   |
        |                                ready |   forwards from now on
        | attach, update_port, set_peer, detach|   at any time
        |                                  ack |   one for each of these, in their order
        |                          queue_error |   whenever a queue stops or works again
        |                          queue_stuck |   whenever a queue needs a new packet ring
        |                               failed |   why it ends by itself

A process that is sent discard first never becomes a worker. It empties queues, and is ended:

        | discard + the queue's fd             |
        |                            discarded |   one for each, in their order

On the wire a message is one JSON object: "op" and the fields of its class. decode() trusts nothing: it
accepts a message that this end may receive, with exactly its fields, each of its type and within its bounds,
and raises MalformedMessage for everything else. The receiver checks whether a message fits the state (an ack
of a request that was never sent does not), and raises ProtocolError.

This module imports nothing heavy, because every start of a worker imports it.
"""

import json
import reprlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from types import NoneType
from typing import Annotated, Any, ClassVar, Generic, NamedTuple, TypeVar, get_args

from forwarder.native import lib

MAX_TEXT = 1024  # characters

# The words of the configuration, and the datapath's constants.
MODES: Mapping[str, int] = {
    "xconnect": lib.TTF_MODE_XCONNECT,
    "bridge": lib.TTF_MODE_BRIDGE,
    "macswap": lib.TTF_MODE_MACSWAP,
    "rxonly": lib.TTF_MODE_RXONLY,
    "txonly": lib.TTF_MODE_TXONLY,
}
STEERINGS: Mapping[str, int] = {"queue": lib.TTF_STEERING_QUEUE, "flow": lib.TTF_STEERING_FLOW}
RX_MODES: Mapping[str, int] = {
    "polling": lib.TTF_RX_POLLING,
    "interrupt": lib.TTF_RX_INTERRUPT,
    "adaptive": lib.TTF_RX_ADAPTIVE,
}


class ProtocolError(Exception):
    """The other end doesn't keep to the protocol; str() says how."""


class MalformedMessage(ProtocolError):
    """It sent bytes that are no message for this end."""


# ------------------------------------------------------------------------------------ types of fields


# read() returns the field's value, or raises ValueError with a description of valid values.


class _Whole(NamedTuple):
    least: int
    most: int

    def read(self, value: object) -> int:
        if type(value) is not int or not self.least <= value <= self.most:  # a bool is an int, but not here
            raise ValueError(f"an integer from {self.least} to {self.most}")
        return value


class _Text:
    """One printable line: it ends up in a log or on a terminal."""

    def read(self, value: object) -> str:
        if type(value) is not str or not 1 <= len(value) <= MAX_TEXT or not value.isprintable():
            raise ValueError(f"1 to {MAX_TEXT} printable characters")
        return value


class _Word(NamedTuple):
    words: Mapping[str, int]

    def read(self, value: object) -> str:
        if type(value) is not str or value not in self.words:
            raise ValueError(f"one of {', '.join(self.words)}")
        return value


class _Flag:
    def read(self, value: object) -> bool:
        if type(value) is not bool:
            raise ValueError("true or false")
        return value


class _Bytes(NamedTuple):
    """As hexadecimal digits."""

    size: int

    def read(self, value: object) -> bytes:
        if type(value) is not str or len(value) != 2 * self.size or not set(value) <= set("0123456789abcdef"):
            raise ValueError(f"{2 * self.size} hexadecimal digits")
        return bytes.fromhex(value)


U32 = Annotated[int, _Whole(0, 2**32 - 1)]
U64 = Annotated[int, _Whole(0, 2**64 - 1)]
Seq = Annotated[int, _Whole(0, 2**63 - 1)]
PortId = Annotated[int, _Whole(0, lib.TTF_MAX_PORTS - 1)]
WorkerIndex = Annotated[int, _Whole(0, lib.TTF_MAX_WORKERS - 1)]
Queues = Annotated[int, _Whole(1, lib.TTF_MAX_WORKERS)]
RingSlots = Annotated[int, _Whole(2, 65536)]
Flag = Annotated[bool, _Flag()]
Text = Annotated[str, _Text()]
Mac = Annotated[bytes, _Bytes(6)]
Ipv4 = Annotated[bytes, _Bytes(4)]

# ------------------------------------------------------------------------------------ to a worker


class Message:
    """A message: its name on the wire, and how many fds may travel beside it."""

    __slots__ = ()
    op: ClassVar[str]
    fd_counts: ClassVar[range] = range(1)  # none


@dataclass(frozen=True, slots=True)
class Hello(Message):
    """The first message: which worker the process is, and the datapath's settings.

    Beside it: the doorbell (an eventfd) of every worker, in their order.
    """

    op = "hello"
    fd_counts = range(1, lib.TTF_MAX_WORKERS + 1)

    worker: WorkerIndex
    cpu: Annotated[int, _Whole(0, 2**31 - 1)]
    batch: Annotated[int, _Whole(1, lib.TTF_MAX_BATCH)]
    mode: Annotated[str, _Word(MODES)]
    steering: Annotated[str, _Word(STEERINGS)]
    rx_mode: Annotated[str, _Word(RX_MODES)]
    spin_us: U32
    crosses: Flag  # join follows


@dataclass(frozen=True, slots=True)
class Memory(Message):
    """The second message: the shared memory, and the numbers that its layout follows from.

    Beside it: the stats segment for reading, and for writing; the rings segment for reading, and for writing;
    the receiver's capture memory for writing.
    """

    op = "memory"
    fd_counts = range(5, 6)

    ring_slots: RingSlots
    frames: U32  # of each worker's pool


@dataclass(frozen=True, slots=True)
class Pools(Message):
    """The third message. Beside it: every worker's frame pool in their order, the receiver's for writing."""

    op = "pools"
    fd_counts = range(1, lib.TTF_MAX_WORKERS + 1)


@dataclass(frozen=True, slots=True)
class Join(Message):
    """The fourth message, where there is a crossing. Beside it: the worker's member, and its slots here."""

    op = "join"
    fd_counts = range(1, 2)

    first: U32
    slots: U32


@dataclass(frozen=True, slots=True)
class Pktgen:
    """Mode txonly: what one queue generates; struct ttf_pktgen_config says more."""

    size: U32  # bytes of a frame
    flows: U32
    rate: U64  # packets per second of this queue, 0: no limit
    src_mac: Mac
    dst_mac: Mac
    src_ip: Ipv4
    dst_ip: Ipv4


@dataclass(frozen=True, slots=True)
class Attach(Message):
    """A port appears; struct ttf_port_config says more.

    Beside it: the fd of this worker's queue, a second one where its driver sends through another socket, or
    none if the port has no queue for this worker.
    """

    op = "attach"
    fd_counts = range(3)

    port_id: PortId
    generation: U32
    queues: Queues
    mtu: U32
    peer: PortId | None
    driver: U32  # enum ttf_driver
    header_bytes: U32
    offloads: U32  # TTF_OFFLOAD_ bits
    crossing_port: U32  # its number in the crossing, 0 if it is outside
    pktgen: Pktgen | None
    seq: Seq = 0  # numbered when it is sent


@dataclass(frozen=True, slots=True)
class UpdatePort(Message):
    """A port's device changed: these have other values from now on. They mean what they mean in attach."""

    op = "update_port"

    port_id: PortId
    mtu: U32
    offloads: U32
    pktgen: Pktgen | None
    seq: Seq = 0


@dataclass(frozen=True, slots=True)
class SetPeer(Message):
    """A port of mode xconnect has another peer from now on, or none."""

    op = "set_peer"

    port_id: PortId
    peer: PortId | None
    seq: Seq = 0


@dataclass(frozen=True, slots=True)
class Detach(Message):
    """A port goes: forward what its queue still holds, then close its fds."""

    op = "detach"

    port_id: PortId
    seq: Seq = 0


@dataclass(frozen=True, slots=True)
class Go(Message):
    """Every port is attached: say ready, and forward."""

    op = "go"


@dataclass(frozen=True, slots=True)
class Discard(Message):
    """Empty a queue that no worker serves, and count what it held."""

    op = "discard"
    fd_counts = range(1, 2)

    driver: U32  # enum ttf_driver: by which the queue is read
    header_bytes: U32


# ------------------------------------------------------------------------------------ to the supervisor


@dataclass(frozen=True, slots=True)
class Ready(Message):
    """Said once: the worker forwards from now on."""

    op = "ready"

    unprotected: Text | None = None  # the parts of its sandbox that the kernel doesn't permit


@dataclass(frozen=True, slots=True)
class Ack(Message):
    """The answer to a request: `error` says why it was not done, None that it was."""

    op = "ack"

    seq: Seq
    error: Text | None


@dataclass(frozen=True, slots=True)
class Failed(Message):
    """Why the worker ends, which it does right after."""

    op = "failed"

    error: Text


@dataclass(frozen=True, slots=True)
class QueueError(Message):
    """The worker's queue of a port stopped (`error` says why), or works again (None)."""

    op = "queue_error"

    port_id: PortId
    error: Text | None


@dataclass(frozen=True, slots=True)
class QueueStuck(Message):
    """The kernel fills the packet ring of the worker's queue no more: detach the queue and renew its ring."""

    op = "queue_stuck"

    port_id: PortId


@dataclass(frozen=True, slots=True)
class Discarded(Message):
    """The answer to discard: what was in the queue, or why it can't be emptied."""

    op = "discarded"

    packets: Annotated[int, _Whole(0, lib.TTF_DISCARD_MAX)] = 0
    size_bytes: Annotated[int, _Whole(0, lib.TTF_DISCARD_MAX * lib.TTF_FRAME_MAX_BYTES)] = 0
    kernel_drops: U32 = 0  # packets that the queue had no room for
    error: Text | None = None


Request = Attach | UpdatePort | SetPeer | Detach  # each is answered by an ack
ToWorker = Hello | Memory | Pools | Join | Request | Go | Discard
ToSupervisor = Ready | Ack | Failed | QueueError | QueueStuck | Discarded
M = TypeVar("M", bound=Message, covariant=True)

TO_WORKER: tuple[type[ToWorker], ...] = (
    Hello,
    Memory,
    Pools,
    Join,
    Attach,
    UpdatePort,
    SetPeer,
    Detach,
    Go,
    Discard,
)
TO_SUPERVISOR: tuple[type[ToSupervisor], ...] = (Ready, Ack, Failed, QueueError, QueueStuck, Discarded)


class Delivery(NamedTuple, Generic[M]):
    """A message and the fds beside it."""

    message: M
    fds: tuple[int, ...] = ()


# ------------------------------------------------------------------------------------ on the wire


def text(error: BaseException) -> str:
    """An exception's text, in the form that a message may carry."""
    said = str(error)
    if isinstance(error, OSError) and error.strerror:  # str() would begin with "[Errno 12]"
        said = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    said = "".join(c if c.isprintable() else " " for c in said.strip())
    return said[:MAX_TEXT] or type(error).__name__


def encode(message: Message) -> bytes:
    return json.dumps({"op": message.op, **asdict(message)}, default=bytes.hex).encode()  # type: ignore[call-overload]


def decode(data: bytes, expected: tuple[type[M], ...]) -> M:
    """The message in `data`, one of those `expected`. Raises MalformedMessage, and nothing else."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):  # RecursionError: brackets nested thousands deep
        raise MalformedMessage(f"no JSON: {_shown(data)}") from None
    op = found.pop("op", None) if isinstance(found, dict) else None
    for kind in expected:
        if kind.op == op:
            return _record(kind, found, kind.op)
    raise MalformedMessage(f"no such message: op {_shown(op)}" if op else f"no message: {_shown(found)}")


R = TypeVar("R")


def _record(kind: type[R], found: object, where: str) -> R:
    """A dataclass of that kind from a JSON object that has exactly its fields."""
    wanted = {field.name: field.type for field in fields(kind)}  # type: ignore[arg-type]
    if not isinstance(found, dict) or found.keys() != wanted.keys():
        raise MalformedMessage(f"{where}: not exactly {', '.join(wanted) or 'no field'}: {_shown(found)}")
    return kind(**{name: _value(type_, found[name], f"{where}.{name}") for name, type_ in wanted.items()})


def _value(kind: Any, value: object, where: str) -> object:
    """A field's value. `kind` is Annotated with one of the types above, a dataclass, or `... | None`."""
    if isinstance(kind, type) and is_dataclass(kind):
        return _record(kind, value, where)
    options = get_args(kind)
    if NoneType in options:
        return None if value is None else _value(options[0], value, where)
    try:
        return kind.__metadata__[0].read(value)
    except ValueError as error:
        raise MalformedMessage(f"{where}: {_shown(value)} is not {error}") from None


def _shown(value: object) -> str:
    """A value of unknown origin for a log line: printable, and short at any depth."""
    return reprlib.repr(value)
