/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A predecessor may have been killed between two steps: between releasing a slot and moving the cursor (the
 * kernel may have filled the slot again since), or between taking a frame from the socket's queue and
 * releasing its slot.
 */
#include "packet_queued.h"
#include "packet_rx.h"
#include "packet_slot.h"

void ttf_packet_resume(struct ttf_queue *queue)
{
	struct packet_rx *rx = queue->state;
	struct tpacket2_hdr *slot = packet_slot_at(rx, rx->next);
	uint32_t status = packet_slot_status(slot);
	struct packet_description said;

	if ((load_relaxed(&rx->cursor->releasing) & (TTF_PACKET_SLOTS - 1)) == packet_after(rx->next) &&
	    (!(status & TP_STATUS_USER) || !slot->tp_padding[0])) {
		packet_advance(rx);
		slot = packet_slot_at(rx, rx->next);
		status = packet_slot_status(slot);
	}
	if (status & TP_STATUS_USER && status & TP_STATUS_COPY &&
	    packet_describe(queue, slot, status, &said) && !ttf_packet_queued_is_next(queue, &said))
		packet_release(rx, slot);
}
