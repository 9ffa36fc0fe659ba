/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where things lie in the segments of abi.h. Functions that take the base of a mapping find their way by its
 * header: it was checked, or written here.
 */
#ifndef TTF_LAYOUT_H
#define TTF_LAYOUT_H

#include "abi.h"
#include "ring.h"

uint64_t ttf_stats_bytes(uint32_t workers, uint32_t ports);
uint64_t ttf_rings_bytes(uint32_t workers, uint32_t slots);
uint64_t ttf_frames_bytes(uint32_t frames);

/* A part of a segment: whole pages. */
struct ttf_area {
	uint64_t offset;
	uint64_t bytes;
};

/* The parts that one worker may write: its own areas, and the forwarding table. */
struct ttf_area ttf_stats_area(uint32_t workers, uint32_t ports, uint32_t worker);
struct ttf_area ttf_rings_area(uint32_t workers, uint32_t slots, uint32_t worker);
struct ttf_area ttf_fdb_area(uint32_t workers);

/* Fill a zeroed mapping. The stats segment is then described further; others attach once it is published. */
void ttf_stats_prepare(void *base, uint32_t workers, uint32_t ports, uint64_t epoch);
void ttf_stats_publish(void *base);

/* Fill a zeroed mapping and publish it. Every worker lives. */
void ttf_rings_init(void *base, uint32_t workers, uint32_t slots, uint32_t frames, uint32_t start,
		    uint64_t ageing_ns, uint64_t epoch);

/*
 * Check a mapping of `bytes` bytes, before anything else in it is read. 0, -ENODATA (no magic: it is not yet
 * published), -EPROTO (other ABI version), -EINVAL (sizes don't agree), -EBADMSG (other magic).
 */
int ttf_header_check(const void *base, uint64_t bytes, uint64_t magic);

struct ttf_instance_stats *ttf_stats_instance(void *base);
struct ttf_worker_status *ttf_stats_status(void *base, uint32_t worker);
struct ttf_port_stats *ttf_stats_port(void *base, uint32_t port);
struct ttf_worker_stats *ttf_stats_worker(void *base, uint32_t worker);
struct ttf_counters *ttf_stats_queue(void *base, uint32_t port, uint32_t worker);
struct ttf_ring_out_stats *ttf_stats_ring_out(void *base, uint32_t from, uint32_t to);
struct ttf_ring_in_stats *ttf_stats_ring_in(void *base, uint32_t from, uint32_t to);

struct ttf_run_words *ttf_rings_run_words(void *base, uint32_t worker);
struct ttf_worker_words *ttf_rings_worker_words(void *base, uint32_t worker);
struct ttf_ring ttf_rings_ring(void *base, uint32_t from, uint32_t to);
struct ttf_crossing_notes *ttf_rings_crossing_notes(void *base, uint32_t worker);
struct ttf_fdb *ttf_rings_fdb(void *base);

#endif
