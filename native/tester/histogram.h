/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A histogram of times: 256 buckets for each doubling, so that a bucket is 0.4 % of its value wide; up to
 * 511 ns each value has its own. What is longer than 2^36 ns (68 s) is in the last bucket.
 *
 * Minimum, maximum and sum are exact. One writer; programs in the kernel and in user space share this.
 */
#ifndef TTF_HISTOGRAM_H
#define TTF_HISTOGRAM_H

#include <stdint.h>

#define TTF_HISTOGRAM_STEPS_LOG2 8
#define TTF_HISTOGRAM_MAX_LOG2 36
#define TTF_HISTOGRAM_BUCKETS 7424 /* (36 - 8 + 1) * 256 */

struct ttf_histogram {
	uint64_t samples;
	uint64_t sum_ns;
	uint64_t least_ns; /* inverted, so that memory full of zeros is an empty histogram */
	uint64_t max_ns;
	uint64_t buckets[TTF_HISTOGRAM_BUCKETS];
};

static inline uint32_t histogram_log2(uint64_t value)
{
	uint32_t log2 = 0;

	for (uint32_t step = 32; step; step /= 2)
		if (value >> step) {
			value >>= step;
			log2 += step;
		}
	return log2;
}

static inline uint32_t histogram_bucket(uint64_t ns)
{
	const uint32_t steps = 1u << TTF_HISTOGRAM_STEPS_LOG2;
	uint32_t octave;

	if (ns < steps)
		return (uint32_t)ns;
	if (ns >> TTF_HISTOGRAM_MAX_LOG2)
		return TTF_HISTOGRAM_BUCKETS - 1;
	octave = histogram_log2(ns) - TTF_HISTOGRAM_STEPS_LOG2;
	return octave * steps + (uint32_t)(ns >> octave);
}

static inline void histogram_add(struct ttf_histogram *histogram, uint64_t ns)
{
	uint32_t bucket = histogram_bucket(ns);

	histogram->samples++;
	histogram->sum_ns += ns;
	if (~ns > histogram->least_ns)
		histogram->least_ns = ~ns;
	if (ns > histogram->max_ns)
		histogram->max_ns = ns;
	if (bucket < TTF_HISTOGRAM_BUCKETS) /* as the kernel's verifier wants it */
		histogram->buckets[bucket]++;
}

#endif
