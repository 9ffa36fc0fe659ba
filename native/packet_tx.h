/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The transmit ring of driver `packet`: frames without an offload request leave by one send() a burst,
 * without a message of the socket layer for each. So do frames that sendmmsg() doesn't send.
 *
 * The ring is that of a socket of its own (packet_ring.h). A frame in it that was not sent when its worker
 * was killed is never sent.
 */
#ifndef TTF_PACKET_TX_H
#define TTF_PACKET_TX_H

#include "driver.h"

struct packet_tx;

/* Map the ring of a socket, which stays the caller's. NULL with errno. */
struct packet_tx *ttf_packet_tx_open(int fd);
void ttf_packet_tx_close(struct packet_tx *tx);

/* Is there room in the ring? */
bool ttf_packet_tx_ready(struct packet_tx *tx, uint64_t *calls);

/*
 * Does the ring take this frame? Not if it is too long for a slot, and not if it has an offload request, unless
 * sendmmsg() may refuse it.
 */
bool ttf_packet_tx_takes(const struct ttf_frame *frame);

/* Does the ring take this frame, and sendmmsg() perhaps not? */
bool ttf_packet_tx_alone_takes(const struct ttf_frame *frame);

/* Does the device have a carrier, as far as the kernel tells? */
bool ttf_packet_tx_has_carrier(const struct packet_tx *tx);

/* Like tx() of struct ttf_driver_ops, up to the first frame that isn't taken. 0: the ring is unavailable. */
int ttf_packet_tx_send(struct packet_tx *tx, const struct ttf_frame *frames, uint32_t count, uint64_t *calls);

#endif
