/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames leave by the ports that this worker serves. If a port doesn't take an offload, it is done here
 * first: checksums are completed, GSO frames are segmented into packets. Frames of other workers' pools are
 * never written to. The offload header in front of a frame without a request is clear already (steer.c).
 */
#ifndef TTF_EGRESS_H
#define TTF_EGRESS_H

#include "worker_internal.h"

/* Queue a frame, or the packets of a GSO frame, until ttf_egress_flush(); or drop it by name. */
void ttf_egress_frame(struct ttf_worker *worker, struct worker_port *port, struct ttf_frame frame);

/* Send the queued frames of every port, and drop by name those that can't be sent. */
void ttf_egress_flush(struct ttf_worker *worker);

#endif
