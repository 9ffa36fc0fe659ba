/* SPDX-License-Identifier: Apache-2.0 */
/* The device node and its ioctls: results of right calls, and errors of wrong ones. */
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "frames.h"
#include "harness.h"
#include "kernel.h"
#include "link.h"
#include "tap.h"

CASE(uapi_node)
{
	struct stat status;

	DO(stat(TURBOTAP_DEVICE, &status));
	CHECK(S_ISCHR(status.st_mode));
	CHECK_EQ(major(status.st_rdev), 10); /* a misc device */
	CHECK_EQ(status.st_mode & 0007, 0);  /* owner and group only */
	CHECK_EQ(status.st_uid, 0);
	DO(setgid(65534));
	DO(setuid(65534));
	CHECK_ERRNO(open(TURBOTAP_DEVICE, O_RDWR), EACCES);
}

CASE(uapi_info)
{
	struct turbotap_info info = { .size = sizeof(info) };
	int control = control_open();

	DO(ioctl(control, TURBOTAP_GET_INFO, &info));
	CHECK_EQ(sizeof(info), 32);
	CHECK_EQ(info.size, sizeof(info));
	CHECK_EQ(info.abi_version, TURBOTAP_ABI_VERSION);
	CHECK_EQ(info.features, TURBOTAP_FEATURE_BATCH | TURBOTAP_FEATURE_BURST | TURBOTAP_FEATURE_CROSSING);
	CHECK(info.max_burst >= 64);
	CHECK_EQ(info.max_batch, 64);
	CHECK_EQ(info.max_frame, 65557);
	CHECK_EQ(info.reserved, 0);
}

/* The calls of programs that were built with an older or a newer header. */
CASE(uapi_info_of_other_sizes)
{
	struct {
		struct turbotap_info info;
		unsigned char more[64];
	} room;
	int control = control_open();

	for (unsigned int size = 8; size <= sizeof(room) - 16; size += 4) {
		memset(&room, 0xaa, sizeof(room));
		room.info.size = size;
		DO(ioctl(control, TURBOTAP_GET_INFO, &room));
		CHECK_EQ(room.info.size, sizeof(room.info));
		for (size_t at = sizeof(room.info); at < sizeof(room); at++)
			CHECK_EQ(((unsigned char *)&room)[at], at < size ? 0 : 0xaa);
		for (size_t at = size; at < sizeof(room.info); at++)
			CHECK_EQ(((unsigned char *)&room)[at], 0xaa);
	}
}

CASE(uapi_info_refused)
{
	static const unsigned int too_small[] = { 0, 1, 4, 7 };
	struct turbotap_info info;
	int control = control_open();

	for (size_t i = 0; i < sizeof(too_small) / sizeof(too_small[0]); i++) {
		info.size = too_small[i];
		CHECK_ERRNO(ioctl(control, TURBOTAP_GET_INFO, &info), EINVAL);
	}
	info.size = (unsigned int)sysconf(_SC_PAGESIZE) + 1;
	CHECK_ERRNO(ioctl(control, TURBOTAP_GET_INFO, &info), E2BIG);
	info.size = 0xffffffff;
	CHECK_ERRNO(ioctl(control, TURBOTAP_GET_INFO, &info), E2BIG);
	CHECK_ERRNO(ioctl(control, TURBOTAP_GET_INFO, NULL), EFAULT);
	CHECK_ERRNO(ioctl(control, TURBOTAP_GET_INFO, (void *)-4096L), EFAULT);
}

CASE(uapi_unknown_ioctls)
{
	int control = control_open();

	CHECK_ERRNO(ioctl(control, _IO('q', 0), 0), ENOTTY);
	CHECK_ERRNO(ioctl(control, _IO(TURBOTAP_IOC_MAGIC, 2), 0), ENOTTY);
	CHECK_ERRNO(ioctl(control, _IOR(TURBOTAP_IOC_MAGIC, 0, int), 0), ENOTTY);
	CHECK_ERRNO(ioctl(control, TUNSETIFF, 0), ENOTTY);
}

