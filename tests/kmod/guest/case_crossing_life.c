/* SPDX-License-Identifier: Apache-2.0 */
/* Crossings, ports, members, devices and namespaces end in any order, while frames are held. */
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crossing.h"
#include "frames.h"
#include "harness.h"
#include "kernel.h"
#include "link.h"

#define LENGTH 60
#define COUNT 20

struct stage {
	int crossing;
	struct tap from, to;
	int in, out;
	unsigned int from_port, to_port;
	struct member m;
};

static struct stage stage_make(void)
{
	struct stage s = { .crossing = crossing_new(), .from = tap_open(PLAIN), .to = tap_open(VNET10) };

	s.in = wire_open(s.from.index);
	s.out = wire_open(s.to.index);
	s.from_port = port_of(s.crossing, &s.from);
	s.to_port = port_of(s.crossing, &s.to);
	s.m = member_new(s.crossing, 64, CROSSING_ROOM / 2, 0);
	return s;
}

static void tap_close(struct tap *tap)
{
	close(tap->sock);
	close(tap->tun);
}

static struct stage stage_holding(void)
{
	struct stage s = stage_make();

	wire_send_many(s.in, LENGTH, 1, COUNT);
	receive(&s.m, s.from_port, 0, COUNT);
	CHECK_EQ(slots_held(s.crossing), COUNT);
	return s;
}

/* The source is deleted while its frames are held: it goes at once, and they arrive. */
CASE(crossing_source_deleted)
{
	struct stage s = stage_holding();

	link_delete(s.from.index);
	CHECK_EQ(link_index(s.from.name), 0);
	CHECK_ERRNO(try_receive(&s.m, s.from_port, 30, 1), EBADFD);
	send_slots(&s.m, 0, COUNT, s.to_port);
	wire_expect_many(s.out, LENGTH, 1, COUNT);
}

CASE(crossing_target_deleted)
{
	struct stage s = stage_holding();

	link_delete(s.to.index);
	CHECK_EQ(send_one(&s.m, s.m.first, s.to_port, 0), EBADFD);
	CHECK_EQ(send_one(&s.m, s.m.first + 1, s.from_port, 0), 0);
	wire_expect(s.in, LENGTH, 2);
}

/* A tun file gets another device: the port doesn't follow it. A new one of the same file does. */
CASE(crossing_tun_file_attached_again)
{
	struct stage s = stage_make();
	struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI, .ifr_name = "again" };
	unsigned int port;
	int wire;

	link_delete(s.from.index);
	DO(ioctl(s.from.tun, TUNSETIFF, &request));
	link_up("again");
	wire = wire_open(link_index("again"));
	wire_send(wire, LENGTH, 1);
	CHECK_ERRNO(try_receive(&s.m, s.from_port, 0, 1), EBADFD);
	CHECK_ERRNO(ioctl(s.from.tun, TUNSETIFF, &request), EEXIST);
	port = port_of(s.crossing, &s.from);
	receive(&s.m, port, 0, 1);
	send_slots(&s.m, 0, 1, port);
	wire_expect(wire, LENGTH, 1);
}

CASE(crossing_link_down)
{
	struct stage s = stage_holding();

	link_down(s.to.name);
	CHECK_EQ(send_one(&s.m, s.m.first, s.to_port, 0), EIO);
	link_up(s.to.name);
	s.out = wire_open(s.to.index);
	CHECK_EQ(send_one(&s.m, s.m.first + 1, s.to_port, 0), 0);
	wire_expect(s.out, LENGTH, 2);
}

/* Everybody's tun fd is closed: the port keeps the queue, until it's deleted. */
CASE(crossing_port_keeps_queue)
{
	struct stage s = stage_holding();

	tap_close(&s.to);
	send_slots(&s.m, 0, COUNT, s.to_port);
	wire_expect_many(s.out, LENGTH, 1, COUNT);
	port_delete(s.crossing, s.to_port);
	WAIT_FOR(!link_index(s.to.name));
}

CASE(crossing_port_numbers_never_come_back)
{
	struct stage s = stage_holding();
	unsigned int old = s.to_port;

	for (unsigned int i = 0; i < 50; i++) {
		unsigned int next;

		port_delete(s.crossing, s.to_port);
		CHECK_ERRNO(try_port_delete(s.crossing, s.to_port), ENXIO);
		next = port_of(s.crossing, &s.to);
		CHECK(next != s.to_port && next != old);
		s.to_port = next;
	}
	CHECK_EQ(send_one(&s.m, s.m.first, old, 0), ENXIO);
	CHECK_ERRNO(try_receive(&s.m, old, 30, 1), ENXIO);
	CHECK_EQ(send_one(&s.m, s.m.first + 1, s.to_port, 0), 0);
	wire_expect(s.out, LENGTH, 2);
	CHECK_ERRNO(try_port_delete(s.crossing, 0), ENXIO);
}

