/* SPDX-License-Identifier: Apache-2.0 */
#include "tester/replay.h"

#include <stdlib.h>
#include <string.h>

#include "tester/frame.h"

struct ttf_replay *ttf_replay_new(const uint8_t *bytes, const uint32_t *lengths, uint32_t count)
{
	struct ttf_replay *replay = calloc(1, sizeof(*replay) + count * sizeof(replay->frames[0]));
	size_t total = 0, at = 0;

	for (uint32_t i = 0; i < count; i++)
		total += lengths[i];
	if (!replay)
		return NULL;
	replay->bytes = malloc(total ? total : 1);
	if (!replay->bytes) {
		free(replay);
		return NULL;
	}
	memcpy(replay->bytes, bytes, total);
	for (uint32_t i = 0; i < count; i++) {
		struct ttf_replay_frame *frame = &replay->frames[i];

		frame->bytes = replay->bytes + at;
		frame->length = lengths[i];
		frame->has_stamp = ttf_payload_find(frame->bytes, frame->length, &frame->payload);
		replay->stamped += frame->has_stamp;
		at += lengths[i];
	}
	replay->count = count;
	return replay;
}

void ttf_replay_free(struct ttf_replay *replay)
{
	free(replay->bytes);
	free(replay);
}

void ttf_replay_stamp(const struct ttf_replay_frame *frame, const struct ttf_stamp *stamp)
{
	const struct ttf_payload *payload = &frame->payload;
	uint64_t sum = payload->sum + frame_stamp_sum(stamp);
	uint16_t checksum = payload->is_udp ? frame_udp_checksum(sum) : frame_checksum(sum);

	memcpy(frame->bytes + payload->stamp, stamp, sizeof(*stamp));
	if (payload->checksum)
		memcpy(frame->bytes + payload->checksum, &checksum, sizeof(checksum));
}
