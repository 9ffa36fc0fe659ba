// SPDX-License-Identifier: Apache-2.0
/* Burst messages on turbotap sockets: one system call and message per batch, one iovec per frame. */
#include <string.h>

#include "../bench.h"
#include "turbotap.h"
#include "way.h"

static int from, to;
static struct iovec vectors[MAX_BATCH];
static union {
	struct cmsghdr header;
	uint8_t bytes[CMSG_SPACE(MAX_BATCH * sizeof(uint32_t))];
} control;

static void burst_open(const struct taps *taps, uint32_t stride)
{
	(void)stride;
	turbotap_sockets(taps, 1, &from, &to);
}

static uint32_t burst_receive(struct slots *slots, uint32_t most)
{
	struct msghdr message = { .msg_iov = vectors,
				  .msg_iovlen = most,
				  .msg_control = &control,
				  .msg_controllen = CMSG_SPACE(most * sizeof(uint32_t)) };
	ssize_t count;

	for (uint32_t i = 0; i < most; i++)
		vectors[i] = (struct iovec){ slot(slots, i), slots->stride };
	system_calls++;
	count = recvmsg(from, &message, 0);
	if (count <= 0)
		return 0;
	if (control.header.cmsg_len != CMSG_LEN((size_t)count * sizeof(uint32_t)))
		die("lengths of a burst");
	memcpy(slots->lengths, CMSG_DATA(&control.header), (size_t)count * sizeof(uint32_t));
	return (uint32_t)count;
}

static void burst_send(struct slots *slots, uint32_t count)
{
	struct msghdr message = { .msg_iov = vectors, .msg_iovlen = count };

	for (uint32_t i = 0; i < count; i++)
		vectors[i] = (struct iovec){ slot(slots, i), slots->lengths[i] };
	system_calls++;
	if (sendmsg(to, &message, 0) != (ssize_t)count)
		die("sendmsg");
}

const struct way way_burst = {
	.name = "burst", .open = burst_open, .receive = burst_receive, .send = burst_send
};
