/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How bursts cross the kernel boundary: one table of function pointers a driver.
 *
 *   tap_rw.c     tap queue by read() and write(): a system call a packet, works on every kernel
 *   uring.c  tap queue by io_uring: a system call a burst, where the kernel permits it
 *   turbotap_mmsg.c   a socket by recvmmsg() and sendmmsg(): a system call a burst (turbotap, and AF_UNIX
 *                 datagram sockets in the tests)
 *   turbotap_burst.c  a socket of turbotap by burst messages: a system call a burst, and a message too
 *   packet_rx.c AF_PACKET by two rings: the kernel fills one, and empties one by a system call a burst
 */
#ifndef TTF_DRIVER_H
#define TTF_DRIVER_H

#include <sys/socket.h>
#include <sys/uio.h>

#include "abi.h"

/* No more is received at once than stays in a core's cache until it is sent: a burst of segments would not.
 */
#define TTF_BURST_BYTES (512u << 10)

#define FRAME_TRUNCATED UINT32_MAX /* the length of a frame that was longer than its memory */

/* One frame on its way in or out: where its Ethernet header is, and its length from there. */
struct ttf_frame {
	uint8_t *eth;
	uint32_t length;
	uint32_t offload; /* the offload header in front asks for something; else its bytes mean nothing */
};

/*
 * The message arrays of the socket drivers; one a worker, shared by its ports. What is received into is the
 * same from call to call for as long as nothing is handed over, so rx_messages are filled once and kept:
 * whoever changes the frames that the next rx() gets sets rx_filled to 0.
 */
struct socket_batch {
	uint32_t rx_filled; /* rx_messages[0..rx_filled) are ready for a call with: */
	uint32_t rx_header_bytes;
	struct mmsghdr rx_messages[TTF_MAX_BATCH];
	struct iovec rx_vectors[TTF_MAX_BATCH];
	struct mmsghdr tx_messages[TTF_MAX_BATCH];
	struct iovec tx_vectors[TTF_MAX_BATCH];
	/* What a burst message tells: CMSG_SPACE(TTF_MAX_BATCH * sizeof(uint32_t)), checked in
	 * turbotap_burst.c
	 */
	_Alignas(struct cmsghdr) uint8_t lengths[64 + TTF_MAX_BATCH * sizeof(uint32_t)];
};

void ttf_socket_batch_init(struct socket_batch *scratch);

struct ttf_queue {
	const struct ttf_driver_ops *driver;
	struct socket_batch *scratch;
	struct uring *uring;	  /* uring.c alone */
	struct packet_ring *ring; /* packet_rx.c alone */
	int plain_fd;		  /* borrowed, too; packet_rx.c alone */
	int fd;			  /* borrowed: the caller of ttf_worker_attach() owns it */
	uint32_t header_bytes;	  /* of the offload header on the wire: 0 or TTF_VNET_HDR_BYTES */
	uint32_t shared;	  /* frames go on to other workers, and their cache lines with them */
	uint32_t last_length;	  /* of the last frame received: a guess at the next one's */
	uint32_t frame_bytes;	  /* of the last burst's frames, on average; 0 before the first */
};

struct ttf_driver_ops {
	/*
	 * Receive up to count frames into frames[].eth, setting length and offload; a frame that did not
	 * fit has length FRAME_TRUNCATED. Returns how many, or -errno if none; -EAGAIN when the queue is
	 * empty. Adds the system calls made to *calls. Never blocks.
	 */
	int (*rx)(struct ttf_queue *queue, struct ttf_frame *frames, uint32_t count, uint64_t *calls);

	/*
	 * Send up to count frames in order; where header_bytes isn't 0 their offload headers are valid.
	 * Returns how many the kernel took, which are the first then, or -errno for what befell the first.
	 * Never blocks.
	 */
	int (*tx)(struct ttf_queue *queue, struct ttf_frame *frames, uint32_t count, uint64_t *calls);

	/* Packets that the kernel dropped for want of room since the last call. Called every slice, so that a
	 * driver looks at its device, too. */
	uint64_t (*drops)(struct ttf_queue *queue);

	/* What a driver needs for each queue, if anything: made before, and unmade after all others. */
	int (*open)(struct ttf_queue *queue); /* 0 or -errno */
	void (*close)(struct ttf_queue *queue);
};

/* For drivers that can't stop in between: frames like the last ones, at most TTF_BURST_BYTES of them. */
static inline uint32_t driver_burst_limit(const struct ttf_queue *queue, uint32_t count)
{
	uint32_t limit = queue->frame_bytes ? TTF_BURST_BYTES / queue->frame_bytes : count;

	if (!limit)
		limit = 1;
	return limit < count ? limit : count;
}

/* Frames were received, so many bytes in all. */
static inline void driver_burst_received(struct ttf_queue *queue, uint32_t bytes, uint32_t frames)
{
	if (frames)
		queue->frame_bytes = bytes / frames;
}

extern const struct ttf_driver_ops ttf_driver_tap;
extern const struct ttf_driver_ops ttf_driver_uring;
extern const struct ttf_driver_ops ttf_driver_turbotap_mmsg;
extern const struct ttf_driver_ops ttf_driver_turbotap_burst;
extern const struct ttf_driver_ops ttf_driver_packet;

#endif
