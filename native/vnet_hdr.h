/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The offload header in front of every frame (struct virtio_net_hdr, legacy layout, 10 bytes, native
 * byte order as tun and AF_PACKET use it): what the sender left to be done. Virtio 1.2, section 5.1.6.
 *
 * Whatever is done with a request is done with what ttf_vnet_hdr_parse() made of it, never with the header
 * itself: it lies in memory that another process may write.
 */
#ifndef TTF_VNET_HDR_H
#define TTF_VNET_HDR_H

#include <string.h>

#include "abi.h"

#define OFFLOAD_NEEDS_CSUM 1u
#define OFFLOAD_DATA_VALID 2u /* the checksum was checked: nothing is left to be done */

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

/* A header that makes sense, as offsets from the Ethernet header; every one lies within the frame. */
struct offload_request {
	uint32_t wants;	     /* TTF_OFFLOAD_ bits; 0 if nothing is left to be done */
	uint32_t csum_start; /* the checksum covers from here to the end of the frame */
	uint32_t csum_at;    /* its field */
	uint32_t crc32c;     /* it is SCTP's, which no device is told of: to be completed here, always */
	/* A segment that is to be cut; gso_size is 0 if it isn't one. */
	uint32_t gso_size; /* payload bytes of each packet but the last */
	uint32_t network;  /* the IP header, an IPv4 one if version is 4; the transport's is csum_start */
	uint32_t version;
	uint32_t headers; /* the payload begins here */
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

/*
 * Is anything left to be done, or is the header one that nobody should send? That a checksum was checked asks
 * for nothing: it is said of all that a device with receive checksums, or GRO, hands to a packet socket.
 */
static inline int vnet_hdr_requests(const uint8_t *eth)
{
	struct vnet_hdr header = vnet_hdr_read(eth);

	return header.flags & ~OFFLOAD_DATA_VALID || header.gso_type;
}

/* What the header in front of a frame of `length` bytes, 14 or more, asks for: 0, or -1 if it makes no sense.
 */
int ttf_vnet_hdr_parse(const uint8_t *eth, uint32_t length, struct offload_request *request);

/* Are the packets that a frame stands for longer than a port of this MTU carries? VLAN tags don't count. */
int ttf_vnet_hdr_oversize(const struct offload_request *request, const uint8_t *eth, uint32_t length,
			  uint32_t mtu);

/* Complete the checksum in place, whatever the frame; then nothing is asked for any more. */
void ttf_vnet_hdr_complete(const struct offload_request *request, uint8_t *eth, uint32_t length);

#endif
