/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames that are longer than a slot: a GSO frame, a jumbo frame. Each waits whole in the socket's own queue,
 * and its slot stands for it (PACKET_COPY_THRESH, TP_STATUS_COPY).
 */
#ifndef TTF_PACKET_QUEUED_H
#define TTF_PACKET_QUEUED_H

#include "driver.h"
#include "packet_slot.h"

/*
 * Take the frame that a slot stands for. Returns how many frames it became, `room` at most, or -errno. *done:
 * the slot can be given back.
 */
int ttf_packet_queued_take(struct ttf_queue *queue, const struct packet_description *said,
			   struct ttf_frame *frames, uint32_t room, bool *done);

/* Is the next frame of the socket's queue the one that a slot stands for? */
bool ttf_packet_queued_is_next(const struct ttf_queue *queue, const struct packet_description *said);

#endif
