/* SPDX-License-Identifier: Apache-2.0 */
#include "guard.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "atomic.h"
#include "clock.h"
#include "layout.h"
#include "names.h"

#define MOST_PER_NS 1024ull    /* nothing counts faster: 8 Tbit/s of bytes */
#define SLACK_NS 1000000000ull /* counters of time are published once a slice */
#define MAX_ELAPSED_NS (1ull << 50)
#define MAX_HELD (1 << 20) /* packets: bursts under way, their copies, and rings that were reset */

struct guard_worker {
	uint64_t checked_ns;
	int64_t inexact; /* packets that damage made appear (or, negative, disappear) */
	bool damaged;	 /* since the last settlement */
	struct ttf_damage damage;
};

struct ttf_guard {
	void *stats;
	void *copy;
	struct guard_worker workers[];
};

struct ttf_guard *ttf_guard_new(void *stats)
{
	const struct ttf_header *header = stats;
	struct ttf_guard *guard = calloc(1, sizeof(*guard) + header->workers * sizeof(guard->workers[0]));

	if (!guard)
		return NULL;
	guard->stats = stats;
	guard->copy = calloc(1, header->total_bytes);
	if (!guard->copy) {
		free(guard);
		return NULL;
	}
	memcpy(guard->copy, stats, sizeof(*header));
	for (uint32_t w = 0; w < header->workers; w++)
		guard->workers[w].checked_ns = clock_precise_ns();
	return guard;
}

void ttf_guard_free(struct ttf_guard *guard)
{
	if (!guard)
		return;
	free(guard->copy);
	free(guard);
}

void *ttf_guard_stats(struct ttf_guard *guard)
{
	return guard->stats;
}

void *ttf_guard_copy(struct ttf_guard *guard)
{
	return guard->copy;
}

static uint64_t *guard_copied(const struct ttf_guard *guard, const uint64_t *word)
{
	return (uint64_t *)(void *)((char *)guard->copy + ((const char *)word - (const char *)guard->stats));
}

void ttf_guard_add(struct ttf_guard *guard, uint64_t *word, uint64_t more)
{
	uint64_t *copied = guard_copied(guard, word);

	*copied += more;
	store_release(word, *copied);
}

void ttf_guard_clear(struct ttf_guard *guard, uint64_t *word)
{
	*guard_copied(guard, word) = 0;
	store_release(word, 0);
}

/* ----------------------------------------------------------------------- in words, for the log */

static const char *const worker_words[] = { "heartbeat_ns", "cpu_ns", "busy_ns",   "running_ns",
					    "rounds",	    "sleeps", "doorbells", "pool_empty_rounds",
					    "pool_frames" };
static const char *const counter_words[] = { "rx_packets",     "rx_bytes",    "rx_calls", "rx_empty_calls",
					     "tx_packets",     "tx_bytes",    "tx_calls", "generated_packets",
					     "copied_packets", "kernel_drops" };

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define FIRST_DROP (offsetof(struct ttf_counters, drops) / 8)
#define FIRST_BURST (offsetof(struct ttf_counters, rx_bursts) / 8)

static const char *counter_name(size_t word)
{
	if (word < COUNT_OF(counter_words))
		return counter_words[word];
	if (word >= FIRST_DROP && word < FIRST_DROP + TTF_DROP_COUNT)
		return ttf_drop_name((uint32_t)(word - FIRST_DROP));
	if (word >= FIRST_BURST && word < FIRST_BURST + TTF_BURST_BUCKETS)
		return "rx_bursts";
	return "an unused word";
}

/* `word`: of the worker's area. */
static void guard_name(const struct ttf_guard *guard, size_t word, char *name, size_t bytes)
{
	const struct ttf_header *header = guard->copy;
	const size_t counters = sizeof(struct ttf_counters) / 8;
	const size_t orphans = offsetof(struct ttf_worker_stats, orphans) / 8;
	size_t ring = word - sizeof(struct ttf_worker_stats) / 8 - header->ports * counters;
	const size_t rings =
		2 * (size_t)header->workers; /* words of the outward ones, and of the inward ones */

	if (word < orphans) {
		snprintf(name, bytes, "%s",
			 word < COUNT_OF(worker_words) ? worker_words[word] : "an unused word");
	} else if (word < orphans + counters) {
		snprintf(name, bytes, "%s of no port", counter_name(word - orphans));
	} else if (word < orphans + counters + header->ports * counters) {
		word -= orphans + counters;
		snprintf(name, bytes, "%s of port id %zu", counter_name(word % counters), word / counters);
	} else if (ring < rings) {
		snprintf(name, bytes, "%s of the ring to worker %zu", ring % 2 ? "dropped" : "pushed",
			 ring / 2);
	} else if (ring < 2 * rings) {
		ring -= rings;
		snprintf(name, bytes, "%s of the ring from worker %zu", ring % 2 ? "bad" : "popped",
			 ring / 2);
	} else {
		snprintf(name, bytes, "an unused word");
	}
}

/* ------------------------------------------------------------------------------ packets add up */

static uint64_t packets_in(const struct ttf_counters *c)
{
	return load_acquire(&c->rx_packets) + load_acquire(&c->generated_packets) +
	       load_acquire(&c->copied_packets);
}

static uint64_t packets_out(const struct ttf_counters *c)
{
	uint64_t out = load_acquire(&c->tx_packets);

	for (int reason = 0; reason < TTF_DROP_COUNT; reason++)
		out += load_acquire(&c->drops[reason]);
	return out;
}

