/* SPDX-License-Identifier: Apache-2.0 */
#include "recover.h"

#include <string.h>

#include "atomic.h"
#include "layout.h"
#include "ring.h"

/* The index is right; a total that a crash left behind is moved up to it. */
static void recover_total(uint64_t *total, uint32_t index)
{
	store_release(total, *total + (uint32_t)(index - (uint32_t)*total));
}

static uint64_t packets_in(const struct ttf_counters *c)
{
	return c->rx_packets + c->generated_packets + c->copied_packets;
}

static uint64_t packets_out(const struct ttf_counters *c)
{
	uint64_t out = c->tx_packets;

	for (int reason = 0; reason < TTF_DROP_COUNT; reason++)
		out += c->drops[reason];
	return out;
}

uint64_t ttf_recover_worker(void *stats, void *rings, uint32_t worker)
{
	const struct ttf_header *header = stats;
	struct ttf_worker_stats *mine = ttf_stats_worker(stats, worker);
	uint64_t in = packets_in(&mine->orphans) + packets_in(&mine->retired);
	uint64_t out = packets_out(&mine->orphans) + packets_out(&mine->retired);
	uint64_t before = mine->lost_in_crash;

	for (uint32_t w = 0; w < header->workers; w++) {
		struct ttf_ring *to_it = ttf_rings_ring(rings, w, worker);
		struct ttf_ring *from_it = ttf_rings_ring(rings, worker, w);
		struct ttf_ring_stats *popped = ttf_stats_ring(stats, w, worker);
		struct ttf_ring_stats *pushed = ttf_stats_ring(stats, worker, w);

		if (w == worker)
			continue;
		ring_abandon(to_it);
		recover_total(&popped->popped, to_it->head - to_it->start);
		recover_total(&pushed->pushed, from_it->tail - from_it->start);
		in += popped->popped;
		out += pushed->pushed;
	}
	for (uint32_t p = 0; p < header->ports; p++) {
		const struct ttf_counters *queue = ttf_stats_queue(stats, p, worker);

		in += packets_in(queue);
		out += packets_out(queue);
	}
	store_release(&mine->lost_in_crash, in - out);
	store_relaxed(&ttf_rings_run_words(rings, worker)->sleeping, 0);
	return mine->lost_in_crash - before;
}

void ttf_retire_port(void *stats, uint32_t port)
{
	const struct ttf_header *header = stats;

	for (uint32_t w = 0; w < header->workers; w++) {
		struct ttf_counters *queue = ttf_stats_queue(stats, port, w);
		struct ttf_counters *retired = &ttf_stats_worker(stats, w)->retired;
		const uint64_t *from = (const uint64_t *)queue;
		uint64_t *to = (uint64_t *)retired;

		/* struct ttf_counters is nothing but 64-bit counters. */
		for (size_t i = 0; i < sizeof(*queue) / sizeof(*from); i++)
			count_add(&to[i], from[i]);
		memset(queue, 0, sizeof(*queue));
	}
}
