/* SPDX-License-Identifier: Apache-2.0 */
/*
 * After a worker's death: repair its part of the shared memory, so that the next incarnation can start, and
 * count the packets that were lost. The process must be gone.
 */
#ifndef TTF_RECOVER_H
#define TTF_RECOVER_H

#include "abi.h"

/*
 * - Rings to the worker: frames that it had claimed are given back unsent. It may have sent some of them, and
 *   sending them again could deliver them twice.
 * - The 64-bit totals of the rings are brought up to the rings' indices.
 * - lost_in_crash becomes the packets that came in, and were neither sent, handed over nor dropped.
 * Returns the packets that were lost in this death.
 */
uint64_t ttf_recover_worker(void *stats, void *rings, uint32_t worker);

/* Add a deleted port's counters to the workers' `retired`, and zero them. All workers have detached it. */
void ttf_retire_port(void *stats, uint32_t port);

#endif
