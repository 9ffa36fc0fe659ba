/* SPDX-License-Identifier: Apache-2.0 */
/* What crossings refuse, what they bound, and what a member can't do. */
#include <fcntl.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "crossing.h"
#include "frames.h"
#include "harness.h"
#include "kernel.h"
#include "link.h"

#define LENGTH 60

CASE(crossing_layout)
{
	CHECK_EQ(sizeof(struct turbotap_crossing), 24);
	CHECK_EQ(sizeof(struct turbotap_port_tap), 80);
	CHECK_EQ(sizeof(struct turbotap_port_device), 8);
	CHECK_EQ(sizeof(struct turbotap_member), 32);
	CHECK_EQ(sizeof(struct turbotap_held), 24);
	CHECK_EQ(sizeof(struct turbotap_cell), 192);
	CHECK_EQ(__builtin_offsetof(struct turbotap_cell, headers), 64);
	CHECK_EQ(__builtin_offsetof(struct turbotap_cell, vnet), 64 - 10); /* a virtio_net_hdr */
	CHECK_EQ(sizeof(struct turbotap_send), 20);
	CHECK_EQ(sizeof(struct turbotap_lists), 64 + 1024 + 5120 + 32768);
	CHECK_EQ(sizeof(struct turbotap_copy), 32);
	CHECK_EQ(sizeof(struct turbotap_copies), 16);
	CHECK_EQ(sizeof(struct turbotap_listen), 16);
}

CASE(crossing_create_refuses)
{
	struct {
		struct turbotap_crossing how;
		char more[8];
	} room = { .how = { .size = sizeof(room), .slots = 64, .header_bytes = 128, .bytes = 1 << 20 } };
	int control = control_open();

	CHECK_ERRNO(try_crossing(0, 128, 4096), EINVAL);
	CHECK_ERRNO(try_crossing(65537, 128, 4096), EINVAL);
	CHECK_ERRNO(try_crossing(64, 13, 4096), EINVAL);
	CHECK_ERRNO(try_crossing(64, 129, 4096), EINVAL);
	CHECK_ERRNO(try_crossing(64, 128, 0), EINVAL);
	CHECK_ERRNO(try_crossing(64, 128, (1ul << 30) + 1), EINVAL);
	DO(close((int)DO(ioctl(control, TURBOTAP_CREATE, &room)))); /* of a newer header, zeroes */
	room.more[0] = 1;
	CHECK_ERRNO(ioctl(control, TURBOTAP_CREATE, &room), E2BIG);
	room.how.size = sizeof(room.how) - 1;
	CHECK_ERRNO(ioctl(control, TURBOTAP_CREATE, &room), EINVAL);
	room.how.size = sizeof(room.how);
	room.how.flags = 2;
	CHECK_ERRNO(ioctl(control, TURBOTAP_CREATE, &room), EINVAL);
	CHECK_ERRNO(ioctl(control, TURBOTAP_CREATE, (void *)8), EFAULT);
	close((int)DO(try_crossing(65536, 14, 1 << 20)));
}

