// SPDX-License-Identifier: Apache-2.0
/* Burst messages from the tap, sendmmsg() on a packet socket of the device: what frames cost without a crossing. */
#include "../bench.h"
#include "load.h"
#include "veth.h"
#include "way.h"

#define DEVICE "mmsg-out"
#define BEHIND_DEVICE "mmsg-sink"

static int to;
static struct mmsghdr messages[MAX_BATCH];
static struct iovec vectors[MAX_BATCH];

static void burst_device_open(const struct taps *taps, uint32_t stride)
{
	way_burst.open(taps, stride);
	veth_make(DEVICE, BEHIND_DEVICE);
	to = load_socket(DEVICE, taps->vnet_bytes);
	for (uint32_t i = 0; i < MAX_BATCH; i++)
		messages[i].msg_hdr = (struct msghdr){ .msg_iov = &vectors[i], .msg_iovlen = 1 };
}

static uint32_t burst_device_receive(struct slots *slots, uint32_t most)
{
	return way_burst.receive(slots, most);
}

static void burst_device_send(struct slots *slots, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		vectors[i] = (struct iovec){ slot(slots, i), slots->lengths[i] };
	system_calls++;
	if (sendmmsg(to, messages, count, 0) != (int)count)
		die("sendmmsg");
}

const struct way way_burst_device = { .name = "burst-device",
				      .open = burst_device_open,
				      .receive = burst_device_receive,
				      .send = burst_device_send,
				      .sink = BEHIND_DEVICE };
