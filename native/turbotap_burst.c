/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Driver `turbotap`, io `burst`: a system call and a message a burst, on a socket of turbotap.ko with
 * TURBOTAP_BURST set (kmod/uapi/turbotap.h defines burst messages).
 */
#include <errno.h>
#include <string.h>

#include "../kmod/uapi/turbotap.h"
#include "socket_batch.h"

static_assert(sizeof(((struct socket_batch *)0)->lengths) >= CMSG_SPACE(TTF_MAX_BATCH * sizeof(uint32_t)),
	      "the lengths of the largest burst fit");

/* The lengths of `count` frames in the control message, or NULL if it has fewer. */
static const unsigned char *burst_lengths(const struct msghdr *message, uint32_t count)
{
	const struct cmsghdr *cmsg = CMSG_FIRSTHDR(message);

	if (!cmsg || cmsg->cmsg_level != SOL_TURBOTAP || cmsg->cmsg_type != TURBOTAP_LENGTHS ||
	    cmsg->cmsg_len < CMSG_LEN(count * sizeof(uint32_t)))
		return NULL;
	return CMSG_DATA(cmsg);
}

static int burst_rx(struct ttf_queue *queue, struct ttf_frame *frames, uint32_t count, uint64_t *calls)
{
	const uint32_t header = queue->header_bytes;
	struct socket_batch *batch = queue->batch;
	struct msghdr message = { .msg_iov = batch->rx_vectors,
				  .msg_iovlen = driver_burst_limit(queue, count),
				  .msg_control = batch->lengths,
				  .msg_controllen = sizeof(batch->lengths) };
	const unsigned char *lengths;
	uint32_t bytes = 0;
	ssize_t got;

	ttf_socket_batch_fill_rx(batch, frames, count, header);
	++*calls;
	got = recvmsg(queue->fd, &message, MSG_DONTWAIT);
	if (got < 0)
		return -errno;
	/* Without TURBOTAP_BURST recvmsg() returns bytes: believe the count only with as many lengths. */
	lengths = (size_t)got <= count ? burst_lengths(&message, (uint32_t)got) : NULL;
	if (!lengths)
		return -EPROTO;
	for (ssize_t i = 0; i < got; i++) {
		uint32_t length;

		memcpy(&length, lengths + (size_t)i * sizeof(length), sizeof(length));
		socket_batch_received(&frames[i], length, header, length > batch->rx_vectors[i].iov_len);
		bytes += length;
	}
	driver_burst_received(queue, bytes, (uint32_t)got);
	return (int)got;
}

static int burst_tx(struct ttf_queue *queue, struct ttf_frame *frames, uint32_t count, uint64_t *calls)
{
	struct socket_batch *batch = queue->batch;
	struct msghdr message = { .msg_iov = batch->tx_vectors, .msg_iovlen = count };
	ssize_t sent;

	socket_batch_fill_tx(batch, frames, count, queue->header_bytes);
	++*calls;
	sent = sendmsg(queue->fd, &message, MSG_DONTWAIT);
	if (sent < 0)
		return -errno;
	return (size_t)sent <= count ? (int)sent : -EPROTO;
}

const struct ttf_driver_ops ttf_driver_turbotap_burst = { .rx = burst_rx, .tx = burst_tx };

/* Its frames stay in the kernel (crossing.h). Those from ports outside the crossing come by this socket. */
const struct ttf_driver_ops ttf_driver_turbotap_zerocopy = { .rx = burst_rx,
							     .tx = burst_tx,
							     .crosses = true };
