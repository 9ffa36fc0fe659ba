/* SPDX-License-Identifier: Apache-2.0 */
#include "recover.h"

#include <errno.h>
#include <sys/mman.h>

#include "atomic.h"
#include "crossing_tally.h"
#include "layout.h"

/* A change that one call can make of any counter is smaller. */
#define MOST_OF_A_CALL ((uint64_t)TTF_MAX_BATCH * TTF_FRAME_MAX_BYTES)

/*
 * The index is right; a total that a crash left behind is moved up to it. One that is further behind than a
 * ring has slots was spoilt, and stays: the packets do not add up then, and the guard says so.
 */
static void recover_total(struct ttf_guard *guard, uint64_t *total, uint64_t copied, uint32_t index,
			  uint32_t slots)
{
	uint32_t behind = index - (uint32_t)copied;

	if (behind <= slots)
		ttf_guard_add(guard, total, behind);
}

static void recover_pushed(struct ttf_guard *guard, void *rings, uint32_t from, uint32_t to)
{
	const struct ttf_ring ring = ttf_rings_ring(rings, from, to);
	uint32_t index = load_acquire(&ring.producer->tail) - ((const struct ttf_rings *)rings)->start;

	recover_total(guard, &ttf_stats_ring_out(ttf_guard_stats(guard), from, to)->pushed,
		      ttf_stats_ring_out(ttf_guard_copy(guard), from, to)->pushed, index, ring.slots);
}

static void recover_popped(struct ttf_guard *guard, void *rings, uint32_t from, uint32_t to)
{
	const struct ttf_ring ring = ttf_rings_ring(rings, from, to);
	uint32_t index = load_acquire(&ring.consumer->head) - ((const struct ttf_rings *)rings)->start;

	recover_total(guard, &ttf_stats_ring_in(ttf_guard_stats(guard), from, to)->popped,
		      ttf_stats_ring_in(ttf_guard_copy(guard), from, to)->popped, index, ring.slots);
}

static void recover_changes(struct ttf_guard *guard, uint32_t worker, const struct ttf_crossing_notes *notes)
{
	const struct ttf_header *header = ttf_guard_copy(guard);
	uint64_t *words = (uint64_t *)(void *)ttf_stats_worker(ttf_guard_stats(guard), worker);
	const uint64_t *copied = (const uint64_t *)(void *)ttf_stats_worker(ttf_guard_copy(guard), worker);
	const uint64_t count = ttf_stats_area(header->workers, header->ports, worker).bytes / sizeof(*words);

	for (uint32_t i = 0; i < notes->changed && i < TTF_MAX_CHANGES; i++) {
		const struct ttf_change change = notes->changes[i];

		/* It may be made already. */
		if (change.word < count && change.value > copied[change.word] &&
		    change.value - copied[change.word] <= MOST_OF_A_CALL)
			ttf_guard_add(guard, &words[change.word], change.value - copied[change.word]);
	}
}

int ttf_recover_crossing(struct ttf_guard *guard, void *rings, uint32_t worker, int member)
{
	struct ttf_crossing_notes *shared = ttf_rings_crossing_notes(rings, worker);
	struct ttf_crossing_notes notes = *shared;
	const struct turbotap_lists *lists;

	lists = mmap(NULL, sizeof(*lists), PROT_READ, MAP_SHARED, member, TURBOTAP_MAP_LISTS);
	if (lists == MAP_FAILED)
		return -errno;
	ttf_guard_take(guard, worker);
	/* The bytes of what was received aren't known any more. */
	if (lists->calls == notes.calls + 1)
		ttf_crossing_tally(&notes, lists, ttf_stats_worker(ttf_guard_copy(guard), worker), 0);
	recover_changes(guard, worker, &notes);
	shared->calls = 0;
	shared->changed = 0;
	munmap((void *)lists, sizeof(*lists));
	return 0;
}

uint64_t ttf_recover_worker(struct ttf_guard *guard, void *rings, uint32_t worker)
{
	const struct ttf_header *header = rings;
	struct ttf_worker_status *status = ttf_stats_status(ttf_guard_stats(guard), worker);
	uint64_t lost;

	ttf_guard_take(guard, worker);
	for (uint32_t w = 0; w < header->workers; w++) {
		struct ttf_ring to_it = ttf_rings_ring(rings, w, worker);
		struct ttf_ring from_it = ttf_rings_ring(rings, worker, w);
		struct ttf_ring_indices seen;

		if (w == worker)
			continue;
		if (ring_is_possible(&to_it, &seen)) {
			ring_abandon(&to_it);
			recover_popped(guard, rings, w, worker);
		}
		if (ring_is_possible(&from_it, &seen))
			recover_pushed(guard, rings, worker, w);
	}
	lost = ttf_guard_settle(guard, worker);
	store_release(&status->lost_in_crash, status->lost_in_crash + lost);
	store_relaxed(&ttf_rings_worker_words(rings, worker)->sleeping, 0);
	return lost;
}

