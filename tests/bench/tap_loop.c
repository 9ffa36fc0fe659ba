// SPDX-License-Identifier: Apache-2.0
/*
 * The bare loop that driver `tap` is compared with: read() a burst from one tap, write() it to the other, and
 * the same back. It has no counters, rings, steering or checks.
 *
 *   tap_loop -n NETNS -a TAP -b TAP -c CPU [-q QUEUES] [-v] [-i]
 *
 * -v: a virtio_net_hdr before each frame, as in ttfwd. -i: sleep in poll() after an empty round.
 */
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "loop.h"

#define MAX_QUEUES 8

static uint8_t buffers[BENCH_BATCH][BENCH_BUFFER] __attribute__((aligned(64)));

static int open_tap(const char *name, short flags)
{
	struct ifreq request = { .ifr_flags = flags };
	int fd = check(open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC), "/dev/net/tun");

	strncpy(request.ifr_name, name, sizeof(request.ifr_name) - 1);
	check(ioctl(fd, TUNSETIFF, &request), name);
	return fd;
}

static void link_up(const char *name)
{
	struct ifreq request = { 0 };
	int fd = check(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket");

	strncpy(request.ifr_name, name, sizeof(request.ifr_name) - 1);
	check(ioctl(fd, SIOCGIFFLAGS, &request), name);
	request.ifr_flags |= IFF_UP;
	check(ioctl(fd, SIOCSIFFLAGS, &request), name);
	close(fd);
}

static uint32_t move_burst(int from, int to)
{
	ssize_t lengths[BENCH_BATCH];
	uint32_t count = 0;

	while (count < BENCH_BATCH) {
		lengths[count] = read(from, buffers[count], BENCH_BUFFER);
		if (lengths[count] < 0)
			break;
		count++;
	}
	for (uint32_t i = 0; i < count; i++)
		if (write(to, buffers[i], (size_t)lengths[i]) < 0)
			continue; /* the frame isn't delivered, so it isn't counted */
	return count;
}

int main(int argc, char **argv)
{
	short flags = IFF_TAP | IFF_NO_PI;
	struct pollfd polls[2 * MAX_QUEUES];
	struct loop loop = { 0 };
	int queues = 1, option;

	while ((option = getopt(argc, argv, LOOP_OPTIONS "q:v")) != -1) {
		if (option == 'q')
			queues = atoi(optarg);
		else if (option == 'v')
			flags |= IFF_VNET_HDR;
		else if (!loop_option(&loop, option))
			return 2;
	}
	if (queues < 1 || queues > MAX_QUEUES || !loop_enter(&loop))
		return 2;
	if (queues > 1)
		flags |= IFF_MULTI_QUEUE;
	for (int port = 0; port < 2; port++) {
		for (int q = 0; q < queues; q++)
			polls[2 * q + port] = (struct pollfd){ .fd = open_tap(loop.devices[port], flags),
							       .events = POLLIN };
		link_up(loop.devices[port]);
	}
	say_ready();
	for (;;) {
		uint32_t moved = 0;

		for (int q = 0; q < queues; q++) {
			moved += move_burst(polls[2 * q].fd, polls[2 * q + 1].fd);
			moved += move_burst(polls[2 * q + 1].fd, polls[2 * q].fd);
		}
		if (!moved && loop.sleeps)
			poll(polls, (nfds_t)(2 * queues), -1);
	}
}
