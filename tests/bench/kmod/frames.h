/* SPDX-License-Identifier: Apache-2.0 */
/* The frames that are forwarded: all alike. */
#ifndef TTF_BENCH_FRAMES_H
#define TTF_BENCH_FRAMES_H

#include <stdbool.h>
#include <stdint.h>

#define SINK_PORT 9 /* discard */

enum fate {
	DROPPED,   /* for a MAC address that nobody has: the stack drops them first thing */
	DELIVERED, /* to a UDP socket, which reads them when nothing is measured */
};

struct frames {
	uint32_t size;
	enum fate fate;
	/* TCP that is still to be cut, with a virtio_net_hdr that says so; else UDP, in plain frames. */
	bool segments;
};

/* What a tap's fd carries for a frame, header included. */
uint32_t frames_bytes(const struct frames *frames);

/* Make one. What the network stack checks on its way is correct. */
void frames_make(uint8_t *bytes, const struct frames *frames);

#endif
