/* SPDX-License-Identifier: Apache-2.0 */
#include "discard.h"

#include <errno.h>
#include <stdlib.h>

#include "clock.h"
#include "driver.h"

static void discard_frames(struct ttf_queue *queue, struct ttf_frame *frame, struct ttf_discarded *discarded)
{
	const uint64_t until_ns = clock_precise_ns() + TTF_DISCARD_NS;
	uint64_t calls = 0;

	while (discarded->packets < TTF_DISCARD_MAX && clock_precise_ns() < until_ns &&
	       queue->driver->rx(queue, frame, 1, &calls) > 0) {
		discarded->packets++;
		discarded->bytes += frame_counted_bytes(frame);
	}
}

int ttf_queue_discard(uint32_t driver, int fd, uint32_t header_bytes, struct ttf_discarded *discarded)
{
	const struct ttf_port_config config = { .fd = fd, .plain_fd = -1 };
	struct ttf_queue queue = { .driver = ttf_driver_ops(driver), .fd = fd, .header_bytes = header_bytes };
	struct ttf_frame frame;
	uint8_t *memory;
	int error = 0;

	*discarded = (struct ttf_discarded){ 0 };
	if (!queue.driver || (header_bytes && header_bytes != TTF_VNET_HDR_BYTES))
		return -EINVAL;
	memory = malloc(TTF_FRAME_STRIDE);
	if (!memory)
		return -ENOMEM;
	frame = (struct ttf_frame){ .eth = memory + TTF_FRAME_HEADROOM };
	if (queue.driver->open)
		error = queue.driver->open(&queue, &config);
	if (!error) {
		discard_frames(&queue, &frame, discarded);
		if (queue.driver->drops)
			discarded->kernel_drops = queue.driver->drops(&queue);
		if (queue.driver->close)
			queue.driver->close(&queue);
	}
	free(memory);
	return error;
}
