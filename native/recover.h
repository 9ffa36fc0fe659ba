/* SPDX-License-Identifier: Apache-2.0 */
/*
 * After a worker's death: bring what it shared into a state from which its next incarnation can start,
 * and name what was lost. Called by the supervisor, once the process is reaped.
 */
#ifndef TTF_RECOVER_H
#define TTF_RECOVER_H

#include "abi.h"

/*
 * - rings to the worker: what it had claimed is given back unsent (it may have been sent: sending it
 *   again could deliver it twice)
 * - 64-bit ring totals are brought up to the rings' indices
 * - lost_in_crash becomes what came in and neither left nor was dropped
 * Returns the packets that this death lost.
 */
uint64_t ttf_recover_worker(void *stats, void *rings, uint32_t worker);

/* Add a deleted port's counters to the workers' `retired` and zero its blocks. All workers detached it. */
void ttf_retire_port(void *stats, uint32_t port);

#endif
