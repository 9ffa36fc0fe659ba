/* SPDX-License-Identifier: Apache-2.0 */
/* The names and meanings in the lists of abi.h, by number. "" for a number that stands for nothing. */
#ifndef TTF_NAMES_H
#define TTF_NAMES_H

#include <stdint.h>

/* enum ttf_drop */
const char *ttf_drop_name(uint32_t reason);
const char *ttf_drop_meaning(uint32_t reason);

/* enum ttf_event */
const char *ttf_event_name(uint32_t event);
const char *ttf_event_meaning(uint32_t event);

/* enum ttf_worker_state */
const char *ttf_worker_state_name(uint32_t state);
const char *ttf_worker_state_meaning(uint32_t state);

#endif
