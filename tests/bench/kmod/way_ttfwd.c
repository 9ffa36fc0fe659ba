// SPDX-License-Identifier: Apache-2.0
/*
 * ttfwd's own loop over a crossing: everything that a worker does with a frame, statistics and heartbeat among it.
 * Each batch is a slice of one round, so its beginning and end, which a worker has four times a second, count too.
 */
#include <string.h>

#include "../../../native/layout.h"
#include "../../../native/worker.h"
#include "../bench.h"
#include "crossing.h"
#include "way.h"

#define PORTS 2u
#define FRAMES 1024u
#define RING_SLOTS 64u
#define MTU 9000u /* takes every frame of the plan, but GSO frames only after a look at their segments */
#define ROUND_NS 1000000000ull

static struct ttf_worker *worker;
static struct crossing_member joined;
static int fds[PORTS];
static uint32_t ports[PORTS], vnet_bytes;
static void *stats;
static uint64_t received;

static void *memory(uint64_t bytes)
{
	void *found =
		aligned_alloc(TTF_AREA_ALIGN, (bytes + TTF_AREA_ALIGN - 1) / TTF_AREA_ALIGN * TTF_AREA_ALIGN);

	if (!found)
		die("aligned_alloc");
	return memset(found, 0, bytes);
}

static void ttfwd_open(const struct taps *taps, uint32_t stride)
{
	int crossing = crossing_new();

	(void)stride;
	fds[0] = taps->source_fd;
	fds[1] = taps->sink_fd;
	vnet_bytes = taps->vnet_bytes;
	for (uint32_t p = 0; p < PORTS; p++)
		ports[p] = crossing_port(crossing, fds[p], vnet_bytes);
	joined = crossing_join(crossing);
}

/* As the supervisor and a worker's process do it together. */
static void start(uint32_t batch)
{
	void *frames = memory(ttf_frames_bytes(FRAMES)), *rings = memory(ttf_rings_bytes(1, RING_SLOTS));
	const int doorbell = -1;
	const struct ttf_worker_config config = { .batch = batch,
						  .mode = TTF_MODE_XCONNECT,
						  .rx_mode = TTF_RX_POLLING,
						  .stats = stats = memory(ttf_stats_bytes(1, TTF_MAX_PORTS)),
						  .rings = rings,
						  .frames = &frames,
						  .doorbells = &doorbell };

	ttf_stats_prepare(stats, 1, TTF_MAX_PORTS, 1);
	ttf_stats_publish(stats);
	ttf_rings_init(rings, 1, RING_SLOTS, FRAMES, 0, 0, 1);
	worker = ttf_worker_new(&config);
	if (!worker)
		die("ttf_worker_new");
	if (ttf_worker_join(worker, joined.fd, joined.first, joined.slots) < 0)
		die("ttf_worker_join");
	for (uint32_t p = 0; p < PORTS; p++) {
		const struct ttf_port_config port = { .port_id = p,
						      .queues = 1,
						      .mtu = MTU,
						      .peer = (int32_t)(1 - p),
						      .fd = fds[p],
						      .plain_fd = -1,
						      .driver = TTF_DRIVER_TURBOTAP_ZEROCOPY,
						      .header_bytes = vnet_bytes,
						      .offloads = vnet_bytes ? TTF_OFFLOAD_CSUM : 0,
						      .crossing_port = ports[p] };

		if (ttf_worker_attach(worker, &port) < 0)
			die("ttf_worker_attach");
	}
}

/* A round: the batch is received by one call, and sent by the one that looks at the other port. */
static uint32_t ttfwd_receive(struct slots *slots, uint32_t most)
{
	const struct ttf_counters *source, *sink;
	uint64_t before = received;

	(void)slots;
	if (!worker)
		start(most); /* in the first round, which isn't measured */
	/* A message that waits ends a slice after its first round. */
	ttf_worker_run(worker, ROUND_NS, ttf_worker_attention(worker) ^ 1);
	source = ttf_stats_queue(stats, 0, 0);
	sink = ttf_stats_queue(stats, 1, 0);
	received = source->rx_packets;
	if (sink->tx_packets != received)
		die("ttfwd dropped a frame");
	system_calls += 2;
	return (uint32_t)(received - before);
}

static void ttfwd_send(struct slots *slots, uint32_t count)
{
	(void)slots;
	(void)count;
}

const struct way way_ttfwd = {
	.name = "ttfwd", .open = ttfwd_open, .receive = ttfwd_receive, .send = ttfwd_send
};
