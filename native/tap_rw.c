/* SPDX-License-Identifier: Apache-2.0 */
/* Driver `tap`: read() and write(), a system call a packet, like VPP's tapcli. Comparisons start from it. */
#include <errno.h>
#include <unistd.h>

#include "driver.h"
#include "prefetch.h"
#include "vnet_hdr.h"

static int tap_rx(struct ttf_queue *queue, struct ttf_frame *frames, uint32_t count, uint64_t *calls)
{
	const uint32_t header = queue->header_bytes;
	const size_t room = TTF_FRAME_MAX_BYTES + header;
	size_t bytes = 0;
	uint32_t n = 0;

	while (n < count && bytes < TTF_BURST_BYTES) {
		uint8_t *eth = frames[n].eth;
		ssize_t got;

		prefetch_ahead_write(queue, frames, n, count);
		got = read(queue->fd, eth - header, room);
		++*calls;
		if (got < 0)
			return n ? (int)n : -errno;
		/* tun truncates a frame silently: a full buffer is a truncated frame. */
		if ((size_t)got >= room)
			frames[n].length = FRAME_TRUNCATED;
		else
			frames[n].length = (uint32_t)got > header ? (uint32_t)got - header : 0;
		frames[n].offload = header && vnet_hdr_requests(eth);
		queue->last_length = frames[n].length;
		bytes += (size_t)got;
		n++;
	}
	return (int)n;
}

static int tap_tx(struct ttf_queue *queue, struct ttf_frame *frames, uint32_t count, uint64_t *calls)
{
	const uint32_t header = queue->header_bytes;
	uint32_t n = 0;

	while (n < count) {
		prefetch_ahead_read(queue, frames, n, count);
		++*calls;
		if (write(queue->fd, frames[n].eth - header, frames[n].length + header) < 0)
			return n ? (int)n : -errno;
		n++;
	}
	return (int)n;
}

const struct ttf_driver_ops ttf_driver_tap = { .rx = tap_rx, .tx = tap_tx };
