/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the drivers on sockets share: arrays of messages and iovecs, one set for each worker.
 *
 * A worker receives into the same frames from burst to burst for as long as nothing is handed over, so the
 * arrays over them are filled once and kept. When these frames change, rx_burst.h calls
 * socket_batch_forget_rx(). turbotap_mmsg.c (a message a frame) and turbotap_burst.c (an iovec a frame) use
 * the same rx_vectors: a worker with ports of both kinds fills them once. packet_rx.c only sends.
 */
#ifndef TTF_SOCKET_BATCH_H
#define TTF_SOCKET_BATCH_H

#include <sys/socket.h>
#include <sys/uio.h>

#include "driver.h"
#include "vnet_hdr.h"

struct socket_batch {
	uint32_t rx_filled; /* rx_messages[0..rx_filled) are ready, with room for headers of: */
	uint32_t rx_header_bytes;
	struct mmsghdr rx_messages[TTF_MAX_BATCH];
	struct iovec rx_vectors[TTF_MAX_BATCH];
	struct mmsghdr tx_messages[TTF_MAX_BATCH];
	struct iovec tx_vectors[TTF_MAX_BATCH];
	/* The lengths in a burst message; turbotap_burst.c checks that a whole burst of them fits. */
	_Alignas(struct cmsghdr) uint8_t lengths[64 + TTF_MAX_BATCH * sizeof(uint32_t)];
};

void ttf_socket_batch_init(struct socket_batch *batch);

static inline void socket_batch_forget_rx(struct socket_batch *batch)
{
	batch->rx_filled = 0;
}

/* Point rx_vectors[0..count), and the messages over them, at frames[0..count), unless they do already. */
void ttf_socket_batch_fill_rx(struct socket_batch *batch, const struct ttf_frame *frames, uint32_t count,
			      uint32_t header_bytes);

/* The same for tx_vectors, whose frames change with each call. */
static inline void socket_batch_fill_tx(struct socket_batch *batch, const struct ttf_frame *frames,
					uint32_t count, uint32_t header_bytes)
{
	for (uint32_t i = 0; i < count; i++)
		batch->tx_vectors[i] = (struct iovec){ .iov_base = frames[i].eth - header_bytes,
						       .iov_len = frames[i].length + header_bytes };
}

/* A frame was received, `bytes` long with its offload header. */
static inline void socket_batch_received(struct ttf_frame *frame, uint32_t bytes, uint32_t header_bytes,
					 bool truncated)
{
	if (truncated)
		frame->length = FRAME_TRUNCATED;
	else
		frame->length = bytes > header_bytes ? bytes - header_bytes : 0;
	frame->offload = header_bytes && vnet_hdr_requests(frame->eth);
}

/* Like tx() of struct ttf_driver_ops, on a socket: a message a frame. */
int ttf_socket_batch_send(struct socket_batch *batch, int fd, uint32_t header_bytes,
			  const struct ttf_frame *frames, uint32_t count, uint64_t *calls);

#endif
