/* SPDX-License-Identifier: Apache-2.0 */
/* The slots of a mapped ring of a packet socket (packet_ring.h): where they are, and whose they are. */
#ifndef TTF_PACKET_SLOT_H
#define TTF_PACKET_SLOT_H

#include <linux/if_packet.h>

#include "atomic.h"
#include "packet_ring.h"

/* `count`, how many the ring has, is a power of two, and an index goes round it. */
static inline struct tpacket2_hdr *packet_slot(uint8_t *slots, uint32_t count, uint32_t index)
{
	return (struct tpacket2_hdr *)(void *)(slots + (size_t)(index & (count - 1)) * TTF_PACKET_SLOT_BYTES);
}

static inline uint32_t packet_slot_status(const struct tpacket2_hdr *slot)
{
	return load_acquire(&slot->tp_status); /* pairs with __packet_set_status() in the kernel */
}

#endif
