/* SPDX-License-Identifier: Apache-2.0 */
/* Which worker sends a frame: this one (egress.c), another one through a ring, or several for a flood. */
#include <string.h>
#include <unistd.h>

#include "flow_hash.h"
#include "worker_internal.h"

/* --------------------------------------------------------------------------------------- rings */

void reclaim(struct ttf_worker *worker)
{
	struct pool *pool = &worker->pool;

	for (uint32_t w = 0; w < worker->workers; w++) {
		struct ttf_ring *ring = worker->ring_out[w].ring;
		uint32_t count = ring ? ring_completed(ring) : 0;

		for (uint32_t i = 0; i < count; i++) {
			uint32_t frame = ring_reclaimed_frame(ring, i);

			/* The slot is shared memory: a number that lies must not reach the stack. */
			if (frame < pool->frames && pool->free < pool->frames)
				pool_put(pool, frame);
		}
		if (count) {
			ring_reclaim(ring, count);
			worker->rx_ready = 0;
		}
	}
}

/* Write a descriptor for worker `to`. Returns 1, or 0 when the ring is full, which is counted. */
static int hand_over(struct ttf_worker *worker, uint32_t to, struct ttf_desc desc)
{
	struct ring_out *out = &worker->ring_out[to];

	if (ring_free(out->ring, out->pending) == 0)
		reclaim(worker);
	if (ring_free(out->ring, out->pending) == 0) {
		count_add(&out->stats->dropped, 1);
		drop(worker->ports[desc.in_port].stats, TTF_DROP_RING_FULL, 1);
		return 0;
	}
	*ring_slot(out->ring, out->pending) = desc;
	out->pending++;
	return 1;
}

static void publish_rings(struct ttf_worker *worker)
{
	for (uint32_t w = 0; w < worker->workers; w++) {
		struct ring_out *out = &worker->ring_out[w];

		if (!out->pending)
			continue;
		ring_publish(out->ring, out->pending);
		count_add(&out->stats->pushed, out->pending);
		out->pending = 0;
		/*
		 * Tail before `sleeping`, in the order of every processor: the consumer stores `sleeping`,
		 * fences, and looks at tail again (sleep_until_woken() in worker.c). One of us sees the
		 * other.
		 */
		fence_seq_cst();
		if (load_relaxed(&out->consumer->sleeping)) {
			static const uint64_t one = 1;

			/* EAGAIN means that the eventfd is signalled already. */
			if (write(out->doorbell, &one, sizeof(one)) == sizeof(one))
				count_add(&worker->stats->doorbells, 1);
		}
	}
}

void flush(struct ttf_worker *worker)
{
	transmit(worker);
	if (worker->workers > 1)
		publish_rings(worker);
}

/* ------------------------------------------------------------------------------------- steering */

static uint16_t desc_offload(struct ttf_frame view)
{
	return view.offload ? TTF_DESC_OFFLOAD : 0;
}

static uint32_t steering_key(const struct ttf_worker *worker, const uint8_t *eth, uint32_t length)
{
	return worker->steering == TTF_STEERING_FLOW ? ttf_flow_hash(eth, length) >> 16 : worker->id;
}

/* The worker that sends frames with this key from port `in` out of port `out`. */
static uint32_t owner_of(const struct ttf_worker *worker, uint32_t key, const struct worker_port *in,
			 const struct worker_port *out)
{
	uint32_t queues = out->queues;

	/* Both directions of a flow divide by the same number, whichever port has fewer queues. */
	if (worker->steering == TTF_STEERING_FLOW && in->queues < queues)
		queues = in->queues;
	return key % queues;
}

int send_frame(struct ttf_worker *worker, uint32_t in_port, uint32_t out_port, uint32_t frame,
	       struct ttf_frame view)
{
	struct worker_port *in = &worker->ports[in_port], *out = &worker->ports[out_port];
	uint32_t owner;

	if (!out->used) {
		drop(in->stats, TTF_DROP_NO_PORT, 1);
		return 0;
	}
	owner = owner_of(worker, steering_key(worker, view.eth, view.length), in, out);
	if (owner == worker->id) {
		queue_frame(worker, out, view);
		return 0;
	}
	return hand_over(worker, owner,
			 (struct ttf_desc){ .frame = frame,
					    .length = view.length,
					    .in_port = (uint8_t)in_port,
					    .out_port = (uint8_t)out_port,
					    .flags = desc_offload(view),
					    .in_generation = (uint16_t)in->generation,
					    .out_generation = (uint16_t)out->generation });
}

