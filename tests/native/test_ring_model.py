# SPDX-License-Identifier: Apache-2.0
"""The ring and the pool against a model in plain Python: one producer, two consumers, any order of events.

Both sides may act, crash or lie in any order. Each frame is still in exactly one place, is delivered once and
in order, or is counted as lost.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.native.ext import ffi, lib
from tests.native.harness import Segment, frames_segment

WORD = 2**32
RINGS = st.integers(0, 1)
GARBAGE = st.one_of(st.integers(0, WORD - 1), st.integers(0, 40), st.integers(WORD - 40, WORD - 1))


@dataclass
class Model:
    """Indices that never wrap."""

    reclaimed: int = 0
    head: int = 0
    claimed: int = 0
    tail: int = 0
    pending: list[tuple[int, int]] = field(default_factory=list)
    log: list[tuple[int, int]] = field(default_factory=list)  # (frame, sequence) of each index ever published
    delivered: list[int] = field(default_factory=list)
    lost: list[int] = field(default_factory=list)


class RingMachine(RuleBasedStateMachine):
    @initialize(
        start=st.one_of(st.integers(WORD - 70, WORD - 1), st.sampled_from([0, 1, 2**31 - 2, 2**31])),
        slots=st.sampled_from([2, 4, 16]),
        frames=st.integers(1, 24),
    )
    def begin(self, start: int, slots: int, frames: int) -> None:
        self.start, self.slots, self.frames = start, slots, frames
        self.memory: list[Any] = []
        self.rings: list[Any] = []
        for _ in range(2):
            parts = {
                "producer": ffi.new("struct ttf_ring_producer *"),
                "consumer": ffi.new("struct ttf_ring_consumer *"),
                "descs": ffi.new("struct ttf_desc[]", slots),
            }
            self.memory.append(parts)
            self.rings.append(ffi.new("struct ttf_ring *", {**parts, "slots": slots}))
            lib.ring_reset(self.rings[-1], start)
        self.models = [Model(), Model()]
        self.segment: Segment = frames_segment(frames)
        self.pool = ffi.new("struct pool *")
        self.consumer_pool = ffi.new("struct pool *")
        assert lib.ttf_pool_init(self.consumer_pool, self.segment.base, frames, 0) == 0
        self.new_pool()
        self.sequence = 0

    def new_pool(self) -> None:
        assert lib.ttf_pool_init(self.pool, self.segment.base, self.frames, 1) == 0
        assert (
            lib.ttf_pool_rebuild(self.pool, ffi.new("struct ttf_ring *[]", [*self.rings, ffi.NULL]), 3) == 0
        )

    def teardown(self) -> None:
        if hasattr(self, "segment"):
            lib.ttf_pool_exit(self.pool)
            self.segment.close()

    def content(self, pool: Any, frame: int) -> Any:
        return ffi.cast("uint32_t *", lib.pool_eth(pool, frame))

    # --- the producer

    @rule(r=RINGS, count=st.integers(1, 20))
    def produce(self, r: int, count: int) -> None:
        ring, model = self.rings[r], self.models[r]
        for _ in range(count):
            room = self.slots - (model.tail + len(model.pending) - model.reclaimed)
            assert lib.ring_free(ring, len(model.pending)) == room
            if not room or not self.pool.free:
                return
            frame = int(lib.pool_peek(self.pool, 0))
            lib.pool_take(self.pool, 1)
            self.content(self.pool, frame)[0] = self.sequence
            slot = lib.ring_slot(ring, len(model.pending))
            slot.frame_id, slot.length = frame, 60
            model.pending.append((frame, self.sequence))
            self.sequence += 1

    @rule(r=RINGS)
    def publish(self, r: int) -> None:
        model = self.models[r]
        lib.ring_publish(self.rings[r], len(model.pending))
        model.log += model.pending
        model.tail += len(model.pending)
        model.pending = []

    @rule(r=RINGS)
    def reclaim(self, r: int) -> None:
        ring, model = self.rings[r], self.models[r]
        count = lib.ring_completed(ring)
        assert count == model.head - model.reclaimed
        for i in range(count):
            frame = lib.ring_reclaimed_frame(ring, i)
            assert frame == model.log[model.reclaimed + i][0]
            lib.pool_put(self.pool, frame)
        lib.ring_reclaim(ring, count)
        model.reclaimed += count

    @rule()
    def producer_dies(self) -> None:
        """Unpublished frames are lost. All others are recovered from the rings."""
        lib.ttf_pool_exit(self.pool)
        for model in self.models:
            model.pending = []
            model.reclaimed = model.head
        self.new_pool()

    # --- the consumers

    @rule(r=RINGS, limit=st.integers(0, 20))
    def peek(self, r: int, limit: int) -> None:
        ring, model = self.rings[r], self.models[r]
        if model.claimed != model.head:
            return
        count = lib.ring_peek(ring, limit)
        assert count == min(limit, model.tail - model.head)
        model.claimed = model.head + count
        for i in range(count):
            frame, sequence = model.log[model.head + i]
            assert lib.ring_at(ring, i).frame_id == frame
            assert self.content(self.consumer_pool, frame)[0] == sequence

    @rule(r=RINGS)
    def complete(self, r: int) -> None:
        model = self.models[r]
        for frame, sequence in model.log[model.head : model.claimed]:
            assert self.content(self.consumer_pool, frame)[0] == sequence, "reused while a consumer read it"
            model.delivered.append(sequence)
        lib.ring_complete(self.rings[r])
        model.head = model.claimed

    @rule(r=RINGS)
    def consumer_dies(self, r: int) -> None:
        model = self.models[r]
        assert lib.ring_abandon(self.rings[r]) == model.claimed - model.head
        model.lost += [sequence for _, sequence in model.log[model.head : model.claimed]]
        model.head = model.claimed

    # --- lies

    @rule(r=RINGS, garbage=GARBAGE)
    def head_lies(self, r: int, garbage: int) -> None:
        """A consumer may write any index: only published frames are freed, each once."""
        ring, model = self.rings[r], self.models[r]
        true, ring.consumer.head = ring.consumer.head, garbage
        ahead = (garbage - ring.producer.reclaimed) % WORD
        published = model.tail - model.reclaimed
        assert lib.ring_completed(ring) == (ahead if ahead <= published else 0)
        ring.consumer.head = true

    @rule(r=RINGS, garbage=GARBAGE, limit=st.integers(0, 40))
    def tail_lies(self, r: int, garbage: int, limit: int) -> None:
        """A producer may write any index: a consumer never claims more than the ring's slots."""
        ring = self.rings[r]
        if ring.consumer.claimed != ring.consumer.head:
            return
        true, ring.producer.tail = ring.producer.tail, garbage
        ahead = (garbage - ring.consumer.head) % WORD
        expected = min(limit, ahead) if ahead <= self.slots else 0
        assert lib.ring_waiting(ring) == (ahead if ahead <= self.slots else 0)
        assert lib.ring_peek(ring, limit) == expected
        for i in range(expected):
            assert lib.ring_at(ring, i) != ffi.NULL
        ring.consumer.claimed, ring.producer.tail = ring.consumer.head, true

    @rule(r=RINGS, garbage=GARBAGE)
    def claim_lies(self, r: int, garbage: int) -> None:
        """A consumer dies and leaves a wrong index: only published frames are given back."""
        ring, model = self.rings[r], self.models[r]
        if model.claimed != model.head:
            return
        ring.consumer.claimed = garbage
        ahead = (garbage - ring.consumer.head) % WORD
        if ahead > model.tail - model.head:
            assert lib.ring_abandon(ring) == 0
        ring.consumer.claimed = ring.consumer.head

    @rule(r=RINGS, head=GARBAGE, frame=GARBAGE)
    def all_lie_while_the_pool_is_rebuilt(self, r: int, head: int, frame: int) -> None:
        """Free frames may stay held. No waiting frame is freed, and none is counted twice."""
        ring, model = self.rings[r], self.models[r]
        true_head, true_reclaimed = ring.consumer.head, ring.producer.reclaimed
        if (head - ring.producer.reclaimed) % WORD <= model.tail - model.reclaimed:
            return
        ring.consumer.head = head
        waits = {frame for m in self.models for frame, _ in m.log[m.head : m.tail]}
        slot = lib.ring_slot(ring, (model.reclaimed - model.tail) % WORD)
        true_frame = slot.frame_id
        if model.reclaimed < model.head:
            slot.frame_id = frame
        pool = ffi.new("struct pool *")
        other = self.rings[1 - r]
        other_reclaimed = other.producer.reclaimed
        assert lib.ttf_pool_init(pool, self.segment.base, self.frames, 1) == 0
        assert lib.ttf_pool_rebuild(pool, ffi.new("struct ttf_ring *[]", self.rings), 2) == 0
        free = [pool.stack[i] for i in range(pool.free)]
        assert len(set(free)) == len(free)
        assert set(free) <= set(range(self.frames)) - waits
        lib.ttf_pool_exit(pool)
        if model.reclaimed < model.head:
            slot.frame_id = true_frame
        ring.consumer.head, ring.producer.reclaimed, other.producer.reclaimed = (
            true_head,
            true_reclaimed,
            other_reclaimed,
        )

    # --- invariants

    @invariant()
    def every_frame_is_in_one_place(self) -> None:
        if not hasattr(self, "pool"):
            return
        places = [self.pool.stack[i] for i in range(self.pool.free)]
        for model in self.models:
            places += [frame for frame, _ in model.pending]
            places += [frame for frame, _ in model.log[model.reclaimed : model.tail]]
        assert sorted(places) == list(range(self.frames))

    @invariant()
    def indices_are_the_models(self) -> None:
        for ring, model in zip(getattr(self, "rings", []), getattr(self, "models", []), strict=True):
            for name in ("reclaimed", "head", "claimed", "tail"):
                end = ring.consumer if name in ("head", "claimed") else ring.producer
                assert getattr(end, name) == (self.start + getattr(model, name)) % WORD, name
            assert model.reclaimed <= model.head <= model.claimed <= model.tail
            assert model.tail - model.reclaimed <= self.slots
            assert lib.ring_is_possible(ring, ffi.new("struct ttf_ring_indices *"))

    @invariant()
    def nothing_is_lost_unnamed_or_out_of_order(self) -> None:
        for model in getattr(self, "models", []):
            waiting = [sequence for _, sequence in model.log[model.head :]]
            assert sorted(model.delivered + model.lost + waiting) == [s for _, s in model.log]
            assert model.delivered == sorted(set(model.delivered))


TestRing = RingMachine.TestCase
TestRing.settings = settings(max_examples=150, stateful_step_count=60)
