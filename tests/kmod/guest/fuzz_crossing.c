/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fuzzer's calls for crossings.
 *
 * Threads share crossings, ports and the fds of members. A thread maps only its own member, and so only it
 * writes that one's lists; but any thread may make its calls, close its fd, or change what is below it.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "crossing.h"
#include "fuzz.h"
#include "fuzz_world.h"
#include "harness.h"
#include "link.h"

#define CROSSINGS 2
#define PORTS 8
#define SLOTS 256
#define CELLS_BYTES (SLOTS * sizeof(struct turbotap_cell))

static _Atomic int crossings[CROSSINGS], member_fds[FUZZ_THREADS];
static _Atomic unsigned int ports[CROSSINGS][PORTS];

static _Thread_local struct own_member {
	int crossing; /* its number */
	unsigned int first, count;
	struct turbotap_lists *lists;
	const struct turbotap_cell *cells;
} own;

static unsigned int some_port(unsigned int crossing, uint32_t *argument)
{
	unsigned int which = take(argument, PORTS + 2);

	if (which == PORTS)
		return TURBOTAP_RELEASE;
	if (which > PORTS)
		return *argument;
	for (unsigned int i = 0; i < PORTS && !ports[crossing][which]; i++)
		which = (which + 1) % PORTS;
	return ports[crossing][which];
}

static bool do_create(uint32_t argument)
{
	static const unsigned int bytes[] = { 100000, 1 << 20, 1 << 24, 1 << 24 };
	unsigned int which = take(&argument, CROSSINGS), header = 14 + take(&argument, 116);
	int fd, old;

	/* Seldom in place of one that is at work. */
	if (crossings[which] >= 0 && take(&argument, 8))
		return false;
	fd = try_crossing(SLOTS, header, bytes[take(&argument, 4)]);
	if (fd < 0)
		return false;
	for (unsigned int i = 0; i < PORTS; i++)
		ports[which][i] = 0;
	old = atomic_exchange(&crossings[which], fd);
	if (old >= 0)
		close(old);
	return true;
}

static bool port_put(unsigned int crossing, uint32_t argument, int port)
{
	if (port < 0)
		return false;
	ports[crossing][take(&argument, PORTS)] = (unsigned int)port;
	return true;
}

static bool do_port_tap(uint32_t argument)
{
	unsigned int which = take(&argument, CROSSINGS);
	int tun = tun_of(&argument);

	return port_put(
		which, argument,
		try_port_tap(crossings[which], tun, take(&argument, 4) ? 0 : 10 + take(&argument, 3)));
}

static bool do_port_device(uint32_t argument)
{
	unsigned int which = take(&argument, CROSSINGS);
	int index = link_index(take_device(&argument));

	return port_put(which, argument, try_port_device(crossings[which], index));
}

static bool do_port_delete(uint32_t argument)
{
	unsigned int which = take(&argument, CROSSINGS);

	return try_port_delete(crossings[which], some_port(which, &argument)) == 0;
}

static bool leave(void)
{
	int fd = atomic_exchange(&member_fds[thread_self()], -1);
	bool had = own.lists;

	if (own.lists)
		munmap(own.lists, sizeof(*own.lists));
	if (own.cells)
		munmap((void *)own.cells, CELLS_BYTES);
	own = (struct own_member){ 0 };
	if (fd >= 0)
		close(fd);
	return had;
}

static bool do_leave(uint32_t argument)
{
	(void)argument;
	return leave();
}

static bool do_join(uint32_t argument)
{
	static const unsigned int bytes[] = { 1, 20000, 50000, 1 << 20, 1 << 20, 1 << 20 };
	unsigned int which = take(&argument, CROSSINGS);
	struct turbotap_member join = {
		.slots = 1 + take(&argument, SLOTS / FUZZ_THREADS),
		.rights = take(&argument, 3) ? 3 : take(&argument, 4),
		.bytes = bytes[take(&argument, 6)],
	};
	void *lists, *cells;
	int fd;

	leave();
	fd = try_join(crossings[which], &join);
	if (fd < 0)
		return false;
	lists = mmap(NULL, sizeof(*own.lists), PROT_READ | PROT_WRITE, MAP_SHARED, fd, TURBOTAP_MAP_LISTS);
	cells = mmap(NULL, CELLS_BYTES, PROT_READ, MAP_SHARED, fd, TURBOTAP_MAP_CELLS);
	member_fds[thread_self()] = fd;
	/* Another thread may have closed the fd already, and put something else there. */
	own = (struct own_member){ (int)which, join.first, join.slots, NULL, NULL };
	if (lists != MAP_FAILED)
		own.lists = lists;
	if (cells != MAP_FAILED)
		own.cells = cells;
	if (!own.lists || !own.cells)
		leave();
	return own.lists;
}

