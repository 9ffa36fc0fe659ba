/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Capture of frames that stay in the kernel. Their first bytes are in their cells; the others are copied out for
 * this alone. As in capture.h: only while worker->capturing isn't 0.
 */
#ifndef TTF_CAPTURE_CROSSING_H
#define TTF_CAPTURE_CROSSING_H

#include "crossing_internal.h"

/* A burst was received. */
void ttf_capture_cells(struct ttf_worker *worker, uint32_t port_id, uint32_t count);

void ttf_capture_cell_dropped(struct ttf_worker *worker, uint32_t port_id, const struct turbotap_cell *cell,
			      uint32_t slot, uint32_t reason);
void ttf_capture_cell_flooded(struct ttf_worker *worker, uint32_t in_port, uint32_t slot);
struct ttf_frame_name ttf_capture_slot_name(const struct ttf_worker *worker, uint32_t slot);

/* Before a call: what it is to send, while its frames are still there. After it: what became of them. */
void ttf_capture_crossing_begins(struct ttf_worker *worker);
void ttf_capture_crossing_ended(struct ttf_worker *worker, uint32_t sent);

#endif
