/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tester's frames: which flow and which size the next one has, and what changes from frame to frame.
 * Programs in the kernel and in user space share this, so it uses nothing but the kernel's types.
 *
 * Python (forwarder/tester/frames.py) makes a template for each direction and size. It has every byte that
 * doesn't change, and the sums of these. Here a frame gets its flow, its stamp, and its checksums.
 */
#ifndef TTF_FRAME_H
#define TTF_FRAME_H

#include <stdint.h>

#include "stamp.h"

#define TTF_TEMPLATE_HEADER_BYTES 72 /* Ethernet, two VLAN tags, IPv6 and UDP are 70 */
#define TTF_MAX_SIZES 16
#define TTF_MAX_WAYS 2
#define TTF_MAX_ORDER 4096	  /* frames after which a mix repeats */
#define TTF_FLOW_PORTS_LOG2 14	  /* flows that differ by their port alone: the dynamic ports */
#define TTF_FLOW_FIRST_PORT 49152 /* of them */
#define TTF_STAMP_PORT 9	  /* the other port: discard (RFC 863) */

struct ttf_template {
	uint32_t udp_sum;     /* of the pseudo-header, the UDP header and the payload, but for what changes */
	uint32_t ip_sum;      /* of the IPv4 header, likewise */
	uint32_t address;     /* the lowest 32 bits of flow 0's address; host byte order */
	uint16_t frame_bytes; /* the whole frame, without FCS */
	uint16_t reserved;
	uint8_t header[TTF_TEMPLATE_HEADER_BYTES];
};

/* Where in a frame of one way what changes is. A way back has its flow in the destination. */
struct ttf_places {
	uint32_t ip_checksum; /* 0: IPv6 has none */
	uint32_t address;     /* the lowest 32 bits of the one that tells flows apart */
	uint32_t port;	      /* likewise */
	uint32_t udp_checksum;
	uint32_t stamp; /* the header ends here */
};

/* The flow of a frame, by its number in its direction. */
static inline uint32_t frame_flow(uint64_t number, uint32_t flows, uint32_t random, uint32_t seed)
{
	uint32_t mixed = (uint32_t)number ^ seed;

	if (!random)
		return flows > 1 ? (uint32_t)(number % flows) : 0;
	/* The finalizer of MurmurHash3: every bit of the number changes half of the result's. */
	mixed ^= mixed >> 16;
	mixed *= 0x85ebca6b;
	mixed ^= mixed >> 13;
	mixed *= 0xc2b2ae35;
	mixed ^= mixed >> 16;
	return (uint32_t)(((uint64_t)mixed * flows) >> 32);
}

/* `first`: flow 0's. */
static inline uint32_t frame_flow_address(uint32_t first, uint32_t flow)
{
	return first + (flow >> TTF_FLOW_PORTS_LOG2);
}

static inline uint16_t frame_flow_port(uint32_t flow)
{
	return (uint16_t)(TTF_FLOW_FIRST_PORT + (flow & ((1u << TTF_FLOW_PORTS_LOG2) - 1)));
}

/* The checksum of RFC 1071 for a sum of 32-bit words. A sum is the same in either byte order, its bytes swapped. */
static inline uint16_t frame_checksum(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* UDP's: 0 would mean that there is none. */
static inline uint16_t frame_udp_checksum(uint64_t sum)
{
	uint16_t checksum = frame_checksum(sum);

	return checksum ? checksum : 0xffff;
}

static inline uint64_t frame_stamp_sum(const struct ttf_stamp *stamp)
{
	return (uint64_t)stamp->seq + stamp->late_ns + (stamp->sent_ns & 0xffffffff) + (stamp->sent_ns >> 32);
}

#endif
