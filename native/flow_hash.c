/* SPDX-License-Identifier: Apache-2.0 */
#include "flow_hash.h"

#include <string.h>

#define MAX_EXTENSION_HEADERS 8

uint32_t ttf_eth_payload(const uint8_t *eth, uint32_t length, uint32_t *ethertype)
{
	uint32_t at = TTF_ETH_HLEN;
	uint32_t type = load_be16(eth + 12);

	for (uint32_t tags = 0; tags < TTF_MAX_VLAN_TAGS; tags++) {
		if ((type != ETHERTYPE_VLAN && type != ETHERTYPE_QINQ) || at + TTF_VLAN_HLEN > length)
			break;
		type = load_be16(eth + at + 2);
		at += TTF_VLAN_HLEN;
	}
	*ethertype = type;
	return at;
}

static int has_ports(uint32_t protocol)
{
	return protocol == PROTO_TCP || protocol == PROTO_UDP || protocol == PROTO_SCTP ||
	       protocol == PROTO_UDPLITE || protocol == PROTO_DCCP;
}

/* Addition commutes, so that the two directions of a flow get one hash. */
static uint32_t symmetric(uint64_t source, uint64_t destination, uint32_t protocol)
{
	return (uint32_t)(mix64(mix64(source) + mix64(destination) + protocol) >> 32);
}

static uint32_t hash_macs(const uint8_t *eth)
{
	uint64_t destination = 0, source = 0;

	memcpy(&destination, eth, 6);
	memcpy(&source, eth + 6, 6);
	return symmetric(source, destination, 0);
}

static uint32_t hash_ipv4(const uint8_t *eth, uint32_t length, uint32_t at)
{
	const uint8_t *ip = eth + at;
	uint32_t header, protocol = 0, source_port = 0, destination_port = 0;
	uint32_t source, destination;

	if (at + 20 > length || ip[0] >> 4 != 4)
		return hash_macs(eth);
	memcpy(&source, ip + 12, 4);
	memcpy(&destination, ip + 16, 4);
	if ((load_be16(ip + 6) & 0x3fff) == 0) { /* neither an offset nor more fragments */
		protocol = ip[9];
		header = (ip[0] & 0xfu) * 4;
		if (has_ports(protocol) && header >= 20 && at + header + 4 <= length) {
			source_port = load_be16(ip + header);
			destination_port = load_be16(ip + header + 2);
		}
	}
	return symmetric((uint64_t)source << 16 | source_port, (uint64_t)destination << 16 | destination_port,
			 protocol);
}

static uint64_t ipv6_endpoint(const uint8_t *address, uint32_t port)
{
	uint64_t high, low;

	memcpy(&high, address, 8);
	memcpy(&low, address + 8, 8);
	return mix64(high + port) ^ low;
}

uint32_t ttf_ipv6_payload(const uint8_t *eth, uint32_t length, uint32_t at, uint32_t *protocol)
{
	uint32_t found = eth[at + 6];

	at += 40;
	for (int i = 0; i < MAX_EXTENSION_HEADERS; i++) {
		if ((found != PROTO_HOPOPTS && found != PROTO_ROUTING && found != PROTO_DSTOPTS &&
		     found != PROTO_AH) ||
		    at + 8 > length)
			break;
		uint32_t next = eth[at];
		uint32_t words = eth[at + 1];

		at += found == PROTO_AH ? (words + 2) * 4 : (words + 1) * 8;
		found = next;
	}
	*protocol = found;
	return at;
}

static uint32_t hash_ipv6(const uint8_t *eth, uint32_t length, uint32_t at)
{
	const uint8_t *ip = eth + at;
	uint32_t protocol, source_port = 0, destination_port = 0;

	if (at + 40 > length || ip[0] >> 4 != 6)
		return hash_macs(eth);
	at = ttf_ipv6_payload(eth, length, at, &protocol);
	if (protocol == PROTO_FRAGMENT)
		protocol = 0;
	if (has_ports(protocol) && at + 4 <= length) {
		source_port = load_be16(eth + at);
		destination_port = load_be16(eth + at + 2);
	}
	return symmetric(ipv6_endpoint(ip + 8, source_port), ipv6_endpoint(ip + 24, destination_port),
			 protocol);
}

uint32_t ttf_flow_hash(const uint8_t *eth, uint32_t length)
{
	uint32_t ethertype, at;

	if (length < TTF_ETH_HLEN)
		return 0;
	at = ttf_eth_payload(eth, length, &ethertype);
	if (ethertype == ETHERTYPE_IPV4)
		return hash_ipv4(eth, length, at);
	if (ethertype == ETHERTYPE_IPV6)
		return hash_ipv6(eth, length, at);
	return hash_macs(eth);
}