CASE(crossing_ports_refuse)
{
	int c = crossing_new(), null = (int)DO(open("/dev/null", O_RDWR));
	struct tap tap = tap_open(VNET12);
	struct turbotap_port_tap port = { .size = sizeof(port), .tun_fd = tap.tun, .reserved = 1 };
	int ip = tun_open("layer3", IFF_TUN | IFF_NO_PI), none = (int)DO(open("/dev/net/tun", O_RDWR));
	unsigned int made = 0;
	char before[64], after[64];

	CHECK_ERRNO(try_port_tap(c, -1, 0), EBADF);
	CHECK_ERRNO(try_port_tap(c, null, 0), ENOTSOCK);
	CHECK_ERRNO(try_port_tap(c, tap.sock, 0), ENOTSOCK);
	CHECK_ERRNO(try_port_tap(c, none, 0), EBADFD);
	CHECK_ERRNO(try_port_tap(c, ip, 0), EINVAL);
	CHECK_ERRNO(try_port_tap(c, tap.tun, 9), EINVAL);
	CHECK_ERRNO(try_port_tap(c, tap.tun, 20), EINVAL);
	CHECK_ERRNO(ioctl(c, TURBOTAP_PORT_TAP, &port), EINVAL);
	CHECK_ERRNO(ioctl(c, TURBOTAP_PORT_TAP, (void *)8), EFAULT);
	for (int mode = O_RDONLY; mode <= O_WRONLY; mode++)
		CHECK_ERRNO(try_port_tap(c, try_tun_open(NULL, IFF_TAP | IFF_NO_PI, mode), 0), EACCES);
	CHECK_ERRNO(try_port_device(c, 0), ENODEV);
	CHECK_ERRNO(try_port_device(c, 4711), ENODEV);
	CHECK_ERRNO(try_port_device(c, link_index("lo")), EINVAL);
	CHECK_ERRNO(try_port_device(c, link_index("layer3")), EINVAL);
	CHECK_ERRNO(ioctl(c, TURBOTAP_PORT_DEVICE, (void *)8), EFAULT);
	CHECK_ERRNO(ioctl(c, TURBOTAP_CROSS, 0), ENOTTY);
	/* Finding the device changes nothing, the address least of all. */
	{
		struct ifreq address;

		DO(ioctl(tap.tun, SIOCGIFHWADDR, &address));
		memcpy(before, address.ifr_hwaddr.sa_data, 6);
		for (; try_port_tap(c, tap.tun, 12) >= 0; made++)
			;
		CHECK_EQ(errno, ENOSPC);
		CHECK_EQ(made, TURBOTAP_CROSSING_PORTS);
		DO(ioctl(tap.tun, SIOCGIFHWADDR, &address));
		memcpy(after, address.ifr_hwaddr.sa_data, 6);
	}
	CHECK(!memcmp(before, after, 6));
	CHECK_EQ(counter(c, "ports"), TURBOTAP_CROSSING_PORTS);
}

CASE(crossing_join_refuses)
{
	int c = crossing_new(), members[TURBOTAP_CROSSING_MEMBERS + 1];
	struct turbotap_member join = { .slots = 8, .bytes = 4096 };
	unsigned int i;

	for (i = 0; i < 5; i++) {
		struct turbotap_member bad = join;

		*(i == 0 ? &bad.slots : i == 1 ? &bad.rights : i == 2 ? &bad.first : &bad.number) = i ? 4 : 0;
		if (i == 4)
			bad = (struct turbotap_member){ .slots = 8 };
		CHECK_ERRNO(try_join(c, &bad), EINVAL);
	}
	join.slots = CROSSING_SLOTS + 1;
	CHECK_ERRNO(try_join(c, &join), ENOSPC);
	join = (struct turbotap_member){ .slots = 8, .bytes = CROSSING_ROOM + 1ul };
	CHECK_ERRNO(try_join(c, &join), ENOSPC);
	for (i = 0; i <= TURBOTAP_CROSSING_MEMBERS; i++) {
		join = (struct turbotap_member){ .slots = 8, .bytes = 4096 };
		members[i] = try_join(c, &join);
		if (members[i] < 0)
			break;
		CHECK_EQ(join.first, 8 * i);
		CHECK_EQ(join.number, i);
	}
	CHECK_EQ(i, TURBOTAP_CROSSING_MEMBERS);
	CHECK_EQ(errno, ENOSPC);
	close(members[17]);
	join = (struct turbotap_member){ .slots = 9, .bytes = 4096 };
	CHECK_ERRNO(try_join(c, &join), ENOSPC); /* so many, but not in one piece */
	join = (struct turbotap_member){ .slots = 8, .bytes = 4096 };
	DO(try_join(c, &join));
	CHECK_EQ(join.first, 8 * 17);
	CHECK_ERRNO(ioctl(c, TURBOTAP_JOIN, (void *)8), EFAULT);
}

