/* SPDX-License-Identifier: Apache-2.0 */
#include "run_state.h"

#include "atomic.h"
#include "layout.h"

void ttf_run_state_set(void *rings, uint32_t worker, uint32_t run_state)
{
	store_release(&ttf_rings_run_words(rings, worker)->run_state, run_state);
}

uint32_t ttf_run_state_seen(void *rings, uint32_t worker)
{
	return load_acquire(&ttf_rings_worker_words(rings, worker)->run_state_seen);
}

void ttf_run_state_attention(void *rings, uint32_t worker)
{
	struct ttf_run_words *words = ttf_rings_run_words(rings, worker);

	store_release(&words->attention, words->attention + 1); /* pairs with ttf_worker_attention() */
}

void ttf_run_state_capture(void *rings, uint32_t worker, uint32_t capture)
{
	store_release(&ttf_rings_run_words(rings, worker)->capture, capture);
}

void ttf_run_state_reset(void *rings, uint32_t worker)
{
	struct ttf_worker_words *words = ttf_rings_worker_words(rings, worker);

	store_relaxed(&words->sleeping, 0);
	store_relaxed(&words->run_state_seen, TTF_RUN_STATE_RUN);
	store_release(&ttf_rings_run_words(rings, worker)->run_state, TTF_RUN_STATE_RUN);
}

void ttf_run_state_live(void *rings, uint32_t worker, bool lives)
{
	uint64_t *word = &((struct ttf_rings *)rings)->live[worker / 64];
	uint64_t bit = 1ull << worker % 64;

	store_relaxed(word, lives ? *word | bit : *word & ~bit);
	for (uint32_t w = 0; w < ((const struct ttf_header *)rings)->workers; w++) {
		struct ttf_run_words *words = ttf_rings_run_words(rings, w);

		store_release(&words->living, words->living + 1); /* pairs with steer_living() */
	}
}

uint64_t ttf_rings_waiting(void *rings)
{
	const struct ttf_header *header = rings;
	uint64_t waiting = 0;

	for (uint32_t from = 0; from < header->workers; from++)
		for (uint32_t to = 0; to < header->workers; to++) {
			struct ttf_ring ring = ttf_rings_ring(rings, from, to);

			waiting += load_acquire(&ring.producer->tail) - load_acquire(&ring.consumer->head);
		}
	return waiting;
}
