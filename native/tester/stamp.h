/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tester writes into each of its frames: at the start of the UDP payload, in network byte order.
 *
 * A frame was due at `sent_ns` - `late_ns`. 16 bytes fit the smallest frame of IPv4 (60 bytes without FCS).
 */
#ifndef TTF_STAMP_H
#define TTF_STAMP_H

#include <stdint.h>

struct ttf_stamp {
	uint32_t seq;	  /* from 0 in each direction of a trial; wraps */
	uint32_t late_ns; /* from when the frame was due to `sent_ns`; UINT32_MAX stands for more, too */
	uint64_t sent_ns; /* CLOCK_MONOTONIC */
};

#endif
