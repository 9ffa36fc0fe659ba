// SPDX-License-Identifier: Apache-2.0
/*
 * ttfwd's own loop over a crossing: everything that a worker does with a frame, statistics and heartbeat among it.
 * Each batch is a slice of one round, so its beginning and end, which a worker has four times a second, count too.
 * The same while somebody captures whole frames, as received and as sent.
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

struct loop {
	bool captures;
	struct ttf_worker *worker;
	struct crossing_member joined;
	int fds[PORTS];
	uint32_t ports[PORTS], vnet_bytes;
	void *stats;
	uint64_t received;
};

static struct loop plain, captured = { .captures = true };

static void *memory(uint64_t bytes)
{
	void *found =
		aligned_alloc(TTF_AREA_ALIGN, (bytes + TTF_AREA_ALIGN - 1) / TTF_AREA_ALIGN * TTF_AREA_ALIGN);

	if (!found)
		die("aligned_alloc");
	return memset(found, 0, bytes);
}

static void loop_open(struct loop *loop, const struct taps *taps)
{
	int crossing = crossing_new();

	loop->fds[0] = taps->source_fd;
	loop->fds[1] = taps->sink_fd;
	loop->vnet_bytes = taps->vnet_bytes;
	for (uint32_t p = 0; p < PORTS; p++)
		loop->ports[p] = crossing_port(crossing, loop->fds[p], loop->vnet_bytes);
	loop->joined = crossing_join(crossing);
}

/* As the supervisor and a worker's process do it together. */
static void start(struct loop *loop, uint32_t batch)
{
	void *frames = memory(ttf_frames_bytes(FRAMES)), *rings = memory(ttf_rings_bytes(1, RING_SLOTS));
	const int doorbell = -1;
	const struct ttf_worker_config config = { .batch = batch,
						  .mode = TTF_MODE_XCONNECT,
						  .rx_mode = TTF_RX_POLLING,
						  .stats = loop->stats =
							  memory(ttf_stats_bytes(1, TTF_MAX_PORTS)),
						  .rings = rings,
						  .frames = &frames,
						  .capture = memory(sizeof(struct ttf_capture)),
						  .doorbells = &doorbell };

	ttf_stats_prepare(loop->stats, 1, TTF_MAX_PORTS, 1);
	ttf_stats_publish(loop->stats);
	ttf_rings_init(rings, 1, RING_SLOTS, FRAMES, 0, 0, 1);
	if (loop->captures)
		ttf_rings_run_words(rings, 0)->capture =
			(1u << TTF_EVENT_RX | 1u << TTF_EVENT_TX) << TTF_CAPTURE_SHIFT | TTF_FRAME_MAX_BYTES;
	loop->worker = ttf_worker_new(&config);
	if (!loop->worker)
		die("ttf_worker_new");
	if (ttf_worker_join(loop->worker, loop->joined.fd, loop->joined.first, loop->joined.slots) < 0)
		die("ttf_worker_join");
	for (uint32_t p = 0; p < PORTS; p++) {
		const struct ttf_port_config port = { .port_id = p,
						      .queues = 1,
						      .mtu = MTU,
						      .peer = (int32_t)(1 - p),
						      .fd = loop->fds[p],
						      .plain_fd = -1,
						      .driver = TTF_DRIVER_TURBOTAP_ZEROCOPY,
						      .header_bytes = loop->vnet_bytes,
						      .offloads = loop->vnet_bytes ? TTF_OFFLOAD_CSUM : 0,
						      .crossing_port = loop->ports[p] };

		if (ttf_worker_attach(loop->worker, &port) < 0)
			die("ttf_worker_attach");
	}
}

/* A round: the batch is received by one call, and sent by the one that looks at the other port. */
static uint32_t run_round(struct loop *loop, uint32_t most)
{
	const struct ttf_counters *source, *sink;
	uint64_t before = loop->received;

	if (!loop->worker)
		start(loop, most); /* in the first round, which isn't measured */
	/* A message that waits ends a slice after its first round. */
	ttf_worker_run(loop->worker, ROUND_NS, ttf_worker_attention(loop->worker) ^ 1);
	source = ttf_stats_queue(loop->stats, 0, 0);
	sink = ttf_stats_queue(loop->stats, 1, 0);
	loop->received = source->rx_packets;
	if (sink->tx_packets != loop->received)
		die("ttfwd dropped a frame");
	system_calls += 2;
	return (uint32_t)(loop->received - before);
}

static void ttfwd_open(const struct taps *taps, uint32_t stride)
{
	(void)stride;
	loop_open(&plain, taps);
}

static uint32_t ttfwd_receive(struct slots *slots, uint32_t most)
{
	(void)slots;
	return run_round(&plain, most);
}

static void capture_open(const struct taps *taps, uint32_t stride)
{
	(void)stride;
	loop_open(&captured, taps);
}

static uint32_t capture_receive(struct slots *slots, uint32_t most)
{
	(void)slots;
	return run_round(&captured, most);
}

static void send_nothing(struct slots *slots, uint32_t count)
{
	(void)slots;
	(void)count;
}

const struct way way_ttfwd = {
	.name = "ttfwd", .open = ttfwd_open, .receive = ttfwd_receive, .send = send_nothing
};

const struct way way_capture = {
	.name = "capture", .open = capture_open, .receive = capture_receive, .send = send_nothing
};
