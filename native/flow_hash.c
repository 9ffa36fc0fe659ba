/* SPDX-License-Identifier: Apache-2.0 */
#include "flow_hash.h"

#include <string.h>

#include "ethernet.h"

static bool hash_has_ports(uint32_t protocol)
{
	return protocol == PROTO_TCP || protocol == PROTO_UDP || protocol == PROTO_SCTP ||
	       protocol == PROTO_UDPLITE || protocol == PROTO_DCCP;
}

/* Addition commutes, so that the two directions of a flow get one hash. */
static uint32_t hash_symmetric(uint64_t source, uint64_t destination, uint32_t protocol)
{
	return (uint32_t)(hash_mix64(hash_mix64(source) + hash_mix64(destination) + protocol) >> 32);
}

static uint32_t hash_macs(const uint8_t *eth)
{
	uint64_t destination = 0, source = 0;

	memcpy(&destination, eth, 6);
	memcpy(&source, eth + 6, 6);
	return hash_symmetric(source, destination, 0);
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
		if (hash_has_ports(protocol) && header >= 20 && at + header + 4 <= length) {
			source_port = load_be16(ip + header);
			destination_port = load_be16(ip + header + 2);
		}
	}
	return hash_symmetric((uint64_t)source << 16 | source_port,
			      (uint64_t)destination << 16 | destination_port, protocol);
}

static uint64_t hash_ipv6_endpoint(const uint8_t *address, uint32_t port)
{
	uint64_t high, low;

	memcpy(&high, address, 8);
	memcpy(&low, address + 8, 8);
	return hash_mix64(high + port) ^ low;
}

static uint32_t hash_ipv6(const uint8_t *eth, uint32_t length, uint32_t at)
{
	const uint8_t *ip = eth + at;
	uint32_t protocol, source_port = 0, destination_port = 0;

	if (at + 40 > length || ip[0] >> 4 != 6)
		return hash_macs(eth);
	at = ttf_eth_ipv6_payload(eth, length, at, &protocol);
	if (protocol == PROTO_FRAGMENT)
		protocol = 0;
	if (hash_has_ports(protocol) && at + 4 <= length) {
		source_port = load_be16(eth + at);
		destination_port = load_be16(eth + at + 2);
	}
	return hash_symmetric(hash_ipv6_endpoint(ip + 8, source_port),
			      hash_ipv6_endpoint(ip + 24, destination_port), protocol);
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
