# SPDX-License-Identifier: Apache-2.0
"""Messages between a worker and its supervisor: each arrives whole, and malformed ones are refused with the
reason. A compromised worker may send anything."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forwarder.config.model import Mode, RxMode, Steering
from forwarder.worker.channel import Channel, ChannelClosed, ChannelFull, SupervisorEnd
from forwarder.worker.messages import (
    MAX_TEXT,
    MODES,
    RX_MODES,
    STEERINGS,
    TO_SUPERVISOR,
    TO_WORKER,
    Ack,
    Attach,
    Detach,
    Discard,
    Discarded,
    Failed,
    Go,
    Hello,
    Join,
    MalformedMessage,
    Memory,
    Message,
    Pktgen,
    Pools,
    QueueError,
    QueueStuck,
    Ready,
    SetPeer,
    UpdatePort,
    decode,
    encode,
    text,
)

HELLO = Hello(127, 3, 64, "bridge", "flow", "adaptive", 50, crosses=True)
PKTGEN = Pktgen(60, 4, 10**9, b"\2\0\0\0\0\1", b"\2\0\0\0\0\2", b"\xc6\x12\0\1", b"\xc6\x12\0\2")
ATTACH = Attach(63, 2, 4, 1500, 0, 4, 10, 0x7F, 1024, PKTGEN, seq=7)
TOLD = [
    HELLO,
    Memory(65536, 65408),
    Pools(),
    Join(64, 64),
    ATTACH,
    Attach(0, 2, 1, 9000, None, 0, 0, 0, 0, None, seq=8),
    UpdatePort(63, 9000, 0x7F, PKTGEN, seq=12),
    UpdatePort(0, 1500, 0, None, seq=13),
    SetPeer(1, None, seq=9),
    SetPeer(1, 2, seq=10),
    Detach(5, seq=11),
    Go(),
    Discard(2, 10),
]
SAID = [
    Ready(),
    Ready("a filter of system calls"),
    Discarded(3, 180, 1),
    Discarded(error="Bad file descriptor"),
    Ack(2**63 - 1, None),
    Ack(0, "File exists"),
    Failed("x" * MAX_TEXT),
    QueueError(63, "Network is down"),
    QueueError(0, None),
    QueueStuck(0),
]


def kinds(messages: list[Any]) -> set[type]:
    return {type(message) for message in messages}


def test_no_message_is_forgotten_here() -> None:
    assert kinds(TOLD) == set(TO_WORKER)
    assert kinds(SAID) == set(TO_SUPERVISOR)


@pytest.mark.parametrize("message", [*TOLD, *SAID], ids=str)
def test_every_message_arrives_as_it_was_sent(message: Message) -> None:
    expected: Any = TO_WORKER if message in TOLD else TO_SUPERVISOR
    other: Any = TO_SUPERVISOR if message in TOLD else TO_WORKER
    data = encode(message)
    assert json.loads(data)["op"] == message.op
    assert decode(data, expected) == message
    with pytest.raises(MalformedMessage, match="no such message"):
        decode(data, other)


def test_the_words_of_the_configuration_are_those_of_the_messages() -> None:
    assert tuple(MODES) == get_args(Mode)
    assert tuple(STEERINGS) == get_args(Steering)
    assert tuple(RX_MODES) == get_args(RxMode)


def changed(message: Message, **fields: object) -> bytes:
    return json.dumps({**json.loads(encode(message)), **fields}).encode()


def without(message: Message, field: str) -> bytes:
    found = json.loads(encode(message))
    del found[field]
    return json.dumps(found).encode()


ACK = Ack(5, None)
QUEUE_ERROR = QueueError(1, None)
MALFORMED = [
    (b"\0\xff\x80", "no JSON"),
    (b"ready", "no JSON"),
    (b'{"op": "ready"', "no JSON"),
    (b"[" * 16_000, "no JSON"),
    (b'{"op": "ack", "seq": ' + b"9" * 5_000 + b', "error": null}', "no JSON"),
    (b"[]", "no message"),
    (b"{}", "no message"),
    (b"null", "no message"),
    (b'"ready"', "no message"),
    (b'{"op": null}', "no message"),
    (b'{"op": ["ready"]}', "no such message"),
    (b'{"op": "reboot"}', "no such message: op 'reboot'"),
    (b'{"op": "Ready"}', "no such message"),
    (changed(Go(), force=True), "no such message: op 'go'"),
    (changed(Ready(), force=True), "ready: not exactly unprotected"),
    (changed(Ready(), unprotected="\x1b[2J"), "ready.unprotected"),
    (changed(Discarded(), packets=2**20 + 1), "discarded.packets"),
    (changed(Discarded(), size_bytes=2**60), "discarded.size_bytes"),
    (changed(Discarded(), kernel_drops=-1), "discarded.kernel_drops"),
    (without(ACK, "error"), "ack: not exactly seq, error"),
    (without(QUEUE_ERROR, "port_id"), "queue_error: not exactly port_id, error"),
    (changed(ACK, slot=1), "ack: not exactly seq, error"),
    (changed(ACK, seq=-1), "ack.seq: -1 is not an integer from 0"),
    (changed(ACK, seq=2**63), "ack.seq"),
    (changed(ACK, seq=True), "ack.seq: True is not"),
    (changed(ACK, seq=5.0), "ack.seq: 5.0 is not"),
    (changed(ACK, seq=float("nan")), "ack.seq: nan is not"),
    (changed(ACK, seq="5"), "ack.seq: '5' is not"),
    (changed(ACK, seq=None), "ack.seq: None is not"),
    (changed(ACK, error=""), "ack.error"),
    (changed(ACK, error=False), "ack.error: False is not"),
    (changed(ACK, error="x" * (MAX_TEXT + 1)), "ack.error"),
    (changed(ACK, error="a\nttfwd INFO a line of its own"), "ack.error"),
    (changed(ACK, error="\x1b[2J"), "ack.error"),
    (changed(ACK, error="\ud800"), "ack.error"),
    (
        changed(QUEUE_ERROR, port_id=400_000_000),
        "queue_error.port_id: 400000000 is not an integer from 0 to 63",
    ),
    (changed(QUEUE_ERROR, port_id=64), "queue_error.port_id"),
    (changed(QUEUE_ERROR, port_id=-1), "queue_error.port_id"),
    (changed(QUEUE_ERROR, port_id=False), "queue_error.port_id"),
    (changed(QUEUE_ERROR, port_id={"a": [1] * 99}), "queue_error.port_id"),
]


@pytest.mark.parametrize(("data", "says"), MALFORMED, ids=[says for _, says in MALFORMED])
def test_what_is_no_message_is_refused_and_said_in_one_short_line(data: bytes, says: str) -> None:
    with pytest.raises(MalformedMessage) as refused:
        decode(data, TO_SUPERVISOR)
    said = str(refused.value)
    assert said.startswith(says)
    assert said.isprintable()
    assert len(said) < 400


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (changed(HELLO, worker=128), "hello.worker"),
        (changed(HELLO, mode="router"), "hello.mode: 'router' is not one of xconnect, "),
        (changed(HELLO, mode=["bridge"]), "hello.mode"),
        (changed(HELLO, crosses=1), "hello.crosses: 1 is not true or false"),
        (changed(ATTACH, port_id=64), "attach.port_id"),
        (changed(ATTACH, peer=-1), "attach.peer"),
        (changed(ATTACH, mtu=2**32), "attach.mtu"),
        (changed(ATTACH, queues=0), "attach.queues"),
        (changed(ATTACH, pktgen=[]), "attach.pktgen: not exactly size, "),
        (changed(ATTACH, pktgen={"size": 60}), "attach.pktgen: not exactly size, "),
        (
            changed(ATTACH, pktgen={**json.loads(encode(ATTACH))["pktgen"], "src_mac": "0200000000"}),
            "attach.pktgen.src_mac",
        ),
        (
            changed(ATTACH, pktgen={**json.loads(encode(ATTACH))["pktgen"], "src_mac": "02 00 00 0001"[:12]}),
            "attach.pktgen.src_mac",
        ),
    ],
)
def test_a_worker_checks_what_it_is_told(data: bytes, says: str) -> None:
    with pytest.raises(MalformedMessage) as refused:
        decode(data, TO_WORKER)
    assert str(refused.value).startswith(says)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
OPS = st.sampled_from([kind.op for kind in (*TO_WORKER, *TO_SUPERVISOR)])
FIELDS = st.sampled_from(["seq", "error", "port_id", "peer", "worker", "pktgen", "mode"])
NEAR = st.builds(lambda op, fields: {"op": op, **fields}, OPS, st.dictionaries(FIELDS, JSON, max_size=4))
ANYTHING = st.binary(max_size=300) | (JSON | NEAR).map(lambda found: json.dumps(found).encode())


@pytest.mark.slow
@given(ANYTHING)
def test_decoding_gives_a_message_or_says_why_not_and_nothing_else(data: bytes) -> None:
    for expected in (TO_WORKER, TO_SUPERVISOR):
        try:
            message = decode(data, expected)
        except MalformedMessage:
            continue
        assert type(message) in expected
        assert decode(encode(message), expected) == message


@given(st.text())
def test_any_exception_can_be_told(said: str) -> None:
    failed = Failed(text(OSError(said)))
    assert decode(encode(failed), TO_SUPERVISOR) == failed


# ------------------------------------------------------------------------------------ the channel


@pytest.fixture
def ends() -> Iterator[tuple[SupervisorEnd, socket.socket]]:
    ours, theirs = SupervisorEnd.pair()
    theirs.setblocking(False)
    yield ours, theirs
    ours.close()
    theirs.close()


def open_fds() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_request_and_its_fds_arrive_together(ends: tuple[SupervisorEnd, socket.socket]) -> None:
    ours, theirs = ends
    worker: Channel[Any, Any] = Channel(theirs, TO_WORKER)
    with open(os.devnull, "rb") as one, open(os.devnull, "rb") as other:
        ours.send(ATTACH, (one.fileno(), other.fileno()))
        ours.send(Go())
        delivery = worker.receive()
        assert delivery is not None
        assert delivery.message == ATTACH
        assert [os.fstat(fd).st_rdev for fd in delivery.fds] == [os.fstat(one.fileno()).st_rdev] * 2
        for fd in delivery.fds:
            os.close(fd)
    following = worker.receive()
    assert following is not None
    assert (following.message, following.fds) == (Go(), ())
    assert worker.receive() is None


@pytest.mark.parametrize(
    ("data", "fds"),
    [(encode(Ready()), 1), (encode(Ready()), 253), (b"garbage", 3), (b"", 1), (b" " * 20_000, 2)],
    ids=["a message", "many", "garbage", "nothing else", "too long"],
)
def test_descriptors_that_a_worker_sends_are_refused_and_closed(
    ends: tuple[SupervisorEnd, socket.socket], data: bytes, fds: int
) -> None:
    ours, theirs = ends
    with open(os.devnull, "rb") as sent:
        before = open_fds()
        socket.send_fds(theirs, [data], [sent.fileno()] * fds)
        with pytest.raises(MalformedMessage):
            ours.receive()
        assert open_fds() == before
        theirs.send(encode(Ready()))
        delivery = ours.receive()  # a refused message doesn't affect the next one
        assert delivery is not None
        assert delivery.message == Ready()


def test_a_message_that_is_too_long_is_refused_even_if_its_beginning_is_one(
    ends: tuple[SupervisorEnd, socket.socket],
) -> None:
    ours, theirs = ends
    theirs.send(encode(Ready()) + b" " * 20_000)
    with pytest.raises(MalformedMessage, match="longer than"):
        ours.receive()


def test_a_full_channel_is_told_from_a_closed_one(ends: tuple[SupervisorEnd, socket.socket]) -> None:
    ours, theirs = ends

    def send_many() -> None:
        for _ in range(10_000):
            ours.send(Go())

    with pytest.raises(ChannelFull):
        send_many()
    theirs.close()
    with pytest.raises(ChannelClosed) as closed:
        ours.send(Go())
    assert not isinstance(closed.value, ChannelFull)


def test_the_last_words_of_a_process_that_left_messages_unread_are_heard(
    ends: tuple[SupervisorEnd, socket.socket],
) -> None:
    ours, theirs = ends
    ours.send(Go())
    theirs.send(encode(Failed("no room")))
    theirs.close()
    delivery = ours.receive()
    assert delivery is not None
    assert delivery.message == Failed("no room")
    with pytest.raises(ChannelClosed):
        ours.receive()
