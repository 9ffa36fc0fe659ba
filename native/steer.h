/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which worker sends a frame: this one (egress.h), another one through a handoff ring (handoff.h), or several
 * for a flood. Steering by queue keeps a frame on the worker that received it; steering by flow gives both
 * directions of a flow to one worker. A worker that is away has no flows. Nothing leaves before
 * ttf_steer_flush().
 */
#ifndef TTF_STEER_H
#define TTF_STEER_H

#include "worker_internal.h"

/* Choose owners by the mask of the living. `living`: what the run word said before. */
void ttf_steer_to_living(struct ttf_worker *worker, uint32_t living);

/*
 * Send a frame of this worker's pool out of one port, or drop it by name. True if a handoff ring holds it
 * now, false if it is this worker's again after ttf_steer_flush().
 */
bool ttf_steer_frame(struct ttf_worker *worker, uint32_t in_port, uint32_t out_port, uint32_t frame_id,
		     struct ttf_frame frame);

/*
 * The same for every port but in_port, and those that its frames cross to (crossing.c). Each further worker that
 * must send it gets a copy.
 */
bool ttf_steer_flood(struct ttf_worker *worker, uint32_t in_port, uint32_t frame_id, struct ttf_frame frame);

/* Another worker flooded this frame with this steering key: send it from the ports that this worker owns. */
void ttf_steer_flooded(struct ttf_worker *worker, uint32_t key, uint32_t in_port, struct ttf_frame frame);

/* Make flows follow the living, if a worker went away or came back. */
static inline void steer_living(struct ttf_worker *worker)
{
	uint32_t living = load_acquire(&worker->run_words->living); /* pairs with ttf_run_state_live() */

	if (living != worker->living_seen)
		ttf_steer_to_living(worker, living);
}

/* Send what waits at this worker's ports, and publish what waits for other workers. */
void ttf_steer_flush(struct ttf_worker *worker);

#endif
