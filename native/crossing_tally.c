/* SPDX-License-Identifier: Apache-2.0 */
#include "crossing_tally.h"

#include <errno.h>

#include "atomic.h"
#include "egress_error.h"

static_assert(TTF_MAX_BATCH == TURBOTAP_CROSSING_BATCH, "a burst is what a call can send");

uint32_t ttf_crossing_drop_reason(int32_t result)
{
	const int error = (int)-(int64_t)result; /* a worker can write anything there */
	bool alone;

	/* To others, ENXIO is a device that isn't there. */
	return error == ENXIO ? TTF_DROP_NO_PORT : egress_drop_reason(error, &alone);
}

static void add(struct ttf_crossing_notes *notes, const struct ttf_worker_stats *worker,
		const uint64_t *counter, uint64_t more)
{
	const uint64_t word = (uint64_t)(counter - (const uint64_t *)worker);

	for (uint32_t i = 0; i < notes->changed; i++)
		if (notes->changes[i].word == word) {
			notes->changes[i].value += more;
			return;
		}
	if (notes->changed < TTF_MAX_CHANGES)
		notes->changes[notes->changed++] =
			(struct ttf_change){ .word = word, .value = load_relaxed(counter) + more };
}

/* Entries to one port that follow one another, from entry i on. The first entry behind them. */
static uint32_t add_sent(struct ttf_crossing_notes *notes, const struct turbotap_lists *lists,
			 const struct ttf_worker_stats *worker, uint32_t i, uint32_t count)
{
	const uint32_t port = notes->entries[i].out_port;
	const struct ttf_counters *queue = (const struct ttf_counters *)(worker + 1) + port;
	uint64_t packets = 0, bytes = 0;

	for (; i < count && notes->entries[i].out_port == port; i++) {
		if (lists->send[i].result) {
			add(notes, worker, &queue->drops[ttf_crossing_drop_reason(lists->send[i].result)], 1);
			continue;
		}
		packets++;
		bytes += notes->entries[i].bytes;
	}
	if (packets) {
		add(notes, worker, &queue->tx_packets, packets);
		add(notes, worker, &queue->tx_bytes, bytes);
	}
	return i;
}

void ttf_crossing_tally(struct ttf_crossing_notes *notes, const struct turbotap_lists *lists,
			const struct ttf_worker_stats *worker, uint64_t received_bytes)
{
	const struct ttf_counters *queues = (const struct ttf_counters *)(worker + 1);
	const uint32_t count = lists->send_count < TTF_MAX_BATCH ? lists->send_count : TTF_MAX_BATCH;

	notes->changed = 0;
	if (notes->in_port < TTF_MAX_PORTS && (lists->received || lists->lost)) {
		const struct ttf_counters *in = &queues[notes->in_port];

		add(notes, worker, &in->rx_packets,
		    lists->received < TTF_MAX_BATCH ? lists->received : TTF_MAX_BATCH);
		add(notes, worker, &in->rx_bytes, received_bytes);
		if (lists->lost)
			add(notes, worker, &in->kernel_drops, lists->lost);
	}
	for (uint32_t i = 0; i < count;) {
		if (notes->entries[i].out_port < TTF_MAX_PORTS)
			i = add_sent(notes, lists, worker, i, count);
		else
			i++;
	}
}
