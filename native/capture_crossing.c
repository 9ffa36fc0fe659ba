/* SPDX-License-Identifier: Apache-2.0 */
#include "capture_crossing.h"

#include <string.h>

#include "capture.h"
#include "crossing_tally.h"

/* Records of one call must not overwrite one another: beyond this, only what cells show is kept. */
#define MOST_COPIED (TTF_CAPTURE_BYTES / 2)

/* Frames whose further bytes are to be copied into their records. */
struct wanted {
	uint32_t count;
	uint32_t bytes;
	struct turbotap_copy copies[TTF_MAX_BATCH];
	struct ttf_captured *records[TTF_MAX_BATCH];
};

static void wanted_none(struct wanted *wanted)
{
	wanted->count = 0;
	wanted->bytes = 0;
}

struct ttf_frame_name ttf_capture_slot_name(const struct ttf_worker *worker, uint32_t slot)
{
	return (struct ttf_frame_name){ slot | TTF_NAME_SLOT, worker->id };
}

/* A record of a frame. Bytes that its cell doesn't show are noted as wanted, or left out (NULL). */
static struct ttf_captured *add_cell(struct ttf_worker *worker, enum ttf_event event, uint32_t port_id,
				     const struct turbotap_cell *cell, uint32_t slot, struct wanted *wanted)
{
	const uint32_t keep = worker->capture.keep;
	const uint32_t visible = cell->header_bytes < keep ? cell->header_bytes : keep;
	uint32_t kept = cell->length < keep ? cell->length : keep; /* at least what is visible */
	struct ttf_captured *record;
	uint8_t *bytes;

	if (kept > visible && (!wanted || wanted->bytes + kept > MOST_COPIED))
		kept = visible;
	record = ttf_capture_add(worker, event, port_id, cell->length, kept);
	if (!record)
		return NULL;
	bytes = (uint8_t *)(record + 1);
	record->name = ttf_capture_slot_name(worker, slot);
	record->offload = 1;
	memcpy(record->vnet_hdr, cell->vnet, TTF_VNET_HDR_BYTES);
	memcpy(bytes, cell->headers, visible);
	if (kept > visible) {
		wanted->copies[wanted->count] =
			(struct turbotap_copy){ .slot = slot,
						.generation = cell->generation,
						.buffer = (uintptr_t)(bytes + visible),
						.offset = visible,
						.length = kept - visible };
		wanted->records[wanted->count++] = record;
		wanted->bytes += kept;
	}
	return record;
}

static void add_drop(struct ttf_worker *worker, uint32_t port_id, const struct turbotap_cell *cell,
		     uint32_t slot, uint32_t reason, struct wanted *wanted)
{
	struct ttf_captured *record = add_cell(worker, TTF_EVENT_DROP, port_id, cell, slot, wanted);

	if (record)
		record->reason = (uint8_t)reason;
}

/* A frame that can't be copied keeps what its cell showed. */
static void copy_wanted(const struct ttf_worker *worker, struct wanted *wanted)
{
	int done = wanted->count ?
			   ttf_call_copy_out(worker->crossing->member, wanted->copies, wanted->count) :
			   0;

	for (uint32_t i = 0; i < wanted->count; i++)
		if ((int)i >= done || wanted->copies[i].result != (int32_t)wanted->copies[i].length)
			wanted->records[i]->kept = wanted->copies[i].offset;
}

void ttf_capture_cells(struct ttf_worker *worker, uint32_t port_id, uint32_t count)
{
	struct wanted wanted;

	wanted_none(&wanted);
	ttf_capture_time(worker);
	for (uint32_t i = 0; i < count; i++)
		add_cell(worker, TTF_EVENT_RX, port_id, cell_of(worker->crossing, i),
			 worker->crossing->lists->receive[i], &wanted);
	copy_wanted(worker, &wanted);
}

void ttf_capture_cell_dropped(struct ttf_worker *worker, uint32_t port_id, const struct turbotap_cell *cell,
			      uint32_t slot, uint32_t reason)
{
	struct wanted wanted;

	wanted_none(&wanted);
	add_drop(worker, port_id, cell, slot, reason, &wanted);
	copy_wanted(worker, &wanted);
}

void ttf_capture_cell_flooded(struct ttf_worker *worker, uint32_t in_port, uint32_t slot)
{
	struct ttf_captured *record = ttf_capture_add(worker, TTF_EVENT_FLOOD, in_port, 0, 0);

	if (record)
		record->name = ttf_capture_slot_name(worker, slot);
}

/* A frame that is sent leaves with its bytes. So they are kept before, for what it will turn out to be. */
void ttf_capture_crossing_begins(struct ttf_worker *worker)
{
	struct crossing *crossing = worker->crossing;
	struct wanted wanted;

	wanted_none(&wanted);
	ttf_capture_time(worker);
	for (uint32_t i = 0; i < crossing->waiting; i++) {
		const struct turbotap_send *send = &crossing->lists->send[i];
		const struct turbotap_cell *cell = &crossing->cells[send->slot];
		const uint32_t out_port = crossing->notes->entries[i].out_port;
		struct ttf_captured *record = NULL;

		if (out_port != TTF_NOWHERE) {
			record = add_cell(worker, TTF_EVENT_TX, out_port, cell, send->slot, &wanted);
			crossing->before[i] = *cell;
		}
		if (record && send->rewrite <= record->kept)
			memcpy(record + 1, crossing->lists->headers[i], send->rewrite);
		crossing->captured[i] = record;
	}
	copy_wanted(worker, &wanted);
}

static void refused(struct ttf_worker *worker, uint32_t i)
{
	struct crossing *crossing = worker->crossing;
	const struct turbotap_send *send = &crossing->lists->send[i];
	const uint32_t reason = ttf_crossing_drop_reason(send->result);
	struct ttf_captured *record = crossing->captured[i];

	if (record) {
		record->event = TTF_EVENT_DROP;
		record->reason = (uint8_t)reason;
		return;
	}
	add_drop(worker, crossing->notes->entries[i].out_port, &crossing->before[i], send->slot, reason,
		 NULL);
}

void ttf_capture_crossing_ended(struct ttf_worker *worker, uint32_t sent)
{
	struct crossing *crossing = worker->crossing;

	ttf_capture_time(worker);
	for (uint32_t i = 0; i < sent; i++) {
		if (crossing->captured[i])
			crossing->captured[i]->time_ns = worker->capture.now_ns;
		if (crossing->notes->entries[i].out_port != TTF_NOWHERE && crossing->lists->send[i].result)
			refused(worker, i);
	}
}
