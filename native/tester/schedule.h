/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A run's schedule (struct ttf_generator): is a frame due, how late is it, and what is left out after a stall.
 * The generators in the kernel and in user space share this.
 */
#ifndef TTF_SCHEDULE_H
#define TTF_SCHEDULE_H

#include "generator.h"

#define TTF_SECOND_NS 1000000000ull

/* When the next frame is due. */
static inline uint64_t schedule_due_ns(const struct ttf_generator *run)
{
	return run->start_ns + (run->due >> TTF_FRACTION_LOG2);
}

/*
 * A frame was due at `due_ns`, and it is that late or later. If more are late than will be made up, leave out the
 * rest, the same number of each way. Returns when the next frame was due then, if a slot is left for one. As fast
 * as can be, a frame is due when it is sent.
 */
static inline uint64_t schedule_catch_up(struct ttf_generator *run, uint32_t ways, uint64_t due_ns,
					 uint64_t now_ns)
{
	const uint64_t behind = (now_ns - due_ns) << TTF_FRACTION_LOG2;
	uint64_t skipped, left = run->slots - run->slot;

	if (!run->interval)
		return now_ns;
	if (behind <= TTF_CATCH_UP * ways * run->interval)
		return due_ns;
	skipped = behind / run->interval - TTF_CATCH_UP * ways;
	skipped -= skipped % ways;
	if (skipped > left)
		skipped = left;
	run->slot += skipped;
	run->due += skipped * run->interval;
	return schedule_due_ns(run);
}

/* A frame that is due is about to be sent: the next one is the next slot's. */
static inline void schedule_advance(struct ttf_generator *run)
{
	run->slot++;
	run->due += run->interval;
}

/* Has a second of the run begun that has no mark yet? *second is its number. */
static inline int schedule_needs_mark(struct ttf_generator *run, uint64_t due_ns, uint32_t *second)
{
	const uint64_t since_ns = due_ns - run->start_ns;

	if (since_ns < run->mark_ns)
		return 0;
	*second = (uint32_t)(since_ns / TTF_SECOND_NS);
	run->mark_ns = (*second + 1) * TTF_SECOND_NS;
	return *second < TTF_MAX_SECONDS;
}

#endif
