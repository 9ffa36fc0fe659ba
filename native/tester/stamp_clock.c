/* SPDX-License-Identifier: Apache-2.0 */
#include "tester/stamp_clock.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "clock.h"

#define TRIES 10 /* the most certain one counts: the thread may be interrupted between two clocks */

struct reading {
	uint64_t at_ns;
	int64_t ahead_ns;
	uint64_t uncertainty_ns;
};

/* The clock was read between two readings of CLOCK_MONOTONIC. */
static int read_once(clockid_t id, struct reading *reading)
{
	const uint64_t before_ns = clock_precise_ns();
	struct timespec other;
	uint64_t after_ns;

	if (clock_gettime(id, &other))
		return -errno;
	after_ns = clock_precise_ns();
	reading->uncertainty_ns = (after_ns - before_ns + 1) / 2;
	reading->at_ns = before_ns + (after_ns - before_ns) / 2;
	reading->ahead_ns = (int64_t)other.tv_sec * 1000000000 + other.tv_nsec - (int64_t)reading->at_ns;
	return 0;
}

static int read_well(clockid_t id, struct reading *best)
{
	best->uncertainty_ns = UINT64_MAX;
	for (int i = 0; i < TRIES; i++) {
		struct reading reading = { 0 };
		int error = read_once(id, &reading);

		if (error)
			return error;
		if (reading.uncertainty_ns < best->uncertainty_ns)
			*best = reading;
	}
	return 0;
}

int ttf_stamp_clock_read(struct ttf_stamp_clock *clock)
{
	struct reading now;
	const int error = read_well(clock->id, &now);

	if (error)
		return error;
	/* The first reading tells the distance. The second tells the drift, of a clock that has one. */
	if (clock->readings > clock->drifts) {
		const int64_t expected_ns = stamp_clock_ahead(clock, now.at_ns);
		const uint64_t off_ns = (uint64_t)llabs(now.ahead_ns - expected_ns);
		const uint64_t explained_ns = now.uncertainty_ns + clock->uncertainty_ns;

		if (off_ns > explained_ns && off_ns - explained_ns > clock->step_ns)
			clock->step_ns = off_ns - explained_ns;
	}
	if (now.uncertainty_ns > clock->uncertainty_ns)
		clock->uncertainty_ns = now.uncertainty_ns;
	if (clock->drifts && clock->readings && now.at_ns > clock->read_ns)
		clock->drift_ppt = (int64_t)((double)(now.ahead_ns - clock->ahead_ns) * 1e12 /
					     (double)(now.at_ns - clock->read_ns));
	if (clock->drifts || !clock->readings) {
		clock->read_ns = now.at_ns;
		clock->ahead_ns = now.ahead_ns;
	}
	clock->readings++;
	return 0;
}
