// SPDX-License-Identifier: Apache-2.0
/*
 * Looks for the stamp's place in spoilt frames: payload_fuzz ROUNDS < FRAMES. Each frame on standard input is its
 * length, 2 bytes big endian, and its bytes. Every place that is found has to lie within the frame.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tester/payload.h"
#include "tester/replay.h"

#define MAX_FRAME_BYTES 2048

static uint32_t state = 1;

static uint32_t draw(uint32_t below)
{
	state = state * 1664525u + 1013904223u;
	return (state >> 8) % below;
}

/* The frame is at the end of its memory, so that the sanitizer sees what is read behind it. */
static int check(const uint8_t *frame, uint32_t length)
{
	struct ttf_replay *replay = ttf_replay_new(frame, &length, 1);
	const struct ttf_stamp stamp = { 0 };
	const struct ttf_payload *found;
	uint32_t at;

	if (!replay)
		return 1;
	found = &replay->frames[0].payload;
	if (replay->stamped) {
		if (found->stamp + sizeof(stamp) > length || found->checksum + 2 > length)
			return 1;
		ttf_replay_stamp(&replay->frames[0], &stamp);
	}
	if (ttf_payload_find_stamp(replay->bytes, length, &at) != (replay->stamped == 1))
		return 1;
	ttf_replay_free(replay);
	return 0;
}

int main(int argc, char **argv)
{
	const uint32_t rounds = argc == 2 ? (uint32_t)atoi(argv[1]) : 0;
	uint8_t head[2], frame[MAX_FRAME_BYTES], spoilt[MAX_FRAME_BYTES];

	while (fread(head, sizeof(head), 1, stdin) == 1) {
		const uint32_t length = (uint32_t)head[0] << 8 | head[1];

		if (length > sizeof(frame) || fread(frame, length, 1, stdin) != 1)
			return 2;
		for (uint32_t round = 0; round < rounds; round++) {
			memcpy(spoilt, frame, length);
			for (uint32_t flips = draw(4); flips; flips--)
				spoilt[draw(length < 80 ? length : 80)] = (uint8_t)draw(256);
			if (check(spoilt, draw(8) ? length : draw(length + 1)))
				return 1;
		}
	}
	return 0;
}
