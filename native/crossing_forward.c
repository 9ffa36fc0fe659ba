/* SPDX-License-Identifier: Apache-2.0 */
/* A burst of the crossing: each frame is decided, and has an entry of the next call, or is copied out. */
#include <errno.h>
#include <string.h>

#include "capture.h"
#include "capture_crossing.h"
#include "ethernet.h"
#include "steer.h"
#include "vnet_hdr.h"

#define TCP_MIN_BYTES 20u
#define UDP_BYTES 8u

static_assert(sizeof(((struct turbotap_cell *)0)->vnet) == TTF_VNET_HDR_BYTES, "a cell is like a frame");
static_assert(offsetof(struct turbotap_cell, vnet) + TTF_VNET_HDR_BYTES ==
		      offsetof(struct turbotap_cell, headers),
	      "the offload header ends where the frame begins");

/* ------------------------------------------------------------------------------------ entries */

/* An entry for frame i of the burst, where there is room for one. Its number. */
static inline uint32_t add_entry(struct crossing *crossing, uint32_t i, uint32_t out_port,
				 uint32_t crossing_port, uint16_t flags)
{
	const struct turbotap_cell *cell = cell_of(crossing, i);
	const uint32_t at = crossing->waiting++;

	crossing->lists->send[at] = (struct turbotap_send){ .slot = crossing->lists->receive[i],
							    .generation = cell->generation,
							    .port = crossing_port,
							    .flags = flags };
	crossing->notes->entries[at] =
		(struct ttf_crossing_entry){ .bytes = cell->length, .out_port = out_port };
	return at;
}

/* Frame i of the burst leaves by a port, or is released (TTF_NOWHERE). */
static void append(struct ttf_worker *worker, uint32_t i, uint32_t out_port, uint16_t flags)
{
	struct crossing *crossing = worker->crossing;
	const bool released = out_port == TTF_NOWHERE;
	const uint32_t port = released ? TURBOTAP_RELEASE : worker->ports[out_port].crossing_port;
	uint32_t at;

	if (crossing->waiting == TURBOTAP_CROSSING_BATCH)
		ttf_crossing_flush(worker);
	at = add_entry(crossing, i, out_port, port, flags);
	if (worker->table.mode == TTF_MODE_MACSWAP && !released) {
		crossing->lists->send[at].rewrite = TURBOTAP_REWRITE_FREE;
		memcpy(crossing->lists->headers[at], crossing->addresses[i], TURBOTAP_REWRITE_FREE);
	}
}

/* ------------------------------------------------------------------------- frames that cross */

static void drop_cell(struct ttf_worker *worker, uint32_t port_id, uint32_t i, uint32_t reason)
{
	count_drop(worker->ports[port_id].stats, reason, 1);
	if (worker->capturing)
		ttf_capture_cell_dropped(worker, port_id, cell_of(worker->crossing, i),
					 worker->crossing->lists->receive[i], reason);
}

/* The length of the longest packet that a frame becomes. Of headers beyond its cell the least is assumed. */
static uint32_t longest_packet(const struct turbotap_cell *cell)
{
	const struct vnet_hdr header = vnet_hdr_read(cell->headers);
	uint32_t longest = header.csum_start + header.gso_size;

	if (!header.gso_type)
		return cell->length;
	if ((header.gso_type & ~OFFLOAD_GSO_ECN) == OFFLOAD_GSO_UDP_L4)
		longest += UDP_BYTES;
	else if (header.csum_start + TCP_MIN_BYTES <= cell->header_bytes)
		longest += (cell->headers[header.csum_start + 12] >> 4) * 4u;
	else
		longest += TCP_MIN_BYTES;
	return longest < cell->length ? longest : cell->length;
}

/* What a port takes: the kernel does the rest, offloads among it, but it looks at the MTU of devices alone. */
static inline bool fits(struct ttf_worker *worker, uint32_t out_port, uint32_t i)
{
	const struct worker_port *out = &worker->ports[out_port];
	const struct turbotap_cell *cell = cell_of(worker->crossing, i);

	if (cell->length <= out->mtu + TTF_ETH_HLEN ||
	    !eth_oversize(cell->headers, longest_packet(cell), out->mtu))
		return true;
	drop_cell(worker, out_port, i, TTF_DROP_OVERSIZE);
	return false;
}

