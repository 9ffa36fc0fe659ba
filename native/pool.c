/* SPDX-License-Identifier: Apache-2.0 */
#include "pool.h"

#include <errno.h>
#include <stdlib.h>

#include "ring.h"

int ttf_pool_init(struct pool *pool, void *segment, uint32_t frames, bool owner)
{
	pool->base = segment;
	pool->frames = frames;
	pool->free = 0;
	pool->stack = NULL;
	if (!owner)
		return 0;
	pool->stack = calloc(pool->frames, sizeof(*pool->stack));
	return pool->stack ? 0 : -ENOMEM;
}

void ttf_pool_exit(struct pool *pool)
{
	free(pool->stack);
	pool->stack = NULL;
	pool->free = 0;
}

int ttf_pool_rebuild(struct pool *pool, const struct ttf_ring *const *rings, uint32_t count)
{
	bool *held = calloc(pool->frames, sizeof(*held));

	if (!held)
		return -ENOMEM;
	for (uint32_t r = 0; r < count; r++) {
		const struct ttf_ring *ring = rings[r];

		if (!ring)
			continue;
		ring_reclaim(ring, ring_completed(ring));
		for (uint32_t i = 0; i < ring->producer->tail - ring->producer->reclaimed && i < ring->slots;
		     i++) {
			uint32_t frame_id = ring_reclaimed_frame(ring, i);

			if (frame_id < pool->frames)
				held[frame_id] = true;
		}
	}
	pool->free = 0;
	for (uint32_t frame_id = pool->frames; frame_id-- > 0;)
		if (!held[frame_id])
			pool_put(pool, frame_id);
	free(held);
	return 0;
}
