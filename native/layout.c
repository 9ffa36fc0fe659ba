/* SPDX-License-Identifier: Apache-2.0 */
#include "layout.h"

#include <errno.h>
#include <string.h>

#include "atomic.h"
#include "ring.h"

/* ------------------------------------------------------------------------------- stats segment */

static uint64_t layout_whole(uint64_t bytes)
{
	return (bytes + TTF_AREA_ALIGN - 1) / TTF_AREA_ALIGN * TTF_AREA_ALIGN;
}

static uint64_t layout_status_at(void)
{
	return sizeof(struct ttf_header) + sizeof(struct ttf_instance_stats);
}

static uint64_t layout_ports_at(uint32_t workers)
{
	return layout_status_at() + (uint64_t)workers * sizeof(struct ttf_worker_status);
}

static uint64_t layout_ring_out_stats_at(uint32_t ports)
{
	return sizeof(struct ttf_worker_stats) + (uint64_t)ports * sizeof(struct ttf_counters);
}

static uint64_t layout_ring_in_stats_at(uint32_t workers, uint32_t ports)
{
	return layout_ring_out_stats_at(ports) + (uint64_t)workers * sizeof(struct ttf_ring_out_stats);
}

struct ttf_area ttf_stats_area(uint32_t workers, uint32_t ports, uint32_t worker)
{
	uint64_t first =
		layout_whole(layout_ports_at(workers) + (uint64_t)ports * sizeof(struct ttf_port_stats));
	uint64_t bytes = layout_whole(layout_ring_in_stats_at(workers, ports) +
				      (uint64_t)workers * sizeof(struct ttf_ring_in_stats));

	return (struct ttf_area){ .offset = first + worker * bytes, .bytes = bytes };
}

uint64_t ttf_stats_bytes(uint32_t workers, uint32_t ports)
{
	return ttf_stats_area(workers, ports, workers).offset;
}

/* ------------------------------------------------------------------------------- rings segment */

static uint64_t layout_run_words_at(void)
{
	return sizeof(struct ttf_rings);
}

static uint64_t layout_producers_at(void)
{
	return sizeof(struct ttf_worker_words);
}

static uint64_t layout_consumers_at(uint32_t workers)
{
	return layout_producers_at() + (uint64_t)workers * sizeof(struct ttf_ring_producer);
}

static uint64_t layout_descs_at(uint32_t workers)
{
	return layout_consumers_at(workers) + (uint64_t)workers * sizeof(struct ttf_ring_consumer);
}

static uint64_t layout_crossing_notes_at(uint32_t workers, uint32_t slots)
{
	return layout_descs_at(workers) + (uint64_t)workers * slots * sizeof(struct ttf_desc);
}

struct ttf_area ttf_fdb_area(uint32_t workers)
{
	return (struct ttf_area){ .offset = layout_whole(layout_run_words_at() +
							 (uint64_t)workers * sizeof(struct ttf_run_words)),
				  .bytes = layout_whole(sizeof(struct ttf_fdb)) };
}

struct ttf_area ttf_rings_area(uint32_t workers, uint32_t slots, uint32_t worker)
{
	struct ttf_area fdb = ttf_fdb_area(workers);
	uint64_t bytes =
		layout_whole(layout_crossing_notes_at(workers, slots) + sizeof(struct ttf_crossing_notes));

	return (struct ttf_area){ .offset = fdb.offset + fdb.bytes + worker * bytes, .bytes = bytes };
}

uint64_t ttf_rings_bytes(uint32_t workers, uint32_t slots)
{
	return ttf_rings_area(workers, slots, workers).offset;
}

/* ------------------------------------------------------------------------------------- headers */

uint64_t ttf_frames_bytes(uint32_t frames)
{
	return (uint64_t)frames * TTF_FRAME_STRIDE;
}

static void header_fill(void *base, uint64_t bytes, uint32_t workers, uint32_t ports_or_slots, uint64_t epoch)
{
	struct ttf_header *header = base;

	header->abi_version = TTF_ABI_VERSION;
	header->header_bytes = sizeof(*header);
	header->total_bytes = bytes;
	header->epoch = epoch;
	header->workers = workers;
	header->ports = ports_or_slots;
}

static void header_publish(void *base, uint64_t magic)
{
	store_release(&((struct ttf_header *)base)->magic, magic); /* pairs with ttf_header_check() */
}

void ttf_stats_prepare(void *base, uint32_t workers, uint32_t ports, uint64_t epoch)
{
	header_fill(base, ttf_stats_bytes(workers, ports), workers, ports, epoch);
	for (uint32_t p = 0; p < ports; p++)
		ttf_stats_port(base, p)->peer = -1;
}

void ttf_stats_publish(void *base)
{
	header_publish(base, TTF_MAGIC_STATS);
}

void ttf_rings_init(void *base, uint32_t workers, uint32_t slots, uint32_t frames, uint32_t start,
		    uint64_t ageing_ns, uint64_t epoch)
{
	struct ttf_rings *head = base;

	header_fill(base, ttf_rings_bytes(workers, slots), workers, slots, epoch);
	head->start = start;
	head->frames = frames;
	for (uint32_t w = 0; w < workers; w++)
		head->live[w / 64] |= 1ull << w % 64;
	for (uint32_t from = 0; from < workers; from++)
		for (uint32_t to = 0; to < workers; to++) {
			struct ttf_ring ring = ttf_rings_ring(base, from, to);

			ring_reset(&ring, start);
		}
	ttf_rings_fdb(base)->ageing_ns = ageing_ns;
	header_publish(base, TTF_MAGIC_RINGS);
}

