/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames leave by the ports that this worker serves. What a port doesn't take is done here first: checksums
 * are completed, GSO frames are segmented into packets.
 */
#ifndef TTF_EGRESS_H
#define TTF_EGRESS_H

#include "worker_internal.h"

/* Queue a frame, or the packets of a GSO frame, until ttf_egress_flush(); or drop it by name. */
void ttf_egress_frame(struct ttf_worker *worker, struct worker_port *port, struct ttf_frame frame);

/* Send what is queued at every port, and drop by name what can't be sent. */
void ttf_egress_flush(struct ttf_worker *worker);

#endif
