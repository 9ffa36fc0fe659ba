/* SPDX-License-Identifier: Apache-2.0 */
#include "vnet_hdr.h"

#include "checksum.h"
#include "crc32c.h"
#include "ethernet.h"

#define IPV4_MIN_BYTES 20u
#define IPV6_BYTES 40u
#define TCP_MIN_BYTES 20u
#define TCP_CSUM_OFFSET 16u
#define UDP_BYTES 8u
#define UDP_CSUM_OFFSET 6u
#define SCTP_CSUM_OFFSET 8u

/*
 * The IP header (with IPv6: and its extensions) must end where the checksum begins, and `protocol` must
 * follow. That excludes a packet inside another: the outer headers could not be corrected here.
 */
static int vnet_hdr_parse_network(const uint8_t *eth, uint32_t length, uint32_t protocol,
				  struct offload_request *request)
{
	uint32_t ethertype, bytes, found;
	const uint8_t *ip;

	request->network = ttf_eth_payload(eth, length, &ethertype);
	if (request->csum_start < request->network + IPV4_MIN_BYTES)
		return -1;
	ip = eth + request->network;
	bytes = request->csum_start - request->network;
	request->version = ip[0] >> 4;
	if (ethertype == ETHERTYPE_IPV4 && request->version == 4)
		return (ip[0] & 0xfu) * 4 == bytes && ip[9] == protocol ? 0 : -1;
	if (ethertype != ETHERTYPE_IPV6 || request->version != 6 || bytes < IPV6_BYTES ||
	    ttf_eth_ipv6_payload(eth, length, request->network, &found) != request->csum_start)
		return -1;
	return found == protocol ? 0 : -1;
}

static int vnet_hdr_parse_tcp(const uint8_t *eth, uint32_t length, const struct vnet_hdr *header,
			      struct offload_request *request)
{
	uint32_t bytes;

	if (header->csum_offset != TCP_CSUM_OFFSET || request->csum_start + TCP_MIN_BYTES > length)
		return -1;
	bytes = (eth[request->csum_start + 12] >> 4) * 4u;
	request->headers = request->csum_start + bytes;
	request->wants |= request->version == 4 ? TTF_OFFLOAD_TSO4 : TTF_OFFLOAD_TSO6;
	if (header->gso_type & OFFLOAD_GSO_ECN)
		request->wants |= TTF_OFFLOAD_TSO_ECN;
	return bytes >= TCP_MIN_BYTES ? 0 : -1;
}

static int vnet_hdr_parse_udp(const struct vnet_hdr *header, struct offload_request *request)
{
	request->headers = request->csum_start + UDP_BYTES;
	request->wants |= request->version == 4 ? TTF_OFFLOAD_USO4 : TTF_OFFLOAD_USO6;
	return header->csum_offset == UDP_CSUM_OFFSET && !(header->gso_type & OFFLOAD_GSO_ECN) ? 0 : -1;
}

static int vnet_hdr_parse_gso(const uint8_t *eth, uint32_t length, const struct vnet_hdr *header,
			      struct offload_request *request)
{
	const uint32_t type = header->gso_type & ~OFFLOAD_GSO_ECN;
	int error = -1;

	/* A GSO frame has no checksum of its own, so its sender requests the packets' checksums, too. */
	if (!(request->wants & TTF_OFFLOAD_CSUM) || !header->gso_size ||
	    vnet_hdr_parse_network(eth, length, type == OFFLOAD_GSO_UDP_L4 ? PROTO_UDP : PROTO_TCP, request) <
		    0)
		return -1;
	request->gso_size = header->gso_size;
	switch (type) {
	case OFFLOAD_GSO_TCPV4:
		if (request->version == 4)
			error = vnet_hdr_parse_tcp(eth, length, header, request);
		break;
	case OFFLOAD_GSO_TCPV6:
		if (request->version == 6)
			error = vnet_hdr_parse_tcp(eth, length, header, request);
		break;
	case OFFLOAD_GSO_UDP_L4:
		error = vnet_hdr_parse_udp(header, request);
		break;
	}
	return !error && request->headers <= length ? 0 : -1;
}

int ttf_vnet_hdr_parse(const uint8_t *eth, uint32_t length, struct offload_request *request)
{
	const struct vnet_hdr header = vnet_hdr_read(eth);

	*request = (struct offload_request){ 0 };
	/* hdr_len is only a hint (the kernel sets it to the linear part), but never beyond the end. */
	if (header.flags & ~(OFFLOAD_NEEDS_CSUM | OFFLOAD_DATA_VALID) || header.hdr_len > length)
		return -1;
	if (header.flags & OFFLOAD_NEEDS_CSUM) {
		request->wants = TTF_OFFLOAD_CSUM;
		request->csum_start = header.csum_start;
		request->csum_at = (uint32_t)header.csum_start + header.csum_offset;
		if (request->csum_start < TTF_ETH_HLEN || request->csum_at + 2 > length)
			return -1;
	}
	if (header.gso_type)
		return vnet_hdr_parse_gso(eth, length, &header, request);
	request->crc32c = request->wants && header.csum_offset == SCTP_CSUM_OFFSET &&
			  request->csum_at + 4 <= length &&
			  vnet_hdr_parse_network(eth, length, PROTO_SCTP, request) == 0;
	return 0;
}

bool ttf_vnet_hdr_oversize(const struct offload_request *request, const uint8_t *eth, uint32_t length,
			   uint32_t mtu)
{
	uint32_t longest;

	if (!request->gso_size)
		return eth_oversize(eth, length, mtu);
	longest = request->headers + request->gso_size;
	return (longest < length ? longest : length) - request->network > mtu;
}

void ttf_vnet_hdr_complete(const struct offload_request *request, uint8_t *eth, uint32_t length)
{
	if (request->crc32c)
		crc32c_complete(eth, length, request->csum_start, request->csum_at);
	else if (request->wants & TTF_OFFLOAD_CSUM)
		checksum_complete(eth, length, request->csum_start, request->csum_at);
	vnet_hdr_clear(eth);
}
