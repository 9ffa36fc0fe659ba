/* SPDX-License-Identifier: Apache-2.0 */
#include "names.h"

struct word {
	const char *name, *meaning;
};

#define WORD(suffix, name, meaning) { name, meaning },
static const struct word drops[] = { TTF_DROPS(WORD) };
static const struct word worker_states[] = { TTF_WORKER_STATES(WORD) };
#undef WORD

const char *ttf_drop_name(uint32_t reason)
{
	return reason < TTF_DROP_COUNT ? drops[reason].name : "";
}

const char *ttf_drop_meaning(uint32_t reason)
{
	return reason < TTF_DROP_COUNT ? drops[reason].meaning : "";
}

const char *ttf_worker_state_name(uint32_t state)
{
	return state < TTF_WORKER_STATE_COUNT ? worker_states[state].name : "";
}

const char *ttf_worker_state_meaning(uint32_t state)
{
	return state < TTF_WORKER_STATE_COUNT ? worker_states[state].meaning : "";
}