static void want_frames(uint32_t argument)
{
	unsigned int wrong = take(&argument, 64), step = 1 + take(&argument, 3), at = take(&argument, SLOTS);
	unsigned int count = take(&argument, 70);

	own.lists->receive_port = some_port((unsigned int)own.crossing, &argument);
	own.lists->receive_count = wrong == 1 ? 257 : count;
	for (unsigned int i = 0; i < count; i++)
		own.lists->receive[i] = own.first + (at + step * i) % own.count;
	if (wrong == 0)
		own.lists->receive[argument % TURBOTAP_CROSSING_BATCH] = argument;
}

static void give_frames(uint32_t argument)
{
	unsigned int count = take(&argument, 100), at = own.first + take(&argument, own.count);
	unsigned int strange = take(&argument, 40);
	unsigned int port = some_port((unsigned int)own.crossing, &argument);
	unsigned int rewrite = take(&argument, 3) ? 0 : take(&argument, 130);

	for (unsigned int i = 0; i < count; i++) {
		unsigned int slot = (at + i) % SLOTS;

		own.lists->send[i] = (struct turbotap_send){
			.slot = slot,
			.generation = own.cells[slot].generation,
			.port = i % 8 == 7 ? TURBOTAP_RELEASE : port,
			.rewrite = (__u16)rewrite,
			.flags = (i + strange) % 5 == 0,
		};
		for (unsigned int b = 0; b < rewrite && b < 128; b++)
			own.lists->headers[i][b] =
				(unsigned char)(own.cells[slot].headers[b] ^ (b == strange ? argument : 0));
	}
	if (strange == 0)
		own.lists->send[argument % TURBOTAP_CROSSING_BATCH].slot = argument;
	own.lists->send_count = strange == 1 ? 257 : count;
}

static bool do_receive(uint32_t argument)
{
	if (!own.lists && !do_join(argument))
		return false;
	own.lists->send_count = 0;
	wire_some(argument);
	want_frames(argument);
	return ioctl(member_fds[thread_self()], TURBOTAP_CROSS, 0) > 0;
}

static bool do_deliver(uint32_t argument)
{
	if (!own.lists && !do_join(argument))
		return false;
	give_frames(argument);
	own.lists->receive_count = 0;
	return ioctl(member_fds[thread_self()], TURBOTAP_CROSS, 0) == 0 && own.lists->sent;
}

static bool do_cross(uint32_t argument)
{
	if (!own.lists && !do_join(argument))
		return false;
	wire_some(argument);
	give_frames(argument);
	want_frames(argument * 2654435761u);
	return ioctl(member_fds[thread_self()], TURBOTAP_CROSS, 0) >= 0;
}

/* Another member's call, with whatever is in its lists now. */
static bool do_cross_other(uint32_t argument)
{
	return ioctl(member_fds[take(&argument, FUZZ_THREADS)], TURBOTAP_CROSS, 0) >= 0;
}

static bool do_copy_out(uint32_t argument)
{
	struct turbotap_copy list[8];
	struct turbotap_copies copies = { sizeof(copies), 1 + take(&argument, 8), (uintptr_t)list };
	unsigned int at = take(&argument, SLOTS), how = take(&argument, 8);
	bool some = false;

	if (!own.cells)
		return false;
	if (how > 2)
		at = own.first + at % own.count;
	for (unsigned int i = 0; i < copies.count; i++)
		list[i] = (struct turbotap_copy){
			.slot = (at + i) % SLOTS,
			.generation = own.cells[(at + i) % SLOTS].generation,
			.buffer = (uintptr_t)(how == 0 ? (void *)8 : memory_for(&argument)),
			.length = how == 1 ? argument : 1500,
			.offset = how == 2 ? argument : 0,
			.flags = how & 1,
		};
	if (ioctl(member_fds[thread_self()], TURBOTAP_COPY_OUT, &copies) < 0)
		return false;
	for (unsigned int i = 0; i < copies.count; i++)
		some |= list[i].result > 0;
	return some;
}