static void cross_to_port(struct ttf_worker *worker, uint32_t i, uint32_t out_port)
{
	bool fitting = fits(worker, out_port, i);

	append(worker, i, fitting ? out_port : TTF_NOWHERE, 0);
}

/* Is a port one that a flooded frame crosses to? */
static bool flood_crosses(const struct ttf_worker *worker, uint32_t in_port, uint32_t out_port)
{
	const struct worker_port *in = &worker->ports[in_port], *out = &worker->ports[out_port];

	return out->used && out_port != in_port && port_crosses(in, out);
}

static uint32_t flood_outputs(const struct ttf_worker *worker, uint32_t in_port)
{
	uint32_t outputs = 0;

	for (uint32_t p = 0; p < worker->ports_high; p++)
		outputs += flood_crosses(worker, in_port, p);
	return outputs;
}

/* Clones go to all ports but the last, which gets the frame itself. */
static void cross_to_all(struct ttf_worker *worker, uint32_t in_port, uint32_t i)
{
	uint32_t last = TTF_NOWHERE;

	for (uint32_t p = 0; p < worker->ports_high; p++) {
		if (!flood_crosses(worker, in_port, p) || !fits(worker, p, i))
			continue;
		if (last != TTF_NOWHERE)
			append(worker, i, last, TURBOTAP_SEND_KEEP);
		last = p;
	}
	append(worker, i, last, 0);
}

/* ------------------------------------------------------------------- frames that are copied out */

/* Copy a frame that is whole in its cell. For others, fill in a request to the module: true. */
static bool copy_frame(const struct crossing *crossing, uint32_t i, struct ttf_frame *frame,
		       struct turbotap_copy *copy)
{
	const struct turbotap_cell *cell = cell_of(crossing, i);

	frame->length = cell->length;
	memcpy(frame->eth - TTF_VNET_HDR_BYTES, cell->vnet, TTF_VNET_HDR_BYTES);
	frame->offload = vnet_hdr_requests(frame->eth);
	if (cell->length > TTF_FRAME_MAX_BYTES) {
		frame->length = FRAME_TRUNCATED;
		return false;
	}
	if (cell->length == cell->header_bytes) {
		memcpy(frame->eth, cell->headers, cell->length);
		return false;
	}
	*copy = (struct turbotap_copy){ .slot = crossing->lists->receive[i],
					.generation = cell->generation,
					.buffer = (uintptr_t)frame->eth,
					.length = cell->length };
	return true;
}

/*
 * Copy the frames that leave into the first frames of the pool, by one call. The length of one that can't be
 * copied is FRAME_TRUNCATED.
 */
static void copy_out(struct ttf_worker *worker, uint32_t count, uint32_t leaving)
{
	struct crossing *crossing = worker->crossing;
	struct rx_burst *rx = &worker->rx;
	uint32_t room, requests = 0;
	int done;

	if (worker->pool.free < leaving)
		ttf_handoff_reclaim(&worker->handoff);
	room = worker->pool.free < leaving ? worker->pool.free : leaving;
	crossing->room = room;
	rx_burst_prepare(rx, &worker->pool, room);
	rx_burst_take(&worker->pool, room);
	for (uint32_t i = 0; i < count; i++) {
		const uint32_t n = crossing->copy_of[i];

		if (n < room && copy_frame(crossing, i, &rx->frames[n], &crossing->copies[requests]))
			crossing->requested[requests++] = n;
	}
	done = requests ? ttf_call_copy_out(crossing->member, crossing->copies, requests) : 0;
	for (uint32_t r = 0; r < requests; r++) {
		struct ttf_frame *frame = &rx->frames[crossing->requested[r]];

		if ((int)r >= done || crossing->copies[r].result != (int32_t)frame->length)
			frame->length = FRAME_TRUNCATED;
	}
}

