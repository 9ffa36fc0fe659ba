/* SPDX-License-Identifier: Apache-2.0 */
#include "handoff.h"

#include <unistd.h>

void ttf_handoff_reclaim(struct handoff *handoff)
{
	struct pool *pool = handoff->pool;

	for (uint32_t w = 0; w < handoff->workers; w++) {
		const struct ttf_ring *ring = &handoff->out[w].ring;
		uint32_t count = handoff->out[w].stats ? ring_completed(ring) : 0;

		for (uint32_t i = 0; i < count; i++) {
			uint32_t frame_id = ring_reclaimed_frame(ring, i);

			/* The ring is shared memory: a wrong number must not reach the stack. */
			if (frame_id < pool->frames && pool->free < pool->frames)
				pool_put(pool, frame_id);
		}
		if (count) {
			ring_reclaim(ring, count);
			rx_burst_invalidate(handoff->rx);
		}
	}
}

bool ttf_handoff_make_room(struct handoff *handoff, uint32_t to)
{
	struct handoff_out *out = &handoff->out[to];

	out->room = ring_free(&out->ring, 0);
	if (out->pending < out->room)
		return true;
	ttf_handoff_reclaim(handoff);
	out->room = ring_free(&out->ring, 0);
	return out->pending < out->room;
}

static void handoff_wake(struct handoff *handoff, const struct handoff_out *out)
{
	static const uint64_t one = 1;

	/* EAGAIN means that the eventfd is signalled already. */
	if (write(out->doorbell, &one, sizeof(one)) == sizeof(one))
		count_add(&handoff->stats->doorbells, 1);
}

void ttf_handoff_publish(struct handoff *handoff)
{
	for (uint32_t w = 0; w < handoff->workers; w++) {
		struct handoff_out *out = &handoff->out[w];

		if (!out->pending)
			continue;
		ring_publish(&out->ring, out->pending);
		count_add(&out->stats->pushed, out->pending);
		out->room -= out->pending;
		out->pending = 0;
		/*
		 * The producer stores tail, fences, and loads `sleeping`. The consumer stores `sleeping`,
		 * fences, and loads tail (sleep_until_woken() in worker.c). At least one of the two sees the
		 * other's store, so no frame waits beside a sleeping consumer.
		 */
		fence_seq_cst();
		if (load_relaxed(&out->consumer->sleeping))
			handoff_wake(handoff, out);
	}
}
