/* SPDX-License-Identifier: Apache-2.0 */
#include "capture.h"

#include <string.h>

#include "clock.h"

/* --------------------------------------------------------------------------------------- ring */

/* Announce what is overwritten, before it is. */
static void reserve(struct capture *capture, uint32_t bytes)
{
	store_relaxed(&capture->shared->reserved, capture->next + bytes);
	__atomic_thread_fence(__ATOMIC_RELEASE); /* pairs with first_whole() in capture_read.c */
}

static uint8_t *ring_place(const struct capture *capture)
{
	return capture->shared->ring + capture->next % TTF_CAPTURE_BYTES;
}

static uint32_t chunk_rest(const struct capture *capture)
{
	return TTF_CAPTURE_CHUNK - (uint32_t)(capture->next % TTF_CAPTURE_CHUNK);
}

static void pad_chunk(struct capture *capture)
{
	const uint32_t rest = chunk_rest(capture);
	const uint64_t pad = rest; /* its first two words: the bytes, and TTF_EVENT_PAD */

	reserve(capture, rest);
	memcpy(ring_place(capture), &pad, sizeof(pad));
	capture->next += rest;
}

void ttf_capture_time(struct ttf_worker *worker)
{
	struct capture *capture = &worker->capture;

	if (!capture->written) {
		capture->written = true;
		store_relaxed(&capture->shared->writing, 1);
		fence_seq_cst(); /* pairs with ttf_capture_read(): no record is older than it believes */
	}
	capture->now_ns = clock_precise_ns();
}

void ttf_capture_publish(struct ttf_worker *worker)
{
	struct capture *capture = &worker->capture;

	if (!capture->written)
		return;
	capture->written = false;
	store_relaxed(&capture->shared->records, capture->records);
	store_release(&capture->shared->head, capture->next); /* pairs with ttf_capture_read() */
	store_release(&capture->shared->writing, 0);
}

void ttf_capture_ordered(struct ttf_worker *worker, uint32_t word)
{
	struct capture *capture = &worker->capture;

	capture->ordered = word;
	if (!capture->shared)
		return;
	ttf_capture_publish(worker); /* of a port that was detached between two rounds */
	worker->capturing = word >> TTF_CAPTURE_SHIFT;
	capture->keep = word & ((1u << TTF_CAPTURE_SHIFT) - 1);
	store_release(&capture->shared->seen, word); /* pairs with ttf_capture_seen() */
}

/* An earlier incarnation ended somewhere between these positions, and may have written anything there, and as these. */
static void begin_behind(struct capture *capture, uint64_t head, uint64_t reserved)
{
	capture->next = head;
	if (head % 8 || reserved - head > TTF_CAPTURE_BYTES)
		capture->next = (head / TTF_CAPTURE_CHUNK + 1) * TTF_CAPTURE_CHUNK;
	else
		while ((int64_t)(reserved - capture->next) > 0)
			pad_chunk(capture);
}

void ttf_capture_init(struct ttf_worker *worker, struct ttf_capture *shared)
{
	struct capture *capture = &worker->capture;

	capture->shared = shared;
	if (!shared)
		return;
	begin_behind(capture, shared->head, shared->reserved);
	capture->records = shared->records;
	capture->written = true;
	ttf_capture_publish(worker);
	ttf_capture_ordered(worker, load_relaxed(&worker->run_words->capture));
}

/* ------------------------------------------------------------------------------------- records */

struct ttf_captured *ttf_capture_add(struct ttf_worker *worker, enum ttf_event event, uint32_t port_id,
				     uint32_t length, uint32_t kept)
{
	struct capture *capture = &worker->capture;
	const uint32_t bytes = (uint32_t)(sizeof(struct ttf_captured) + kept + 7) / 8 * 8;
	struct ttf_captured *record;

	if (!captures(worker, event))
		return NULL;
	if (bytes > chunk_rest(capture))
		pad_chunk(capture);
	reserve(capture, bytes);
	record = (struct ttf_captured *)ring_place(capture);
	*record = (struct ttf_captured){
		.bytes = bytes,
		.event = (uint8_t)event,
		.port = (uint8_t)port_id,
		.number = capture->records++,
		.time_ns = capture->now_ns,
		.generation = port_id < TTF_MAX_PORTS ? worker->ports[port_id].generation : 0,
		.length = length,
		.kept = kept,
		.name = { .index = TTF_NOWHERE },
		.origin = { .index = TTF_NOWHERE },
	};
	capture->next += bytes;
	return record;
}

