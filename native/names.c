/* SPDX-License-Identifier: Apache-2.0 */
#include "names.h"

#include "abi.h"

struct names {
	const char *name, *meaning;
};

#define NAMES_ENTRY(suffix, name, meaning) { name, meaning },

static const struct names drops[TTF_DROP_COUNT] = { TTF_DROPS(NAMES_ENTRY) };
static const struct names events[TTF_EVENT_COUNT] = { TTF_EVENTS(NAMES_ENTRY) };
static const struct names worker_states[TTF_WORKER_STATE_COUNT] = { TTF_WORKER_STATES(NAMES_ENTRY) };

const char *ttf_drop_name(uint32_t reason)
{
	return reason < TTF_DROP_COUNT ? drops[reason].name : "";
}

const char *ttf_drop_meaning(uint32_t reason)
{
	return reason < TTF_DROP_COUNT ? drops[reason].meaning : "";
}

const char *ttf_event_name(uint32_t event)
{
	return event < TTF_EVENT_COUNT ? events[event].name : "";
}

const char *ttf_event_meaning(uint32_t event)
{
	return event < TTF_EVENT_COUNT ? events[event].meaning : "";
}

const char *ttf_worker_state_name(uint32_t state)
{
	return state < TTF_WORKER_STATE_COUNT ? worker_states[state].name : "";
}

const char *ttf_worker_state_meaning(uint32_t state)
{
	return state < TTF_WORKER_STATE_COUNT ? worker_states[state].meaning : "";
}
