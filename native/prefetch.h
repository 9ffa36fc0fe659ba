/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where frames go from worker to worker, so do their cache lines, and each that is fetched on demand costs
 * the latency between two cores. Only then (struct ttf_queue, shared) they are asked for in advance: the
 * first line for the whole burst, the others a few frames ahead, while earlier frames are in their system
 * calls. A prefetch never faults, so a number from shared memory may be used before its bounds are checked.
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

/* For a line that will be written: without asking for ownership it would travel twice. */
static inline void prefetch_write(const uint8_t *line)
{
#if defined(__x86_64__)
	/* GCC emits prefetchw for __builtin_prefetch(line, 1) with -mprfchw only. */
	__asm__ volatile("prefetchw %0" : : "m"(*line));
#else
	__builtin_prefetch(line, 1);
#endif
}

/* The lines behind the first of the frame that comes PREFETCH_AHEAD after frame i of a burst. */
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
