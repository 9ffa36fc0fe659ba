// SPDX-License-Identifier: Apache-2.0
/* recvmmsg() and sendmmsg() on turbotap sockets: one system call per batch, one message per frame. */
#include "../bench.h"
#include "way.h"

static int from, to;
static struct mmsghdr messages[MAX_BATCH];
static struct iovec vectors[MAX_BATCH];

static void mmsg_open(const struct taps *taps, uint32_t stride)
{
	(void)stride;
	turbotap_sockets(taps, 0, &from, &to);
	for (uint32_t i = 0; i < MAX_BATCH; i++)
		messages[i].msg_hdr = (struct msghdr){ .msg_iov = &vectors[i], .msg_iovlen = 1 };
}

static uint32_t mmsg_receive(struct slots *slots, uint32_t most)
{
	int count;

	for (uint32_t i = 0; i < most; i++)
		vectors[i] = (struct iovec){ slot(slots, i), slots->stride };
	system_calls++;
	count = recvmmsg(from, messages, most, 0, NULL);
	for (int i = 0; i < count; i++)
		slots->lengths[i] = messages[i].msg_len;
	return count < 0 ? 0 : (uint32_t)count;
}

static void mmsg_send(struct slots *slots, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		vectors[i] = (struct iovec){ slot(slots, i), slots->lengths[i] };
	system_calls++;
	if (sendmmsg(to, messages, count, 0) != (int)count)
		die("sendmmsg");
}

const struct way way_mmsg = { .name = "mmsg", .open = mmsg_open, .receive = mmsg_receive, .send = mmsg_send };
