// SPDX-License-Identifier: Apache-2.0
/*
 * References within the kernel: a Linux bridge between two veths, tc's redirect between two veths, and a veth alone.
 * The sender's call carries a frame all the way to the sink, a softirq for each.
 */
#include "veth.h"
#include "way.h"

/* A port that has just got its carrier forwards nothing for a moment. */
#define UNTIL_IT_FORWARDS                                                                                  \
	"for port in bridge-a bridge-b; do for try in $(seq 100); do "                                     \
	"bridge link show dev $port | grep -q 'state forwarding' && continue 2; sleep 0.1; done; exit 1; " \
	"done"

static void bridge_open(const struct taps *taps, uint32_t stride)
{
	(void)taps;
	(void)stride;
	veth_make("bridge-source", "bridge-a");
	veth_make("bridge-b", "bridge-sink");
	shell("ip link add bridge0 type bridge && ip link set bridge-a master bridge0 && "
	      "ip link set bridge-b master bridge0 && ip link set bridge0 up");
	/* The address that the dropped frames are for: learnt, not flooded. */
	shell("bridge fdb add 02:00:00:00:00:99 dev bridge-b master static");
	shell(UNTIL_IT_FORWARDS);
}

static void mirred_open(const struct taps *taps, uint32_t stride)
{
	(void)taps;
	(void)stride;
	veth_make("mirred-source", "mirred-a");
	veth_make("mirred-b", "mirred-sink");
	shell("tc qdisc add dev mirred-a clsact && tc filter add dev mirred-a ingress matchall "
	      "action mirred egress redirect dev mirred-b");
}

static void veth_open(const struct taps *taps, uint32_t stride)
{
	(void)taps;
	(void)stride;
	veth_make("veth-source", "veth-sink");
}

const struct way way_bridge = {
	.name = "bridge", .open = bridge_open, .source = "bridge-source", .sink = "bridge-sink"
};

const struct way way_mirred = {
	.name = "mirred", .open = mirred_open, .source = "mirred-source", .sink = "mirred-sink"
};

const struct way way_veth = {
	.name = "veth", .open = veth_open, .source = "veth-source", .sink = "veth-sink"
};
