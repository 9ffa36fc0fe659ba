/* SPDX-License-Identifier: Apache-2.0 */
/* What users read for the drop reasons and worker states of abi.h. "" for a number that isn't one. */
#ifndef TTF_NAMES_H
#define TTF_NAMES_H

#include "abi.h"

const char *ttf_drop_name(uint32_t reason);
const char *ttf_drop_meaning(uint32_t reason);

const char *ttf_worker_state_name(uint32_t state);
const char *ttf_worker_state_meaning(uint32_t state);

#endif
