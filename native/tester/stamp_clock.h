/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Turns the times of another clock into those of CLOCK_MONOTONIC, which the tester's stamps are in.
 *
 * The kernel stamps frames by CLOCK_REALTIME, which keeps its distance from CLOCK_MONOTONIC unless somebody sets
 * it. A NIC stamps by a clock of its own, which drifts: its distance is read again and again, and taken to go on
 * as it went since the last reading. Whatever a reading doesn't find as expected is a step.
 */
#ifndef TTF_STAMP_CLOCK_H
#define TTF_STAMP_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

/* All zero but for the first two: it was never read. */
struct ttf_stamp_clock {
	int32_t id; /* as clock_gettime() takes it: CLOCK_REALTIME, or that of a NIC */
	uint32_t drifts;
	uint64_t read_ns;  /* when it was last read; CLOCK_MONOTONIC */
	int64_t ahead_ns;  /* of CLOCK_MONOTONIC, then */
	int64_t drift_ppt; /* parts in 10^12 */
	uint64_t readings;
	uint64_t uncertainty_ns; /* of the least certain reading */
	uint64_t step_ns;	 /* the greatest that the readings' uncertainty doesn't explain */
};

/* Read it. 0 or -errno. */
int ttf_stamp_clock_read(struct ttf_stamp_clock *clock);

static inline int64_t stamp_clock_ahead(const struct ttf_stamp_clock *clock, uint64_t now_ns)
{
	/* in units of 1,024 ns, which a day of them doesn't overflow */
	const int64_t since = (int64_t)(now_ns - clock->read_ns) >> 10;

	return clock->ahead_ns + since * clock->drift_ppt / 976562500;
}

/* The CLOCK_MONOTONIC of a stamp, which is younger than the reading or a little older. */
static inline uint64_t stamp_clock_monotonic(const struct ttf_stamp_clock *clock, uint64_t stamp_ns)
{
	const uint64_t about = stamp_ns - (uint64_t)clock->ahead_ns;

	return stamp_ns - (uint64_t)stamp_clock_ahead(clock, about);
}

#endif
