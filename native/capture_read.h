/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads what one worker captures (struct ttf_capture), without a trace: the mapping is read-only.
 *
 * A worker may write anything into its ring. So what is read is copied first, and every record is checked.
 */
#ifndef TTF_CAPTURE_READ_H
#define TTF_CAPTURE_READ_H

#include <stdbool.h>

#include "abi.h"

struct ttf_capture_reader {
	const void *base; /* the mapping */
	uint32_t events;  /* 1 << enum ttf_event: others are passed over */
	uint64_t ports;	  /* 1 << port id: those of others are passed over; all bits: those of no port, too */
	uint64_t at;	  /* position in the ring */
	uint64_t number;  /* of the next record, if `begun` */
	uint32_t begun;
	uint32_t malformed; /* how often a record was none. What followed it was left out */
	uint64_t lost;	    /* records that were overwritten before they were read */
	uint64_t until_ns;  /* CLOCK_MONOTONIC: every record before this time was read */
	uint64_t last_ns;   /* the time of the last record */
};

/* Begin with what is captured from now on. The other fields are set before. */
void ttf_capture_reader_start(struct ttf_capture_reader *reader);

/*
 * Copy the records that are there, which one after the other are struct ttf_captured with the bytes that they
 * keep. `out` has room for TTF_CAPTURE_BYTES. Returns their bytes.
 */
uint64_t ttf_capture_read(struct ttf_capture_reader *reader, uint8_t *out);

/* Whether a worker captures as `word` says, or will before it forwards the next packet. */
uint32_t ttf_capture_seen(const void *base);

#endif