static bool has_flag(int fd, int get, int flag)
{
	return DO(fcntl(fd, get)) & flag;
}

CASE(uapi_attach_flags)
{
	struct tap tap = tap_open(PLAIN);

	for (unsigned int flags = 0; flags < 8; flags++) {
		int sock = attach(tap.tun, flags, 0);

		CHECK_EQ(has_flag(sock, F_GETFD, FD_CLOEXEC), !!(flags & TURBOTAP_ATTACH_CLOEXEC));
		CHECK_EQ(has_flag(sock, F_GETFL, O_NONBLOCK), !!(flags & TURBOTAP_ATTACH_NONBLOCK));
		CHECK_EQ(DO(fcntl(sock, F_GETFL)) & O_ACCMODE, O_RDWR);
		close(sock);
	}
	for (unsigned int bit = 3; bit < 32; bit++)
		CHECK_ERRNO(try_attach(tap.tun, 1u << bit, 0), EINVAL);
}

/* Attach with a structure of another size, whose last byte is `tail`. */
static int try_attach_sized(int tun, unsigned int size, unsigned char tail)
{
	unsigned char room[8192] = { 0 };
	struct turbotap_attach argument = { .size = size, .tun_fd = tun };
	int control = control_open(), result, error;

	memcpy(room, &argument, sizeof(argument));
	if (size > sizeof(argument) && size <= sizeof(room))
		room[size - 1] = tail;
	result = ioctl(control, TURBOTAP_ATTACH, room);
	error = errno;
	close(control);
	errno = error;
	return result;
}

CASE(uapi_attach_of_other_sizes)
{
	unsigned int page = (unsigned int)sysconf(_SC_PAGESIZE);
	struct tap tap = tap_open(PLAIN);

	for (unsigned int size = 0; size < 16; size++)
		CHECK_ERRNO(try_attach_sized(tap.tun, size, 0), EINVAL);
	close((int)DO(try_attach_sized(tap.tun, 16, 0)));
	close((int)DO(try_attach_sized(tap.tun, 17, 0)));
	close((int)DO(try_attach_sized(tap.tun, page, 0)));
	CHECK_ERRNO(try_attach_sized(tap.tun, 17, 1), E2BIG);
	CHECK_ERRNO(try_attach_sized(tap.tun, page, 1), E2BIG);
	CHECK_ERRNO(try_attach_sized(tap.tun, page + 1, 0), E2BIG);
	CHECK_ERRNO(try_attach_sized(tap.tun, 0xffffffff, 0), E2BIG);
}

CASE(uapi_attach_faults)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *memory = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int control = control_open();

	DO(munmap(memory + page, page));
	for (unsigned int there = 0; there < 16; there += 4) {
		char *argument = memory + page - there;

		if (there)
			*(__u32 *)argument = 16;
		CHECK_ERRNO(ioctl(control, TURBOTAP_ATTACH, argument), EFAULT);
	}
	CHECK_ERRNO(ioctl(control, TUNGETSOCKFD, memory + page), EFAULT);
	CHECK_ERRNO(ioctl(control, TUNGETSOCKFD, NULL), EFAULT);
}

CASE(uapi_attach_to_what_is_no_queue)
{
	int control = control_open(), null = (int)DO(open("/dev/null", O_RDWR));
	int pipes[2], bare = (int)DO(open("/dev/net/tun", O_RDWR));
	struct tap tap = tap_open(PLAIN);

	DO(pipe(pipes));
	CHECK_ERRNO(try_attach(-1, 0, 0), EBADF);
	CHECK_ERRNO(try_attach(999, 0, 0), EBADF);
	CHECK_ERRNO(try_attach(null, 0, 0), ENOTSOCK);
	CHECK_ERRNO(try_attach(pipes[0], 0, 0), ENOTSOCK);
	CHECK_ERRNO(try_attach(control, 0, 0), ENOTSOCK);
	CHECK_ERRNO(try_attach(tap.sock, 0, 0), ENOTSOCK);
	CHECK_ERRNO(try_attach(bare, 0, 0), EBADFD);
	CHECK_ERRNO(try_attach_legacy(-1), EBADF);
	CHECK_ERRNO(try_attach_legacy(null), ENOTSOCK);
	CHECK_ERRNO(try_attach_legacy(bare), EBADFD);
	link_delete(tap.index);
	CHECK_ERRNO(try_attach(tap.tun, 0, 0), EBADFD);
	CHECK_ERRNO(try_attach(tap.tun, TURBOTAP_ATTACH_BATCH, 0), EBADFD);
	CHECK_ERRNO(try_attach_legacy(tap.tun), EBADFD);
}

