/* SPDX-License-Identifier: Apache-2.0 */
/* Opens queues, attaches sockets and reads their counters; see tap.h. */
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness.h"
#include "link.h"
#include "tap.h"

#define ONE_QUEUE IFF_TAP | IFF_NO_PI

const struct framing framings[FRAMINGS] = {
	[PLAIN] = { "plain", ONE_QUEUE, 0, TURBOTAP_ATTACH_BATCH, false },
	[VNET10] = { "vnet10", ONE_QUEUE | IFF_VNET_HDR, 10, TURBOTAP_ATTACH_BATCH, false },
	[VNET12] = { "vnet12", ONE_QUEUE | IFF_VNET_HDR, 12, TURBOTAP_ATTACH_BATCH, false },
	[ALONE] = { "alone", ONE_QUEUE, 0, 0, false },
	[LEGACY] = { "legacy", ONE_QUEUE, 0, 0, true },
	[PI] = { "pi", IFF_TAP, 4, 0, true },
	[NAPI] = { "napi", ONE_QUEUE | IFF_NAPI, 0, TURBOTAP_ATTACH_BATCH, false },
	[FRAGS] = { "frags", ONE_QUEUE | IFF_NAPI | IFF_NAPI_FRAGS, 0, 0, false },
};

int try_tun_open(const char *name, short flags, int open_mode)
{
	int tun = (int)DO(open("/dev/net/tun", open_mode | O_CLOEXEC));
	struct ifreq request = { .ifr_flags = flags };

	if (name)
		snprintf(request.ifr_name, IFNAMSIZ, "%s", name);
	if (ioctl(tun, TUNSETIFF, &request) < 0) {
		int error = errno;

		close(tun);
		errno = error;
		return -1;
	}
	return tun;
}

int tun_open(const char *name, short flags)
{
	return (int)DO(try_tun_open(name, flags, O_RDWR));
}

const char *tun_name(int tun)
{
	static _Thread_local struct ifreq request;

	DO(ioctl(tun, TUNGETIFF, &request));
	return request.ifr_name;
}

int control_open(void)
{
	return (int)DO(open(TURBOTAP_DEVICE, O_RDWR | O_CLOEXEC));
}

static int close_control(int control, int result)
{
	int error = errno;

	close(control);
	errno = error;
	return result;
}

int try_attach(int tun, unsigned int flags, unsigned int vnet_hdr_size)
{
	struct turbotap_attach argument = {
		.size = sizeof(argument),
		.tun_fd = tun,
		.flags = flags,
		.vnet_hdr_size = vnet_hdr_size,
	};
	int control = control_open();

	return close_control(control, ioctl(control, TURBOTAP_ATTACH, &argument));
}

int try_attach_legacy(int tun)
{
	int control = control_open();

	return close_control(control, ioctl(control, TUNGETSOCKFD, &tun));
}

int attach(int tun, unsigned int flags, unsigned int vnet_hdr_size)
{
	return (int)DO(try_attach(tun, flags, vnet_hdr_size));
}

static int attach_framed(int tun, const struct framing *framing)
{
	bool vnet = framing->tun_flags & IFF_VNET_HDR;

	if (framing->legacy)
		return (int)DO(try_attach_legacy(tun));
	return attach(tun, framing->attach_flags, vnet ? framing->header : 0);
}

struct tap tap_open(unsigned int framing)
{
	struct tap tap = { .framing = &framings[framing] };
	int size = (int)tap.framing->header;

	tap.tun = tun_open(NULL, tap.framing->tun_flags);
	if (tap.framing->tun_flags & IFF_VNET_HDR)
		DO(ioctl(tap.tun, TUNSETVNETHDRSZ, &size));
	snprintf(tap.name, sizeof(tap.name), "%s", tun_name(tap.tun));
	tap.index = link_index(tap.name);
	tap.sock = attach_framed(tap.tun, tap.framing);
	set_nonblocking(tap.sock, true);
	set_nonblocking(tap.tun, true);
	link_up(tap.name);
	return tap;
}

int try_set_burst(int sock, int on)
{
	return setsockopt(sock, SOL_TURBOTAP, TURBOTAP_BURST, &on, sizeof(on));
}

void set_burst(int sock, bool on)
{
	DO(try_set_burst(sock, on));
}

void set_nonblocking(int fd, bool on)
{
	int flags = (int)DO(fcntl(fd, F_GETFL));

	DO(fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK));
}

unsigned long counter(int sock, const char *name)
{
	char path[64], line[128], key[64];
	unsigned long value = 0;
	bool found = false;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", sock);
	snprintf(key, sizeof(key), "turbotap-%s:\t%%lu\n", name);
	file = fopen(path, "re");
	if (!file)
		FAIL("%s: %s", path, strerror(errno));
	while (!found && fgets(line, sizeof(line), file))
		found = sscanf(line, key, &value) == 1;
	fclose(file);
	if (!found)
		FAIL("no counter %s in %s", name, path);
	return value;
}

static void set_queue(int tun, short flag)
{
	struct ifreq request = { .ifr_flags = flag };

	DO(ioctl(tun, TUNSETQUEUE, &request));
}

void queue_attach(int tun)
{
	set_queue(tun, IFF_ATTACH_QUEUE);
}

void queue_detach(int tun)
{
	set_queue(tun, IFF_DETACH_QUEUE);
}

union fd_message {
	struct cmsghdr header;
	char space[CMSG_SPACE(sizeof(int))];
};

void fd_send(int unix_socket, int fd)
{
	union fd_message control = { .header = { .cmsg_len = CMSG_LEN(sizeof(int)),
						 .cmsg_level = SOL_SOCKET,
						 .cmsg_type = SCM_RIGHTS } };
	struct iovec byte = { "x", 1 };
	struct msghdr message = {
		.msg_iov = &byte,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};

	memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	DO(sendmsg(unix_socket, &message, 0));
}

int fd_receive(int unix_socket)
{
	union fd_message control;
	char text;
	struct iovec byte = { &text, 1 };
	struct msghdr message = {
		.msg_iov = &byte,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	int fd;

	CHECK_EQ(DO(recvmsg(unix_socket, &message, 0)), 1);
	CHECK_EQ(message.msg_controllen, sizeof(control));
	memcpy(&fd, CMSG_DATA(&control.header), sizeof(fd));
	return fd;
}
