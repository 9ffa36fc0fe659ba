/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ethernet frames and what is inside: numbers of protocols, big-endian fields, where a payload begins, and
 * how much of a frame an MTU counts. Reads bytes, and changes none but in store_be16().
 */
#ifndef TTF_ETHERNET_H
#define TTF_ETHERNET_H

#include <stdbool.h>
#include <stdint.h>

#define TTF_ETH_ALEN 6u
#define TTF_ETH_HLEN 14u
#define TTF_VLAN_HLEN 4u
#define TTF_MAX_VLAN_TAGS 2u

enum {
	ETHERTYPE_IPV4 = 0x0800,
	ETHERTYPE_IPV6 = 0x86dd,
	ETHERTYPE_VLAN = 0x8100,
	ETHERTYPE_QINQ = 0x88a8,
};

/* Protocols of IP, and the extension headers of IPv6 among them. */
enum {
	PROTO_HOPOPTS = 0,
	PROTO_TCP = 6,
	PROTO_UDP = 17,
	PROTO_DCCP = 33,
	PROTO_ROUTING = 43,
	PROTO_FRAGMENT = 44,
	PROTO_AH = 51,
	PROTO_DSTOPTS = 60,
	PROTO_SCTP = 132,
	PROTO_UDPLITE = 136,
};

static inline uint32_t load_be16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

static inline void store_be16(uint8_t *p, uint32_t value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

/* Offset of the payload behind Ethernet and VLAN headers; *ethertype is its protocol. length >= 14. */
uint32_t ttf_eth_payload(const uint8_t *eth, uint32_t length, uint32_t *ethertype);

/*
 * Offset of the payload behind an IPv6 header, which begins at `at` and is whole, and its extension headers;
 * *protocol is the payload's. A fragment header and a truncated header end the walk.
 */
uint32_t ttf_eth_ipv6_payload(const uint8_t *eth, uint32_t length, uint32_t at, uint32_t *protocol);

/* Is a frame of this length, without its VLAN tags, longer than the MTU? */
bool ttf_eth_oversize_untagged(const uint8_t *eth, uint32_t length, uint32_t mtu);

/* Is it more than a port of this MTU carries? VLAN tags don't count. */
static inline bool eth_oversize(const uint8_t *eth, uint32_t length, uint32_t mtu)
{
	return length > mtu + TTF_ETH_HLEN && ttf_eth_oversize_untagged(eth, length, mtu);
}

#endif
