/* SPDX-License-Identifier: Apache-2.0 */
#include "layout.h"

#include <errno.h>
#include <string.h>

#include "atomic.h"
#include "ring.h"

static uint64_t layout_workers_at(void)
{
	return sizeof(struct ttf_header) + sizeof(struct ttf_instance_stats);
}

static uint64_t layout_ports_at(uint32_t workers)
{
	return layout_workers_at() + (uint64_t)workers * sizeof(struct ttf_worker_stats);
}

static uint64_t layout_queues_at(uint32_t workers, uint32_t ports)
{
	return layout_ports_at(workers) + (uint64_t)ports * sizeof(struct ttf_port_stats);
}

static uint64_t layout_stats_rings_at(uint32_t workers, uint32_t ports)
{
	return layout_queues_at(workers, ports) + (uint64_t)ports * workers * sizeof(struct ttf_counters);
}

uint64_t ttf_stats_bytes(uint32_t workers, uint32_t ports)
{
	return layout_stats_rings_at(workers, ports) +
	       (uint64_t)workers * workers * sizeof(struct ttf_ring_stats);
}

static uint64_t layout_ring_bytes(uint32_t slots)
{
	return sizeof(struct ttf_ring) + (uint64_t)slots * sizeof(struct ttf_desc);
}

static uint64_t layout_run_words_at(void)
{
	return 2 * sizeof(struct ttf_header); /* a line pair */
}

static uint64_t layout_rings_at(uint32_t workers)
{
	return layout_run_words_at() + (uint64_t)workers * sizeof(struct ttf_run_words);
}

static uint64_t layout_fdb_at(uint32_t workers, uint32_t slots)
{
	return layout_rings_at(workers) + (uint64_t)workers * workers * layout_ring_bytes(slots);
}

uint64_t ttf_rings_bytes(uint32_t workers, uint32_t slots)
{
	return layout_fdb_at(workers, slots) + sizeof(struct ttf_fdb);
}

uint64_t ttf_frames_bytes(uint32_t frames)
{
	return TTF_FRAMES_OFFSET + (uint64_t)frames * TTF_FRAME_STRIDE;
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

void ttf_rings_init(void *base, uint32_t workers, uint32_t slots, uint32_t start, uint64_t ageing_ns,
		    uint64_t epoch)
{
	char *ring = (char *)base + layout_rings_at(workers);

	for (uint32_t i = 0; i < workers * workers; i++, ring += layout_ring_bytes(slots))
		ring_init((struct ttf_ring *)ring, slots, start);
	((struct ttf_fdb *)((char *)base + layout_fdb_at(workers, slots)))->ageing_ns = ageing_ns;
	header_fill(base, ttf_rings_bytes(workers, slots), workers, slots, epoch);
	header_publish(base, TTF_MAGIC_RINGS);
}

void ttf_frames_init(void *base, uint32_t frames, uint64_t epoch)
{
	struct ttf_frames *head = base;

	head->frames = frames;
	head->stride = TTF_FRAME_STRIDE;
	header_fill(base, ttf_frames_bytes(frames), 0, 0, epoch);
	header_publish(base, TTF_MAGIC_FRAMES);
}

static uint64_t expected_bytes(const struct ttf_header *header, uint64_t magic)
{
	if (magic == TTF_MAGIC_STATS)
		return ttf_stats_bytes(header->workers, header->ports);
	if (magic == TTF_MAGIC_RINGS)
		return ttf_rings_bytes(header->workers, header->ring_slots);
	return ttf_frames_bytes(((const struct ttf_frames *)(const void *)header)->frames);
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
	if (magic == TTF_MAGIC_FRAMES && bytes < sizeof(struct ttf_frames))
		return -EINVAL;
	if (magic != TTF_MAGIC_FRAMES && (header->workers < 1 || header->workers > TTF_MAX_WORKERS))
		return -EINVAL;
	if (magic == TTF_MAGIC_STATS && header->ports > TTF_MAX_PORTS)
		return -EINVAL;
	if (magic == TTF_MAGIC_RINGS && !ring_slots_valid(header->ring_slots))
		return -EINVAL;
	if (header->total_bytes != expected_bytes(header, magic))
		return -EINVAL;
	return 0;
}

struct ttf_instance_stats *ttf_stats_instance(void *base)
{
	return (struct ttf_instance_stats *)((char *)base + sizeof(struct ttf_header));
}

struct ttf_worker_stats *ttf_stats_worker(void *base, uint32_t worker)
{
	return (struct ttf_worker_stats *)((char *)base + layout_workers_at()) + worker;
}

struct ttf_port_stats *ttf_stats_port(void *base, uint32_t port)
{
	const struct ttf_header *header = base;

	return (struct ttf_port_stats *)((char *)base + layout_ports_at(header->workers)) + port;
}

struct ttf_counters *ttf_stats_queue(void *base, uint32_t port, uint32_t worker)
{
	const struct ttf_header *header = base;

	return (struct ttf_counters *)((char *)base + layout_queues_at(header->workers, header->ports)) +
	       (uint64_t)port * header->workers + worker;
}

struct ttf_ring_stats *ttf_stats_ring(void *base, uint32_t from, uint32_t to)
{
	const struct ttf_header *header = base;

	return (struct ttf_ring_stats *)((char *)base +
					 layout_stats_rings_at(header->workers, header->ports)) +
	       (uint64_t)from * header->workers + to;
}

struct ttf_run_words *ttf_rings_run_words(void *base, uint32_t worker)
{
	return (struct ttf_run_words *)((char *)base + layout_run_words_at()) + worker;
}

struct ttf_ring *ttf_rings_ring(void *base, uint32_t from, uint32_t to)
{
	const struct ttf_header *header = base;
	uint64_t index = (uint64_t)from * header->workers + to;

	return (struct ttf_ring *)((char *)base + layout_rings_at(header->workers) +
				   index * layout_ring_bytes(header->ring_slots));
}

struct ttf_fdb *ttf_rings_fdb(void *base)
{
	const struct ttf_header *header = base;

	return (struct ttf_fdb *)((char *)base + layout_fdb_at(header->workers, header->ring_slots));
}