CASE(crossing_calls_refuse)
{
	int c = crossing_new();
	struct tap tap = tap_open(PLAIN);
	unsigned int port = port_of(c, &tap);
	struct member m = member_new(c, 64, 1 << 20, 0), other = member_new(c, 64, 1 << 20, 0);
	int wire = wire_open(tap.index);

	CHECK_ERRNO(ioctl(m.fd, TURBOTAP_CROSS, 1), EINVAL);
	CHECK_ERRNO(ioctl(m.fd, TURBOTAP_CREATE, 0), ENOTTY);
	CHECK_ERRNO(try_receive(&m, port, 0, 257), EINVAL);
	m.lists->receive_count = 0;
	m.lists->send_count = 257;
	CHECK_ERRNO(ioctl(m.fd, TURBOTAP_CROSS, 0), EINVAL);
	CHECK_EQ(try_receive(&m, port, 0, 10), 0);
	CHECK_ERRNO(try_receive(&m, 12345, 0, 1), ENXIO);
	/* Slots of another member, and none of anybody's, can't be filled. */
	wire_send(wire, LENGTH, 1);
	CHECK_ERRNO(try_receive(&m, port, 64, 1), EINVAL);
	CHECK_ERRNO(try_receive(&m, port, (unsigned int)-1, 1), EINVAL);
	CHECK_ERRNO(try_receive(&m, port, 1u << 31, 1), EINVAL);
	receive(&m, port, 0, 1);
	CHECK_EQ(send_one(&m, m.first, 12345, TURBOTAP_SEND_KEEP), ENXIO);
	CHECK(slot_holds(c, m.first));
	CHECK_EQ(send_one(&m, m.first, port, 2), EINVAL);
	CHECK(slot_holds(c, m.first));
	CHECK_EQ(send_one(&m, other.first, port, 0), ENOENT);
	entry_set(&m, 0, m.first, port, 0);
	m.lists->send[0].slot = CROSSING_SLOTS;
	CHECK_EQ(try_cross(&m, 1), 0);
	CHECK_EQ(m.lists->send[0].result, -EINVAL);
	entry_set(&m, 0, m.first, port, 0);
	m.lists->send[0].generation++;
	CHECK_EQ(try_cross(&m, 1), 0);
	CHECK_EQ(m.lists->send[0].result, -ESTALE);
	CHECK_EQ(send_one(&m, m.first, TURBOTAP_RELEASE, 0), 0);
	CHECK_EQ(slots_held(c), 0);
	CHECK_ERRNO(read(m.fd, &m, 1), EINVAL);
	CHECK_ERRNO(write(c, &m, 1), EINVAL);
}

CASE(crossing_held_refuses)
{
	__u64 words[8];
	struct turbotap_held held = { sizeof(held), 0, CROSSING_SLOTS + 1, 0, (uintptr_t)words };
	int c = crossing_new();

	CHECK_ERRNO(ioctl(c, TURBOTAP_HELD, &held), EINVAL);
	held.count = 64;
	held.first = 32;
	CHECK_ERRNO(ioctl(c, TURBOTAP_HELD, &held), EINVAL);
	held.first = 0xffffffc0;
	CHECK_ERRNO(ioctl(c, TURBOTAP_HELD, &held), EINVAL);
	held.first = 0;
	held.bitmap = 8;
	CHECK_ERRNO(ioctl(c, TURBOTAP_HELD, &held), EFAULT);
}

