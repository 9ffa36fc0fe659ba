/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counting the calls of the crossing, so that a worker's death can't make the sums wrong.
 *
 * When a call has returned, the kernel has sent and received, and no counter shows it. So the worker
 *
 *   1. notes what each counter becomes          ttf_crossing_tally()
 *   2. notes that this call is counted          notes->calls
 *   3. writes the counters
 *
 * If it is killed before the second step, the supervisor does all three in its place: the module has left the
 * number of the call and what became of each frame in the member's lists. If it is killed later, the supervisor
 * does the third again (ttf_recover_crossing()).
 */
#ifndef TTF_CROSSING_TALLY_H
#define TTF_CROSSING_TALLY_H

#include "../kmod/uapi/turbotap_crossing.h"
#include "abi.h"

/*
 * Note what the last call changes in the counters of a worker, whose area of the stats segment begins at
 * `worker`. Lists and notes may hold anything: nothing beyond them is read, and nothing but notes is written.
 */
void ttf_crossing_tally(struct ttf_crossing_notes *notes, const struct turbotap_lists *lists,
			const struct ttf_worker_stats *worker, uint64_t received_bytes);

/* Why a frame was dropped: enum ttf_drop, by turbotap_send.result, which isn't 0. */
uint32_t ttf_crossing_drop_reason(int32_t result);

#endif
