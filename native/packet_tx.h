/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames that ask for nothing leave a packet port by the transmit ring of a socket of their own (TPACKET_V2,
 * Documentation/networking/packet_mmap.rst): one send() a burst, and no message of the socket layer for each.
 *
 * Called by packet_rx.c. The ring, which forwarder/devices/packet.py asks for, belongs to the socket and
 * outlives the worker. A frame in it that wasn't sent when its worker was killed never is.
 */
#ifndef TTF_PACKET_TX_H
#define TTF_PACKET_TX_H

#include "driver.h"

struct packet_tx;

/* Map the ring of a socket, which stays the caller's. NULL with errno. */
struct packet_tx *ttf_packet_tx_open(int fd);
void ttf_packet_tx_close(struct packet_tx *sender);

/* The device's MTU may have changed: to be called now and then. */
void ttf_packet_tx_refresh(struct packet_tx *sender);

/* Is there room in the ring? */
int ttf_packet_tx_ready(struct packet_tx *sender, uint64_t *calls);

/* Is the ring for such a frame? Not if it asks for something, is too long for a slot, or for the device. */
int ttf_packet_tx_takes(const struct packet_tx *sender, const struct ttf_frame *frame);

/* What struct ttf_driver_ops, tx, is to do, up to the first frame that isn't taken. 0: not by the ring now.
 */
int ttf_packet_tx_send(struct packet_tx *sender, const struct ttf_frame *frames, uint32_t count,
		       uint64_t *calls);

#endif