/* Forward copy n of the burst, or drop it by name. */
static void forward_copy(struct ttf_worker *worker, uint32_t in_port, uint32_t i,
			 struct forward_verdict verdict, uint32_t n)
{
	const uint32_t room = worker->crossing->room;
	struct rx_burst *rx = &worker->rx;

	if (n >= room || rx->frames[n].length == FRAME_TRUNCATED) {
		drop_cell(worker, in_port, i, TTF_DROP_NO_FRAME);
		if (n < room)
			rx->handed[n] = false;
		return;
	}
	if (worker->capturing)
		ttf_capture_copied(worker, in_port, rx->frames[n],
				   ttf_capture_slot_name(worker, worker->crossing->lists->receive[i]));
	if (verdict.kind == TTF_VERDICT_FLOOD)
		rx->handed[n] = ttf_steer_flood(worker, in_port, rx->frame_ids[n], rx->frames[n]);
	else
		rx->handed[n] =
			ttf_steer_frame(worker, in_port, verdict.value, rx->frame_ids[n], rx->frames[n]);
}

/* --------------------------------------------------------------------------------------- burst */

static inline struct forward_verdict decide(struct ttf_worker *worker, uint32_t in_port, uint32_t i)
{
	struct crossing *crossing = worker->crossing;
	const struct turbotap_cell *cell = cell_of(crossing, i);
	uint8_t *eth = (uint8_t *)cell->headers; /* only macswap writes there, and the cell is read-only */

	/* What it requests has no form for a port that isn't in the crossing. As with other drivers. */
	if (cell->flags & TURBOTAP_CELL_NO_VNET)
		return (struct forward_verdict){ TTF_VERDICT_DROP, TTF_DROP_OFFLOAD };
	if (worker->table.mode == TTF_MODE_MACSWAP)
		eth = memcpy(crossing->addresses[i], eth, TURBOTAP_REWRITE_FREE);
	return ttf_forward(&worker->table, in_port, eth, cell->length, worker->now_ns);
}

static void forward_flood(struct ttf_worker *worker, uint32_t in_port, uint32_t i,
			  struct forward_verdict verdict, uint32_t copy)
{
	const bool leaving = copy != NO_COPY;
	const uint32_t crossing = flood_outputs(worker, in_port);

	/* Before any of them is sent or dropped; see flood_count() in steer.c, which counts the others. */
	if (crossing)
		count_add(&worker->stats->orphans.copied_packets, crossing - !leaving);
	else if (!leaving)
		drop_cell(worker, in_port, i, TTF_DROP_NO_PORT);
	if (worker->capturing)
		ttf_capture_cell_flooded(worker, in_port, worker->crossing->lists->receive[i]);
	if (leaving)
		forward_copy(worker, in_port, i, verdict, copy);
	cross_to_all(worker, in_port, i);
}

/* Send frame i of the burst, or drop it by name. `copy`: the number of its copy, which leaves, or NO_COPY. */
static void forward_frame(struct ttf_worker *worker, uint32_t in_port, uint32_t i,
			  struct forward_verdict verdict, uint32_t copy)
{
	switch (verdict.kind) {
	case TTF_VERDICT_FLOOD:
		forward_flood(worker, in_port, i, verdict, copy);
		return;
	case TTF_VERDICT_PORT:
		if (copy != NO_COPY) {
			forward_copy(worker, in_port, i, verdict, copy);
		} else if (worker->ports[verdict.value].used) {
			cross_to_port(worker, i, verdict.value);
			return;
		} else {
			drop_cell(worker, in_port, i, TTF_DROP_NO_PORT);
		}
		break;
	default:
		drop_cell(worker, in_port, i, verdict.value);
	}
	append(worker, i, TTF_NOWHERE, 0);
}

static void drop_burst(struct ttf_worker *worker, uint32_t in_port, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		drop_cell(worker, in_port, i, TTF_DROP_SHUTDOWN);
		append(worker, i, TTF_NOWHERE, 0);
	}
}

