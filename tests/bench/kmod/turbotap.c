// SPDX-License-Identifier: Apache-2.0
/* Sockets of turbotap.ko for the taps. Each way that needs sockets has its own, beside the tap's fd. */
#include <sys/ioctl.h>

#include "../bench.h"
#include "turbotap.h"
#include "way.h"

static int attach(int tun_fd, uint32_t vnet_bytes, int burst)
{
	struct turbotap_attach request = {
		.size = sizeof(request),
		.tun_fd = tun_fd,
		.flags = TURBOTAP_ATTACH_CLOEXEC | TURBOTAP_ATTACH_NONBLOCK | TURBOTAP_ATTACH_BATCH,
		.vnet_hdr_size = vnet_bytes,
	};
	int node = check(open(TURBOTAP_DEVICE, O_RDWR | O_CLOEXEC), TURBOTAP_DEVICE);
	int fd = check(ioctl(node, TURBOTAP_ATTACH, &request), "TURBOTAP_ATTACH");

	check(setsockopt(fd, SOL_TURBOTAP, TURBOTAP_BURST, &burst, sizeof(burst)), "TURBOTAP_BURST");
	close(node);
	return fd;
}

void turbotap_sockets(const struct taps *taps, int burst, int *source, int *sink)
{
	*source = attach(taps->source_fd, taps->vnet_bytes, burst);
	*sink = attach(taps->sink_fd, taps->vnet_bytes, burst);
}
