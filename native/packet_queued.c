/* SPDX-License-Identifier: Apache-2.0 */
#include "packet_queued.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "packet_rx.h"

#define COMPARED_BYTES 64u /* the beginning of a frame, by which it is known again */

bool ttf_packet_queued_is_next(const struct ttf_queue *queue, const struct packet_description *said)
{
	uint8_t begins[TTF_VNET_HDR_BYTES + COMPARED_BYTES];
	const uint32_t bytes = queue->header_bytes + COMPARED_BYTES;

	return said->in_slot >= COMPARED_BYTES &&
	       recv(queue->fd, begins, bytes, MSG_PEEK | MSG_DONTWAIT) == (ssize_t)bytes &&
	       !memcmp(begins + queue->header_bytes, said->at, COMPARED_BYTES);
}

/* Does a frame, received with a gap for its tag, begin like its slot? */
static bool packet_begins_like_slot(const struct ttf_frame *frame, const struct packet_description *said)
{
	const uint32_t gap = packet_vlan_bytes(said);
	const uint32_t bytes = said->in_slot < COMPARED_BYTES ? said->in_slot : COMPARED_BYTES;

	return bytes >= PACKET_MACS_BYTES && !memcmp(frame->eth, said->at, PACKET_MACS_BYTES) &&
	       !memcmp(frame->eth + PACKET_MACS_BYTES + gap, said->at + PACKET_MACS_BYTES,
		       bytes - PACKET_MACS_BYTES);
}

/*
 * Receive the next frame of the socket's own queue, `room` bytes at most. Returns 0 or -errno. A frame that
 * isn't what the slot says belongs to another slot: it becomes FRAME_MALFORMED.
 */
static int packet_receive_queued(const struct ttf_queue *queue, const struct packet_description *said,
				 struct ttf_frame *frame, uint32_t room)
{
	const uint32_t header = queue->header_bytes, gap = packet_vlan_bytes(said);
	uint8_t *rest = frame->eth + PACKET_MACS_BYTES + gap;
	struct iovec parts[] = {
		{ .iov_base = frame->eth - header, .iov_len = header + PACKET_MACS_BYTES },
		{ .iov_base = rest, .iov_len = room - PACKET_MACS_BYTES - gap },
	};
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };
	ssize_t got = recvmsg(queue->fd, &message, MSG_DONTWAIT | MSG_TRUNC);

	if (got < 0)
		return -errno;
	if ((size_t)got != (size_t)header + said->length || !packet_begins_like_slot(frame, said)) {
		frame->length = FRAME_MALFORMED;
	} else if (message.msg_flags & MSG_TRUNC) {
		frame->length = FRAME_TRUNCATED;
	} else {
		frame->length = said->length + gap;
		packet_received(frame, said);
	}
	return 0;
}

int ttf_packet_queued_take(struct ttf_queue *queue, const struct packet_description *said,
			   struct ttf_frame *frames, uint32_t room, bool *done)
{
	struct packet_rx *rx = queue->state;
	struct ttf_frame whole = { .eth = ttf_packet_big_eth(&rx->big) };
	const bool big = said->length > PACKET_BIG_BEYOND_BYTES;
	struct ttf_frame *into = big ? &whole : frames;
	int error =
		packet_receive_queued(queue, said, into, big ? PACKET_BIG_MAX_BYTES : TTF_FRAME_MAX_BYTES);

	if (error == -EAGAIN) {
		frames->length = FRAME_MALFORMED; /* the frame that the slot stands for is nowhere */
		return 1;
	}
	if (error) {
		*done = false;
		return error;
	}
	if (into->length == FRAME_MALFORMED) {
		/* Drop it, and look at the next one of the queue: the slot's own may be behind it. */
		frames->length = FRAME_MALFORMED;
		*done = false;
		return 1;
	}
	if (!big)
		return 1;
	ttf_packet_big_split(&rx->big, whole);
	return (int)packet_big_take_all(&rx->big, frames, room);
}
