/* SPDX-License-Identifier: Apache-2.0 */
/* The supervisor's side of the control words. A worker looks at its words once a round. */
#ifndef TTF_CONTROL_H
#define TTF_CONTROL_H

#include "abi.h"

/* `control` is enum ttf_control. Follow with ttf_control_attention() and the doorbell to wake a sleeper. */
void ttf_control_set(void *rings, uint32_t worker, uint32_t control);

/* What the worker has seen through: enum ttf_control. */
uint32_t ttf_control_seen(void *rings, uint32_t worker);

/* Have the loop return, because a message waits in the control channel. */
void ttf_control_attention(void *rings, uint32_t worker);

/* Before a new incarnation starts: as if nothing had been asked of it yet. */
void ttf_control_reset(void *rings, uint32_t worker);

/* Descriptors published and not yet completed, over all rings. */
uint64_t ttf_rings_waiting(void *rings);

#endif
