/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which flow does a frame belong to? A hash in which both directions of a flow agree.
 *
 *   IPv4, IPv6 with TCP, UDP, UDP-Lite, SCTP, DCCP: addresses, protocol and ports
 *   fragments, first ones too: addresses only (later fragments carry no ports)
 *   other IP: addresses and protocol
 *   other protocols, and truncated headers: the two MAC addresses
 *
 * Up to two VLAN tags are passed over. Reads bytes, changes nothing.
 */
#ifndef TTF_FLOW_HASH_H
#define TTF_FLOW_HASH_H

#include <stdint.h>

/* The finalizer of MurmurHash3: every input bit reaches every output bit. */
static inline uint64_t hash_mix64(uint64_t x)
{
	x = (x ^ (x >> 33)) * 0xff51afd7ed558ccdull;
	x = (x ^ (x >> 33)) * 0xc4ceb9fe1a85ec53ull;
	return x ^ (x >> 33);
}

uint32_t ttf_flow_hash(const uint8_t *eth, uint32_t length);

#endif
