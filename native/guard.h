/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The supervisor's private copy of the workers' counters.
 *
 * A worker may write anything into its area of the stats segment. So the supervisor compares each area with
 * what it held before, word by word, each read once. It calculates with its copy alone. The rules:
 *
 *   - a counter only grows, and by less than a generous bound for each nanosecond;
 *   - what came in is what went out and a little more: what a worker can hold at one moment.
 *
 * A word that breaks a rule is damaged. It gets back the value of the copy, so what was counted since the
 * last check is forgotten: from then on the accounting is not exact, and the instance says so.
 */
#ifndef TTF_GUARD_H
#define TTF_GUARD_H

#include <stdbool.h>

#include "abi.h"

struct ttf_guard;

/* The first word that was found damaged, in words, and its value. */
struct ttf_damage {
	char what[80];
	uint64_t found;
};

/* Guard a published stats segment, whose workers have counted nothing. NULL: no memory. */
struct ttf_guard *ttf_guard_new(void *stats);
void ttf_guard_free(struct ttf_guard *guard);

/*
 * Check a worker's counters, and take them over into the copy. True if damage was found, now or by another
 * function of the guard since the last call.
 */
bool ttf_guard_check(struct ttf_guard *guard, uint32_t worker, struct ttf_damage *damage);

/* The same, but damage stays to be told by ttf_guard_check(). */
void ttf_guard_take(struct ttf_guard *guard, uint32_t worker);

/* The segment that is guarded. */
void *ttf_guard_stats(struct ttf_guard *guard);

/* A stats segment whose workers' areas are the copy. Nothing else in it may be used. */
void *ttf_guard_copy(struct ttf_guard *guard);

/* Add to a word of a dead worker's area, given by its address in the shared segment: there, and in the copy.
 */
void ttf_guard_add(struct ttf_guard *guard, uint64_t *word, uint64_t more);

/* The same: set it to zero. */
void ttf_guard_clear(struct ttf_guard *guard, uint64_t *word);

/*
 * After a death: the packets that came in since the last settlement, and were neither sent, handed over nor
 * dropped. 0, and damage, if that is impossible.
 */
uint64_t ttf_guard_settle(struct ttf_guard *guard, uint32_t worker);

#endif
