/* SPDX-License-Identifier: Apache-2.0 */
/* Driver `turbotap`, io `mmsg`: a system call a burst, and a message a frame. */
#include <errno.h>

#include "socket_batch.h"

static int mmsg_rx(struct ttf_queue *queue, struct ttf_frame *frames, uint32_t count, uint64_t *calls)
{
	const uint32_t header = queue->header_bytes;
	struct socket_batch *batch = queue->batch;
	uint32_t bytes = 0;
	int got;

	count = driver_burst_limit(queue, count);
	ttf_socket_batch_fill_rx(batch, frames, count, header);
	++*calls;
	got = recvmmsg(queue->fd, batch->rx_messages, count, MSG_DONTWAIT, NULL);
	if (got < 0)
		return -errno;
	for (int i = 0; i < got; i++) {
		const struct mmsghdr *message = &batch->rx_messages[i];

		socket_batch_received(&frames[i], message->msg_len, header,
				      message->msg_hdr.msg_flags & MSG_TRUNC);
		bytes += message->msg_len;
	}
	driver_burst_received(queue, bytes, (uint32_t)got);
	return got;
}

static int mmsg_tx(struct ttf_queue *queue, struct ttf_frame *frames, uint32_t count, uint64_t *calls)
{
	return ttf_socket_batch_send(queue->batch, queue->fd, queue->header_bytes, frames, count, calls);
}

const struct ttf_driver_ops ttf_driver_turbotap_mmsg = { .rx = mmsg_rx, .tx = mmsg_tx };
