/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker's frame pool: which frames of its shared segment are free.
 *
 * The free list is private to the owner and a stack, so that warm frames are used again. It needs no repair
 * after a crash: a frame is free unless a handoff ring holds it, so the next incarnation rebuilds the list
 * from its rings (ttf_pool_rebuild()).
 */
#ifndef TTF_POOL_H
#define TTF_POOL_H

#include <stdbool.h>

#include "abi.h"

#define FRAME_ID_NONE UINT32_MAX /* no frame is free */

struct pool {
	uint8_t *base; /* first frame */
	uint32_t frames;
	uint32_t free; /* number of frames on the stack */
	uint32_t *stack;
};

/* Use a segment of `frames` frames. Only its owner gets a stack, empty at first. 0 or -ENOMEM. */
int ttf_pool_init(struct pool *pool, void *segment, uint32_t frames, bool owner);
void ttf_pool_exit(struct pool *pool);

struct ttf_ring;

/*
 * Free every frame that no ring holds. `rings` are those that this worker produces into; NULL entries are
 * passed over. Frames that consumers gave back are reclaimed; consumers may give back more meanwhile. Frame
 * ids out of range are ignored. 0 or -ENOMEM.
 */
int ttf_pool_rebuild(struct pool *pool, const struct ttf_ring *const *rings, uint32_t count);

static inline uint8_t *pool_eth(const struct pool *pool, uint32_t frame_id)
{
	return pool->base + (uint64_t)frame_id * TTF_FRAME_STRIDE + TTF_FRAME_HEADROOM;
}

/* Whether a frame lies in this pool: its owner alone may write to it. */
static inline bool pool_holds(const struct pool *pool, const uint8_t *eth)
{
	return (uintptr_t)eth - (uintptr_t)pool->base < (uint64_t)pool->frames * TTF_FRAME_STRIDE;
}

/* The i-th frame from the top, which stays on the stack. i < pool->free. */
static inline uint32_t pool_peek(const struct pool *pool, uint32_t i)
{
	return pool->stack[pool->free - 1 - i];
}

/* Take frames from the top. count <= pool->free. */
static inline void pool_take(struct pool *pool, uint32_t count)
{
	pool->free -= count;
}

static inline void pool_put(struct pool *pool, uint32_t frame_id)
{
	pool->stack[pool->free++] = frame_id;
}

/* Take the frame at the top, or FRAME_ID_NONE. */
static inline uint32_t pool_get(struct pool *pool)
{
	return pool->free ? pool->stack[--pool->free] : FRAME_ID_NONE;
}

#endif