static uint64_t expected_bytes(const struct ttf_header *header, uint64_t magic)
{
	if (magic == TTF_MAGIC_STATS)
		return ttf_stats_bytes(header->workers, header->ports);
	return ttf_rings_bytes(header->workers, header->ring_slots);
}

int ttf_header_check(const void *base, uint64_t bytes, uint64_t magic)
{
	const struct ttf_header *header = base;
	uint64_t found;

	if (bytes < sizeof(*header))
		return -EINVAL;
	found = load_acquire(&header->magic); /* pairs with header_publish() */
	if (found == 0)
		return -ENODATA;
	if (found != magic)
		return -EBADMSG;
	if (header->abi_version != TTF_ABI_VERSION)
		return -EPROTO;
	if (header->header_bytes != sizeof(*header) || header->total_bytes > bytes)
		return -EINVAL;
	if (header->workers < 1 || header->workers > TTF_MAX_WORKERS)
		return -EINVAL;
	if (magic == TTF_MAGIC_STATS && header->ports > TTF_MAX_PORTS)
		return -EINVAL;
	if (magic == TTF_MAGIC_RINGS && !ring_slots_valid(header->ring_slots))
		return -EINVAL;
	if (header->total_bytes != expected_bytes(header, magic))
		return -EINVAL;
	return 0;
}

/* ------------------------------------------------------------------------------- in a mapping */

struct ttf_instance_stats *ttf_stats_instance(void *base)
{
	return (struct ttf_instance_stats *)((char *)base + sizeof(struct ttf_header));
}

struct ttf_worker_status *ttf_stats_status(void *base, uint32_t worker)
{
	return (struct ttf_worker_status *)((char *)base + layout_status_at()) + worker;
}

struct ttf_port_stats *ttf_stats_port(void *base, uint32_t port)
{
	const struct ttf_header *header = base;

	return (struct ttf_port_stats *)((char *)base + layout_ports_at(header->workers)) + port;
}

struct ttf_worker_stats *ttf_stats_worker(void *base, uint32_t worker)
{
	const struct ttf_header *header = base;

	return (struct ttf_worker_stats *)((char *)base +
					   ttf_stats_area(header->workers, header->ports, worker).offset);
}

struct ttf_counters *ttf_stats_queue(void *base, uint32_t port, uint32_t worker)
{
	return (struct ttf_counters *)(ttf_stats_worker(base, worker) + 1) + port;
}

struct ttf_ring_out_stats *ttf_stats_ring_out(void *base, uint32_t from, uint32_t to)
{
	const struct ttf_header *header = base;
	char *area = (char *)ttf_stats_worker(base, from);

	return (struct ttf_ring_out_stats *)(area + layout_ring_out_stats_at(header->ports)) + to;
}

struct ttf_ring_in_stats *ttf_stats_ring_in(void *base, uint32_t from, uint32_t to)
{
	const struct ttf_header *header = base;
	char *area = (char *)ttf_stats_worker(base, to);

	return (struct ttf_ring_in_stats *)(area + layout_ring_in_stats_at(header->workers, header->ports)) +
	       from;
}

struct ttf_run_words *ttf_rings_run_words(void *base, uint32_t worker)
{
	return (struct ttf_run_words *)((char *)base + layout_run_words_at()) + worker;
}

static char *rings_area(void *base, uint32_t worker)
{
	const struct ttf_header *header = base;

	return (char *)base + ttf_rings_area(header->workers, header->ring_slots, worker).offset;
}

struct ttf_worker_words *ttf_rings_worker_words(void *base, uint32_t worker)
{
	return (struct ttf_worker_words *)rings_area(base, worker);
}

struct ttf_ring ttf_rings_ring(void *base, uint32_t from, uint32_t to)
{
	const struct ttf_header *header = base;
	const uint32_t workers = header->workers, slots = header->ring_slots;
	char *producer = rings_area(base, from), *consumer = rings_area(base, to);

	return (struct ttf_ring){
		.producer = (struct ttf_ring_producer *)(producer + layout_producers_at()) + to,
		.consumer = (struct ttf_ring_consumer *)(consumer + layout_consumers_at(workers)) + from,
		.descs = (struct ttf_desc *)(producer + layout_descs_at(workers)) + (uint64_t)to * slots,
		.slots = slots,
	};
}

struct ttf_crossing_notes *ttf_rings_crossing_notes(void *base, uint32_t worker)
{
	const struct ttf_header *header = base;

	return (struct ttf_crossing_notes *)(rings_area(base, worker) +
					     layout_crossing_notes_at(header->workers, header->ring_slots));
}

struct ttf_fdb *ttf_rings_fdb(void *base)
{
	const struct ttf_header *header = base;

	return (struct ttf_fdb *)((char *)base + ttf_fdb_area(header->workers).offset);
}
