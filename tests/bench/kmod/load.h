/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The forwarder's surroundings: two taps, frames that wait in the first tap's queue, and counters behind the
 * second. No call of these is part of a measurement.
 */
#ifndef TTF_BENCH_LOAD_H
#define TTF_BENCH_LOAD_H

#include "frames.h"
#include "way.h"

/* Counters of the sink's device. */
struct received {
	uint64_t frames, bytes;
};

/* Make taps that are up and hold this many frames. Call it once. */
struct taps load_taps(const struct frames *frames, uint32_t packets);

/* Put frames into the source's queue. */
void load_fill(const struct frames *frames, uint32_t packets);

struct received load_received(const struct taps *taps);

/* Frames that the UDP socket received since the last call. */
uint32_t load_delivered(void);

#endif
