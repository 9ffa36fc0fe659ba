/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The offload header in front of every frame (struct virtio_net_hdr, legacy layout, 10 bytes, in native byte
 * order as tun and AF_PACKET have it): it requests the work that the sender left to the device. Virtio 1.2,
 * section 5.1.6.
 *
 * The header lies in memory that another process may write. So ttf_vnet_hdr_parse() reads it once, and all
 * else uses the struct offload_request that it fills.
 */
#ifndef TTF_VNET_HDR_H
#define TTF_VNET_HDR_H

#include <stdbool.h>
#include <string.h>

#include "abi.h"

#define OFFLOAD_NEEDS_CSUM 1u
#define OFFLOAD_DATA_VALID 2u /* the checksum was checked: requests nothing */

enum {
	OFFLOAD_GSO_TCPV4 = 1,
	OFFLOAD_GSO_TCPV6 = 4,
	OFFLOAD_GSO_UDP_L4 = 5,
	OFFLOAD_GSO_ECN = 0x80,
};

struct vnet_hdr {
	uint8_t flags;
	uint8_t gso_type;
	uint16_t hdr_len;
	uint16_t gso_size;
	uint16_t csum_start;
	uint16_t csum_offset;
};
static_assert(sizeof(struct vnet_hdr) == TTF_VNET_HDR_BYTES, "the legacy layout");

/* A well-formed header. Offsets are from the Ethernet header, and lie within the frame. */
struct offload_request {
	uint32_t wants;	     /* TTF_OFFLOAD_ bits that a port must take; 0: no offload */
	uint32_t csum_start; /* the checksum covers from here to the end of the frame */
	uint32_t csum_at;    /* the checksum's field */
	bool crc32c;	     /* it is SCTP's, which is always completed here: no port takes it */
	uint32_t gso_size;   /* payload bytes of each packet but the last; 0: no GSO frame */
	uint32_t network;    /* the IP header; the transport header is at csum_start */
	uint32_t version;    /* of IP: 4 or 6 */
	uint32_t headers;    /* the payload begins here */
};

static inline void vnet_hdr_clear(uint8_t *eth)
{
	memset(eth - TTF_VNET_HDR_BYTES, 0, TTF_VNET_HDR_BYTES);
}

static inline struct vnet_hdr vnet_hdr_read(const uint8_t *eth)
{
	struct vnet_hdr header;

	memcpy(&header, eth - TTF_VNET_HDR_BYTES, sizeof(header));
	return header;
}

static inline void vnet_hdr_write(uint8_t *eth, const struct vnet_hdr *header)
{
	memcpy(eth - TTF_VNET_HDR_BYTES, header, sizeof(*header));
}

/*
 * Does the header request anything, or is it malformed? DATA_VALID requests nothing; devices with receive
 * checksums, and GRO, set it on every frame that a packet socket gets.
 */
static inline bool vnet_hdr_requests(const uint8_t *eth)
{
	struct vnet_hdr header = vnet_hdr_read(eth);

	return header.flags & ~OFFLOAD_DATA_VALID || header.gso_type;
}

/* Read the header in front of a frame of 14 bytes or more. 0, or -1 if it is malformed or unsupported. */
int ttf_vnet_hdr_parse(const uint8_t *eth, uint32_t length, struct offload_request *request);

/* Like eth_oversize(), for the packets of a GSO frame. */
bool ttf_vnet_hdr_oversize(const struct offload_request *request, const uint8_t *eth, uint32_t length,
			   uint32_t mtu);

/* Complete the checksum of a frame that is no GSO frame, if it is requested, and clear the header. */
void ttf_vnet_hdr_complete(const struct offload_request *request, uint8_t *eth, uint32_t length);

#endif
