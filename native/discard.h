/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The packets in a queue that no worker serves are counted and dropped. The last worker may have written
 * anything into what it shared with the kernel, so this is done by a process that has no more rights than it.
 */
#ifndef TTF_DISCARD_H
#define TTF_DISCARD_H

#include "abi.h"
#include "port_config.h"

#define TTF_DISCARD_MAX (1u << 20)  /* packets of one queue */
#define TTF_DISCARD_NS 500000000ull /* a flood must not hold up anybody */

struct ttf_discarded {
	uint64_t packets;
	uint64_t bytes;	       /* without those of frames that were too long */
	uint64_t kernel_drops; /* packets that the kernel had no room for */
};

/* Empty the queue `fd` of a driver (enum ttf_driver), within both limits. 0 or -errno. */
int ttf_queue_discard(uint32_t driver, int fd, uint32_t header_bytes, struct ttf_discarded *discarded);

#endif
