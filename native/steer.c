/* SPDX-License-Identifier: Apache-2.0 */
#include "steer.h"

#include <string.h>

#include "capture.h"
#include "egress.h"
#include "flow_hash.h"
#include "vnet_hdr.h"

#define OWNER_NONE UINT8_MAX /* no living worker has a queue of the port */

static uint16_t steer_desc_flags(struct ttf_frame frame)
{
	return frame.offload ? TTF_DESC_OFFLOAD : 0;
}

static uint32_t steer_key(const struct ttf_worker *worker, const uint8_t *eth, uint32_t length)
{
	return worker->steering == TTF_STEERING_FLOW ? ttf_flow_hash(eth, length) >> 16 : worker->id;
}

static_assert(OWNER_NONE >= TTF_MAX_WORKERS, "it is no worker");

/*
 * The owner of queue `key mod queues`, if it lives. If not, the key chooses among the living owners of a
 * queue, so that the keys of one that is away are spread over all of them.
 */
static uint8_t steer_choose(uint32_t key, uint32_t queues, const bool *lives, const uint8_t *living,
			    uint32_t count)
{
	const uint32_t owner = key % queues;

	if (lives[owner])
		return (uint8_t)owner;
	return count ? living[(key / queues + owner) % count] : OWNER_NONE;
}

void ttf_steer_to_living(struct ttf_worker *worker, uint32_t living_seen)
{
	bool lives[TTF_MAX_WORKERS];
	uint8_t living[TTF_MAX_WORKERS];
	uint32_t count = 0;

	worker->living_seen = living_seen;
	/* The first workers have a queue each, whatever the number of queues. */
	for (uint32_t w = 0; w < worker->workers; w++) {
		/* This one lives, even if the supervisor doesn't know yet. */
		lives[w] = w == worker->id || (load_relaxed(&worker->live_words[w / 64]) >> w % 64 & 1);
		if (lives[w])
			living[count++] = (uint8_t)w;
		for (uint32_t key = 0; key < STEER_KEYS; key++)
			worker->owners[w + 1][key] = steer_choose(key, w + 1, lives, living, count);
	}
}

/* The worker that sends frames with this key from port `in` out of port `out`, or OWNER_NONE. */
static uint32_t steer_owner(const struct ttf_worker *worker, uint32_t key, const struct worker_port *in,
			    const struct worker_port *out)
{
	uint32_t queues = out->queues;

	/* Both directions of a flow divide by the same number, whichever port has fewer queues. */
	if (worker->steering == TTF_STEERING_FLOW && in->queues < queues)
		queues = in->queues;
	return worker->owners[queues][key % STEER_KEYS];
}

/* True if the ring holds the frame now. Otherwise it is full, and the frame is dropped in its port's name. */
static bool steer_hand_over(struct ttf_worker *worker, uint32_t to, struct ttf_desc desc)
{
	const struct ttf_frame frame = { .eth = pool_eth(&worker->pool, desc.frame_id),
					 .length = desc.length,
					 .offload = desc.flags & TTF_DESC_OFFLOAD };

	if (handoff_full(&worker->handoff, to)) {
		count_add(&worker->handoff.out[to].stats->dropped, 1);
		drop_frame(worker, desc.in_port, frame, TTF_DROP_RING_FULL);
		return false;
	}
	if (worker->capturing)
		ttf_capture_handed(worker, desc.flags & TTF_DESC_FLOOD ? desc.in_port : desc.out_port, to,
				   frame);
	handoff_transmit(&worker->handoff, to, desc);
	return true;
}

/*
 * A frame that requests no offload leaves by a queue with offload headers as well. Its header is cleared by
 * the worker that owns the frame: others can only read it.
 */
static void steer_clear_header(const struct ttf_worker *worker, struct ttf_frame frame)
{
	if (worker->headers && !frame.offload)
		vnet_hdr_clear(frame.eth);
}

bool ttf_steer_frame(struct ttf_worker *worker, uint32_t in_port, uint32_t out_port, uint32_t frame_id,
		     struct ttf_frame frame)
{
	struct worker_port *in = &worker->ports[in_port], *out = &worker->ports[out_port];
	uint32_t owner;

	if (!out->used) {
		drop_frame(worker, in_port, frame, TTF_DROP_NO_PORT);
		return false;
	}
	owner = steer_owner(worker, steer_key(worker, frame.eth, frame.length), in, out);
	steer_clear_header(worker, frame);
	if (owner == worker->id) {
		ttf_egress_frame(worker, out, frame);
		return false;
	}
	if (owner == OWNER_NONE) {
		drop_frame(worker, in_port, frame, TTF_DROP_NO_WORKER);
		return false;
	}
	return steer_hand_over(worker, owner,
			       (struct ttf_desc){ .frame_id = frame_id,
						  .length = frame.length,
						  .in_port = (uint8_t)in_port,
						  .out_port = (uint8_t)out_port,
						  .flags = steer_desc_flags(frame),
						  .in_generation = (uint16_t)in->generation,
						  .out_generation = (uint16_t)out->generation });
}

