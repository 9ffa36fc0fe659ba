/* SPDX-License-Identifier: Apache-2.0 */
/* The supervisor's side of the control words. A worker looks at its words once a round. */
#ifndef TTF_RUN_STATE_H
#define TTF_RUN_STATE_H

#include "abi.h"

/* `run_state` is enum ttf_run_state. Follow with ttf_run_state_attention() and the doorbell to wake a
 * sleeper. */
void ttf_run_state_set(void *rings, uint32_t worker, uint32_t run_state);

/* What the worker has seen through: enum ttf_run_state. */
uint32_t ttf_run_state_seen(void *rings, uint32_t worker);

/* Have the loop return, because a message waits in the control channel. */
void ttf_run_state_attention(void *rings, uint32_t worker);

/* Before a new incarnation starts: as if nothing had been asked of it yet. */
void ttf_run_state_reset(void *rings, uint32_t worker);

/* Descriptors published and not yet completed, over all rings. */
uint64_t ttf_rings_waiting(void *rings);

#endif
