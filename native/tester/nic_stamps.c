/* SPDX-License-Identifier: Apache-2.0 */
#include "tester/nic_stamps.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/net_tstamp.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define NEEDED (SOF_TIMESTAMPING_RX_HARDWARE | SOF_TIMESTAMPING_RAW_HARDWARE)

static int request(int fd, unsigned long what, const char *device, void *data)
{
	struct ifreq request = { .ifr_data = data };

	strncpy(request.ifr_name, device, sizeof(request.ifr_name) - 1);
	return ioctl(fd, what, &request) ? -errno : 0;
}

static bool can_stamp(int fd, const char *device, int32_t *clock_index)
{
	struct ethtool_ts_info info = { .cmd = ETHTOOL_GET_TS_INFO };

	if (request(fd, SIOCETHTOOL, device, &info))
		return false;
	*clock_index = info.phc_index;
	return (info.so_timestamping & NEEDED) == NEEDED && info.rx_filters & 1u << HWTSTAMP_FILTER_ALL &&
	       info.phc_index >= 0;
}

int ttf_nic_stamps_enable(struct ttf_nic_stamps *stamps, int fd, const char *device)
{
	struct hwtstamp_config config = { 0 };
	char path[32];
	int32_t clock_index;
	int error;

	*stamps = (struct ttf_nic_stamps){ .clock_fd = -1 };
	if (!can_stamp(fd, device, &clock_index))
		return 0;
	snprintf(path, sizeof(path), "/dev/ptp%d", clock_index);
	stamps->clock_fd = open(path, O_RDWR | O_CLOEXEC);
	if (stamps->clock_fd < 0)
		return 0; /* a container may have the device, and not its clock */
	if (request(fd, SIOCGHWTSTAMP, device, &config) == 0) {
		stamps->was_flags = config.flags;
		stamps->was_tx_type = config.tx_type;
		stamps->was_rx_filter = config.rx_filter;
	}
	if (config.rx_filter == HWTSTAMP_FILTER_ALL)
		return 1;
	config.rx_filter = HWTSTAMP_FILTER_ALL;
	error = request(fd, SIOCSHWTSTAMP, device, &config);
	stamps->changed = error == 0;
	if (!error && config.rx_filter == HWTSTAMP_FILTER_ALL) /* the driver says what it does instead */
		return 1;
	ttf_nic_stamps_restore(stamps, fd, device);
	return error;
}

void ttf_nic_stamps_restore(struct ttf_nic_stamps *stamps, int fd, const char *device)
{
	struct hwtstamp_config config = {
		.flags = stamps->was_flags,
		.tx_type = stamps->was_tx_type,
		.rx_filter = stamps->was_rx_filter,
	};

	if (stamps->changed)
		request(fd, SIOCSHWTSTAMP, device, &config); /* fails if the device is gone */
	if (stamps->clock_fd >= 0)
		close(stamps->clock_fd);
	*stamps = (struct ttf_nic_stamps){ .clock_fd = -1 };
}
