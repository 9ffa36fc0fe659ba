/* SPDX-License-Identifier: Apache-2.0 */
/* The forwarded frames. All are the same. */
#ifndef TTF_BENCH_FRAMES_H
#define TTF_BENCH_FRAMES_H

#include <stdbool.h>
#include <stdint.h>

#define SINK_PORT 9 /* discard */

enum fate {
	DROPPED,   /* to a MAC address that no device has: the stack drops them at once */
	DELIVERED, /* to a UDP socket, which is read between measurements */
};

struct frames {
	uint32_t size;
	enum fate fate;
	/* GSO frames of TCP with a virtio_net_hdr; otherwise plain UDP frames. */
	bool segments;
};

/* Bytes of a frame on a tap's fd, including the virtio_net_hdr. */
uint32_t frames_bytes(const struct frames *frames);

/* Make a frame. All fields that the network stack checks are correct. */
void frames_make(uint8_t *bytes, const struct frames *frames);

#endif
