/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the drivers on sockets share: message arrays that are filled once and kept, and what a length means.
 *
 * Called by turbotap_mmsg.c (a message a frame), turbotap_burst.c (an iovec a frame), and packet_rx.c, which
 * only sends. The first two receive into the same rx_vectors, so that a worker with ports of either kind
 * fills them once.
 */
#ifndef TTF_SOCKET_BATCH_H
#define TTF_SOCKET_BATCH_H

#include "vnet_hdr.h"
#include "driver.h"

/*
 * Have rx_vectors[0..count), and the messages over them, stand for frames[0..count). Does nothing where
 * they do already; see struct port_scratch.
 */
void ttf_socket_batch_fill_rx(struct socket_batch *scratch, const struct ttf_frame *frames, uint32_t count,
			      uint32_t header_bytes);

/* The same for tx_vectors, which are other frames each time. */
static inline void socket_batch_fill_tx(struct socket_batch *scratch, const struct ttf_frame *frames,
					uint32_t count, uint32_t header_bytes)
{
	for (uint32_t i = 0; i < count; i++)
		scratch->tx_vectors[i] = (struct iovec){ .iov_base = frames[i].eth - header_bytes,
							 .iov_len = frames[i].length + header_bytes };
}

/* A frame was received, `bytes` long with its offload header. `cut`: it was longer than its iovec. */
static inline void socket_batch_received(struct ttf_frame *frame, uint32_t bytes, uint32_t header_bytes,
					 int cut)
{
	if (cut)
		frame->length = FRAME_TRUNCATED;
	else
		frame->length = bytes > header_bytes ? bytes - header_bytes : 0;
	frame->offload = header_bytes && vnet_hdr_requests(frame->eth);
}

/* What struct ttf_driver_ops, tx, is to do, on a socket with headers of this size: a message a frame. */
int ttf_socket_batch_send(struct socket_batch *scratch, int fd, uint32_t header_bytes,
			  const struct ttf_frame *frames, uint32_t count, uint64_t *calls);

#endif