void ttf_recover_ring(struct ttf_guard *guard, void *rings, uint32_t from, uint32_t to)
{
	const struct ttf_ring ring = ttf_rings_ring(rings, from, to);
	uint64_t pushed, popped;

	ttf_guard_take(guard, from);
	ttf_guard_take(guard, to);
	pushed = ttf_stats_ring_out(ttf_guard_copy(guard), from, to)->pushed;
	popped = ttf_stats_ring_in(ttf_guard_copy(guard), from, to)->popped;
	ring_reset(&ring, ((const struct ttf_rings *)rings)->start + (uint32_t)pushed);
	/* Nothing waits in it any more. The consumer took what did, and its recovery counts that as lost. */
	ttf_guard_add(guard, &ttf_stats_ring_in(ttf_guard_stats(guard), from, to)->popped, pushed - popped);
}

uint64_t ttf_recover_waiting(struct ttf_guard *guard, void *rings, uint32_t worker, uint32_t reason)
{
	const struct ttf_header *header = rings;
	struct ttf_counters *orphans = &ttf_stats_worker(ttf_guard_stats(guard), worker)->orphans;
	uint64_t dropped = 0;

	ttf_guard_take(guard, worker);
	for (uint32_t from = 0; from < header->workers; from++) {
		const struct ttf_ring ring = ttf_rings_ring(rings, from, worker);
		struct ttf_ring_indices seen;
		uint32_t waiting;

		if (from == worker || !ring_is_possible(&ring, &seen))
			continue;
		waiting = seen.tail - seen.head;
		if (!waiting || waiting > ring.slots)
			continue;
		store_release(&ring.consumer->claimed, seen.head + waiting);
		ring_complete(&ring);
		recover_popped(guard, rings, from, worker);
		ttf_guard_add(guard, &orphans->drops[reason], waiting);
		dropped += waiting;
	}
	return dropped;
}

void ttf_recover_discarded(struct ttf_guard *guard, uint32_t port, uint32_t worker, uint64_t packets,
			   uint64_t bytes, uint64_t kernel_drops)
{
	struct ttf_counters *queue = ttf_stats_queue(ttf_guard_stats(guard), port, worker);

	ttf_guard_take(guard, worker);
	ttf_guard_add(guard, &queue->rx_packets, packets);
	ttf_guard_add(guard, &queue->rx_bytes, bytes);
	ttf_guard_add(guard, &queue->kernel_drops, kernel_drops);
	ttf_guard_add(guard, &queue->drops[TTF_DROP_SHUTDOWN], packets);
}

void ttf_retire_port(struct ttf_guard *guard, uint32_t port)
{
	const struct ttf_header *header = ttf_guard_copy(guard);

	for (uint32_t w = 0; w < header->workers; w++) {
		uint64_t *queue = (uint64_t *)(void *)ttf_stats_queue(ttf_guard_stats(guard), port, w);
		uint64_t *retired = (uint64_t *)(void *)&ttf_stats_status(ttf_guard_stats(guard), w)->retired;
		const uint64_t *copied;

		ttf_guard_take(guard, w);
		copied = (const uint64_t *)(void *)ttf_stats_queue(ttf_guard_copy(guard), port, w);
		/* struct ttf_counters is nothing but 64-bit counters. */
		for (size_t i = 0; i < sizeof(struct ttf_counters) / sizeof(*queue); i++) {
			count_add(&retired[i], copied[i]);
			ttf_guard_clear(guard, &queue[i]);
		}
	}
}

int64_t ttf_rings_contradiction(void *rings, uint32_t first, struct ttf_ring_indices *seen)
{
	const uint32_t workers = ((const struct ttf_header *)rings)->workers;

	for (uint32_t number = first; number < workers * workers; number++) {
		const struct ttf_ring ring = ttf_rings_ring(rings, number / workers, number % workers);

		/* No worker has a ring to itself. */
		if (number / workers != number % workers && !ring_is_possible(&ring, seen))
			return number;
	}
	return -1;
}
