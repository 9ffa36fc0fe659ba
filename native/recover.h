/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The supervisor repairs what dead workers left in the shared memory, so that the next incarnations can
 * start, and counts the packets that were lost. It reads what a worker wrote once, and bounds it before use.
 */
#ifndef TTF_RECOVER_H
#define TTF_RECOVER_H

#include "abi.h"
#include "guard.h"
#include "ring.h"

/*
 * After a worker's death, when the process is gone:
 *
 * - Its counters are checked (guard.h).
 * - Rings to the worker: frames that it had claimed are given back unsent. It may have sent some of them, and
 *   sending them again could deliver them twice.
 * - The 64-bit totals of the rings are brought up to the rings' indices.
 * - lost_in_crash becomes the packets that came in, and were neither sent, handed over nor dropped.
 *
 * Returns the packets that were lost in this death. A ring whose indices contradict each other is left alone:
 * ttf_recover_ring() is for that.
 */
uint64_t ttf_recover_worker(struct ttf_guard *guard, void *rings, uint32_t worker);

/*
 * Before that, if the worker was a member of the crossing: count what the kernel sent and received for it and it
 * didn't count itself (crossing_tally.h). What it held is then lost, exactly. `member`: its fd. 0, or -errno if
 * the lists can't be read: then what it had sent last counts as lost.
 */
int ttf_recover_crossing(struct ttf_guard *guard, void *rings, uint32_t worker, int member);

/* Empty a ring whose indices contradict each other. Both ends are dead; they are to be recovered afterwards.
 */
void ttf_recover_ring(struct ttf_guard *guard, void *rings, uint32_t from, uint32_t to);

/*
 * Drop what waits in the rings to a worker that is dead, for this reason (enum ttf_drop), in its orphans. The
 * producers may be at work. Returns how many packets.
 */
uint64_t ttf_recover_waiting(struct ttf_guard *guard, void *rings, uint32_t worker, uint32_t reason);

/* Count packets that were taken from a dead worker's queue, and dropped. */
void ttf_recover_discarded(struct ttf_guard *guard, uint32_t port, uint32_t worker, uint64_t packets,
			   uint64_t bytes, uint64_t kernel_drops);

/* Add a deleted port's counters to the workers' `retired`, and zero them. All workers have detached it. */
void ttf_retire_port(struct ttf_guard *guard, uint32_t port);

/*
 * The number, from * workers + to, of the first ring from number `first` on whose indices contradict each
 * other, and these. -1: there is none.
 */
int64_t ttf_rings_contradiction(void *rings, uint32_t first, struct ttf_ring_indices *seen);

#endif