/* How many ports must worker `who` send a flooded frame to? */
static uint32_t flood_outputs(const struct ttf_worker *worker, uint32_t key, uint32_t in_port, uint32_t who)
{
	const struct worker_port *in = &worker->ports[in_port];
	uint32_t outputs = 0;

	for (uint32_t p = 0; p < worker->ports_high; p++) {
		const struct worker_port *port = &worker->ports[p];

		outputs += port->used && p != in_port && owner_of(worker, key, in, port) == who;
	}
	return outputs;
}

/*
 * Copies are counted before anything that can be sent or dropped in their name: no counter may ever show
 * an output that no input explains, or a crash there would leave a negative loss.
 */
static void count_outputs(struct ttf_worker *worker, uint32_t outputs, struct ttf_counters *otherwise)
{
	if (outputs)
		count_add(&worker->stats->orphans.copied_packets, outputs - 1);
	else
		drop(otherwise, TTF_DROP_NO_PORT, 1);
}

static void flood_here(struct ttf_worker *worker, uint32_t key, uint32_t in_port, struct ttf_frame view)
{
	const struct worker_port *in = &worker->ports[in_port];

	for (uint32_t p = 0; p < worker->ports_high; p++) {
		struct worker_port *port = &worker->ports[p];

		if (port->used && p != in_port && owner_of(worker, key, in, port) == worker->id)
			queue_frame(worker, port, view);
	}
}

void flood_handed(struct ttf_worker *worker, uint32_t key, uint32_t in_port, struct ttf_frame view)
{
	count_outputs(worker, flood_outputs(worker, key, in_port, worker->id), &worker->stats->orphans);
	flood_here(worker, key, in_port, view);
}

/* A frame in a pool has one reader, so each further worker gets a copy. Returns it, or UINT32_MAX. */
static uint32_t copy_frame(struct ttf_worker *worker, struct ttf_frame view)
{
	struct pool *pool = &worker->pool;
	uint32_t frame;

	if (!pool->free)
		reclaim(worker);
	if (!pool->free)
		return UINT32_MAX;
	frame = pool_peek(pool, 0);
	pool_take(pool, 1);
	worker->rx_ready = 0;
	memcpy(pool_eth(pool, frame) - TTF_VNET_HDR_BYTES, view.eth - TTF_VNET_HDR_BYTES,
	       view.length + TTF_VNET_HDR_BYTES);
	return frame;
}

int flood_frame(struct ttf_worker *worker, uint32_t in_port, uint32_t frame, struct ttf_frame view)
{
	const struct worker_port *in = &worker->ports[in_port];
	uint32_t key = steering_key(worker, view.eth, view.length);
	uint32_t here = flood_outputs(worker, key, in_port, worker->id);
	uint32_t outputs = here;
	int handed = 0;

	for (uint32_t to = 0; to < worker->workers; to++)
		outputs += to != worker->id && flood_outputs(worker, key, in_port, to);
	count_outputs(worker, outputs, in->stats);
	for (uint32_t to = 0; to < worker->workers && outputs > (here > 0); to++) {
		uint32_t copy = frame;

		if (to == worker->id || !flood_outputs(worker, key, in_port, to))
			continue;
		if (handed || here)
			copy = copy_frame(worker, view);
		if (copy == UINT32_MAX) {
			drop(in->stats, TTF_DROP_NO_FRAME, 1);
			continue;
		}
		if (!hand_over(worker, to,
			       (struct ttf_desc){ .frame = copy,
						  .length = view.length,
						  .in_port = (uint8_t)in_port,
						  .flags = TTF_DESC_FLOOD | desc_offload(view),
						  .in_generation = (uint16_t)in->generation,
						  .out_generation = (uint16_t)key })) {
			if (copy != frame)
				pool_put(&worker->pool, copy);
		} else if (copy == frame) {
			handed = 1;
		}
	}
	flood_here(worker, key, in_port, view);
	return handed;
}