/* A member leaves with frames: they are dropped. The next one gets its slots, and old handles are stale. */
CASE(crossing_member_leaves_and_comes_back)
{
	struct stage s = stage_holding();
	struct member other = member_new(s.crossing, 64, 1 << 20, 0), again;
	unsigned int first = s.m.first, generation = s.m.cells[first].generation;

	member_close(&s.m);
	CHECK_EQ(slots_held(s.crossing), 0);
	CHECK_EQ(held_bytes(s.crossing), 0);
	again = member_new(s.crossing, 64, CROSSING_ROOM / 2, 0);
	CHECK_EQ(again.first, first);
	wire_send(s.in, LENGTH, 50);
	receive(&again, s.from_port, 0, 1);
	entry_set(&other, 0, first, s.to_port, 0);
	other.lists->send[0].generation = generation;
	CHECK_EQ(try_cross(&other, 1), 0);
	CHECK_EQ(other.lists->send[0].result, -ESTALE);
	CHECK_EQ(send_one(&again, first, s.to_port, 0), 0);
	wire_expect(s.out, LENGTH, 50);
	for (unsigned int i = 0; i < 200; i++) {
		member_close(&again);
		again = member_new(s.crossing, 64, CROSSING_ROOM / 2, 0);
	}
}

/* A mapping keeps a member after its fd is closed; the end of a process ends it. */
CASE(crossing_mapping_keeps_member)
{
	struct stage s = stage_holding();
	pid_t child;
	int ends[2];
	char byte;

	close(s.m.fd);
	CHECK_EQ(slots_held(s.crossing), COUNT);
	CHECK_EQ(s.m.cells[s.m.first].length, LENGTH);
	DO(pipe(ends));
	child = spawn();
	if (!child) { /* the child doesn't inherit the mappings */
		struct member m = member_new(s.crossing, 64, 1 << 20, 0);

		wire_send_many(s.in, LENGTH, 1, COUNT);
		receive(&m, s.from_port, 0, COUNT);
		CHECK_EQ(write(ends[1], "x", 1), 1);
		pause();
	}
	CHECK_EQ(DO(read(ends[0], &byte, 1)), 1);
	CHECK_EQ(slots_held(s.crossing), 2 * COUNT);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	WAIT_FOR(slots_held(s.crossing) == COUNT);
	DO(munmap(s.m.lists, sizeof(*s.m.lists)));
	DO(munmap((void *)s.m.cells, 64 * sizeof(*s.m.cells)));
	WAIT_FOR(slots_held(s.crossing) == 0);
}

CASE(crossing_child_has_no_mapping)
{
	struct stage s = stage_make();
	pid_t child = spawn();
	int status;

	if (!child)
		exit((int)s.m.lists->sent); /* SIGSEGV */
	DO(waitpid(child, &status, 0));
	CHECK(WIFSIGNALED(status));
	CHECK_EQ(WTERMSIG(status), SIGSEGV);
}

/* The crossing's fd is closed: its members go on. */
CASE(crossing_closed_first)
{
	struct stage s = stage_holding();

	close(s.crossing);
	tap_close(&s.from);
	send_slots(&s.m, 0, COUNT, s.to_port);
	wire_expect_many(s.out, LENGTH, 1, COUNT);
	wire_send(s.in, LENGTH, 9);
	receive(&s.m, s.from_port, 0, 1);
	member_close(&s.m);
	WAIT_FOR(!link_index(s.from.name));
}

/* All orders of closing four things, with frames held. */
CASE(crossing_close_orders)
{
	for (unsigned int order = 0; order < 24; order++) {
		struct stage s = stage_holding();
		unsigned int left = 0xf, code = order;

		for (unsigned int of = 4; of; of--) {
			unsigned int which = code % of, at = 0;

			code /= of;
			while (!(left >> at & 1) || which--)
				at++;
			left &= ~(1u << at);
			if (at == 0)
				tap_close(&s.from);
			else if (at == 1)
				tap_close(&s.to);
			else if (at == 2)
				close(s.crossing);
			else
				member_close(&s.m);
		}
		close(s.in);
		close(s.out);
		WAIT_FOR(!link_index(s.from.name) && !link_index(s.to.name));
	}
}

/* A tap moves to another namespace, and its port with it. */
CASE(crossing_tap_moves)
{
	struct stage s = stage_holding();
	int there = namespace_new();

	link_move(s.to.index, there);
	CHECK_EQ(send_one(&s.m, s.m.first, s.to_port, 0), EIO); /* the move set it down */
	DO(setns(there, CLONE_NEWNET));
	link_up(s.to.name);
	s.out = wire_open(link_index(s.to.name));
	for (unsigned int i = 1; i < COUNT; i++)
		CHECK_EQ(send_one(&s.m, s.m.first + i, s.to_port, 0), 0);
	wire_expect_many(s.out, LENGTH, 2, COUNT - 1);
	wire_send(s.out, LENGTH, 70);
	receive(&s.m, s.to_port, 40, 1);
}

