// SPDX-License-Identifier: Apache-2.0
/* read() and write() on the taps' own fds: two system calls per frame. The baseline of the bars. */
#include "../bench.h"
#include "way.h"

static int from, to;

static void rw_open(const struct taps *taps, uint32_t stride)
{
	(void)stride;
	from = taps->source_fd;
	to = taps->sink_fd;
}

static uint32_t rw_receive(struct slots *slots, uint32_t most)
{
	uint32_t count;

	for (count = 0; count < most; count++) {
		ssize_t length = read(from, slot(slots, count), slots->stride);

		system_calls++;
		if (length < 0)
			break;
		slots->lengths[count] = (uint32_t)length;
	}
	return count;
}

static void rw_send(struct slots *slots, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		system_calls++;
		if (write(to, slot(slots, i), slots->lengths[i]) != (ssize_t)slots->lengths[i])
			die("write");
	}
}

const struct way way_rw = { .name = "rw", .open = rw_open, .receive = rw_receive, .send = rw_send };
