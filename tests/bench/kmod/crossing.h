/* SPDX-License-Identifier: Apache-2.0 */
/* Crossings of turbotap.ko, their ports and members. Each way that needs one has its own. */
#ifndef TTF_BENCH_CROSSING_H
#define TTF_BENCH_CROSSING_H

#include <stdint.h>

#include "turbotap_crossing.h"

struct crossing_member {
	int fd;
	uint32_t first, slots;
};

int crossing_new(void);
uint32_t crossing_port(int crossing, int tun_fd, uint32_t vnet_bytes);
uint32_t crossing_device(int crossing, const char *device);

/* The only member: all slots are its. */
struct crossing_member crossing_join(int crossing);

#endif
