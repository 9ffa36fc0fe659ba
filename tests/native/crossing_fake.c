/* SPDX-License-Identifier: Apache-2.0 */
/* The calls of a crossing's member, by functions in Python (crossing_module.py). */
#include "crossing_calls.h"

int fake_cross(int member);
int fake_copy_out(int member, struct turbotap_copy *list, uint32_t count);
int fake_listen(int member, uint32_t port, uint32_t frames, uint32_t microseconds);

int ttf_call_cross(int member)
{
	return fake_cross(member);
}

int ttf_call_copy_out(int member, struct turbotap_copy *list, uint32_t count)
{
	return fake_copy_out(member, list, count);
}

int ttf_call_listen(int member, uint32_t port, uint32_t frames, uint32_t microseconds)
{
	return fake_listen(member, port, frames, microseconds);
}
