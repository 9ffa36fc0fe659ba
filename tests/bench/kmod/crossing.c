// SPDX-License-Identifier: Apache-2.0
#include "crossing.h"

#include <net/if.h>
#include <sys/ioctl.h>

#include "../bench.h"
#include "way.h"

#define HELD_BYTES (256u << 20)

int crossing_new(void)
{
	const struct turbotap_crossing how = {
		.size = sizeof(how), .slots = MAX_BATCH, .header_bytes = 128, .bytes = HELD_BYTES
	};
	int node = check(open(TURBOTAP_DEVICE, O_RDWR | O_CLOEXEC), TURBOTAP_DEVICE);
	int crossing = check(ioctl(node, TURBOTAP_CREATE, &how), "TURBOTAP_CREATE");

	close(node);
	return crossing;
}

uint32_t crossing_port(int crossing, int tun_fd, uint32_t vnet_bytes)
{
	struct turbotap_port_tap port = { .size = sizeof(port),
					  .tun_fd = tun_fd,
					  .vnet_hdr_size = vnet_bytes };

	return (uint32_t)check(ioctl(crossing, TURBOTAP_PORT_TAP, &port), "TURBOTAP_PORT_TAP");
}

uint32_t crossing_device(int crossing, const char *device)
{
	struct turbotap_port_device port = { .size = sizeof(port), .ifindex = (int)if_nametoindex(device) };

	return (uint32_t)check(ioctl(crossing, TURBOTAP_PORT_DEVICE, &port), "TURBOTAP_PORT_DEVICE");
}

struct crossing_member crossing_join(int crossing)
{
	struct turbotap_member join = {
		.size = sizeof(join), .slots = MAX_BATCH, .rights = TURBOTAP_RIGHT_COPY, .bytes = HELD_BYTES
	};
	int fd = check(ioctl(crossing, TURBOTAP_JOIN, &join), "TURBOTAP_JOIN");

	return (struct crossing_member){ fd, join.first, MAX_BATCH };
}
