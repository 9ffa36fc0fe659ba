/* SPDX-License-Identifier: Apache-2.0 */
/* The supervisor's side of the run words. A worker reads its words once a round. */
#ifndef TTF_RUN_STATE_H
#define TTF_RUN_STATE_H

#include <stdbool.h>

#include "abi.h"

/* `run_state` is enum ttf_run_state. ttf_run_state_attention() and the doorbell wake a sleeping worker. */
void ttf_run_state_set(void *rings, uint32_t worker, uint32_t run_state);

/* The last run state that the worker has finished with (enum ttf_run_state). */
uint32_t ttf_run_state_seen(void *rings, uint32_t worker);

/* Make the loop return: a message waits in the worker channel. */
void ttf_run_state_attention(void *rings, uint32_t worker);

/* What a worker records from its next round on (struct ttf_run_words). It may have to be woken. */
void ttf_run_state_capture(void *rings, uint32_t worker, uint32_t capture);

/* Before a new incarnation starts: run state RUN. */
void ttf_run_state_reset(void *rings, uint32_t worker);

/* Whether flows are given to a worker. Every worker looks once a round whether that has changed. */
void ttf_run_state_live(void *rings, uint32_t worker, bool lives);

/* Descriptors that are published and not yet completed, in all handoff rings. */
uint64_t ttf_rings_waiting(void *rings);

#endif
