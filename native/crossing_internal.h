/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the crossing share: the member's lists and cells, and the call (crossing.c). */
#ifndef TTF_CROSSING_INTERNAL_H
#define TTF_CROSSING_INTERNAL_H

#include "crossing.h"
#include "crossing_calls.h"

#define NO_COPY UINT32_MAX

struct crossing {
	int member;
	uint32_t waiting;   /* entries of lists->send: the next call sends them */
	uint32_t listening; /* queues */
	struct turbotap_lists *lists;
	const struct turbotap_cell *cells; /* of all slots up to this member's last */
	size_t cells_bytes;
	struct ttf_crossing_notes *notes;

	/* Mode macswap: what is to be written to each frame of the burst. */
	uint8_t addresses[TTF_MAX_BATCH][TURBOTAP_REWRITE_FREE];

	/* Of each frame of a burst of which some may leave. */
	struct forward_verdict verdicts[TTF_MAX_BATCH];
	uint32_t copy_of[TTF_MAX_BATCH]; /* its number among the copies, or NO_COPY */

	uint32_t room; /* how many copies have a frame of the pool: the first ones */
	struct turbotap_copy copies[TTF_MAX_BATCH];
	uint32_t requested[TTF_MAX_BATCH]; /* which copy each of these makes */

	/* While a call is made, of each entry: its record, and its cell. Only while the worker captures. */
	struct ttf_captured *captured[TTF_MAX_BATCH];
	struct turbotap_cell before[TTF_MAX_BATCH];
};

/* The cell of frame i of the burst that was received. */
static inline const struct turbotap_cell *cell_of(const struct crossing *crossing, uint32_t i)
{
	return &crossing->cells[crossing->lists->receive[i]];
}

/* Send what waits, then receive `most` frames from a queue. How many came, or -errno; all is counted. */
int ttf_crossing_call(struct ttf_worker *worker, uint32_t in_port, uint32_t most);

#endif
