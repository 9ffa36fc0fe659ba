/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The crossing: frames go from port to port and stay in the kernel (kmod/README.md).
 *
 * A burst is received into slots of this worker's member. Their cells, which are mapped, show the first bytes of
 * each frame with its offload header in front, as a frame of a pool has it. Here it is decided where each goes.
 * An entry in the member's list says so, and the next call sends the frames of the list before it receives. So a
 * burst costs one system call. A frame that must leave by another port (port_crosses() in worker_internal.h) is
 * copied into the pool, and goes on as any other.
 *
 * No frame is handed over to another worker. Any member may send to any port, and all frames of a flow come from
 * one queue of a tap, so that they stay in order.
 *
 * Nothing waits for long: what comes between two bursts calls ttf_crossing_flush() first.
 */
#ifndef TTF_CROSSING_H
#define TTF_CROSSING_H

#include "worker_internal.h"

/* See ttf_worker_join(). */
int ttf_crossing_join(struct ttf_worker *worker, struct ttf_crossing_notes *notes, int member, uint32_t first,
		      uint32_t slots);
void ttf_crossing_leave(struct ttf_worker *worker);

/* A queue that this worker receives from comes or goes: poll() of ttf_crossing_fd() tells of its frames. */
int ttf_crossing_listen(struct ttf_worker *worker, struct worker_port *port);
void ttf_crossing_ignore(struct ttf_worker *worker, struct worker_port *port);

/* -1: there is nothing to wait for. */
int ttf_crossing_fd(const struct ttf_worker *worker);

/* Nothing waits, and the worker doesn't sleep: let those go on that share its CPU, and make more of it. */
void ttf_crossing_yield(const struct ttf_worker *worker);

/* Like ttf_worker_receive(), for a port whose frames are received by the crossing. */
int ttf_crossing_receive(struct ttf_worker *worker, uint32_t port_id, bool discard);

/* Send what waits. */
void ttf_crossing_flush(struct ttf_worker *worker);

#endif
