/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How still is the CPU that this thread is pinned to? A loop reads the clock and nothing else. While it isn't
 * run, by an interrupt, another thread or the hypervisor, the clock makes a leap: a gap.
 */
#ifndef TTF_NOISE_H
#define TTF_NOISE_H

#include <stdint.h>

struct ttf_noise {
	uint64_t duration_ns; /* of the loop */
	uint64_t reads;	      /* of the clock */
	uint64_t longest_ns;  /* between two reads */
	uint64_t gaps;	      /* longer than asked for */
	uint64_t gaps_ns;     /* all of them together */
};

/* Occupies the CPU for duration_ns, and counts the gaps that are longer than gap_ns. */
void ttf_noise_listen(uint64_t duration_ns, uint64_t gap_ns, struct ttf_noise *noise);

#endif
