/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How bursts cross the kernel boundary: one table of function pointers for each driver.
 *
 *   tap_rw.c          tap queue by read() and write(): a system call a packet, on every kernel
 *   uring.c           tap queue by io_uring: a system call a burst, where the kernel permits it
 *   turbotap_mmsg.c   socket by recvmmsg() and sendmmsg(): a system call a burst, a message a frame
 *                     (turbotap, and AF_UNIX datagram sockets in tests)
 *   turbotap_burst.c  socket of turbotap by burst messages: a system call and a message a burst; and what
 *                     crossing.c doesn't do of io `zerocopy`
 *   packet_rx.c       AF_PACKET by two packet rings: no system call to receive, one a burst to send
 */
#ifndef TTF_DRIVER_H
#define TTF_DRIVER_H

#include <stdbool.h>

#include "abi.h"
#include "port_config.h"

/* At most this is received at once, so that it stays in a core's cache until it is sent. */
#define TTF_BURST_BYTES (512u << 10)

/* Lengths of frames that were received, and can only be dropped. No frame is as long. */
#define FRAME_TRUNCATED UINT32_MAX	 /* it was longer than its memory */
#define FRAME_MALFORMED (UINT32_MAX - 1) /* the kernel's description of it made no sense */

/* One frame on its way in or out: its Ethernet header, and its length from there. */
struct ttf_frame {
	uint8_t *eth;
	uint32_t length;
	uint32_t offload; /* not 0: the offload header in front requests something; 0: it is undefined */
};

/* The bytes of a received frame, for counters. */
static inline uint32_t frame_counted_bytes(const struct ttf_frame *frame)
{
	return frame->length < FRAME_MALFORMED ? frame->length : 0;
}

struct socket_batch;

struct ttf_queue {
	const struct ttf_driver_ops *driver;
	void *state;		    /* the driver's own, made by open() */
	struct socket_batch *batch; /* the worker's, for drivers on sockets (socket_batch.h) */
	int fd;			    /* borrowed: the caller of ttf_worker_attach() owns it */
	uint32_t header_bytes;	    /* of the offload header on the wire: 0 or TTF_VNET_HDR_BYTES */
	bool shared;		    /* frames go on to other workers, and their cache lines with them */
	uint32_t last_length;	    /* of the last frame received: a guess at the next one's */
	uint32_t frame_bytes;	    /* average of the last burst's frames; 0 before the first */
};

struct ttf_driver_ops {
	/*
	 * Receive up to count frames into frames[].eth, setting length and offload; a frame that must be
	 * dropped has length FRAME_TRUNCATED or FRAME_MALFORMED. Returns how many, or -errno if none; -EAGAIN
	 * when the queue is empty, -ENOTRECOVERABLE when the kernel fills it no more. Adds the system calls made
	 * to *calls. Never blocks.
	 */
	int (*rx)(struct ttf_queue *queue, struct ttf_frame *frames, uint32_t count, uint64_t *calls);

	/*
	 * Send up to count frames in order; where header_bytes isn't 0 their offload headers are valid.
	 * Returns how many the kernel took, and these are the first then (a driver may reorder frames[]), or
	 * -errno for the first frame. -ENOBUFS concerns that frame alone: the kernel dropped it. Adds the
	 * system calls made to *calls. Never blocks.
	 */
	int (*tx)(struct ttf_queue *queue, struct ttf_frame *frames, uint32_t count, uint64_t *calls);

	/* Optional. Packets that the kernel dropped since the last call because the queue was full. */
	uint64_t (*drops)(struct ttf_queue *queue);

	/*
	 * Optional. Set-up of queue->state, before every other call, and its teardown, after every other
	 * call. open() returns 0, or -errno and has undone everything.
	 */
	int (*open)(struct ttf_queue *queue, const struct ttf_port_config *config);
	void (*close)(struct ttf_queue *queue);

	bool needs_header; /* its queues always have an offload header */

	/*
	 * Frames are received by the crossing (crossing.h), and cross to other ports of it. rx() and tx() are for
	 * frames that come from elsewhere, or go there.
	 */
	bool crosses;
};

#define DRIVER_DECLARED(suffix, name) extern const struct ttf_driver_ops ttf_driver_##name;
TTF_DRIVERS(DRIVER_DECLARED)
#undef DRIVER_DECLARED

/* The functions of a driver (enum ttf_driver), or NULL for a number that no driver has. */
const struct ttf_driver_ops *ttf_driver_ops(uint32_t number);

/* For drivers that can't stop within a burst: at most TTF_BURST_BYTES of frames like the last ones. */
static inline uint32_t driver_burst_limit(const struct ttf_queue *queue, uint32_t count)
{
	uint32_t limit = queue->frame_bytes ? TTF_BURST_BYTES / queue->frame_bytes : count;

	if (!limit)
		limit = 1;
	return limit < count ? limit : count;
}

static inline void driver_burst_received(struct ttf_queue *queue, uint32_t bytes, uint32_t frames)
{
	if (frames)
		queue->frame_bytes = bytes / frames;
}

#endif
