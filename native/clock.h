/* SPDX-License-Identifier: Apache-2.0 */
/* The clocks of the loop: CLOCK_MONOTONIC. The coarse one costs a few ns and moves once a tick. */
#ifndef TTF_CLOCK_H
#define TTF_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

static inline uint64_t clock_coarse_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC_COARSE);
}

static inline uint64_t clock_precise_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

#endif
