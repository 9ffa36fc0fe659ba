/* SPDX-License-Identifier: Apache-2.0 */
#include "tester/payload.h"

#include "checksum.h"
#include "ethernet.h"
#include "tester/stamp.h"

#define IPV4_MIN_BYTES 20u
#define IPV6_BYTES 40u
#define UDP_BYTES 8u
#define TCP_MIN_BYTES 20u
#define UDP_CHECKSUM_AT 6u
#define TCP_CHECKSUM_AT 16u
#define FRAGMENT_BITS 0x3fffu /* more fragments follow, or an offset */

/* What a transport header and its payload are in. */
struct packet {
	uint32_t at;  /* of the transport header */
	uint32_t end; /* what is behind is padding */
	uint32_t protocol;
	uint32_t addresses, address_bytes; /* of both addresses, for the pseudo-header */
};

static bool find_ipv4(const uint8_t *frame, uint32_t length, uint32_t at, struct packet *packet)
{
	uint32_t header, total;

	if (at + IPV4_MIN_BYTES > length || frame[at] >> 4 != 4)
		return false;
	header = (frame[at] & 15u) * 4;
	total = load_be16(frame + at + 2);
	*packet = (struct packet){ at + header, at + total, frame[at + 9], at + 12, 8 };
	return header >= IPV4_MIN_BYTES && total >= header && at + total <= length &&
	       !(load_be16(frame + at + 6) & FRAGMENT_BITS);
}

static bool find_ipv6(const uint8_t *frame, uint32_t length, uint32_t at, struct packet *packet)
{
	if (at + IPV6_BYTES > length || frame[at] >> 4 != 6)
		return false;
	packet->end = at + IPV6_BYTES + load_be16(frame + at + 4);
	packet->addresses = at + 8;
	packet->address_bytes = 32;
	if (packet->end > length)
		return false;
	packet->at = ttf_eth_ipv6_payload(frame, packet->end, at, &packet->protocol);
	return true;
}

static bool find_transport(const uint8_t *frame, uint32_t length, struct packet *packet)
{
	uint32_t ethertype, at;

	if (length < TTF_ETH_HLEN)
		return false;
	at = ttf_eth_payload(frame, length, &ethertype);
	return (ethertype == ETHERTYPE_IPV4 && find_ipv4(frame, length, at, packet)) ||
	       (ethertype == ETHERTYPE_IPV6 && find_ipv6(frame, length, at, packet));
}

static bool find_udp(const uint8_t *frame, struct packet *packet, struct ttf_payload *found)
{
	uint32_t bytes;

	if (packet->at + UDP_BYTES > packet->end)
		return false;
	bytes = load_be16(frame + packet->at + 4);
	if (bytes < UDP_BYTES || packet->at + bytes > packet->end)
		return false;
	packet->end = packet->at + bytes;
	found->is_udp = true;
	found->stamp = packet->at + UDP_BYTES;
	/* 0 means that the sender left it out */
	found->checksum = load_be16(frame + packet->at + UDP_CHECKSUM_AT) ? packet->at + UDP_CHECKSUM_AT : 0;
	return true;
}

static bool find_tcp(const uint8_t *frame, const struct packet *packet, struct ttf_payload *found)
{
	uint32_t header;

	if (packet->at + TCP_MIN_BYTES > packet->end)
		return false;
	header = (uint32_t)(frame[packet->at + 12] >> 4) * 4;
	found->is_udp = false;
	found->stamp = packet->at + header;
	found->checksum = packet->at + TCP_CHECKSUM_AT;
	return header >= TCP_MIN_BYTES;
}

static bool find_payload(const uint8_t *frame, uint32_t length, struct packet *packet,
			 struct ttf_payload *found)
{
	if (!find_transport(frame, length, packet))
		return false;
	if (packet->protocol == PROTO_UDP ? !find_udp(frame, packet, found) :
					    packet->protocol != PROTO_TCP || !find_tcp(frame, packet, found))
		return false;
	return found->stamp + sizeof(struct ttf_stamp) <= packet->end;
}

bool ttf_payload_find_stamp(const uint8_t *frame, uint32_t length, uint32_t *stamp)
{
	struct packet packet;
	struct ttf_payload found;

	if (!find_payload(frame, length, &packet, &found))
		return false;
	*stamp = found.stamp;
	return true;
}

bool ttf_payload_find(const uint8_t *frame, uint32_t length, struct ttf_payload *found)
{
	struct packet packet;
	uint8_t pseudo[4] = { 0 };
	uint32_t behind_stamp;
	uint64_t sum;

	if (!find_payload(frame, length, &packet, found))
		return false;
	if (!found->checksum)
		return true;
	/* The pseudo-headers of IPv4 and IPv6 have the same sum, but for their addresses (RFC 768, RFC 8200). */
	store_be16(pseudo, packet.protocol);
	store_be16(pseudo + 2, packet.end - packet.at);
	sum = checksum_add(0, pseudo, sizeof(pseudo));
	sum = checksum_add(sum, frame + packet.addresses, packet.address_bytes);
	sum = checksum_add(sum, frame + packet.at, found->checksum - packet.at);
	sum = checksum_add(sum, frame + found->checksum + 2, found->stamp - found->checksum - 2);
	behind_stamp = found->stamp + (uint32_t)sizeof(struct ttf_stamp);
	found->sum = checksum_fold(checksum_add(sum, frame + behind_stamp, packet.end - behind_stamp));
	return true;
}
