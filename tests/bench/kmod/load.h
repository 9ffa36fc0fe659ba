/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The forwarder's surroundings: two taps, frames that wait in the first tap's queue, and counters behind the
 * second. Of these calls only load_fill() can be part of a measurement.
 */
#ifndef TTF_BENCH_LOAD_H
#define TTF_BENCH_LOAD_H

#include "frames.h"
#include "way.h"

/* Counters of a device. */
struct received {
	uint64_t frames, bytes;
};

/* Make taps that are up and hold this many frames. Call it once. */
struct taps load_taps(const struct frames *frames, uint32_t packets);

/* A packet socket that sends into this device, with or without a virtio_net_hdr. */
int load_socket(const char *device, bool vnet);

/* Send frames into the socket's device: into the source's queue, if it's a tap. */
void load_fill(int packet_fd, uint32_t packets);

struct received load_received(const char *device);

/* Frames that the UDP socket received since the last call. */
uint32_t load_delivered(void);

#endif