/* `stats`: the shared segment, or the copy. */
static uint64_t worker_in(void *stats, uint32_t worker)
{
	const struct ttf_header *header = stats;
	uint64_t in = packets_in(&ttf_stats_worker(stats, worker)->orphans);

	for (uint32_t p = 0; p < header->ports; p++)
		in += packets_in(ttf_stats_queue(stats, p, worker));
	for (uint32_t w = 0; w < header->workers; w++)
		in += load_acquire(&ttf_stats_ring_in(stats, w, worker)->popped);
	return in;
}

static uint64_t worker_out(void *stats, uint32_t worker)
{
	const struct ttf_header *header = stats;
	uint64_t out = packets_out(&ttf_stats_worker(stats, worker)->orphans);

	for (uint32_t p = 0; p < header->ports; p++)
		out += packets_out(ttf_stats_queue(stats, p, worker));
	for (uint32_t w = 0; w < header->workers; w++)
		out += load_acquire(&ttf_stats_ring_out(stats, worker, w)->pushed);
	return out;
}

/* in - out of the deleted ports, of earlier deaths, and of damage: what a worker held long ago. */
static uint64_t worker_past(const struct ttf_guard *guard, uint32_t worker)
{
	const struct ttf_worker_status *status = ttf_stats_status(guard->stats, worker);

	return status->lost_in_crash + (uint64_t)guard->workers[worker].inexact +
	       packets_out(&status->retired) - packets_in(&status->retired);
}

/*
 * Counters are published in the order received, then sent. So whatever a worker does meanwhile, what came in
 * is no less than what went out before. One exception: a burst from a ring counts as received at its end.
 */
static bool guard_adds_up(const struct ttf_guard *guard, uint32_t worker)
{
	const uint64_t past = worker_past(guard, worker);
	uint64_t in, out;

	out = worker_out(guard->stats, worker);
	in = worker_in(guard->stats, worker);
	if ((int64_t)(in - out - past) < -TTF_MAX_BATCH)
		return false;
	in = worker_in(guard->stats, worker);
	out = worker_out(guard->stats, worker);
	return (int64_t)(in - out - past) <= MAX_HELD;
}

uint64_t ttf_guard_settle(struct ttf_guard *guard, uint32_t worker)
{
	struct guard_worker *mine = &guard->workers[worker];
	int64_t held = (int64_t)(worker_in(guard->copy, worker) - worker_out(guard->copy, worker) -
				 worker_past(guard, worker));

	if (mine->damaged || held < 0 || held > MAX_HELD) {
		if (!mine->damaged)
			ttf_stats_instance(guard->stats)->damaged++;
		mine->damaged = false;
		mine->inexact += held;
		return 0;
	}
	return (uint64_t)held;
}

/* --------------------------------------------------------------------------------- word by word */

static bool pool_plausible(uint64_t found)
{
	uint32_t frames[2]; /* pool_free_frames, pool_frames */

	memcpy(frames, &found, sizeof(frames));
	return frames[0] <= frames[1];
}
static_assert(offsetof(struct ttf_worker_stats, pool_frames) == 68, "one word with pool_free_frames");

static void guard_damaged(struct ttf_guard *guard, uint32_t worker)
{
	struct guard_worker *mine = &guard->workers[worker];

	if (!mine->damaged)
		ttf_stats_instance(guard->stats)->damaged++;
	mine->damaged = true;
}

void ttf_guard_take(struct ttf_guard *guard, uint32_t worker)
{
	const struct ttf_header *header = guard->copy;
	struct guard_worker *mine = &guard->workers[worker];
	uint64_t *words = (uint64_t *)(void *)ttf_stats_worker(guard->stats, worker);
	uint64_t *copied = guard_copied(guard, words);
	size_t count = ttf_stats_area(header->workers, header->ports, worker).bytes / sizeof(*words);
	uint64_t now_ns = clock_precise_ns(), elapsed_ns = now_ns - mine->checked_ns;
	uint64_t most =
		((elapsed_ns < MAX_ELAPSED_NS ? elapsed_ns : MAX_ELAPSED_NS) + SLACK_NS) * MOST_PER_NS;
	bool adds_up = guard_adds_up(guard, worker), damaged = false;

	mine->checked_ns = now_ns;
	for (size_t i = 0; i < count; i++) {
		uint64_t found = load_acquire(&words[i]);
		bool plausible;

		if (i == 0) /* the heartbeat, which is not counted with: the supervisor judges it itself */
			plausible = true;
		else if (i == offsetof(struct ttf_worker_stats, pool_free_frames) / sizeof(*words))
			plausible = pool_plausible(found);
		else
			plausible = found - copied[i] <= most;
		if (plausible && adds_up) {
			copied[i] = found;
			continue;
		}
		if (!plausible && !damaged && !mine->damage.what[0]) {
			guard_name(guard, i, mine->damage.what, sizeof(mine->damage.what));
			mine->damage.found = found;
		}
		damaged = damaged || !plausible;
		store_relaxed(&words[i], copied[i]);
	}
	if (!adds_up && !mine->damage.what[0]) {
		snprintf(mine->damage.what, sizeof(mine->damage.what),
			 "the sum of packets in less packets out");
		mine->damage.found = worker_in(guard->copy, worker) - worker_out(guard->copy, worker);
	}
	if (damaged || !adds_up)
		guard_damaged(guard, worker);
}

bool ttf_guard_check(struct ttf_guard *guard, uint32_t worker, struct ttf_damage *damage)
{
	struct guard_worker *mine = &guard->workers[worker];
	bool found;

	ttf_guard_take(guard, worker);
	found = mine->damage.what[0] != 0;
	*damage = mine->damage;
	memset(&mine->damage, 0, sizeof(mine->damage));
	return found;
}
