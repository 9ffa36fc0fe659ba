/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Failing allocations of crossings. A call that makes something returns ENOMEM or ENFILE and leaves nothing
 * behind. Of received frames, each is in a slot, lost and counted so, or still in the queue. Of entries that
 * are sent, each has its result, and no frame and no byte is left when all are gone.
 */
#include <linux/if_packet.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "crossing.h"
#include "failslab.h"
#include "frames.h"
#include "harness.h"
#include "kernel.h"
#include "link.h"

#define FRAMES 8
#define LENGTH 60

static int control, crossing;
static struct tap from, to;
static int in, out;
static unsigned int from_port, to_port, wire_port;
static struct member m;

static void stage_make(void)
{
	control = control_open();
	crossing = crossing_new();
	from = tap_open(PLAIN);
	to = tap_open(VNET10);
	in = wire_open(from.index);
	out = wire_open(to.index);
	from_port = port_of(crossing, &from);
	to_port = port_of(crossing, &to);
	wire_port = port_of_device(crossing, to.index);
	m = member_new(crossing, 64, 1 << 20, TURBOTAP_RIGHT_COPY | TURBOTAP_RIGHT_REWRITE);
}

static int make_crossing(void)
{
	return create_crossing(control, 64, 128, 1 << 20);
}

static int make_port_tap(void)
{
	return try_port_tap(crossing, to.tun, 10);
}

static int make_port_device(void)
{
	return try_port_device(crossing, to.index);
}

static int make_member(void)
{
	struct turbotap_member join = { .slots = 8, .bytes = 4096 };

	return try_join(crossing, &join);
}

static int make_listener(void)
{
	struct turbotap_listen listen = { sizeof(listen), from_port, 1, 0 };

	return ioctl(m.fd, TURBOTAP_LISTEN, &listen);
}

static void unmake_port(int port)
{
	port_delete(crossing, (unsigned int)port);
}

static void unmake_fd(int fd)
{
	close(fd);
}

static void unmake_nothing(int zero)
{
	(void)zero;
}

static void make_rounds(const char *name, int (*make)(void), void (*unmake)(int))
{
	int references = module_references(), made, error;
	unsigned int descriptors = open_descriptors(), n;

	for (n = 1;; n++) {
		bool failed;

		CHECK(n < MOST_ALLOCATIONS);
		inject(n);
		made = make();
		error = errno;
		failed = injected();
		if (made >= 0)
			unmake(made);
		if (made >= 0 && !failed)
			break;
		CHECK(made >= 0 || failed);
		if (made < 0 && error != ENOMEM && error != ENFILE)
			FAIL("%s failed with %s", name, strerror(error));
		CHECK_EQ(open_descriptors(), descriptors);
		if (!module_references_settle(references))
			FAIL("a failed %s left a reference", name);
	}
	printf("ok %s: %u allocations failed in turn\n", name, n - 1);
}

static unsigned int receive_all(unsigned int at, unsigned int *lost)
{
	int got = (int)DO(try_receive(&m, from_port, at, FRAMES));

	*lost += m.lists->lost;
	return (unsigned int)got;
}

/* Frames come by a packet socket's clone, so some must be copied; one send is a clone, one is rewritten. */
static void cross_rounds(void)
{
	struct sockaddr_ll all = { .sll_family = AF_PACKET,
				   .sll_protocol = 0x0300,
				   .sll_ifindex = from.index };
	int tee = (int)DO(socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0));
	bool failed = true;
	unsigned int n;

	DO(bind(tee, (struct sockaddr *)&all, sizeof(all)));
	for (n = 1; failed; n++) {
		unsigned int got, lost = 0, ports[3] = { to_port, wire_port, TURBOTAP_RELEASE };

		CHECK(n < MOST_ALLOCATIONS);
		wire_send_many(in, LENGTH, n * FRAMES, FRAMES);
		inject(n);
		got = receive_all(0, &lost);
		got += receive_all(got, &lost);
		CHECK_EQ(got + lost, FRAMES);
		for (unsigned int i = 0; i < got; i++) {
			entry_set(&m, i, m.first + i, ports[i % 3], i == 0 ? TURBOTAP_SEND_KEEP : 0);
			m.lists->send[i].rewrite = i % 3 == 2 ? 0 : i % 2 ? 12 : 14;
			memcpy(m.lists->headers[i], m.cells[m.first + i].headers, 14);
		}
		m.lists->send_count = got;
		m.lists->receive_count = 0;
		DO(ioctl(m.fd, TURBOTAP_CROSS, 0));
		failed = injected();
		for (unsigned int i = 0; i < got; i++) {
			int result = m.lists->send[i].result;

			CHECK(result == 0 || (failed && (result == -ENOMEM || result == -ENOBUFS)));
		}
		if (slot_holds(crossing, m.first))
			CHECK_EQ(send_one(&m, m.first, TURBOTAP_RELEASE, 0), 0);
		CHECK_EQ(slots_held(crossing), 0);
		CHECK_EQ(held_bytes(crossing), 0);
		wire_drain(out);
		wire_drain(tee);
		while (recv(to.sock, m.lists->headers, 2000, MSG_DONTWAIT) >= 0)
			;
	}
	printf("ok cross: %u allocations failed in turn\n", n - 1);
}

void crossing_rounds(unsigned int which)
{
	stage_make();
	if (which == 0)
		make_rounds("create", make_crossing, unmake_fd);
	else if (which == 1)
		make_rounds("port of a tap", make_port_tap, unmake_port);
	else if (which == 2)
		make_rounds("port of a device", make_port_device, unmake_port);
	else if (which == 3)
		make_rounds("join", make_member, unmake_fd);
	else if (which == 4)
		make_rounds("listen", make_listener, unmake_nothing);
	else
		cross_rounds();
}
