/* SPDX-License-Identifier: Apache-2.0 */
#include "forward.h"

#include <string.h>

#include "fdb.h"
#include "ethernet.h"

static struct forward_verdict forward_verdict(uint32_t kind, uint32_t value)
{
	return (struct forward_verdict){ kind, value };
}

static struct forward_verdict forward_xconnect(const struct forward_table *table, uint32_t in_port)
{
	int peer = table->peer[in_port];

	return peer < 0 ? forward_verdict(TTF_VERDICT_DROP, TTF_DROP_NO_PORT) :
			  forward_verdict(TTF_VERDICT_PORT, (uint32_t)peer);
}

static struct forward_verdict forward_bridge(const struct forward_table *table, uint32_t in_port,
					     const uint8_t *eth, uint64_t now_ns)
{
	int port;

	ttf_fdb_learn(table->fdb, eth + 6, in_port, now_ns);
	port = ttf_fdb_lookup(table->fdb, eth, now_ns);
	if (port == FDB_UNKNOWN)
		return forward_verdict(TTF_VERDICT_FLOOD, 0);
	/* The destination is on the LAN that the frame came from: it has the frame, a copy could start a
	 * storm. */
	if (port == (int)in_port)
		return forward_verdict(TTF_VERDICT_DROP, TTF_DROP_HAIRPIN);
	return forward_verdict(TTF_VERDICT_PORT, (uint32_t)port);
}

static struct forward_verdict forward_macswap(uint32_t in_port, uint8_t *eth)
{
	uint8_t destination[6];

	memcpy(destination, eth, 6);
	memcpy(eth, eth + 6, 6);
	memcpy(eth + 6, destination, 6);
	return forward_verdict(TTF_VERDICT_PORT, in_port);
}

struct forward_verdict ttf_forward(const struct forward_table *table, uint32_t in_port, uint8_t *eth,
				   uint32_t length, uint64_t now_ns)
{
	if (length < TTF_ETH_HLEN)
		return forward_verdict(TTF_VERDICT_DROP, TTF_DROP_RUNT);
	switch (table->mode) {
	case TTF_MODE_XCONNECT:
		return forward_xconnect(table, in_port);
	case TTF_MODE_BRIDGE:
		return forward_bridge(table, in_port, eth, now_ns);
	case TTF_MODE_MACSWAP:
		return forward_macswap(in_port, eth);
	default:
		return forward_verdict(TTF_VERDICT_DROP, TTF_DROP_RX_ONLY);
	}
}
