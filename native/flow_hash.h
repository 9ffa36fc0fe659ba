/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which flow does a frame belong to? A hash in which both directions of a flow agree.
 *
 *   IPv4, IPv6 with TCP, UDP, UDP-Lite, SCTP, DCCP: addresses, protocol and ports
 *   fragments, first ones too: addresses only (later fragments carry no ports)
 *   other IP: addresses and protocol
 *   anything else, and headers cut short: the two MAC addresses
 *
 * Up to two VLAN tags are passed over. Reads bytes, changes nothing.
 */
#ifndef TTF_FLOW_HASH_H
#define TTF_FLOW_HASH_H

#include "abi.h"

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

/* The finalizer of MurmurHash3: every input bit reaches every output bit. */
static inline uint64_t mix64(uint64_t x)
{
	x = (x ^ (x >> 33)) * 0xff51afd7ed558ccdull;
	x = (x ^ (x >> 33)) * 0xc4ceb9fe1a85ec53ull;
	return x ^ (x >> 33);
}

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
 * Offset of what follows an IPv6 header, which is at `at` and whole, and its extension headers; *protocol
 * says what it is. A fragment header, and what is cut short, ends the walk.
 */
uint32_t ttf_ipv6_payload(const uint8_t *eth, uint32_t length, uint32_t at, uint32_t *protocol);

uint32_t ttf_flow_hash(const uint8_t *eth, uint32_t length);

#endif
