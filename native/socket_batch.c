/* SPDX-License-Identifier: Apache-2.0 */
#include "socket_batch.h"

#include <errno.h>

void ttf_socket_batch_init(struct socket_batch *scratch)
{
	/* Never any control data on the way out: tun's own sendmsg takes it for a kernel pointer. */
	for (uint32_t i = 0; i < TTF_MAX_BATCH; i++) {
		scratch->rx_messages[i].msg_hdr =
			(struct msghdr){ .msg_iov = &scratch->rx_vectors[i], .msg_iovlen = 1 };
		scratch->tx_messages[i].msg_hdr =
			(struct msghdr){ .msg_iov = &scratch->tx_vectors[i], .msg_iovlen = 1 };
	}
	scratch->rx_filled = 0;
}

void ttf_socket_batch_fill_rx(struct socket_batch *scratch, const struct ttf_frame *frames, uint32_t count,
			      uint32_t header_bytes)
{
	if (scratch->rx_filled >= count && scratch->rx_header_bytes == header_bytes)
		return;
	for (uint32_t i = 0; i < count; i++)
		scratch->rx_vectors[i] = (struct iovec){ .iov_base = frames[i].eth - header_bytes,
							 .iov_len = TTF_FRAME_MAX_BYTES + header_bytes };
	scratch->rx_filled = count;
	scratch->rx_header_bytes = header_bytes;
}

int ttf_socket_batch_send(struct socket_batch *scratch, int fd, uint32_t header_bytes,
			  const struct ttf_frame *frames, uint32_t count, uint64_t *calls)
{
	int sent;

	socket_batch_fill_tx(scratch, frames, count, header_bytes);
	++*calls;
	sent = sendmmsg(fd, scratch->tx_messages, count, MSG_DONTWAIT);
	return sent < 0 ? -errno : sent;
}
