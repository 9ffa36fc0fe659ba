/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bridge's forwarding table: MAC address -> port, shared by all workers, without a lock.
 *
 * The key word of an entry holds address and port together, so that no reader sees one without the other; it
 * changes by compare-and-swap only. `seen_ns` is a hint beside it: a reader that sees a new key with an old
 * time floods one frame too many, but delivers none wrongly. In a full bucket a new address replaces the
 * oldest. An address that two workers learn at once may be there twice; the next worker that learns it
 * removes one.
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

/* The port of `mac`, or FDB_UNKNOWN if it was never seen, is too old, or is multicast. */
int ttf_fdb_lookup(const struct ttf_fdb *fdb, const uint8_t *mac, uint64_t now_ns);

/* Forget the addresses on `port`, before its port id is given to another port. Returns how many. */
uint32_t ttf_fdb_flush(struct ttf_fdb *fdb, uint32_t port);

#endif
