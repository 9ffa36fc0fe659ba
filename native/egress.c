/* SPDX-License-Identifier: Apache-2.0 */
#include "egress.h"

#include <errno.h>
#include <string.h>

#include "capture.h"
#include "egress_error.h"
#include "ethernet.h"
#include "gso.h"
#include "vnet_hdr.h"

#define TX_RETRIES 8

/* Send frames in order, and drop by name those that can't be sent, up to the first refused GSO frame. */
static uint32_t egress_send(struct ttf_worker *worker, struct worker_port *port, struct ttf_frame *frames,
			    uint32_t count)
{
	uint32_t done = 0, retries = TX_RETRIES;
	uint64_t calls = 0;

	while (done < count) {
		int sent = port->queue.driver->tx(&port->queue, frames + done, count - done, &calls);
		uint64_t bytes = 0;

		if (sent > 0) {
			for (int i = 0; i < sent; i++)
				bytes += frames[done + (uint32_t)i].length;
			count_add(&port->stats->tx_bytes, bytes);
			count_add(&port->stats->tx_packets, sent);
			if (worker->capturing)
				ttf_capture_sent(worker, port, frames + done, (uint32_t)sent);
			done += (uint32_t)sent;
			continue;
		}
		if (sent == -ENOBUFS && frames[done].offload)
			break;
		bool alone;
		uint32_t reason = egress_drop_reason(-sent, &alone);

		if (!alone && reason == TTF_DROP_TX_FULL && retries-- > 0)
			continue;
		do
			drop_frame(worker, port_number(worker, port), frames[done++], reason);
		while (!alone && done < count);
	}
	count_add(&port->stats->tx_calls, calls);
	return done;
}

/* A frame was made from another: a copy, or a packet of a GSO frame. */
static void note_copy(struct ttf_worker *worker, const struct worker_port *port, struct ttf_frame copy,
		      struct ttf_frame origin)
{
	if (worker->capturing)
		ttf_capture_copied(worker, port_number(worker, port), copy,
				   ttf_capture_name(worker, origin.eth));
}

/*
 * The device refused a frame with an offload request. Its features or limits may have changed a moment ago,
 * and the supervisor's message of that is under way. So send what it stands for, packet by packet.
 */
static void egress_send_refused(struct ttf_worker *worker, struct worker_port *port, struct ttf_frame frame)
{
	struct pool *pool = &worker->pool;
	struct offload_request request;
	struct ttf_frame packet = { 0 };
	uint32_t count, frame_id;

	if (ttf_vnet_hdr_parse(frame.eth, frame.length, &request) < 0 || !request.gso_size) {
		drop_frame(worker, port_number(worker, port), frame, TTF_DROP_TX_FULL);
		return;
	}
	frame_id = pool_get(pool);
	if (frame_id == FRAME_ID_NONE) {
		drop_frame(worker, port_number(worker, port), frame, TTF_DROP_NO_FRAME);
		return;
	}
	packet.eth = pool_eth(pool, frame_id);
	count = ttf_gso_packets(&request, frame.length);
	count_add(&worker->stats->orphans.copied_packets, count - 1); /* see egress_segment() */
	for (uint32_t i = 0; i < count; i++) {
		packet.length = ttf_gso_packet(&request, frame.eth, frame.length, i, packet.eth);
		vnet_hdr_clear(packet.eth);
		note_copy(worker, port, packet, frame);
		egress_send(worker, port, &packet, 1);
	}
	pool_put(pool, frame_id); /* where it came from: the rx burst stays valid */
}

static void egress_flush_port(struct ttf_worker *worker, struct worker_port *port)
{
	for (uint32_t done = 0; done < port->out; done++) {
		done += egress_send(worker, port, port->frames + done, port->out - done);
		if (done < port->out)
			egress_send_refused(worker, port, port->frames[done]);
	}
	port->out = 0;
}

void ttf_egress_flush(struct ttf_worker *worker)
{
	for (uint32_t p = 0; p < worker->ports_high; p++)
		if (worker->ports[p].out)
			egress_flush_port(worker, &worker->ports[p]);
	/* Back to where they came from on the stack, in reverse order: the rx burst stays valid. */
	while (worker->segmented)
		pool_put(&worker->pool, worker->segmented_ids[--worker->segmented]);
}

