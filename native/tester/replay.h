/* SPDX-License-Identifier: Apache-2.0 */
/* Frames of a capture, to be sent again in their order, stamped where their payload has room. */
#ifndef TTF_REPLAY_H
#define TTF_REPLAY_H

#include <stdbool.h>
#include <stdint.h>

#include "payload.h"
#include "stamp.h"

struct ttf_replay_frame {
	uint8_t *bytes;
	uint32_t length;
	bool has_stamp;
	struct ttf_payload payload;
};

struct ttf_replay {
	uint32_t count;
	uint32_t stamped; /* so many have room */
	uint8_t *bytes;
	struct ttf_replay_frame frames[];
};

/* Copies `count` frames, which lie one behind the other in `bytes`. NULL: no memory. */
struct ttf_replay *ttf_replay_new(const uint8_t *bytes, const uint32_t *lengths, uint32_t count);
void ttf_replay_free(struct ttf_replay *replay);

/* Write a stamp, and the checksum that goes with it. */
void ttf_replay_stamp(const struct ttf_replay_frame *frame, const struct ttf_stamp *stamp);

#endif
