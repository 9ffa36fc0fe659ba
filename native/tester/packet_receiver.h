/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The receiver in user space: a packet socket with a ring (TPACKET_V3) that a thread of its own empties. It sees
 * what the device's host sees, and counts as the programs in the kernel do. The stamps are the kernel's, from
 * when it got the frame, or the NIC's; never the time at which this thread came to look.
 *
 * Frames aren't taken from the host: its stack sees them too.
 */
#ifndef TTF_PACKET_RECEIVER_H
#define TTF_PACKET_RECEIVER_H

#include <stdbool.h>
#include <stdint.h>

#include "nic_stamps.h"
#include "receiver.h"
#include "stamp_clock.h"

#define TTF_PACKET_RECEIVER_BLOCKS 64
#define TTF_PACKET_RECEIVER_BLOCK_BYTES (1 << 19)

struct ttf_packet_receiver {
	/* Of the one that opens it. */
	char device[16];
	uint32_t
		any; /* of a capture: every frame with a stamp since `opened_ns`, whatever its addresses are */
	struct ttf_receiver_config config;

	/* The receiver's. */
	int32_t fd;
	struct ttf_nic_stamps nic; /* in use if it has a clock */
	uint64_t opened_ns;
	struct ttf_stamp_clock clock;
	uint64_t without_nic_stamp; /* frames that should have had one */
	uint64_t dropped;	    /* by the kernel: the ring was full */
	struct ttf_receiver all;
	struct ttf_received received;
	uint64_t *window;
	uint8_t *ring;
	uint32_t next_block;
	uint32_t stop; /* another thread sets it */
};

/* Receive from a device of this thread's network namespace. 0 or -errno; then nothing is left open. */
int ttf_packet_receiver_open(struct ttf_packet_receiver *receiver);
void ttf_packet_receiver_close(struct ttf_packet_receiver *receiver);

/* Begin a trial: everything is counted from zero. Only while ttf_packet_receive() doesn't run. */
void ttf_packet_receiver_reset(struct ttf_packet_receiver *receiver);

/* Receive until it is stopped. 0 or -errno: the device is gone or down. */
int ttf_packet_receive(struct ttf_packet_receiver *receiver);

#endif