/* The socket can read and write, so the tun fd must be open for both. */
CASE(uapi_attach_needs_both_modes)
{
	static const int modes[] = { O_RDONLY, O_WRONLY };

	for (size_t i = 0; i < 2; i++) {
		int tun = (int)DO(try_tun_open(NULL, IFF_TAP | IFF_NO_PI, modes[i]));

		CHECK_ERRNO(try_attach(tun, 0, 0), EACCES);
		CHECK_ERRNO(try_attach(tun, TURBOTAP_ATTACH_BATCH, 0), EACCES);
		CHECK_ERRNO(try_attach_legacy(tun), EACCES);
	}
}

CASE(uapi_attach_needs_a_free_descriptor)
{
	struct tap tap = tap_open(PLAIN);
	int control = control_open(), references, last = -1;
	struct turbotap_attach argument = { .size = sizeof(argument), .tun_fd = tap.tun };
	const struct rlimit few = { 64, 64 };

	DO(setrlimit(RLIMIT_NOFILE, &few));
	references = module_references();
	for (int fd; (fd = dup(control)) >= 0;)
		last = fd;
	CHECK_ERRNO(ioctl(control, TURBOTAP_ATTACH, &argument), EMFILE);
	CHECK_ERRNO(ioctl(control, TUNGETSOCKFD, &tap.tun), EMFILE);
	close(last);
	CHECK(module_references_settle(references));
	CHECK_EQ(DO(ioctl(control, TURBOTAP_ATTACH, &argument)), last);
}

CASE(uapi_legacy)
{
	struct tap tap = tap_open(LEGACY);
	int wire = wire_open(tap.index);

	CHECK(!has_flag(tap.sock, F_GETFD, FD_CLOEXEC));
	tap_check(&tap, wire, 1);
	CHECK_EQ(counter(tap.sock, "tx-batched"), 0);
}

/* A socket for an IFF_TUN device, whose packets have no Ethernet header, works without batches. */
CASE(uapi_tun_device)
{
	int tun = tun_open(NULL, IFF_TUN | IFF_NO_PI);
	char packet[20] = { 0x45 };
	int sock;

	CHECK_ERRNO(try_attach(tun, TURBOTAP_ATTACH_BATCH, 0), EINVAL);
	sock = attach(tun, 0, 0);
	link_up(tun_name(tun));
	CHECK_EQ(DO(send(sock, packet, sizeof(packet), 0)), sizeof(packet));
	CHECK_EQ(link_counters(tun_name(tun)).rx_packets, 1);
}

CASE(uapi_declared_framing)
{
	int headerless = tun_open(NULL, IFF_TAP | IFF_NO_PI);
	int vnet = tun_open(NULL, IFF_TAP | IFF_NO_PI | IFF_VNET_HDR);
	static const unsigned int sizes[] = { 1, 9, 10, 12, 20, 128, 129, 65536, 0x80000000, 0xffffffff };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		CHECK_ERRNO(try_attach(headerless, TURBOTAP_ATTACH_BATCH, sizes[i]), EINVAL);
		CHECK_ERRNO(try_attach(headerless, 0, sizes[i]), EINVAL);
		CHECK_ERRNO(try_attach(vnet, 0, sizes[i]), EINVAL);
	}
	CHECK_ERRNO(try_attach(vnet, TURBOTAP_ATTACH_BATCH, 9), EINVAL);
	CHECK_ERRNO(try_attach(vnet, TURBOTAP_ATTACH_BATCH, 0xffffffff), EINVAL);
	close(attach(vnet, TURBOTAP_ATTACH_BATCH, 10));
	CHECK_EQ(link_counters(tun_name(vnet)).tx_packets, 0);
}

