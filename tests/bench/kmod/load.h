/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What lies around the forwarder: two taps, frames that wait in the first one's queue, and what becomes of
 * them behind the second one. Called by forward.c, outside of what it measures.
 */
#ifndef TTF_BENCH_LOAD_H
#define TTF_BENCH_LOAD_H

#include "frames.h"
#include "way.h"

/* What the sink's device has received. */
struct received {
	uint64_t frames, bytes;
};

/* Taps that are up, and hold as many frames. Call it once. */
struct taps load_taps(const struct frames *frames, uint32_t packets);

/* Put frames into the source's queue. */
void load_fill(const struct frames *frames, uint32_t packets);

struct received load_received(const struct taps *taps);

/* Frames that the UDP socket has got since the last call. */
uint32_t load_delivered(void);

#endif
