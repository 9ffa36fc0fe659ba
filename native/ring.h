/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The single-producer single-consumer descriptor ring between two workers.
 *
 *   producer                               consumer
 *   ring_free()    room for more           ring_peek()     claim what is published
 *   ring_slot()    write a descriptor      ring_at()       read a claimed descriptor
 *   ring_publish() one release a burst     ring_complete() give the frames back
 *   ring_reclaim() frames are free again   ring_abandon()  the same, for a dead consumer
 *
 * Indices run freely through 2^32. In the order of the ring:
 *
 *   reclaimed <= head <= claimed <= tail,   tail - reclaimed <= slots
 *
 *   slot in                 belongs to  may become       by
 *   [reclaimed, head)       producer    free             ring_reclaim()
 *   [head, claimed)         consumer    given back       ring_complete(), ring_abandon()
 *   [claimed, tail)         consumer    claimed          ring_peek()
 *   [tail, reclaimed+slots) producer    published        ring_publish()
 *
 * No other transition exists: a producer never touches a frame in [head, tail), a consumer never one
 * outside it. Neither side keeps the other's index for longer than one burst.
 *
 * Producer and consumer each write their own half of the indices, in memory that the other can only read. The
 * descriptors are the producer's. The other process may have been killed at any point, and may write anything
 * into its half. So its index is checked here whenever it is read, and the consumer checks every descriptor
 * before use (worker.c). The supervisor looks for rings whose indices contradict each other
 * (ring_is_possible()).
 */
#ifndef TTF_RING_H
#define TTF_RING_H

#include <stdbool.h>

#include "abi.h"
#include "atomic.h"

static inline bool ring_slots_valid(uint32_t slots)
{
	return slots >= 2 && slots <= 65536 && (slots & (slots - 1)) == 0;
}

/* A process' own view of a ring: nothing here is read from shared memory again. */
struct ttf_ring {
	struct ttf_ring_producer *producer;
	struct ttf_ring_consumer *consumer;
	struct ttf_desc *descs; /* [slots] */
	uint32_t slots;
};

/* Make a ring empty. Neither of its ends may be at work. */
static inline void ring_reset(const struct ttf_ring *ring, uint32_t index)
{
	store_relaxed(&ring->producer->tail, index);
	store_relaxed(&ring->producer->reclaimed, index);
	store_relaxed(&ring->consumer->head, index);
	store_relaxed(&ring->consumer->claimed, index);
}

/* ------------------------------------------------------------------------------------ producer */

/*
 * The number of descriptors that can be written. A slot is used again only after its frame was reclaimed.
 * `pending` descriptors were written since the last publish.
 */
static inline uint32_t ring_free(const struct ttf_ring *ring, uint32_t pending)
{
	return ring->slots - (ring->producer->tail + pending - ring->producer->reclaimed);
}

static inline struct ttf_desc *ring_slot(const struct ttf_ring *ring, uint32_t pending)
{
	return &ring->descs[(ring->producer->tail + pending) & (ring->slots - 1)];
}

static inline void ring_publish(const struct ttf_ring *ring, uint32_t count)
{
	store_release(&ring->producer->tail, ring->producer->tail + count); /* pairs with ring_waiting() */
}

/* The number of frames that were given back, and not yet reclaimed. ring_reclaimed_frame() says which. */
static inline uint32_t ring_completed(const struct ttf_ring *ring)
{
	const struct ttf_ring_producer *producer = ring->producer;
	uint32_t n =
		load_acquire(&ring->consumer->head) - producer->reclaimed; /* pairs with ring_complete() */

	/* A wrong head must not free frames that are still to be sent. */
	return n <= producer->tail - producer->reclaimed ? n : 0;
}

static inline uint32_t ring_reclaimed_frame(const struct ttf_ring *ring, uint32_t i)
{
	return ring->descs[(ring->producer->reclaimed + i) & (ring->slots - 1)].frame_id;
}

static inline void ring_reclaim(const struct ttf_ring *ring, uint32_t count)
{
	store_release(&ring->producer->reclaimed, ring->producer->reclaimed + count); /* ring_is_possible() */
}

/* ------------------------------------------------------------------------------------ consumer */

/* The number of descriptors to claim. Claims nothing: a consumer may look before it sleeps. */
static inline uint32_t ring_waiting(const struct ttf_ring *ring)
{
	uint32_t n = load_acquire(&ring->producer->tail) - ring->consumer->claimed; /* ring_publish() */

	return n <= ring->slots ? n : 0;
}

/*
 * Claim up to max descriptors: [head, claimed) is this consumer's until ring_complete(). The claim is in
 * shared memory, so that after a crash the supervisor knows which frames may have been sent already.
 */
static inline uint32_t ring_peek(const struct ttf_ring *ring, uint32_t max)
{
	uint32_t n = ring_waiting(ring);

	if (n > max)
		n = max;
	store_release(&ring->consumer->claimed, ring->consumer->head + n);
	return n;
}

static inline const struct ttf_desc *ring_at(const struct ttf_ring *ring, uint32_t i)
{
	return &ring->descs[(ring->consumer->head + i) & (ring->slots - 1)];
}

static inline void ring_complete(const struct ttf_ring *ring)
{
	store_release(&ring->consumer->head, ring->consumer->claimed); /* pairs with ring_completed() */
}

/* For a dead consumer: give back unsent the frames that it claimed. Returns how many. A wrong claim is none. */
static inline uint32_t ring_abandon(const struct ttf_ring *ring)
{
	uint32_t head = load_relaxed(&ring->consumer->head);
	uint32_t n = load_relaxed(&ring->consumer->claimed) - head;

	if (n > load_acquire(&ring->producer->tail) - head)
		n = 0;
	store_relaxed(&ring->consumer->claimed, head + n);
	store_release(&ring->consumer->head, head + n); /* pairs with ring_completed() */
	return n;
}

/* ---------------------------------------------------------------------------------- supervisor */

struct ttf_ring_indices {
	uint32_t reclaimed, head, claimed, tail;
};

/*
 * Whether the indices of a ring can be right while both ends are at work. Each index only grows, and none
 * overtakes the next. So an index that is read later is not smaller than one that is read before and comes
 * before it in the order of the ring; and tail - reclaimed, with tail read first, is never too large.
 */
static inline bool ring_is_possible(const struct ttf_ring *ring, struct ttf_ring_indices *seen)
{
	uint32_t tail = load_acquire(&ring->producer->tail);

	seen->reclaimed = load_acquire(&ring->producer->reclaimed);
	seen->head = load_acquire(&ring->consumer->head);
	seen->claimed = load_acquire(&ring->consumer->claimed);
	seen->tail = load_acquire(&ring->producer->tail);
	return (int32_t)(seen->head - seen->reclaimed) >= 0 && (int32_t)(seen->claimed - seen->head) >= 0 &&
	       (int32_t)(seen->tail - seen->claimed) >= 0 &&
	       (int32_t)(tail - seen->reclaimed) <= (int32_t)ring->slots;
}

#endif
