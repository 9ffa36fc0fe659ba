/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rings of packet sockets (TPACKET_V2, Documentation/networking/packet_mmap.rst): asked for by
 * forwarder/devices/packet.py. What is received lies in one that packet_rx.c maps, what is sent in another
 * socket's, which packet_tx.c maps. They belong to the sockets, and outlive the worker.
 */
#ifndef TTF_PACKET_RING_H
#define TTF_PACKET_RING_H

#include <stdint.h>

#define TTF_PACKET_SLOTS 2048
#define TTF_PACKET_TX_SLOTS 128
#define TTF_PACKET_SLOT_BYTES 2048   /* a frame of MTU 1500, and what the kernel says of it */
#define TTF_PACKET_BLOCK_BYTES 65536 /* memory is had in such pieces */
#define TTF_PACKET_RESERVE_BYTES 64  /* before each frame, and left alone by the kernel */

struct ttf_discarded {
	uint64_t packets;
	uint64_t bytes;
	uint64_t kernel_drops; /* there was no room for */
};

/* Take what a packet socket holds that nobody reads, `limit` packets at most, and count it. 0 or -errno. */
int ttf_packet_discard(int fd, uint32_t limit, struct ttf_discarded *discarded);

#endif
