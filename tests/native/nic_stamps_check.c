// SPDX-License-Identifier: Apache-2.0
/*
 * The NIC's timestamps without a NIC: its driver is played here. nic_stamps_check WHAT, where WHAT is what the
 * driver is like; prints what came of it, what the driver was asked, and how it stamps at the end.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/net_tstamp.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const char *like;
static struct hwtstamp_config stamping = { .tx_type = HWTSTAMP_TX_ON, .rx_filter = HWTSTAMP_FILTER_NONE };

static int is(const char *what)
{
	return !strcmp(like, what);
}

static int refuse(int error)
{
	errno = error;
	return -1;
}

static int driver_says(struct ethtool_ts_info *info)
{
	info->so_timestamping = SOF_TIMESTAMPING_RX_HARDWARE | SOF_TIMESTAMPING_RAW_HARDWARE;
	info->phc_index = 0;
	info->rx_filters = 1 << HWTSTAMP_FILTER_NONE | 1 << HWTSTAMP_FILTER_ALL;
	if (is("software"))
		info->so_timestamping = SOF_TIMESTAMPING_RX_SOFTWARE;
	if (is("ptp-only"))
		info->rx_filters = 1 << HWTSTAMP_FILTER_PTP_V2_EVENT;
	if (is("clockless"))
		info->phc_index = -1;
	return is("old") ? refuse(EOPNOTSUPP) : 0;
}

static int driver_sets(struct hwtstamp_config *config)
{
	printf("set %d\n", config->rx_filter);
	if (is("forbids"))
		return refuse(EPERM);
	if (is("does-less") && config->rx_filter == HWTSTAMP_FILTER_ALL)
		config->rx_filter = HWTSTAMP_FILTER_PTP_V2_EVENT;
	stamping = *config;
	return 0;
}

static int fake_ioctl(int fd, unsigned long what, struct ifreq *request)
{
	(void)fd;
	if (strcmp(request->ifr_name, "nic0"))
		return refuse(ENODEV);
	if (what == SIOCETHTOOL)
		return driver_says((void *)request->ifr_data);
	if (what == SIOCSHWTSTAMP)
		return driver_sets((void *)request->ifr_data);
	if (is("on-already"))
		stamping.rx_filter = HWTSTAMP_FILTER_ALL;
	memcpy(request->ifr_data, &stamping, sizeof(stamping));
	return 0;
}

static int fake_open(const char *path, int flags)
{
	if (strcmp(path, "/dev/ptp0") || is("unreadable"))
		return refuse(ENOENT);
	return open("/dev/null", flags);
}

#define ioctl fake_ioctl
#define open fake_open
#include "tester/nic_stamps.c"
#undef ioctl
#undef open

int main(int argc, char **argv)
{
	struct ttf_nic_stamps stamps;
	int result;

	if (argc != 2)
		return 2;
	like = argv[1];
	result = ttf_nic_stamps_enable(&stamps, -1, is("gone") ? "nic1" : "nic0");
	printf("result %d clock %d\n", result, stamps.clock_fd >= 0);
	if (stamps.clock_fd >= 0 && nic_stamps_clock_id(&stamps) != (int32_t)(~stamps.clock_fd * 8 + 3))
		return 1;
	ttf_nic_stamps_restore(&stamps, -1, "nic0");
	printf("then %d %d\n", stamping.tx_type, stamping.rx_filter);
	return 0;
}
