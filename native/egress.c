/* SPDX-License-Identifier: Apache-2.0 */
/* Frames leave by the ports that this worker serves: what a port can't take over is done here first. */
#include <errno.h>

#include "vnet_hdr.h"
#include "gso.h"
#include "worker_internal.h"

#define TX_RETRIES 8

/* The first unsent frame can't be sent: which name, and does the error concern it alone? */
static uint32_t drop_reason(int error, int *alone)
{
	*alone = 0;
	switch (error) {
	case EAGAIN:
	case EINTR:
	case ENOBUFS:
	case ENOMEM:
		return TTF_DROP_TX_FULL;
	case EIO: /* tun: not IFF_UP */
	case ENETDOWN:
	case ENXIO:
	case ENODEV:
	case EBADFD: /* tun: the device is gone */
		return TTF_DROP_LINK_DOWN;
	case EMSGSIZE:
		*alone = 1;
		return TTF_DROP_OVERSIZE;
	default:
		*alone = 1;
		return TTF_DROP_TX_ERROR;
	}
}

static void flush_port(struct worker_port *port)
{
	struct ttf_frame *frames = port->frames;
	uint32_t count = port->out, done = 0, retries = TX_RETRIES;
	uint64_t calls = 0;

	while (done < count) {
		int sent = port->queue.driver->tx(&port->queue, frames + done, count - done, &calls);
		uint64_t bytes = 0;

		if (sent > 0) {
			for (int i = 0; i < sent; i++)
				bytes += frames[done + (uint32_t)i].length;
			count_add(&port->stats->tx_bytes, bytes);
			count_add(&port->stats->tx_packets, sent);
			done += (uint32_t)sent;
			continue;
		}
		int alone;
		uint32_t reason = drop_reason(-sent, &alone);

		if (reason == TTF_DROP_TX_FULL && retries-- > 0)
			continue;
		drop(port->stats, reason, alone ? 1 : count - done);
		done = alone ? done + 1 : count;
	}
	count_add(&port->stats->tx_calls, calls);
	port->out = 0;
}

void transmit(struct ttf_worker *worker)
{
	for (uint32_t p = 0; p < worker->ports_high; p++)
		if (worker->ports[p].out)
			flush_port(&worker->ports[p]);
	/* Back to where they came from on the stack, so that what rx_frames says of it stays true. */
	while (worker->cut_frames)
		pool_put(&worker->pool, worker->cut[--worker->cut_frames]);
}

static void append(const struct ttf_worker *worker, struct worker_port *port, struct ttf_frame view)
{
	/* A segment that was cut made more frames than a burst has. */
	if (port->out >= worker->batch)
		flush_port(port);
	port->frames[port->out++] = view;
}

/* A frame for a packet of a segment, until transmit(): at most a burst of them. UINT32_MAX if none is free.
 */
static uint32_t take_cut_frame(struct ttf_worker *worker, const struct worker_port *port)
{
	struct pool *pool = &worker->pool;
	uint32_t frame;

	if (!pool->free)
		reclaim(worker);
	if (!pool->free || worker->cut_frames == worker->batch || port->out >= worker->batch)
		transmit(worker);
	if (!pool->free)
		return UINT32_MAX;
	frame = pool_peek(pool, 0);
	pool_take(pool, 1);
	worker->cut[worker->cut_frames++] = frame;
	return frame;
}

static void cut_segment(struct ttf_worker *worker, struct worker_port *port, struct ttf_frame view,
			const struct offload_request *request)
{
	const uint32_t count = ttf_gso_packets(request, view.length);

	/* Before anything is sent or dropped in their name; see count_outputs() in steer.c. */
	count_add(&worker->stats->orphans.copied_packets, count - 1);
	for (uint32_t i = 0; i < count; i++) {
		uint32_t frame = take_cut_frame(worker, port);
		struct ttf_frame packet = { 0 };

		if (frame == UINT32_MAX) {
			drop(port->stats, TTF_DROP_NO_FRAME, count - i);
			return;
		}
		packet.eth = pool_eth(&worker->pool, frame);
		packet.length = ttf_gso_packet(request, view.eth, view.length, i, packet.eth);
		if (port->queue.header_bytes)
			vnet_hdr_clear(packet.eth);
		append(worker, port, packet);
	}
}

static void queue_request(struct ttf_worker *worker, struct worker_port *port, struct ttf_frame view)
{
	struct offload_request request;

	/* Again, after forward_frame(): another worker's frame is memory that it may have spoilt since. */
	if (ttf_vnet_hdr_parse(view.eth, view.length, &request) < 0) {
		drop(port->stats, TTF_DROP_OFFLOAD, 1);
		return;
	}
	if (ttf_vnet_hdr_oversize(&request, view.eth, view.length, port->mtu)) {
		drop(port->stats, TTF_DROP_OVERSIZE, 1);
		return;
	}
	if (request.gso_size && request.wants & ~port->offloads) {
		cut_segment(worker, port, view, &request);
		return;
	}
	if (request.wants & ~port->offloads || request.crc32c)
		ttf_vnet_hdr_complete(&request, view.eth, view.length);
	append(worker, port, view);
}

void queue_frame(struct ttf_worker *worker, struct worker_port *port, struct ttf_frame view)
{
	if (view.offload) {
		queue_request(worker, port, view);
		return;
	}
	if (ttf_oversize(view.eth, view.length, port->mtu)) {
		drop(port->stats, TTF_DROP_OVERSIZE, 1);
		return;
	}
	if (port->queue.header_bytes)
		vnet_hdr_clear(view.eth);
	append(worker, port, view);
}