static bool do_listen(uint32_t argument)
{
	unsigned int frames = take(&argument, 4);
	struct turbotap_listen listen = { .size = sizeof(listen), .frames = frames };

	if (!own.lists)
		return false;
	listen.port = some_port((unsigned int)own.crossing, &argument);
	listen.microseconds = frames > 1 ? 1 + take(&argument, 2000) : 0;
	return ioctl(member_fds[thread_self()], TURBOTAP_LISTEN, &listen) == 0;
}

static bool do_poll_members(uint32_t argument)
{
	struct pollfd ready[FUZZ_THREADS];

	for (unsigned int i = 0; i < FUZZ_THREADS; i++)
		ready[i] = (struct pollfd){ .fd = member_fds[i], .events = POLLIN };
	return poll(ready, FUZZ_THREADS, (int)take(&argument, 3)) >= 0;
}

static bool do_held(uint32_t argument)
{
	__u64 words[SLOTS / 64];
	struct turbotap_held held = { sizeof(held), 64 * take(&argument, 6), take(&argument, SLOTS + 9), 0,
				      (uintptr_t)words };

	return ioctl(crossings[take(&argument, CROSSINGS)], TURBOTAP_HELD, &held) == 0;
}

static bool do_look(uint32_t argument)
{
	int of = take(&argument, 2) ? crossings[take(&argument, CROSSINGS)] :
				      member_fds[take(&argument, FUZZ_THREADS)];
	size_t length = (size_t)4096 << take(&argument, 6);
	void *memory =
		mmap(NULL, length, PROT_READ, MAP_SHARED, of, take(&argument, 3) ? 0 : TURBOTAP_MAP_LISTS);

	if (memory != MAP_FAILED)
		munmap(memory, length);
	return read_fdinfo(of);
}

static bool do_close_crossing(uint32_t argument)
{
	int fd = atomic_exchange(take(&argument, 4) ? &member_fds[take(&argument, FUZZ_THREADS)] :
						      &crossings[take(&argument, CROSSINGS)],
				 -1);

	return fd >= 0 && close(fd) == 0;
}

const struct operation crossing_operations[] = {
	{ "x_create", do_create, 3, true },
	{ "x_port_tap", do_port_tap, 16, true },
	{ "x_port_device", do_port_device, 4, true },
	{ "x_port_delete", do_port_delete, 2, true },
	{ "x_join", do_join, 6, true },
	{ "x_leave", do_leave, 2, true },
	{ "x_receive", do_receive, 24, true },
	{ "x_deliver", do_deliver, 24, true },
	{ "x_cross", do_cross, 16, true },
	{ "x_cross_other", do_cross_other, 6, true },
	{ "x_copy_out", do_copy_out, 12, true },
	{ "x_listen", do_listen, 4, true },
	{ "x_poll", do_poll_members, 4, true },
	{ "x_held", do_held, 2, true },
	{ "x_look", do_look, 3, true },
	{ "x_close", do_close_crossing, 1, true },
};
const unsigned int crossing_operation_count = sizeof(crossing_operations) / sizeof(crossing_operations[0]);

void crossings_make(void)
{
	for (unsigned int i = 0; i < CROSSINGS; i++)
		crossings[i] = try_crossing(SLOTS, 128, 1 << 24);
	for (unsigned int i = 0; i < FUZZ_THREADS; i++)
		member_fds[i] = -1;
}

void crossings_leave(void)
{
	leave();
}

void crossings_end(void)
{
	for (unsigned int i = 0; i < CROSSINGS; i++)
		if (crossings[i] >= 0)
			close(crossings[i]);
	for (unsigned int i = 0; i < FUZZ_THREADS; i++)
		if (member_fds[i] >= 0)
			close(member_fds[i]);
}
