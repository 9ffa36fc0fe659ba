/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A way to move frames from one device to another: the calls of a forwarder's loop and nothing else. forward.c
 * calls all ways alike, so they differ only in how they enter the kernel. A way within the kernel makes no call:
 * its frames have arrived when they have been sent.
 *
 * A way counts its system calls in `system_calls`. An event that voids a measurement, such as a refused
 * frame, ends the program.
 */
#ifndef TTF_BENCH_WAY_H
#define TTF_BENCH_WAY_H

#include <stdint.h>
#include <sys/socket.h>

#define MAX_BATCH 256u
#define SMALL_BUFFER 2048u /* up to MTU 1500 */
#define LARGE_BUFFER 10240u
#define SEGMENT_BUFFER (68u << 10)

struct taps {
	const char *source, *sink;
	int source_fd, sink_fd;
	uint32_t vnet_bytes; /* of the virtio_net_hdr in front of each frame; 0: none */
};

/* One slot for each frame of a batch. */
struct slots {
	uint32_t stride;
	uint8_t *memory;
	uint32_t lengths[MAX_BATCH];
};

struct way {
	const char *name;
	void (*open)(const struct taps *taps, uint32_t stride);
	/* Receive up to `most` frames from the source. Returns their number. NULL: a way within the kernel. */
	uint32_t (*receive)(struct slots *slots, uint32_t most);
	/* Send the first `count` frames to the sink. */
	void (*send)(struct slots *slots, uint32_t count);
	/* Wait for pending work of send(). NULL if send() leaves none. */
	void (*finish)(void);
	/* Devices of its own: where its frames enter, and where they arrive. NULL: the tap's. */
	const char *source, *sink;
};

extern const struct way way_rw, way_uring, way_mmsg, way_burst, way_crossing, way_ttfwd, way_capture;
/* From a tap to a device. */
extern const struct way way_burst_device, way_crossing_device;
/* Within the kernel, between veths. */
extern const struct way way_bridge, way_mirred, way_veth;
extern uint64_t system_calls;

struct slots slots_make(uint32_t stride);

static inline uint8_t *slot(const struct slots *slots, uint32_t index)
{
	return slots->memory + (size_t)index * slots->stride;
}

/* Turbotap sockets for both taps, with or without TURBOTAP_BURST. Two ways need them. */
void turbotap_sockets(const struct taps *taps, int burst, int *source, int *sink);

#endif
