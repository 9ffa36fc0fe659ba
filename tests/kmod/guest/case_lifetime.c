/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lifetimes. A socket, its tun fd, its device, its namespace and the module end in any order, while a reader
 * waits or frames are queued. kmod/README.md has the table of what happens then.
 */
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "frames.h"
#include "harness.h"
#include "kernel.h"
#include "link.h"

#define LENGTH 60

static bool device_exists(const struct tap *tap)
{
	return link_index(tap->name) != 0;
}

CASE(lifetime_tun_closed_first)
{
	struct tap tap = tap_open(PLAIN);
	int wire = wire_open(tap.index);

	close(tap.tun);
	tap_check(&tap, wire, 1);
	CHECK(device_exists(&tap));
	close(tap.sock);
	WAIT_FOR(!device_exists(&tap));
}

CASE(lifetime_socket_closed_first)
{
	struct tap tap = tap_open(PLAIN);
	int wire = wire_open(tap.index);
	char frame[LENGTH];

	tap_check(&tap, wire, 1);
	close(tap.sock);
	frame_fill(frame, LENGTH, 3);
	CHECK_EQ(DO(write(tap.tun, frame, LENGTH)), LENGTH);
	wire_expect(wire, LENGTH, 3);
	wire_send(wire, LENGTH, 4);
	CHECK_EQ(DO(read(tap.tun, frame, LENGTH)), LENGTH);
	frame_check(frame, LENGTH, 4);
	tap.sock = attach(tap.tun, TURBOTAP_ATTACH_BATCH | TURBOTAP_ATTACH_NONBLOCK, 0);
	tap_check(&tap, wire, 5);
	close(tap.tun);
	close(tap.sock);
	WAIT_FOR(!device_exists(&tap));
}

CASE(lifetime_dup)
{
	struct tap tap = tap_open(PLAIN), copy = tap;
	int wire = wire_open(tap.index);

	copy.sock = (int)DO(dup(tap.sock));
	tap_check(&tap, wire, 1);
	tap_check(&copy, wire, 3);
	CHECK_EQ(counter(copy.sock, "tx-frames"), 2);
	close(tap.sock);
	close(tap.tun);
	tap_check(&copy, wire, 5);
}

CASE(lifetime_fork)
{
	struct tap tap = tap_open(PLAIN);
	int wire = wire_open(tap.index);
	pid_t child = spawn();
	int until[2];
	char byte;

	if (!child) {
		close(tap.tun);
		tap_send(&tap, LENGTH, 1);
		exit(0);
	}
	join(child);
	wire_expect(wire, LENGTH, 1);
	tap_check(&tap, wire, 2);

	DO(pipe(until));
	child = spawn();
	if (!child) {
		close(until[1]);
		sleep_ms(20);
		tap_send(&tap, LENGTH, 4);
		/* A wire reports a deleted device before it gives its frames: wait until they are read. */
		CHECK_EQ(DO(read(until[0], &byte, 1)), 0);
		exit(0);
	}
	close(tap.sock);
	close(tap.tun);
	wire_expect(wire, LENGTH, 4);
	close(until[1]);
	join(child);
	WAIT_FOR(!device_exists(&tap));
}

/* A socket in flight between processes has no descriptor. */
CASE(lifetime_in_flight)
{
	struct tap tap = tap_open(PLAIN);
	int wire = wire_open(tap.index), ends[2];

	DO(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends));
	fd_send(ends[0], tap.sock);
	close(tap.sock);
	close(tap.tun);
	CHECK(device_exists(&tap));
	tap.sock = fd_receive(ends[1]);
	tap_check(&tap, wire, 1);

	fd_send(ends[0], tap.sock);
	close(tap.sock);
	close(ends[0]);
	CHECK(device_exists(&tap));
	close(ends[1]);
	WAIT_FOR(!device_exists(&tap));
}

/* Start a reader and return when it waits. When the device is deleted, it must get EBADFD. */
static pid_t blocked_reader(int sock, bool burst)
{
	const struct framing *framing = &framings[PLAIN];
	pid_t child = spawn();
	char path[32], state = 0;

	if (!child) {
		struct buffers *b = buffers_new(framing, 8, LENGTH);

		CHECK_ERRNO(move_in(burst ? BURST : MMSG, sock, b, 0, 8, 0), EBADFD);
		exit(0);
	}
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)child);
	while (state != 'S') {
		FILE *file = fopen(path, "re");

		if (!file || fscanf(file, "%*d %*s %c", &state) != 1)
			FAIL("the reader is gone");
		fclose(file);
		sleep_ms(1);
	}
	sleep_ms(20); /* it may sleep elsewhere; returning too early only weakens the test */
	return child;
}

