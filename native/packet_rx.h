/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reader of a receive ring: where it is, and how it goes on. The position is in the ring itself as well,
 * for the next incarnation.
 *
 *   packet_rx.c      reads slot after slot: the driver
 *   packet_resume.c  starts where a predecessor was killed
 *   packet_watch.c   finds out that the ring brings nothing any more, and where to go on
 */
#ifndef TTF_PACKET_RX_H
#define TTF_PACKET_RX_H

#include "driver.h"
#include "packet_big.h"
#include "packet_ring.h"

struct packet_tx;

/* Where the cursor is: in the reserve of the first slot, a line of its own. */
#define PACKET_CURSOR_AT TTF_CACHE_LINE

/* The reader's position, for the next incarnation. */
struct packet_cursor {
	uint32_t next;	    /* the slot to be read next */
	uint32_t releasing; /* the one after it, while it is being given back; else the same */
};

static_assert(PACKET_CURSOR_AT >= TPACKET2_HDRLEN, "the cursor lies behind the kernel's header");
static_assert(PACKET_CURSOR_AT + sizeof(struct packet_cursor) <= TPACKET2_HDRLEN + TTF_PACKET_RESERVE_BYTES,
	      "the cursor lies in the reserve");

/* The state of a queue. */
struct packet_rx {
	uint8_t *slots;
	struct packet_cursor *cursor;
	struct packet_tx *tx; /* NULL if the queue doesn't send */
	uint32_t next;
	uint64_t drops; /* frames that the kernel had a slot for, but no room in the socket's queue */
	struct packet_big big;

	/* ttf_packet_watch() */
	uint32_t watched;	 /* where the reader was at the last look */
	uint64_t waits_since_ns; /* it waits there, and packets may be elsewhere; or 0 */
	bool unsearched;	 /* they were not looked for yet */
	bool sweeps;		 /* passing over slots that the kernel hasn't filled */
	bool stuck;		 /* the kernel fills this ring no more */
};

static inline struct tpacket2_hdr *packet_slot_at(const struct packet_rx *rx, uint32_t index)
{
	return packet_slot(rx->slots, TTF_PACKET_SLOTS, index);
}

static inline uint32_t packet_after(uint32_t index)
{
	return (index + 1) & (TTF_PACKET_SLOTS - 1);
}

static inline void packet_advance(struct packet_rx *rx)
{
	rx->next = packet_after(rx->next);
	store_release(&rx->cursor->next, rx->next);
}

static inline void packet_release(struct packet_rx *rx, struct tpacket2_hdr *slot)
{
	/* The kernel clears this mark when it fills the slot again. */
	slot->tp_padding[0] = 1;
	store_release(&rx->cursor->releasing, packet_after(rx->next));
	store_release(&slot->tp_status, TP_STATUS_KERNEL);
	/* The cursor moves after the release, never before: a slot that is never released stops the ring. */
	packet_advance(rx);
}

/* Start at the ring's cursor, after a predecessor that may have been killed at any moment. */
void ttf_packet_resume(struct ttf_queue *queue);

/* Go on at the next filled slot. False if there is none. */
bool ttf_packet_sweep(struct packet_rx *rx);

/* Call now and then. `filled`, `dropped`: since the last call the kernel counted packets, or dropped some. */
void ttf_packet_watch(struct packet_rx *rx, bool filled, bool dropped);

#endif
