/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A frame that goes from worker to worker takes its cache lines along, and each line that is fetched on
 * demand costs the latency between two cores. In that case (struct ttf_queue, shared) lines are fetched
 * ahead: the first line of each frame for the whole burst, the other lines a few frames ahead, during the
 * system calls for earlier frames. A prefetch never faults, so it may use a number from shared memory before
 * its bounds are checked.
 */
#ifndef TTF_PREFETCH_H
#define TTF_PREFETCH_H

#include "driver.h"

#define PREFETCH_AHEAD 2u
#define PREFETCH_MAX_BYTES 2048u

static inline void prefetch_read(const uint8_t *line)
{
	__builtin_prefetch(line);
}

/* For a line that will be written: it comes with ownership, or it would travel twice. */
static inline void prefetch_write(const uint8_t *line)
{
#if defined(__x86_64__)
	/* GCC emits prefetchw for __builtin_prefetch(line, 1) with -mprfchw only. */
	__asm__ volatile("prefetchw %0" : : "m"(*line));
#else
	__builtin_prefetch(line, 1);
#endif
}

/* All lines but the first of the frame PREFETCH_AHEAD frames behind frame i of a burst. */
static inline void prefetch_ahead_read(const struct ttf_queue *queue, const struct ttf_frame *frames,
				       uint32_t i, uint32_t count)
{
	if (!queue->shared || i + PREFETCH_AHEAD >= count)
		return;
	const struct ttf_frame *frame = &frames[i + PREFETCH_AHEAD];

	for (uint32_t at = TTF_CACHE_LINE; at < frame->length && at < PREFETCH_MAX_BYTES;
	     at += TTF_CACHE_LINE)
		prefetch_read(frame->eth + at);
}

static inline void prefetch_ahead_write(const struct ttf_queue *queue, const struct ttf_frame *frames,
					uint32_t i, uint32_t count)
{
	if (!queue->shared || i + PREFETCH_AHEAD >= count)
		return;
	uint8_t *eth = frames[i + PREFETCH_AHEAD].eth;

	for (uint32_t at = TTF_CACHE_LINE; at < queue->last_length && at < PREFETCH_MAX_BYTES;
	     at += TTF_CACHE_LINE)
		prefetch_write(eth + at);
}

#endif