/* A device port doesn't: who made it wasn't allowed to send there. */
CASE(crossing_device_moves)
{
	struct stage s = stage_holding();
	struct tap out = tap_open(PLAIN);
	unsigned int port = port_of_device(s.crossing, out.index);

	CHECK_EQ(send_one(&s.m, s.m.first, port, 0), 0);
	tap_expect(&out, LENGTH, 1);
	link_move(out.index, namespace_new());
	CHECK_EQ(send_one(&s.m, s.m.first + 1, port, 0), EBADFD);
	port_delete(s.crossing, port);
}

/* The namespace of a device port and of a moved tap vanishes with its devices, whoever holds frames of them. */
CASE(crossing_namespace_vanishes)
{
	struct stage s = stage_make();
	int there = namespace_new(), here = (int)DO(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
	struct tap inside;
	unsigned int port;

	inside = tap_open(PLAIN);
	link_move(inside.index, there);
	port = port_of(s.crossing, &inside);
	DO(setns(there, CLONE_NEWNET));
	link_up(inside.name);
	{
		int wire = wire_open(link_index(inside.name));

		wire_send_many(wire, LENGTH, 1, COUNT);
		receive(&s.m, port, 0, COUNT);
		close(wire);
	}
	DO(setns(here, CLONE_NEWNET));
	close(there);
	WAIT_FOR(try_receive(&s.m, port, 30, 1) < 0 && errno == EBADFD);
	send_slots(&s.m, 0, COUNT, s.to_port);
	wire_expect_many(s.out, LENGTH, 1, COUNT);
}

/* A queue that is detached and attached again. */
CASE(crossing_queue_detached)
{
	struct stage s = stage_make();
	struct tap tap = { .framing = &framings[PLAIN], .name = "multi" };
	int wire;

	tap.tun = tun_open("multi", IFF_TAP | IFF_NO_PI | IFF_MULTI_QUEUE);
	tap.index = link_index("multi");
	link_up("multi");
	wire = wire_open(tap.index);
	s.from_port = port_of(s.crossing, &tap);
	wire_send(wire, LENGTH, 1);
	queue_detach(tap.tun);
	CHECK_EQ(try_receive(&s.m, s.from_port, 0, 1), 0);
	queue_attach(tap.tun);
	wire_send(wire, LENGTH, 2);
	receive(&s.m, s.from_port, 0, 1);
	send_slots(&s.m, 0, 1, s.to_port);
	wire_expect(s.out, LENGTH, 2);
}

static int poll_ms(const struct member *m, int ms)
{
	struct pollfd ready = { .fd = m->fd, .events = POLLIN };

	return DO(poll(&ready, 1, ms)) ? ready.revents : 0;
}

static void listen_to(const struct member *m, unsigned int port, unsigned int frames, unsigned int us)
{
	struct turbotap_listen listen = { sizeof(listen), port, frames, us };

	DO(ioctl(m->fd, TURBOTAP_LISTEN, &listen));
}

CASE(crossing_poll)
{
	struct stage s = stage_make();
	struct turbotap_listen listen = { sizeof(listen), s.from_port, 2, 0 };
	pid_t child;

	CHECK_EQ(poll_ms(&s.m, 0), 0);
	CHECK_ERRNO(ioctl(s.m.fd, TURBOTAP_LISTEN, &listen), EINVAL);
	listen_to(&s.m, s.from_port, 1, 0);
	CHECK_EQ(poll_ms(&s.m, 0), 0);
	wire_send(s.in, LENGTH, 1);
	CHECK_EQ(poll_ms(&s.m, 0), POLLIN);
	receive(&s.m, s.from_port, 0, 1);
	CHECK_EQ(poll_ms(&s.m, 1), 0);
	/* Woken while it waits: by a frame, by the timer after a frame, by the 3rd frame. */
	for (unsigned int round = 0; round < 3; round++) {
		if (round)
			listen_to(&s.m, s.from_port, round == 1 ? 100 : 3, round == 1 ? 1000 : 1000000);
		child = spawn();
		if (!child) {
			sleep_ms(20);
			wire_send_many(s.in, LENGTH, 1, round == 2 ? 3 : 1);
			exit(0);
		}
		CHECK_EQ(poll_ms(&s.m, 30000), POLLIN);
		join(child);
		receive(&s.m, s.from_port, 0, round == 2 ? 3 : 1);
	}
	/* The device goes while it waits; then the port. */
	child = spawn();
	if (!child) {
		sleep_ms(20);
		link_delete(s.from.index);
		exit(0);
	}
	CHECK(poll_ms(&s.m, 30000) & POLLERR);
	join(child);
	port_delete(s.crossing, s.from_port);
	CHECK_EQ(poll_ms(&s.m, 0), 0);
	listen_to(&s.m, s.to_port, 1, 0);
	listen_to(&s.m, s.to_port, 0, 0);
	listen.frames = 1;
	CHECK_ERRNO(ioctl(s.m.fd, TURBOTAP_LISTEN, &listen), ENXIO);
	listen_to(&s.m, s.to_port, 1, 0);
	CHECK_EQ(poll_ms(&s.m, 1), 0); /* the case ends while it listens */
}
