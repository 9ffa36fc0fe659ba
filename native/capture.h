/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens to frames, for those who watch: records in a ring that the worker writes alone (struct ttf_capture).
 *
 * A worker writes and waits for nobody. A reader that is too slow loses records, and learns from their numbers how
 * many (capture_read.c).
 *
 * `worker->capturing` is 0 while nobody watches: so each burst costs a test. The functions here are called only
 * if it isn't.
 */
#ifndef TTF_CAPTURE_H
#define TTF_CAPTURE_H

#include "worker_internal.h"

/* Begin with what the ring of an earlier incarnation holds. NULL: the worker captures nothing. */
void ttf_capture_init(struct ttf_worker *worker, struct ttf_capture *shared);

/* The supervisor's word has changed. */
void ttf_capture_ordered(struct ttf_worker *worker, uint32_t word);

/* What is written from now on has this time. Before the first record of each burst. */
void ttf_capture_time(struct ttf_worker *worker);

void ttf_capture_received(struct ttf_worker *worker, uint32_t port_id, const struct ttf_frame *frames,
			  uint32_t count);
void ttf_capture_sent(struct ttf_worker *worker, const struct worker_port *port,
		      const struct ttf_frame *frames, uint32_t count);
void ttf_capture_dropped(struct ttf_worker *worker, uint32_t port_id, struct ttf_frame frame,
			 uint32_t reason);
void ttf_capture_flooded(struct ttf_worker *worker, uint32_t in_port, struct ttf_frame frame);
void ttf_capture_handed(struct ttf_worker *worker, uint32_t port_id, uint32_t to, struct ttf_frame frame);
void ttf_capture_copied(struct ttf_worker *worker, uint32_t port_id, struct ttf_frame frame,
			struct ttf_frame_name origin);

/* Show readers what was written. */
void ttf_capture_publish(struct ttf_worker *worker);

struct ttf_frame_name ttf_capture_name(const struct ttf_worker *worker, const uint8_t *eth);

/* A record with room for the bytes that are kept; what isn't known here is zero. NULL: nobody wants it. */
struct ttf_captured *ttf_capture_add(struct ttf_worker *worker, enum ttf_event event, uint32_t port_id,
				     uint32_t length, uint32_t kept);

static inline bool captures(const struct ttf_worker *worker, enum ttf_event event)
{
	return worker->capturing >> event & 1;
}

/* Drop a frame in a port's name. */
static inline void drop_frame(struct ttf_worker *worker, uint32_t port_id, struct ttf_frame frame,
			      uint32_t reason)
{
	count_drop(worker->ports[port_id].stats, reason, 1);
	if (worker->capturing)
		ttf_capture_dropped(worker, port_id, frame, reason);
}

/* Drop a frame that no living port has to do with. */
static inline void drop_orphan(struct ttf_worker *worker, struct ttf_frame frame, uint32_t reason)
{
	count_drop(&worker->stats->orphans, reason, 1);
	if (worker->capturing)
		ttf_capture_dropped(worker, TTF_NO_PORT, frame, reason);
}

#endif
