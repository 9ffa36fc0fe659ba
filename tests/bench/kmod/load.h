/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What lies around the forwarder: two taps, frames that wait in the first one's queue, and what becomes of
 * them behind the second one. Called by forward.c, outside of what it measures.
 */
#ifndef TTF_BENCH_LOAD_H
#define TTF_BENCH_LOAD_H

#include "way.h"

enum fate {
	DROPPED,   /* for a MAC address that nobody has: the stack drops them first thing */
	DELIVERED, /* to a UDP socket, which reads them when nothing is measured */
};

/* Taps that are up, and hold as many frames. Call it once. */
struct taps load_taps(uint32_t size, uint32_t packets);

/* Ethernet, IPv4 and UDP, with correct checksums. */
void load_frame(uint8_t *frame, uint32_t size, enum fate fate);

/* Put frames into the source's queue. */
void load_fill(uint32_t size, uint32_t packets, enum fate fate);

/* Frames that the sink's device has received. */
uint64_t load_received(const struct taps *taps);

/* Frames that the UDP socket has got since the last call. */
uint32_t load_delivered(void);

#endif
