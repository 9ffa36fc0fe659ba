/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bridge's forwarding table: MAC address -> port, shared by all workers, without a lock.
 *
 * An entry's key word holds address and port together, so that no reader sees one without the other; it
 * changes by compare-and-swap only. `seen_ns` is a hint beside it: a reader that catches a new key with an
 * old time floods one frame too many, never delivers one wrongly. A full bucket gives its oldest entry
 * away. An address that two workers learn at once may stand twice; whoever learns it next removes one.
 */
#ifndef TTF_FDB_H
#define TTF_FDB_H

#include "abi.h"

#define FDB_UNKNOWN (-1)

static inline uint64_t fdb_mac(const uint8_t *mac)
{
	uint64_t value = 0;

	__builtin_memcpy(&value, mac, 6);
	return value;
}

/* `mac` was seen as a source on `port`. Multicast and zero addresses are not learned. */
void ttf_fdb_learn(struct ttf_fdb *fdb, const uint8_t *mac, uint32_t port, uint64_t now_ns);

/* The port of `mac`, or FDB_UNKNOWN: never seen, aged, or multicast. */
int ttf_fdb_lookup(const struct ttf_fdb *fdb, const uint8_t *mac, uint64_t now_ns);

/* Forget all that was learned on `port`, before its slot becomes another port. Returns how many. */
uint32_t ttf_fdb_flush(struct ttf_fdb *fdb, uint32_t port);

#endif