CASE(uapi_burst_option)
{
	struct tap tap = tap_open(PLAIN);
	socklen_t length = sizeof(int);
	int on = 7;

	DO(getsockopt(tap.sock, SOL_TURBOTAP, TURBOTAP_BURST, &on, &length));
	CHECK_EQ(on, 0);
	set_burst(tap.sock, true);
	DO(getsockopt(tap.sock, SOL_TURBOTAP, TURBOTAP_BURST, &on, &length));
	CHECK_EQ(on, 1);
	CHECK_EQ(length, sizeof(int));
	CHECK_ERRNO(try_set_burst(tap.sock, 2), EINVAL);
	CHECK_ERRNO(try_set_burst(tap.sock, -1), EINVAL);
	CHECK_ERRNO(setsockopt(tap.sock, SOL_TURBOTAP, TURBOTAP_BURST, &on, 3), EINVAL);
	CHECK_ERRNO(setsockopt(tap.sock, SOL_TURBOTAP, TURBOTAP_BURST, (void *)8, 4), EFAULT);
	CHECK_ERRNO(setsockopt(tap.sock, SOL_TURBOTAP, 0, &on, sizeof(on)), ENOPROTOOPT);
	CHECK_ERRNO(setsockopt(tap.sock, SOL_TURBOTAP, 2, &on, sizeof(on)), ENOPROTOOPT);
	CHECK_ERRNO(setsockopt(tap.sock, 6, TURBOTAP_BURST, &on, sizeof(on)), ENOPROTOOPT);
	CHECK_ERRNO(getsockopt(tap.sock, SOL_TURBOTAP, 2, &on, &length), ENOPROTOOPT);
	CHECK_ERRNO(getsockopt(tap.sock, SOL_TURBOTAP, TURBOTAP_BURST, (void *)8, &length), EFAULT);
	CHECK_ERRNO(getsockopt(tap.sock, SOL_TURBOTAP, TURBOTAP_BURST, &on, (void *)8), EFAULT);
	length = (socklen_t)-1;
	CHECK_ERRNO(getsockopt(tap.sock, SOL_TURBOTAP, TURBOTAP_BURST, &on, &length), EINVAL);
	DO(getsockopt(tap.sock, SOL_TURBOTAP, TURBOTAP_BURST, &on, (length = sizeof(int), &length)));
	CHECK_EQ(on, 1);
}

/* fdinfo names the device, as a tun fd's does, and has all counters. */
CASE(uapi_fdinfo)
{
	static const char *const names[] = { "rx-frames",  "rx-calls",	      "rx-faulted",
					     "tx-frames",  "tx-calls",	      "tx-batched",
					     "tx-batches", "tx-late-batches", "tx-dropped" };
	struct tap tap = tap_open(PLAIN);
	char path[64], text[2048] = "", line[64];
	int wire = wire_open(tap.index), fd;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		CHECK_EQ(counter(tap.sock, names[i]), 0);
	tap_check(&tap, wire, 1);
	CHECK_EQ(counter(tap.sock, "tx-frames"), 1);
	CHECK_EQ(counter(tap.sock, "tx-calls"), 1);
	CHECK_EQ(counter(tap.sock, "rx-frames"), 1);
	CHECK(counter(tap.sock, "rx-calls") >= 1);
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", tap.sock);
	snprintf(line, sizeof(line), "iff:\t%s\n", tap.name);
	fd = (int)DO(open(path, O_RDONLY));
	DO(read(fd, text, sizeof(text) - 1));
	CHECK(strstr(text, line));
}
