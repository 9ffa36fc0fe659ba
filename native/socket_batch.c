/* SPDX-License-Identifier: Apache-2.0 */
#include "socket_batch.h"

#include <errno.h>

void ttf_socket_batch_init(struct socket_batch *batch)
{
	/* Never send control data: tun's own sendmsg() takes it for a kernel pointer. */
	for (uint32_t i = 0; i < TTF_MAX_BATCH; i++) {
		batch->rx_messages[i].msg_hdr =
			(struct msghdr){ .msg_iov = &batch->rx_vectors[i], .msg_iovlen = 1 };
		batch->tx_messages[i].msg_hdr =
			(struct msghdr){ .msg_iov = &batch->tx_vectors[i], .msg_iovlen = 1 };
	}
	socket_batch_forget_rx(batch);
}

void ttf_socket_batch_fill_rx(struct socket_batch *batch, const struct ttf_frame *frames, uint32_t count,
			      uint32_t header_bytes)
{
	if (batch->rx_filled >= count && batch->rx_header_bytes == header_bytes)
		return;
	for (uint32_t i = 0; i < count; i++)
		batch->rx_vectors[i] = (struct iovec){ .iov_base = frames[i].eth - header_bytes,
						       .iov_len = TTF_FRAME_MAX_BYTES + header_bytes };
	batch->rx_filled = count;
	batch->rx_header_bytes = header_bytes;
}

int ttf_socket_batch_send(struct socket_batch *batch, int fd, uint32_t header_bytes,
			  const struct ttf_frame *frames, uint32_t count, uint64_t *calls)
{
	int sent;

	socket_batch_fill_tx(batch, frames, count, header_bytes);
	++*calls;
	sent = sendmmsg(fd, batch->tx_messages, count, MSG_DONTWAIT);
	return sent < 0 ? -errno : sent;
}