static uint32_t frame_index(const struct pool *pool, const uint8_t *eth)
{
	return (uint32_t)((uintptr_t)(eth - pool->base) / TTF_FRAME_STRIDE);
}

struct ttf_frame_name ttf_capture_name(const struct ttf_worker *worker, const uint8_t *eth)
{
	if (pool_holds(&worker->pool, eth))
		return (struct ttf_frame_name){ frame_index(&worker->pool, eth), worker->id };
	for (uint32_t w = 0; w < worker->workers; w++) {
		const struct handoff_in *in = &worker->handoff.in[w];

		if (in->stats && pool_holds(&in->pool, eth))
			return (struct ttf_frame_name){ frame_index(&in->pool, eth), w };
	}
	return (struct ttf_frame_name){ .index = TTF_NOWHERE };
}

/* A record of a frame of memory, with the bytes that are kept or without. */
static struct ttf_captured *add_frame(struct ttf_worker *worker, enum ttf_event event, uint32_t port_id,
				      const struct ttf_frame *frame, bool with_bytes)
{
	const uint32_t length = frame_counted_bytes(frame);
	const uint32_t keep = with_bytes ? worker->capture.keep : 0;
	const uint32_t kept = length < keep ? length : keep;
	struct ttf_captured *record = ttf_capture_add(worker, event, port_id, length, kept);

	if (!record)
		return NULL;
	record->name = ttf_capture_name(worker, frame->eth);
	if (length && frame->offload) {
		record->offload = 1;
		memcpy(record->vnet_hdr, frame->eth - TTF_VNET_HDR_BYTES, TTF_VNET_HDR_BYTES);
	}
	if (kept)
		memcpy(record + 1, frame->eth, kept);
	return record;
}

void ttf_capture_received(struct ttf_worker *worker, uint32_t port_id, const struct ttf_frame *frames,
			  uint32_t count)
{
	ttf_capture_time(worker);
	for (uint32_t i = 0; i < count; i++)
		add_frame(worker, TTF_EVENT_RX, port_id, &frames[i], true);
}

void ttf_capture_sent(struct ttf_worker *worker, const struct worker_port *port,
		      const struct ttf_frame *frames, uint32_t count)
{
	ttf_capture_time(worker);
	for (uint32_t i = 0; i < count; i++)
		add_frame(worker, TTF_EVENT_TX, port_number(worker, port), &frames[i], true);
}

void ttf_capture_dropped(struct ttf_worker *worker, uint32_t port_id, struct ttf_frame frame, uint32_t reason)
{
	struct ttf_captured *record = add_frame(worker, TTF_EVENT_DROP, port_id, &frame, true);

	if (record)
		record->reason = (uint8_t)reason;
}

void ttf_capture_flooded(struct ttf_worker *worker, uint32_t in_port, struct ttf_frame frame)
{
	add_frame(worker, TTF_EVENT_FLOOD, in_port, &frame, false);
}

void ttf_capture_handed(struct ttf_worker *worker, uint32_t port_id, uint32_t to, struct ttf_frame frame)
{
	struct ttf_captured *record = add_frame(worker, TTF_EVENT_HANDED, port_id, &frame, false);

	if (record)
		record->worker = (uint8_t)to;
}

void ttf_capture_copied(struct ttf_worker *worker, uint32_t port_id, struct ttf_frame frame,
			struct ttf_frame_name origin)
{
	struct ttf_captured *record = add_frame(worker, TTF_EVENT_COPY, port_id, &frame, false);

	if (record)
		record->origin = origin;
}
