/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a slot of the receive ring says of its frame, and how the frame is completed once it is in our memory.
 * Used by packet_rx.c for frames that are whole in their slot, by packet_queued.c for those that aren't.
 *
 * The ring outlives a worker that may have written anything to it: each value is read once, and nothing is
 * used that packet_describe() hasn't bounded.
 */
#ifndef TTF_PACKET_SLOT_H
#define TTF_PACKET_SLOT_H

#include <string.h>

#include "driver.h"
#include "ethernet.h"
#include "packet_ring.h"
#include "vnet_hdr.h"

#define PACKET_MACS_BYTES (2 * TTF_ETH_ALEN) /* a VLAN tag comes behind the two addresses */

struct packet_description {
	uint32_t status;
	uint32_t length;   /* of the whole frame */
	uint32_t in_slot;  /* bytes of it that are in the slot */
	const uint8_t *at; /* where they are; the offload header is in front of them */
	uint32_t vlan_tci, vlan_tpid;
};

/* Does a frame lie within its slot, and the offload header in front of it? */
static inline bool packet_bounded(const struct ttf_queue *queue, uint32_t at, uint32_t bytes)
{
	return at >= queue->header_bytes && at <= TTF_PACKET_SLOT_BYTES &&
	       bytes <= TTF_PACKET_SLOT_BYTES - at;
}

/* Read what a slot says. False if it is malformed: then nothing of it may be used. */
static inline bool packet_describe(const struct ttf_queue *queue, const struct tpacket2_hdr *slot,
				   uint32_t status, struct packet_description *said)
{
	const uint32_t at = load_relaxed(&slot->tp_mac);

	*said = (struct packet_description){
		.status = status,
		.length = load_relaxed(&slot->tp_len),
		.in_slot = load_relaxed(&slot->tp_snaplen),
		.at = (const uint8_t *)slot + at,
		.vlan_tci = load_relaxed(&slot->tp_vlan_tci),
		.vlan_tpid = status & TP_STATUS_VLAN_TPID_VALID ? load_relaxed(&slot->tp_vlan_tpid) :
								  ETHERTYPE_VLAN,
	};
	return status & TP_STATUS_USER && said->in_slot <= said->length &&
	       packet_bounded(queue, at, said->in_slot);
}

static inline uint32_t packet_vlan_bytes(const struct packet_description *said)
{
	return said->status & TP_STATUS_VLAN_VALID && said->length >= TTF_ETH_HLEN ? TTF_VLAN_HLEN : 0;
}

/*
 * The kernel removes the outer VLAN tag before packet sockets see a frame (__netif_receive_skb_core()), and
 * gives it beside the frame: put it back, into the gap that was left for it.
 */
static inline void packet_restore_vlan(struct ttf_frame *frame, const struct packet_description *said)
{
	uint8_t *tag = frame->eth + PACKET_MACS_BYTES;

	store_be16(tag, said->vlan_tpid);
	store_be16(tag + 2, said->vlan_tci);
	if (!frame->offload)
		return;
	struct vnet_hdr offload = vnet_hdr_read(frame->eth);

	if (offload.flags & OFFLOAD_NEEDS_CSUM)
		offload.csum_start += TTF_VLAN_HLEN;
	if (offload.gso_type)
		offload.hdr_len += TTF_VLAN_HLEN;
	vnet_hdr_write(frame->eth, &offload);
}

/* A frame and its offload header are in memory: complete both. */
static inline void packet_received(struct ttf_frame *frame, const struct packet_description *said)
{
	frame->offload = vnet_hdr_requests(frame->eth);
	if (packet_vlan_bytes(said))
		packet_restore_vlan(frame, said);
}

#endif