CASE(lifetime_device_deleted_under_readers)
{
	struct tap tap = tap_open(PLAIN);
	struct pollfd ready = { .fd = tap.sock, .events = POLLIN | POLLOUT };
	int other = attach(tap.tun, 0, 0);
	pid_t readers[3];

	set_burst(other, true);
	set_nonblocking(tap.sock, false);
	readers[0] = blocked_reader(tap.sock, false);
	readers[1] = blocked_reader(tap.sock, false);
	readers[2] = blocked_reader(other, true);
	link_delete(tap.index);
	for (unsigned int i = 0; i < 3; i++)
		join(readers[i]);
	CHECK_EQ(DO(poll(&ready, 1, 0)), 1);
	CHECK_EQ(ready.revents, POLLERR);
	CHECK_ERRNO(recv(tap.sock, &ready, sizeof(ready), 0), EBADFD);
	CHECK_ERRNO(recv(tap.sock, &ready, sizeof(ready), MSG_DONTWAIT), EBADFD);
	CHECK_ERRNO(try_tap_send(&tap, LENGTH, 1, 0), EBADFD);
	CHECK_ERRNO(try_tap_send(&tap, LENGTH, 1, MSG_BATCH), EBADFD);
}

/* A poll that waits when the device is deleted returns. */
CASE(lifetime_device_deleted_under_poll)
{
	struct tap tap = tap_open(PLAIN);
	pid_t child = spawn();

	if (!child) {
		struct pollfd ready = { .fd = tap.sock, .events = POLLIN };

		CHECK_EQ(DO(poll(&ready, 1, 10000)), 1);
		CHECK(ready.revents & POLLERR);
		exit(0);
	}
	sleep_ms(50);
	link_delete(tap.index);
	join(child);
}

CASE(lifetime_device_deleted_with_a_batch)
{
	struct tap tap = tap_open(PLAIN);

	for (unsigned int i = 0; i < 3; i++)
		CHECK_EQ(DO(try_tap_send(&tap, LENGTH, i, MSG_BATCH)), LENGTH);
	link_delete(tap.index);
	WAIT_FOR(counter(tap.sock, "tx-frames") + counter(tap.sock, "tx-dropped") == 3);
	CHECK_ERRNO(try_tap_send(&tap, LENGTH, 3, 0), EBADFD);
	CHECK_EQ(counter(tap.sock, "tx-frames") + counter(tap.sock, "tx-dropped"), 3);
}

/* If the tun fd gets another device, the socket belongs to that one. */
CASE(lifetime_next_device)
{
	struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI };
	struct tap tap = tap_open(PLAIN);
	int wire;

	link_delete(tap.index);
	CHECK_ERRNO(try_tap_send(&tap, LENGTH, 1, 0), EBADFD);
	DO(ioctl(tap.tun, TUNSETIFF, &request));
	snprintf(tap.name, sizeof(tap.name), "%s", request.ifr_name);
	tap.index = link_index(tap.name);
	link_up(tap.name);
	wire = wire_open(tap.index);
	tap_check(&tap, wire, 1);
}

CASE(lifetime_device_moved)
{
	struct tap tap = tap_open(PLAIN);
	int there = namespace_new(), wire;

	link_move(tap.index, there);
	DO(setns(there, CLONE_NEWNET));
	tap.index = link_index(tap.name);
	link_up(tap.name);
	wire = wire_open(tap.index);
	tap_check(&tap, wire, 1);
	set_burst(tap.sock, true);
	CHECK_EQ(DO(try_tap_send(&tap, LENGTH, 3, 0)), 1);
	wire_expect(wire, LENGTH, 3);
}

/* The device's namespace ends, and the device with it, while the socket is open. */
CASE(lifetime_namespace_ends)
{
	struct tap tap = tap_open(PLAIN);
	int there = namespace_new();
	struct pollfd ready = { .fd = tap.sock, .events = POLLIN };

	link_move(tap.index, there);
	close(there);
	CHECK_EQ(DO(poll(&ready, 1, 10000)), 1);
	CHECK(ready.revents & POLLERR);
	/* The device is said to be going before its queues are gone; until then it is down. */
	WAIT_FOR(try_tap_send(&tap, LENGTH, 1, 0) == -1 && errno != EIO);
	CHECK_ERRNO(try_tap_send(&tap, LENGTH, 1, 0), EBADFD);
}

CASE(lifetime_detached_queue)
{
	short flags = IFF_TAP | IFF_NO_PI | IFF_MULTI_QUEUE;
	struct tap tap = { .framing = &framings[PLAIN], .tun = tun_open(NULL, flags) };
	int other, wire;

	snprintf(tap.name, sizeof(tap.name), "%s", tun_name(tap.tun));
	tap.index = link_index(tap.name);
	tap.sock = attach(tap.tun, TURBOTAP_ATTACH_BATCH | TURBOTAP_ATTACH_NONBLOCK, 0);
	link_up(tap.name);
	wire = wire_open(tap.index);
	wire_send(wire, LENGTH, 1);
	queue_detach(tap.tun);
	tap_expect_nothing(&tap); /* tun drops the frames in the queue */
	CHECK_EQ(DO(try_tap_send(&tap, LENGTH, 2, 0)), LENGTH);
	CHECK_EQ(DO(try_tap_send(&tap, LENGTH, 3, MSG_BATCH)), LENGTH);
	wire_expect_many(wire, LENGTH, 2, 2);

	other = tun_open(tap.name, flags);
	wire_send_many(wire, LENGTH, 4, 4);
	tap_expect_nothing(&tap);
	close(other);
	queue_attach(tap.tun);
	tap_check(&tap, wire, 8);
	CHECK_EQ(counter(tap.sock, "tx-dropped"), 0);
}

