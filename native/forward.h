/* SPDX-License-Identifier: Apache-2.0 */
/* Where does a frame go? Bytes in, verdict out. No I/O, no counters; worker.c acts on the verdict. */
#ifndef TTF_FORWARD_H
#define TTF_FORWARD_H

#include "abi.h"

enum ttf_mode {
	TTF_MODE_XCONNECT,
	TTF_MODE_BRIDGE,
	TTF_MODE_MACSWAP,
	TTF_MODE_RXONLY,
	TTF_MODE_TXONLY
};

enum ttf_verdict {
	TTF_VERDICT_PORT,  /* to port `value` */
	TTF_VERDICT_FLOOD, /* to every port but the one that it came from */
	TTF_VERDICT_DROP   /* for reason `value`, enum ttf_drop */
};

struct forward_verdict {
	uint32_t kind;
	uint32_t value;
};

struct forward_table {
	uint32_t mode;
	int16_t peer[TTF_MAX_PORTS]; /* xconnect: port id of the peer, -1 if none */
	struct ttf_fdb *fdb;	     /* bridge */
};

/*
 * macswap swaps the addresses in place; bridge learns the source address. Nothing else is written.
 * now_ns: CLOCK_MONOTONIC_COARSE, for ageing.
 */
struct forward_verdict ttf_forward(const struct forward_table *table, uint32_t in_port, uint8_t *eth,
				   uint32_t length, uint64_t now_ns);

#endif