void ttf_steer_flush(struct ttf_worker *worker)
{
	ttf_egress_flush(worker);
	if (worker->workers > 1)
		ttf_handoff_publish(&worker->handoff);
}

/* --------------------------------------------------------------------------------------- flood */

/* Whether worker `who` (or OWNER_NONE: nobody) sends a flooded frame to a port. */
static bool flood_reaches(const struct ttf_worker *worker, uint32_t key, uint32_t in_port, uint32_t out_port,
			  uint32_t who)
{
	const struct worker_port *in = &worker->ports[in_port], *out = &worker->ports[out_port];

	return out->used && out_port != in_port && !port_crosses(in, out) &&
	       steer_owner(worker, key, in, out) == who;
}

static uint32_t flood_outputs(const struct ttf_worker *worker, uint32_t key, uint32_t in_port, uint32_t who)
{
	uint32_t outputs = 0;

	for (uint32_t p = 0; p < worker->ports_high; p++)
		outputs += flood_reaches(worker, key, in_port, p, who);
	return outputs;
}

/*
 * Count copies before sending or dropping any of them. Otherwise a crash in between would leave more packets
 * out than in, and the loss would be negative.
 */
static void flood_count(struct ttf_worker *worker, uint32_t outputs)
{
	count_add(&worker->stats->orphans.copied_packets, outputs - 1);
}

static void flood_here(struct ttf_worker *worker, uint32_t key, uint32_t in_port, struct ttf_frame frame)
{
	for (uint32_t p = 0; p < worker->ports_high; p++)
		if (flood_reaches(worker, key, in_port, p, worker->id))
			ttf_egress_frame(worker, &worker->ports[p], frame);
}

void ttf_steer_flooded(struct ttf_worker *worker, uint32_t key, uint32_t in_port, struct ttf_frame frame)
{
	const uint32_t outputs = flood_outputs(worker, key, in_port, worker->id);

	if (outputs)
		flood_count(worker, outputs);
	else
		drop_orphan(worker, frame, TTF_DROP_NO_PORT);
	flood_here(worker, key, in_port, frame);
}

/* One worker reads a frame of a pool, so each further worker gets a copy. FRAME_ID_NONE if none is free. */
static uint32_t flood_copy(struct ttf_worker *worker, uint32_t in_port, struct ttf_frame frame)
{
	struct pool *pool = &worker->pool;
	uint32_t copy;

	if (!pool->free)
		ttf_handoff_reclaim(&worker->handoff);
	copy = pool_get(pool);
	if (copy == FRAME_ID_NONE)
		return FRAME_ID_NONE;
	rx_burst_invalidate(&worker->rx);
	memcpy(pool_eth(pool, copy) - TTF_VNET_HDR_BYTES, frame.eth - TTF_VNET_HDR_BYTES,
	       frame.length + TTF_VNET_HDR_BYTES);
	if (worker->capturing)
		ttf_capture_copied(worker, in_port,
				   (struct ttf_frame){ pool_eth(pool, copy), frame.length, frame.offload },
				   ttf_capture_name(worker, frame.eth));
	return copy;
}

bool ttf_steer_flood(struct ttf_worker *worker, uint32_t in_port, uint32_t frame_id, struct ttf_frame frame)
{
	const struct worker_port *in = &worker->ports[in_port];
	uint32_t key = steer_key(worker, frame.eth, frame.length);
	uint32_t here = flood_outputs(worker, key, in_port, worker->id);
	uint32_t nowhere = flood_outputs(worker, key, in_port, OWNER_NONE);
	uint32_t outputs = here + nowhere;
	bool handed = false;

	for (uint32_t to = 0; to < worker->workers; to++)
		outputs += to != worker->id && flood_outputs(worker, key, in_port, to);
	if (worker->capturing)
		ttf_capture_flooded(worker, in_port, frame);
	if (outputs)
		flood_count(worker, outputs);
	else
		drop_frame(worker, in_port, frame, TTF_DROP_NO_PORT);
	for (uint32_t i = 0; i < nowhere; i++)
		drop_frame(worker, in_port, frame, TTF_DROP_NO_WORKER);
	steer_clear_header(worker, frame);
	for (uint32_t to = 0; to < worker->workers && outputs > here + nowhere; to++) {
		uint32_t copy = frame_id;

		if (to == worker->id || !flood_outputs(worker, key, in_port, to))
			continue;
		if (handed || here)
			copy = flood_copy(worker, in_port, frame);
		if (copy == FRAME_ID_NONE) {
			drop_frame(worker, in_port, frame, TTF_DROP_NO_FRAME);
			continue;
		}
		if (!steer_hand_over(worker, to,
				     (struct ttf_desc){ .frame_id = copy,
							.length = frame.length,
							.in_port = (uint8_t)in_port,
							.flags = TTF_DESC_FLOOD | steer_desc_flags(frame),
							.in_generation = (uint16_t)in->generation,
							.flood_key = (uint16_t)key })) {
			if (copy != frame_id)
				pool_put(&worker->pool, copy);
		} else if (copy == frame_id) {
			handed = true;
		}
	}
	flood_here(worker, key, in_port, frame);
	return handed;
}
