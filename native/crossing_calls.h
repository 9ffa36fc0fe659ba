/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The calls of a crossing's member (kmod/uapi/turbotap_crossing.h), and nothing else: tests have a member of
 * their own. The filter of system calls has these, and no other ioctl of the module.
 */
#ifndef TTF_CROSSING_CALLS_H
#define TTF_CROSSING_CALLS_H

#include <stdint.h>

#include "../kmod/uapi/turbotap_crossing.h"

/* Send and receive what the member's lists say. The number of received frames, or -errno. */
int ttf_call_cross(int member);

/* How many frames were copied or refused, each with its result, or -errno. */
int ttf_call_copy_out(int member, struct turbotap_copy *list, uint32_t count);

/* Have poll() of the member report a port's frames, `frames` of them or the first after so long. 0 or -errno. */
int ttf_call_listen(int member, uint32_t port, uint32_t frames, uint32_t microseconds);

#endif