static void egress_append(struct ttf_worker *worker, struct worker_port *port, struct ttf_frame frame)
{
	/* A GSO frame may have become more packets than a burst has. */
	if (port->out >= worker->batch)
		egress_flush_port(worker, port);
	port->frames[port->out++] = frame;
}

/* ----------------------------------------------------------------------------------------- GSO */

/* A frame for a copy, or for one packet of a GSO frame, until ttf_egress_flush(). FRAME_ID_NONE if none is
 * free. */
static uint32_t egress_packet_frame(struct ttf_worker *worker, const struct worker_port *port)
{
	struct pool *pool = &worker->pool;
	uint32_t frame_id;

	if (!pool->free)
		ttf_handoff_reclaim(&worker->handoff);
	if (!pool->free || worker->segmented == worker->batch || port->out >= worker->batch)
		ttf_egress_flush(worker);
	frame_id = pool_get(pool);
	if (frame_id != FRAME_ID_NONE)
		worker->segmented_ids[worker->segmented++] = frame_id;
	return frame_id;
}

static void egress_segment(struct ttf_worker *worker, struct worker_port *port, struct ttf_frame frame,
			   const struct offload_request *request)
{
	const uint32_t count = ttf_gso_packets(request, frame.length);

	/* Before any of them is sent or dropped; see flood_count() in steer.c. */
	count_add(&worker->stats->orphans.copied_packets, count - 1);
	for (uint32_t i = 0; i < count; i++) {
		uint32_t frame_id = egress_packet_frame(worker, port);
		struct ttf_frame packet = { 0 };

		if (frame_id == FRAME_ID_NONE) {
			for (; i < count; i++)
				drop_frame(worker, port_number(worker, port), frame, TTF_DROP_NO_FRAME);
			return;
		}
		packet.eth = pool_eth(&worker->pool, frame_id);
		packet.length = ttf_gso_packet(request, frame.eth, frame.length, i, packet.eth);
		if (port->queue.header_bytes)
			vnet_hdr_clear(packet.eth);
		note_copy(worker, port, packet, frame);
		egress_append(worker, port, packet);
	}
}

/* Complete the checksum. A frame of another worker's pool is copied first: that can only be read. */
static void egress_complete(struct ttf_worker *worker, struct worker_port *port, struct ttf_frame frame,
			    const struct offload_request *request)
{
	if (!pool_holds(&worker->pool, frame.eth)) {
		const struct ttf_frame theirs = frame;
		uint32_t frame_id = egress_packet_frame(worker, port);

		if (frame_id == FRAME_ID_NONE) {
			drop_frame(worker, port_number(worker, port), frame, TTF_DROP_NO_FRAME);
			return;
		}
		frame.eth = memcpy(pool_eth(&worker->pool, frame_id), frame.eth, frame.length);
		note_copy(worker, port, (struct ttf_frame){ frame.eth, frame.length, 0 }, theirs);
	}
	ttf_vnet_hdr_complete(request, frame.eth, frame.length);
	egress_append(worker, port, frame);
}

static void egress_offload(struct ttf_worker *worker, struct worker_port *port, struct ttf_frame frame)
{
	struct offload_request request;

	/* worker.c parsed it before. A frame of another worker's pool may have been spoilt since. */
	if (ttf_vnet_hdr_parse(frame.eth, frame.length, &request) < 0) {
		drop_frame(worker, port_number(worker, port), frame, TTF_DROP_OFFLOAD);
		return;
	}
	if (ttf_vnet_hdr_oversize(&request, frame.eth, frame.length, port->mtu)) {
		drop_frame(worker, port_number(worker, port), frame, TTF_DROP_OVERSIZE);
		return;
	}
	if (request.gso_size && request.wants & ~port->offloads) {
		egress_segment(worker, port, frame, &request);
		return;
	}
	if (request.wants & ~port->offloads || request.crc32c) {
		egress_complete(worker, port, frame, &request);
		return;
	}
	egress_append(worker, port, frame);
}

void ttf_egress_frame(struct ttf_worker *worker, struct worker_port *port, struct ttf_frame frame)
{
	if (frame.offload) {
		egress_offload(worker, port, frame);
		return;
	}
	if (eth_oversize(frame.eth, frame.length, port->mtu)) {
		drop_frame(worker, port_number(worker, port), frame, TTF_DROP_OVERSIZE);
		return;
	}
	egress_append(worker, port, frame);
}
