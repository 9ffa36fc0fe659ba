/* SPDX-License-Identifier: Apache-2.0 */
/*
 * BIG TCP: GSO frames of more than 64 KiB, which a packet socket receives whole from senders whose device has
 * a larger gso_max_size. The length fields of IP can't express them: IPv4 has 0 there, IPv6 too, with or
 * without a jumbo payload option (RFC 2675), by which older kernels pass the length on. Nothing but a packet
 * socket takes such a frame, so it is split into GSO frames of at most 64 KiB, as the sender would have made
 * them.
 *
 * The parts that a burst has no room for wait here for the next one.
 */
#ifndef TTF_PACKET_BIG_H
#define TTF_PACKET_BIG_H

#include "driver.h"
#include "vnet_hdr.h"

/* A longer frame is received here. Others may be as long by their VLAN tags: they cross unsplit. */
#define PACKET_BIG_BEYOND_BYTES 65535u
/* The longest: the kernel's GSO_MAX_SIZE, behind an Ethernet header with two tags. */
#define PACKET_BIG_MAX_BYTES (8u * 65535u + 22u)

struct packet_big {
	uint8_t *memory;
	struct ttf_frame frame; /* the frame that is split */
	struct offload_request request;
	uint32_t packets; /* that the frame stands for */
	uint32_t each;	  /* packets of a part */
	uint32_t next;	  /* the first packet of the next part; as many as packets: no part waits */
};

/* Memory that isn't touched before the first such frame. 0 or -ENOMEM. */
int ttf_packet_big_init(struct packet_big *big);
void ttf_packet_big_exit(struct packet_big *big);

/* Where to receive a frame and its offload header, PACKET_BIG_MAX_BYTES at most. */
uint8_t *ttf_packet_big_eth(const struct packet_big *big);

/*
 * Split the frame that was received there. At least one part waits then: the frame itself, if it needs no
 * splitting; one of length FRAME_TRUNCATED if it is too long, and no GSO frame of TCP.
 */
void ttf_packet_big_split(struct packet_big *big, struct ttf_frame frame);

static inline bool packet_big_waits(const struct packet_big *big)
{
	return big->next < big->packets;
}

/* Write the next part, and its offload header, to frame->eth. Only if one waits. */
void ttf_packet_big_take(struct packet_big *big, struct ttf_frame *frame);

/* Write as many parts as wait, `count` at most. Returns how many. */
static inline uint32_t packet_big_take_all(struct packet_big *big, struct ttf_frame *frames, uint32_t count)
{
	uint32_t n = 0;

	while (n < count && packet_big_waits(big))
		ttf_packet_big_take(big, &frames[n++]);
	return n;
}

#endif
