// SPDX-License-Identifier: Apache-2.0
/*
 * Reads another clock as the packet receiver does, and converts its time: stamp_clock_check CLOCK DRIFTS STEP_NS.
 * After some readings the clock is taken to have been set by STEP_NS. Prints how often a converted time wasn't
 * between two readings of CLOCK_MONOTONIC around it, give or take the uncertainty; then the step and the
 * uncertainty, in ns.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "clock.h"
#include "tester/stamp_clock.h"

#define READINGS 6
#define PAUSE_US 5000
#define TIMES 200

static int wrong_times(const struct ttf_stamp_clock *clock)
{
	int wrong = 0;

	for (int i = 0; i < TIMES; i++) {
		const uint64_t before_ns = clock_precise_ns();
		const uint64_t stamp_ns = clock_ns(clock->id);
		const uint64_t after_ns = clock_precise_ns();
		const uint64_t found_ns = stamp_clock_monotonic(clock, stamp_ns);
		/* The drift is known from two readings, each uncertain. */
		const uint64_t unsure_ns = clock->uncertainty_ns * (clock->drifts ? 4 : 1);

		wrong += found_ns + unsure_ns < before_ns || found_ns > after_ns + unsure_ns;
	}
	return wrong;
}

int main(int argc, char **argv)
{
	struct ttf_stamp_clock clock = { 0 };
	int wrong = 0;

	if (argc != 4)
		return 2;
	clock.id = atoi(argv[1]);
	clock.drifts = (uint32_t)atoi(argv[2]);
	for (int i = 0; i < READINGS; i++) {
		if (ttf_stamp_clock_read(&clock))
			return 1;
		if (i > (int)clock.drifts)
			wrong += wrong_times(&clock);
		usleep(PAUSE_US);
	}
	clock.ahead_ns -= atoll(argv[3]); /* as if it had been read before it was set */
	if (ttf_stamp_clock_read(&clock))
		return 1;
	printf("%d %" PRIu64 " %" PRIu64 "\n", wrong, clock.step_ns, clock.uncertainty_ns);
	return 0;
}