/* Cells can't be written, whoever maps them; lists are a member's own. */
CASE(crossing_mappings)
{
	int c = crossing_new();
	struct member m = member_new(c, 64, 1 << 20, 0);
	void *memory;

	CHECK(mmap(NULL, 4096, PROT_WRITE | PROT_READ, MAP_SHARED, m.fd, 0) == MAP_FAILED);
	CHECK_EQ(errno, EACCES);
	CHECK(mmap(NULL, 4096, PROT_WRITE | PROT_READ, MAP_SHARED, c, 0) == MAP_FAILED);
	CHECK_EQ(errno, EACCES);
	CHECK(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, c, 0) == MAP_FAILED);
	CHECK_EQ(errno, EINVAL);
	CHECK(mmap(NULL, 4096, PROT_READ, MAP_SHARED, c, 0x40000000) == MAP_FAILED);
	CHECK_EQ(errno, EINVAL);
	CHECK(mmap(NULL, 4096, PROT_READ, MAP_SHARED, m.fd, 4096) == MAP_FAILED);
	CHECK(mmap(NULL, 1 << 20, PROT_READ, MAP_SHARED, m.fd, 0x40000000) == MAP_FAILED);
	memory = mmap(NULL, 4096, PROT_READ, MAP_SHARED, c, 0);
	CHECK(memory != MAP_FAILED);
	CHECK_ERRNO(mprotect(memory, 4096, PROT_READ | PROT_WRITE), EACCES);
	CHECK_ERRNO(mprotect((void *)m.cells, 4096, PROT_READ | PROT_WRITE), EACCES);
	CHECK(mremap(memory, 4096, 1 << 20, MREMAP_MAYMOVE) == MAP_FAILED);
}

/* A member holds at most its share of bytes; the others of its frames stay in the queue. */
CASE(crossing_bounds_bytes)
{
	int c = crossing_new();
	struct tap tap = tap_open(PLAIN);
	int wire = wire_open(tap.index);
	unsigned int port = port_of(c, &tap), held;
	struct member m = member_new(c, 256, 20000, 0), rich = member_new(c, 256, 1 << 22, 0);

	wire_send_many(wire, 1514, 1, 100);
	held = (unsigned int)DO(try_receive(&m, port, 0, 100));
	CHECK(held >= 4 && held < 20);
	CHECK(held_bytes(c) <= 20000);
	CHECK(held_bytes(c) >= held * 1514ul);
	CHECK_ERRNO(try_receive(&m, port, 100, 10), ENOBUFS);
	receive(&rich, port, 0, 100 - held);
	CHECK_EQ(frame_number(rich.cells[rich.first].headers), held + 1);
	send_slots(&m, 0, held, TURBOTAP_RELEASE);
	wire_send(wire, 1514, 1);
	receive(&m, port, 0, 1);
	member_close(&m);
	member_close(&rich);
	CHECK_EQ(held_bytes(c), 0);
}

/* Filling a slot again drops what it held, and nothing is counted twice. */
CASE(crossing_fills_again)
{
	int c = crossing_new();
	struct tap tap = tap_open(PLAIN);
	int wire = wire_open(tap.index);
	unsigned int port = port_of(c, &tap);
	struct member m = member_new(c, 64, 1 << 20, 0);
	unsigned long one;

	wire_send(wire, LENGTH, 1);
	receive(&m, port, 0, 1);
	one = held_bytes(c);
	for (unsigned int i = 0; i < 1000; i++) {
		wire_send(wire, LENGTH, i);
		receive(&m, port, 0, 1);
		CHECK_EQ(frame_number(m.cells[m.first].headers), i);
	}
	CHECK_EQ(held_bytes(c), one);
	CHECK_EQ(slots_held(c), 1);
}

/* What a crossing may hold is charged to its maker's cgroup at once: one too big for it is refused. */
CASE(crossing_charges_its_maker)
{
	char path[] = "/tmp/crossing-cgroup";
	long charged = 0;
	char line[128];
	FILE *file;
	int c;

	DO(unshare(CLONE_NEWNS));
	mkdir(path, 0755);
	if (mount("none", path, "cgroup2", 0, NULL))
		case_missing("cgroup2");
	DO(chdir(path));
	write_file("cgroup.subtree_control", "+memory");
	DO(mkdir("crossing", 0755));
	if (!write_file("crossing/memory.max", "67108864"))
		case_missing("the memory controller of cgroup2");
	CHECK(write_file("crossing/cgroup.procs", "0"));
	CHECK_ERRNO(try_crossing(64, 128, 100 << 20), ENOMEM);
	c = (int)DO(try_crossing(64, 128, 32 << 20));
	file = fopen("crossing/memory.stat", "re");
	while (file && fgets(line, sizeof(line), file))
		sscanf(line, "sock %ld", &charged);
	CHECK(charged >= 32 << 20);
	CHECK_ERRNO(try_crossing(64, 128, 32 << 20), ENOMEM);
	close(c);
	close((int)DO(try_crossing(64, 128, 32 << 20)));
	CHECK(write_file("cgroup.procs", "0"));
	DO(rmdir("crossing"));
}

