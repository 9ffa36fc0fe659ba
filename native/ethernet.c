/* SPDX-License-Identifier: Apache-2.0 */
#include "ethernet.h"

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

uint32_t ttf_eth_ipv6_payload(const uint8_t *eth, uint32_t length, uint32_t at, uint32_t *protocol)
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

bool ttf_eth_oversize_untagged(const uint8_t *eth, uint32_t length, uint32_t mtu)
{
	uint32_t ethertype;

	return length - ttf_eth_payload(eth, length, &ethertype) > mtu;
}
