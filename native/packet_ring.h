/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The packet rings of driver `packet` (TPACKET_V2, Documentation/networking/packet_mmap.rst): their sizes,
 * and their slots. forwarder/devices/packet.py makes them. packet_rx.c maps the receive ring, packet_tx.c the
 * transmit ring of another socket. They belong to the sockets, and outlive the worker.
 */
#ifndef TTF_PACKET_RING_H
#define TTF_PACKET_RING_H

#include <assert.h>
#include <linux/if_packet.h>
#include <stddef.h>
#include <stdint.h>

#include "atomic.h"

#define TTF_PACKET_SLOTS 2048
#define TTF_PACKET_TX_SLOTS 128
#define TTF_PACKET_SLOT_BYTES 2048   /* a frame of MTU 1500, and the kernel's header in front of it */
#define TTF_PACKET_BLOCK_BYTES 65536 /* the kernel allocates a ring in such pieces */
#define TTF_PACKET_RESERVE_BYTES 64  /* before each frame; the kernel leaves it alone */

static_assert((TTF_PACKET_SLOTS & (TTF_PACKET_SLOTS - 1)) == 0, "slots are a power of two");
static_assert((TTF_PACKET_TX_SLOTS & (TTF_PACKET_TX_SLOTS - 1)) == 0, "slots are a power of two");
static_assert(TTF_PACKET_SLOTS * TTF_PACKET_SLOT_BYTES % TTF_PACKET_BLOCK_BYTES == 0, "blocks are whole");
static_assert(TTF_PACKET_TX_SLOTS * TTF_PACKET_SLOT_BYTES % TTF_PACKET_BLOCK_BYTES == 0, "blocks are whole");

/* The slot of an index that wraps. `count`, the number of slots, is a power of two. */
static inline struct tpacket2_hdr *packet_slot(uint8_t *slots, uint32_t count, uint32_t index)
{
	return (struct tpacket2_hdr *)(void *)(slots + (size_t)(index & (count - 1)) * TTF_PACKET_SLOT_BYTES);
}

/* Whose the slot is (TP_STATUS_...). */
static inline uint32_t packet_slot_status(const struct tpacket2_hdr *slot)
{
	return load_acquire(&slot->tp_status); /* pairs with __packet_set_status() in the kernel */
}

#endif
