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
 * The other process may have been killed at any point, and may write anything. So its index is checked here
 * whenever it is read, and the consumer checks every descriptor before use (worker.c).
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

static inline struct ttf_desc *ring_descs(struct ttf_ring *ring)
{
	return (struct ttf_desc *)(ring + 1);
}

static inline void ring_init(struct ttf_ring *ring, uint32_t slots, uint32_t start)
{
	ring->slots = slots;
	ring->start = start;
	ring->tail = ring->reclaimed = ring->head = ring->claimed = start;
}

/* ------------------------------------------------------------------------------------ producer */

/*
 * The number of descriptors that can be written. A slot is used again only after its frame was reclaimed.
 * `pending` descriptors were written since the last publish.
 */
static inline uint32_t ring_free(const struct ttf_ring *ring, uint32_t pending)
{
	return ring->slots - (ring->tail + pending - ring->reclaimed);
}

static inline struct ttf_desc *ring_slot(struct ttf_ring *ring, uint32_t pending)
{
	return &ring_descs(ring)[(ring->tail + pending) & (ring->slots - 1)];
}

static inline void ring_publish(struct ttf_ring *ring, uint32_t count)
{
	store_release(&ring->tail, ring->tail + count); /* pairs with ring_peek() */
}

/* The number of frames that were given back, and not yet reclaimed. ring_reclaimed_frame() says which. */
static inline uint32_t ring_completed(const struct ttf_ring *ring)
{
	uint32_t n = load_acquire(&ring->head) - ring->reclaimed; /* pairs with ring_complete() */

	/* A wrong head must not free frames that are still to be sent. */
	return n <= ring->tail - ring->reclaimed ? n : 0;
}

static inline uint32_t ring_reclaimed_frame(struct ttf_ring *ring, uint32_t i)
{
	return ring_descs(ring)[(ring->reclaimed + i) & (ring->slots - 1)].frame_id;
}

static inline void ring_reclaim(struct ttf_ring *ring, uint32_t count)
{
	store_relaxed(&ring->reclaimed, ring->reclaimed + count);
}

/* ------------------------------------------------------------------------------------ consumer */

/* The number of descriptors to claim. Claims nothing: a consumer may look before it sleeps. */
static inline uint32_t ring_waiting(const struct ttf_ring *ring)
{
	uint32_t n = load_acquire(&ring->tail) - ring->claimed; /* pairs with ring_publish() */

	return n <= ring->slots ? n : 0;
}

/*
 * Claim up to max descriptors: [head, claimed) is this consumer's until ring_complete(). The claim is in
 * shared memory, so that after a crash the supervisor knows which frames may have been sent already.
 */
static inline uint32_t ring_peek(struct ttf_ring *ring, uint32_t max)
{
	uint32_t n = ring_waiting(ring);

	if (n > max)
		n = max;
	store_release(&ring->claimed, ring->head + n);
	return n;
}

static inline const struct ttf_desc *ring_at(struct ttf_ring *ring, uint32_t i)
{
	return &ring_descs(ring)[(ring->head + i) & (ring->slots - 1)];
}

static inline void ring_complete(struct ttf_ring *ring)
{
	store_release(&ring->head, ring->claimed); /* pairs with ring_completed() */
}

/* For a dead consumer: give back unsent the frames that it claimed. Returns how many. */
static inline uint32_t ring_abandon(struct ttf_ring *ring)
{
	uint32_t n = ring->claimed - ring->head;

	if (n > load_acquire(&ring->tail) - ring->head) {
		store_relaxed(&ring->claimed, ring->head); /* a wrong value: take it as no claim */
		n = 0;
	}
	ring_complete(ring);
	return n;
}

#endif
