/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The burst that is being received: frames of the worker's own pool, and who holds them.
 *
 *   rx_burst_prepare()     the frames at the top of the pool's stack stand ready for a driver's rx()
 *   rx_burst_take()        the first of them hold packets now: they leave the stack
 *   rx_burst_return()      those that no handoff ring holds go back to where they came from
 *   rx_burst_invalidate()  the stack's top is no longer what was prepared
 *
 * Invariant: frames [0, ready) are the top of the pool's stack, in order. Most bursts return every frame, so
 * most bursts need no preparation. Every other push or pop must leave the stack as it was before the burst
 * returns (egress.c does so), or call rx_burst_invalidate() (handoff.c and steer.c do so).
 */
#ifndef TTF_RX_BURST_H
#define TTF_RX_BURST_H

#include <stdbool.h>

#include "driver.h"
#include "pool.h"
#include "prefetch.h"
#include "socket_batch.h"

struct rx_burst {
	uint32_t ready;
	bool shared;		    /* frames go on to other workers: fetch their first lines ahead */
	struct socket_batch *batch; /* message arrays over frames[], stale when those change */
	uint32_t frame_ids[TTF_MAX_BATCH];
	struct ttf_frame frames[TTF_MAX_BATCH];
	bool handed[TTF_MAX_BATCH]; /* a handoff ring holds this frame now */
};

static inline void rx_burst_invalidate(struct rx_burst *rx)
{
	rx->ready = 0;
}

/* count <= pool->free, and <= TTF_MAX_BATCH. */
static inline void rx_burst_prepare(struct rx_burst *rx, const struct pool *pool, uint32_t count)
{
	if (rx->ready >= count)
		return;
	for (uint32_t i = 0; i < count; i++) {
		rx->frame_ids[i] = pool_peek(pool, i);
		rx->frames[i].eth = pool_eth(pool, rx->frame_ids[i]);
		if (rx->shared)
			prefetch_write(rx->frames[i].eth);
	}
	rx->ready = count;
	socket_batch_forget_rx(rx->batch);
}

static inline void rx_burst_take(struct pool *pool, uint32_t count)
{
	pool_take(pool, count);
}

/* The last frame goes first, so that the stack is in order again. */
static inline void rx_burst_return(struct rx_burst *rx, struct pool *pool, uint32_t count)
{
	while (count-- > 0) {
		if (rx->handed[count])
			rx_burst_invalidate(rx);
		else
			pool_put(pool, rx->frame_ids[count]);
	}
}

#endif
