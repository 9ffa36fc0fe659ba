/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The offload header in front of every frame (struct virtio_net_hdr, legacy layout, 10 bytes, native
 * byte order as tun and AF_PACKET use it): what the sender left to be done.
 */
#ifndef TTF_OFFLOAD_H
#define TTF_OFFLOAD_H

#include <string.h>

#include "abi.h"

#define OFFLOAD_NEEDS_CSUM 1u

struct offload_header {
	uint8_t flags;
	uint8_t gso_type;
	uint16_t hdr_len;
	uint16_t gso_size;
	uint16_t csum_start;
	uint16_t csum_offset;
};
static_assert(sizeof(struct offload_header) == TTF_VNET_HDR_BYTES, "the legacy layout");

static inline void offload_clear(uint8_t *eth)
{
	memset(eth - TTF_VNET_HDR_BYTES, 0, TTF_VNET_HDR_BYTES);
}

static inline struct offload_header offload_of(const uint8_t *eth)
{
	struct offload_header header;

	memcpy(&header, eth - TTF_VNET_HDR_BYTES, sizeof(header));
	return header;
}

static inline int offload_asks(const uint8_t *eth)
{
	struct offload_header header = offload_of(eth);

	return header.flags || header.gso_type;
}

static inline int offload_is_segment(const uint8_t *eth)
{
	return offload_of(eth).gso_type != 0;
}

/*
 * Do in software what a port without an offload header can't ask its device for: complete the checksum
 * (RFC 1071) in place. Returns 0, or -1 for what can't be done: a segment to be cut, or bounds that lie.
 */
int offload_complete(uint8_t *eth, uint32_t length);

#endif