/* Each frame goes to one of the two sockets. All frames that they send arrive. */
CASE(lifetime_two_sockets_on_a_queue)
{
	struct tap one = tap_open(PLAIN), two = one;
	int wire = wire_open(one.index);
	struct buffers *b = buffers_new(one.framing, 20, LENGTH);
	unsigned int next = 0;

	two.sock = attach(one.tun, TURBOTAP_ATTACH_NONBLOCK, 0);
	set_burst(two.sock, true);
	wire_send_many(wire, LENGTH, 0, 20);
	while (next < 20) {
		tap_expect(&one, LENGTH, next);
		CHECK_EQ(DO(move_in(BURST, two.sock, b, 0, 3, 0)), 3);
		for (unsigned int i = 0; i < 3; i++)
			buffer_check(b, i, LENGTH, next + 1 + i);
		next += 4;
	}
	tap_expect_nothing(&one);
	for (unsigned int i = 0; i < 10; i++) {
		buffers_fill(b, LENGTH, 100 + i * 21);
		tap_send(&one, LENGTH, 100 + i * 21 + 20);
		CHECK_EQ(DO(move_out(BURST, two.sock, b, 0, 20, 0)), 20);
		wire_expect(wire, LENGTH, 100 + i * 21 + 20);
		wire_expect_many(wire, LENGTH, 100 + i * 21, 20);
	}
	close(two.sock);
	tap_check(&one, wire, 1000);
}

CASE(lifetime_persistent_device)
{
	struct tap tap = tap_open(PLAIN);
	int wire = wire_open(tap.index);

	DO(ioctl(tap.tun, TUNSETPERSIST, 1));
	close(tap.tun);
	tap_check(&tap, wire, 1);
	close(tap.sock);
	CHECK(device_exists(&tap));
	tap.tun = tun_open(tap.name, IFF_TAP | IFF_NO_PI);
	tap.sock = attach(tap.tun, TURBOTAP_ATTACH_BATCH | TURBOTAP_ATTACH_NONBLOCK, 0);
	/* The kernel acts on the returned carrier some time later, but on this at once. */
	DO(try_link_set_up(tap.name, false));
	link_up(tap.name);
	wire = wire_open(tap.index);
	tap_check(&tap, wire, 3);
	DO(ioctl(tap.tun, TUNSETPERSIST, 0));
	close(tap.tun);
	close(tap.sock);
	WAIT_FOR(!device_exists(&tap));
}

/* A process is killed with everything open, a batch waiting, and a read waiting. */
CASE(lifetime_killed)
{
	struct tap tap;
	pid_t child;
	int ends[2];

	DO(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends));
	child = spawn();
	if (!child) {
		tap = tap_open(PLAIN);
		set_nonblocking(tap.sock, false);
		DO(try_tap_send(&tap, LENGTH, 1, MSG_BATCH));
		CHECK_EQ(DO(write(ends[1], &tap, sizeof(tap))), sizeof(tap));
		recv(tap.sock, &tap, sizeof(tap), 0);
		FAIL("a frame came from nowhere");
	}
	CHECK_EQ(DO(read(ends[0], &tap, sizeof(tap))), sizeof(tap));
	CHECK(device_exists(&tap));
	DO(kill(child, SIGKILL));
	WAIT_FOR(!device_exists(&tap));
}

/* Unloading is refused, without waiting, while a socket or the node is open. */
CASE(lifetime_module)
{
	int references = module_references(), control, tun;
	struct tap tap = tap_open(PLAIN);

	CHECK(module_references_settle(references + 2)); /* for its operations, and for its protocol */
	CHECK_ERRNO(syscall(SYS_delete_module, "turbotap", O_NONBLOCK), EAGAIN);
	close(tap.tun);
	CHECK_ERRNO(syscall(SYS_delete_module, "turbotap", O_NONBLOCK), EAGAIN);
	tun = (int)DO(dup(tap.sock));
	close(tap.sock);
	CHECK_ERRNO(syscall(SYS_delete_module, "turbotap", O_NONBLOCK), EAGAIN);
	tap.sock = tun;
	CHECK_EQ(DO(try_tap_send(&tap, LENGTH, 1, 0)), LENGTH);
	close(tap.sock);
	CHECK(module_references_settle(references));
	control = control_open();
	CHECK_EQ(module_references(), references + 1);
	CHECK_ERRNO(syscall(SYS_delete_module, "turbotap", O_NONBLOCK), EAGAIN);
	close(control);
}

/* Open and close a hundred times, so that the runner and the kernel's checks find any leak. */
CASE(lifetime_many)
{
	for (unsigned int i = 0; i < 100; i++) {
		int tun = tun_open(NULL, IFF_TAP | IFF_NO_PI | IFF_VNET_HDR);
		int sock = attach(tun, TURBOTAP_ATTACH_BATCH, 10);

		if (i % 2)
			close(tun);
		close(sock);
		if (i % 2 == 0)
			close(tun);
	}
}