/* The port that all frames from a port go to (mode xconnect), or TTF_NOWHERE. */
static uint32_t peer_of(const struct ttf_worker *worker, uint32_t in_port)
{
	const int peer = worker->table.peer[in_port];

	if (worker->table.mode != TTF_MODE_XCONNECT || peer < 0 || !worker->ports[peer].used)
		return TTF_NOWHERE;
	return (uint32_t)peer;
}

/* May a frame from a port leave by one that it doesn't cross to? (It crosses to the port that it came from.) */
static bool may_leave(const struct ttf_worker *worker, uint32_t in_port, uint32_t peer)
{
	const struct worker_port *in = &worker->ports[in_port];

	if (peer != TTF_NOWHERE)
		return !port_crosses(in, &worker->ports[peer]);
	for (uint32_t p = 0; p < worker->ports_high; p++)
		if (worker->ports[p].used && !port_crosses(in, &worker->ports[p]))
			return true;
	return false;
}

/* Must the frame, where one may? */
static bool leaves(const struct ttf_worker *worker, uint32_t in_port, struct forward_verdict verdict)
{
	const struct worker_port *out = &worker->ports[verdict.value];

	return verdict.kind == TTF_VERDICT_FLOOD ||
	       (verdict.kind == TTF_VERDICT_PORT && out->used && !port_crosses(&worker->ports[in_port], out));
}

/* No frame leaves: each is decided and has its entry in one pass. To a peer, most go without a decision. */
static void cross_burst(struct ttf_worker *worker, uint32_t in_port, uint32_t peer, uint32_t count)
{
	struct crossing *crossing = worker->crossing;
	const struct worker_port *out = peer == TTF_NOWHERE ? NULL : &worker->ports[peer];
	const uint32_t crossing_port = out ? out->crossing_port : 0;
	const uint32_t longest = out ? out->mtu + TTF_ETH_HLEN : 0; /* that goes without */

	for (uint32_t i = 0; i < count; i++) {
		const struct turbotap_cell *cell = cell_of(crossing, i);

		/* There is room: the list was empty, and to a peer each frame has one entry. */
		if (cell->length >= TTF_ETH_HLEN && cell->length <= longest && !cell->flags)
			add_entry(crossing, i, peer, crossing_port, 0);
		else
			forward_frame(worker, in_port, i, decide(worker, in_port, i), NO_COPY);
	}
}

/* Some may leave: decide for all first, as copies are made by one call. */
static void forward_burst(struct ttf_worker *worker, uint32_t in_port, uint32_t count)
{
	struct crossing *crossing = worker->crossing;
	uint32_t leaving = 0;

	for (uint32_t i = 0; i < count; i++) {
		crossing->verdicts[i] = decide(worker, in_port, i);
		crossing->copy_of[i] = leaves(worker, in_port, crossing->verdicts[i]) ? leaving++ : NO_COPY;
	}
	if (leaving)
		copy_out(worker, count, leaving);
	for (uint32_t i = 0; i < count; i++)
		forward_frame(worker, in_port, i, crossing->verdicts[i], crossing->copy_of[i]);
	if (leaving) {
		ttf_steer_flush(worker);
		rx_burst_return(&worker->rx, &worker->pool, crossing->room);
	}
}

int ttf_crossing_receive(struct ttf_worker *worker, uint32_t port_id, bool discard)
{
	struct worker_port *port = &worker->ports[port_id];
	const uint32_t peer = peer_of(worker, port_id);
	int count = ttf_crossing_call(worker, port_id, worker->batch);

	if (count <= 0) {
		count_add(&port->stats->rx_empty_calls, 1);
		if (count == -EBADFD || count == -ENXIO) /* for good: poll() would say so for ever */
			ttf_crossing_ignore(worker, port);
		return count;
	}
	count_add(&port->stats->rx_calls, 1);
	count_add(&port->stats->rx_bursts[burst_bucket((uint32_t)count)], 1);
	if (worker->capturing)
		ttf_capture_cells(worker, port_id, (uint32_t)count);
	if (discard)
		drop_burst(worker, port_id, (uint32_t)count);
	else if (may_leave(worker, port_id, peer))
		forward_burst(worker, port_id, (uint32_t)count);
	else
		cross_burst(worker, port_id, peer, (uint32_t)count);
	return count;
}