/* The device is that of the file, whatever else has its name where the caller is. */
CASE(crossing_same_name_elsewhere)
{
	int c = crossing_new(), here = (int)DO(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
	int there = namespace_new(), decoy, right, wrong;
	struct tap tap = tap_open(PLAIN), other;
	struct member m = member_new(c, 64, 1 << 20, 0);
	unsigned int port;

	right = wire_open(tap.index);
	DO(setns(there, CLONE_NEWNET));
	decoy = tun_open(tap.name, IFF_TAP | IFF_NO_PI);
	link_up(tap.name);
	wrong = wire_open(link_index(tap.name));
	CHECK(decoy >= 0);
	port = port_of(c, &tap); /* called from there */
	DO(setns(here, CLONE_NEWNET));
	wire_send_many(right, LENGTH, 1, 2);
	receive(&m, port, 0, 2);
	send_slots(&m, 0, 1, port);
	wire_expect(right, LENGTH, 1);
	wire_expect_nothing(wrong);
	/* Renamed or not, the port knows its device. */
	other = tap_open(PLAIN);
	link_delete(other.index);
	send_slots(&m, 1, 1, port);
	wire_expect(right, LENGTH, 2);
}

/* A process without any capability, in another namespace, needs a member fd and nothing else. */
CASE(crossing_member_without_rights)
{
	int c = crossing_new(), ends[2];
	struct tap from = tap_open(PLAIN), to = tap_open(PLAIN);
	unsigned int in = port_of(c, &from), out = port_of(c, &to);
	struct member m = member_new(c, 64, 1 << 20, 0);
	int wires[2] = { wire_open(from.index), wire_open(to.index) };
	pid_t child;

	DO(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends));
	child = spawn();
	if (!child) {
		struct member mine;
		int fd = fd_receive(ends[1]);

		DO(unshare(CLONE_NEWNET));
		DO(setgid(65534));
		DO(setuid(65534));
		mine = member_map(fd, m.first, m.count, m.number);
		receive(&mine, in, 0, 1);
		send_slots(&mine, 0, 1, out);
		CHECK_ERRNO(ioctl(fd, TURBOTAP_PORT_DELETE, in), ENOTTY);
		CHECK_ERRNO(ioctl(fd, TURBOTAP_JOIN, 0), ENOTTY);
		exit(0);
	}
	fd_send(ends[0], m.fd);
	wire_send(wires[0], LENGTH, 1);
	join(child);
	wire_expect(wires[1], LENGTH, 1);
}

/* Who has a crossing, and no CAP_NET_RAW, makes no device port. */
CASE(crossing_device_needs_capability)
{
	int c = crossing_new();
	struct tap tap = tap_open(PLAIN);
	pid_t child = spawn();

	if (!child) {
		DO(setgid(65534));
		DO(setuid(65534));
		CHECK_ERRNO(try_port_device(c, tap.index), EPERM);
		CHECK(try_port_tap(c, tap.tun, 0) >= 0); /* it holds the tun fd */
		exit(0);
	}
	join(child);
}

/* No failing call is logged. */
CASE(crossing_log_stays_silent)
{
	int log = kernel_log_open(), c = crossing_new();
	struct tap tap = tap_open(PLAIN);
	struct member m = member_new(c, 64, 1 << 20, 0);
	unsigned int port = port_of(c, &tap);

	for (unsigned int i = 0; i < 100; i++) {
		CHECK_ERRNO(try_receive(&m, i, 0, 1), ENXIO);
		CHECK_ERRNO(try_port_tap(c, tap.tun, 99), EINVAL);
		CHECK_EQ(send_one(&m, m.first, port, 0), ENOENT);
	}
	CHECK_EQ(kernel_log_read(log, false), 0);
}
