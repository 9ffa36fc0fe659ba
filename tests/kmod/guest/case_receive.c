/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Receiving: how long a call waits, what ends it, and how many frames it takes; frames that don't fit, and
 * frames whose copy fails.
 */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/time.h>
#include <unistd.h>

#include "frames.h"
#include "harness.h"
#include "link.h"

#define LENGTH 100

CASE(receive_truncated)
{
	struct tap tap = tap_open(PLAIN);
	int wire = wire_open(tap.index);
	char whole[LENGTH], part[LENGTH];

	frame_fill(whole, LENGTH, 1);
	for (unsigned int i = 0; i < 2; i++) {
		struct iovec iov = { part, 40 };
		struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };

		memset(part, 0xaa, sizeof(part));
		wire_send(wire, LENGTH, 1);
		CHECK_EQ(DO(recvmsg(tap.sock, &message, i ? MSG_TRUNC : 0)), i ? LENGTH : 40);
		CHECK_EQ(message.msg_flags & MSG_TRUNC, MSG_TRUNC);
		CHECK(!memcmp(part, whole, 40));
		CHECK_EQ((unsigned char)part[40], 0xaa);
		iov.iov_len = sizeof(part);
		wire_send(wire, LENGTH, 1);
		CHECK_EQ(DO(recvmsg(tap.sock, &message, i ? MSG_TRUNC : 0)), LENGTH);
		CHECK_EQ(message.msg_flags & MSG_TRUNC, 0);
	}
	tap_expect_nothing(&tap); /* the rest of a truncated frame is gone */
}

CASE(receive_truncated_in_a_burst)
{
	struct tap tap = tap_open(VNET10);
	struct buffers *b = buffers_new(tap.framing, 4, LENGTH);
	int wire = wire_open(tap.index);
	char whole[LENGTH];

	set_burst(tap.sock, true);
	frame_fill(whole, LENGTH, 2);
	wire_send_many(wire, LENGTH, 1, 4);
	b->iov[1].iov_len = 10 + 40;
	memset(b->iov[1].iov_base, 0xaa, b->room);
	CHECK_EQ(DO(move_in(BURST, tap.sock, b, 0, 4, 0)), 4);
	CHECK_EQ(b->lengths[1], 10 + LENGTH); /* longer than its iovec: truncated */
	CHECK(!memcmp((char *)b->iov[1].iov_base + 10, whole, 40));
	CHECK_EQ(((unsigned char *)b->iov[1].iov_base)[50], 0xaa);
	for (unsigned int i = 0; i < 4; i++)
		if (i != 1)
			buffer_check(b, i, LENGTH, 1 + i);
}

CASE(receive_msg_trunc_of_a_burst)
{
	char frame[LENGTH];
	struct tap tap = tap_open(PLAIN);
	int wire = wire_open(tap.index);
	struct iovec iov = { frame, 40 };
	char control[CMSG_SPACE(4)];
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control };

	set_burst(tap.sock, true);
	for (unsigned int i = 0; i < 2; i++) {
		message.msg_controllen = sizeof(control);
		iov.iov_len = i ? LENGTH : 40;
		wire_send(wire, LENGTH, 1);
		CHECK_EQ(DO(recvmsg(tap.sock, &message, 0)), 1);
		CHECK_EQ(message.msg_flags & (MSG_TRUNC | MSG_CTRUNC), i ? 0 : MSG_TRUNC);
	}
}

CASE(receive_nothing)
{
	struct tap tap = tap_open(PLAIN);
	struct buffers *b = buffers_new(tap.framing, 4, LENGTH);

	for (unsigned int way = 0; way < WAYS; way++) {
		set_burst(tap.sock, way == BURST);
		set_nonblocking(tap.sock, true);
		CHECK_ERRNO(move_in(way, tap.sock, b, 0, 4, 0), EAGAIN);
		set_nonblocking(tap.sock, false);
		CHECK_ERRNO(move_in(way, tap.sock, b, 0, 4, MSG_DONTWAIT), EAGAIN);
	}
	CHECK_EQ(counter(tap.sock, "rx-frames"), 0);
	CHECK_EQ(counter(tap.sock, "rx-faulted"), 0);
}

/* A process that sends after a while. At another time, the test passes too, but tests less. */
static pid_t send_later(int wire, unsigned int first, unsigned int count)
{
	pid_t child = spawn();

	if (child)
		return child;
	sleep_ms(30);
	wire_send_many(wire, LENGTH, first, count);
	exit(0);
}

CASE(receive_waits)
{
	struct tap tap = tap_open(PLAIN);
	struct buffers *b = buffers_new(tap.framing, 4, LENGTH);
	int wire = wire_open(tap.index);

	set_nonblocking(tap.sock, false);
	for (unsigned int way = 0; way < WAYS; way++) {
		pid_t child = send_later(wire, way, 1);

		set_burst(tap.sock, way == BURST);
		CHECK_EQ(DO(move_in(way, tap.sock, b, 0, 1, 0)), 1);
		buffer_check(b, 0, LENGTH, way);
		join(child);
	}
}

static void set_timeout(int sock, unsigned int ms)
{
	struct timeval timeout = { .tv_usec = ms * 1000 };

	DO(setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)));
}

CASE(receive_timeout)
{
	struct tap tap = tap_open(PLAIN);
	struct buffers *b = buffers_new(tap.framing, 4, LENGTH);
	int wire = wire_open(tap.index);

	set_nonblocking(tap.sock, false);
	for (unsigned int way = 0; way < WAYS; way++) {
		uint64_t began = now_ms();

		set_burst(tap.sock, way == BURST);
		set_timeout(tap.sock, 500);
		CHECK_ERRNO(move_in(way, tap.sock, b, 0, 4, 0), EAGAIN);
		/* It waited. Jiffies lag behind this clock for as long as an emulated CPU stood still. */
		CHECK(now_ms() - began >= 100);
		wire_send(wire, LENGTH, way);
		CHECK_EQ(DO(move_in(way, tap.sock, b, 0, 1, 0)), 1);
		buffer_check(b, 0, LENGTH, way);
	}
}

/* recvmmsg waits for each message. After the timeout it returns the messages so far. */
CASE(receive_timeout_with_some)
{
	struct tap tap = tap_open(PLAIN);
	struct buffers *b = buffers_new(tap.framing, 8, LENGTH);
	int wire = wire_open(tap.index);

	set_nonblocking(tap.sock, false);
	set_timeout(tap.sock, 20);
	wire_send_many(wire, LENGTH, 0, 3);
	CHECK_EQ(DO(move_in(MMSG, tap.sock, b, 0, 8, 0)), 3);
	wire_send_many(wire, LENGTH, 3, 3);
	set_burst(tap.sock, true);
	CHECK_EQ(DO(move_in(BURST, tap.sock, b, 0, 8, 0)), 3);
	buffer_check(b, 2, LENGTH, 5);
}

static void on_signal(int number)
{
	(void)number;
}

/* Send signals until this process is killed, so that one comes while the call waits. */
static pid_t interrupt_parent(void)
{
	pid_t child = spawn();

	if (child)
		return child;
	for (;;) {
		sleep_ms(10);
		if (kill(getppid(), SIGUSR1) < 0)
			exit(0);
	}
}

CASE(receive_interrupted)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct tap tap = tap_open(PLAIN);
	struct buffers *b = buffers_new(tap.framing, 4, LENGTH);
	int wire = wire_open(tap.index);
	pid_t child, sender;

	set_nonblocking(tap.sock, false);
	DO(sigaction(SIGUSR1, &action, NULL));
	child = interrupt_parent();
	for (unsigned int way = 0; way < WAYS; way++) {
		set_burst(tap.sock, way == BURST);
		set_timeout(tap.sock, 0);
		CHECK_ERRNO(move_in(way, tap.sock, b, 0, 1, 0), EINTR);
		set_timeout(tap.sock, 900);
		CHECK_ERRNO(move_in(way, tap.sock, b, 0, 1, 0), EINTR);
	}
	/* With SA_RESTART, and without a timeout, the call goes on waiting. */
	set_timeout(tap.sock, 0);
	sender = send_later(wire, 7, 1);
	action.sa_flags = SA_RESTART;
	DO(sigaction(SIGUSR1, &action, NULL));
	CHECK_EQ(DO(move_in(BURST, tap.sock, b, 0, 1, 0)), 1);
	buffer_check(b, 0, LENGTH, 7);
	DO(kill(child, SIGKILL));
	join(sender);
}

static short polled(int fd, short events, int timeout)
{
	struct pollfd ready = { .fd = fd, .events = events };

	DO(poll(&ready, 1, timeout));
	return ready.revents;
}

CASE(receive_poll)
{
	struct tap tap = tap_open(PLAIN);
	int wire = wire_open(tap.index);
	pid_t child;
	fd_set set;

	CHECK_EQ(polled(tap.sock, POLLIN, 0), 0);
	CHECK_EQ(polled(tap.sock, POLLIN | POLLOUT, 0), POLLOUT);
	wire_send_many(wire, LENGTH, 1, 2);
	CHECK_EQ(polled(tap.sock, POLLIN | POLLOUT, 0), POLLIN | POLLOUT);
	tap_expect(&tap, LENGTH, 1);
	CHECK_EQ(polled(tap.sock, POLLIN, 0), POLLIN);
	tap_expect(&tap, LENGTH, 2);
	CHECK_EQ(polled(tap.sock, POLLIN, 0), 0);
	child = send_later(wire, 3, 1);
	CHECK_EQ(polled(tap.sock, POLLIN, 10000), POLLIN);
	FD_ZERO(&set);
	FD_SET(tap.sock, &set);
	CHECK_EQ(DO(select(tap.sock + 1, &set, NULL, NULL, NULL)), 1);
	tap_expect(&tap, LENGTH, 3);
	join(child);
}

static int events_of(int epoll, int timeout)
{
	struct epoll_event events[4];

	return (int)DO(epoll_wait(epoll, events, 4, timeout));
}

static int epoll_on(int fd, uint32_t events)
{
	struct epoll_event event = { .events = events };
	int epoll = (int)DO(epoll_create1(EPOLL_CLOEXEC));

	DO(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
	return epoll;
}

CASE(receive_epoll_level)
{
	struct tap tap = tap_open(PLAIN);
	int wire = wire_open(tap.index), epoll = epoll_on(tap.sock, EPOLLIN);
	pid_t child;

	CHECK_EQ(events_of(epoll, 0), 0);
	wire_send_many(wire, LENGTH, 1, 2);
	CHECK_EQ(events_of(epoll, 0), 1);
	CHECK_EQ(events_of(epoll, 0), 1);
	tap_expect(&tap, LENGTH, 1);
	CHECK_EQ(events_of(epoll, 0), 1);
	tap_expect(&tap, LENGTH, 2);
	CHECK_EQ(events_of(epoll, 0), 0);
	child = send_later(wire, 3, 1);
	CHECK_EQ(events_of(epoll, 10000), 1);
	join(child);
}

CASE(receive_epoll_edge)
{
	struct tap tap = tap_open(PLAIN);
	int wire = wire_open(tap.index), epoll = epoll_on(tap.sock, EPOLLIN | EPOLLET);
	pid_t child;

	wire_send(wire, LENGTH, 1);
	CHECK_EQ(events_of(epoll, 0), 1);
	CHECK_EQ(events_of(epoll, 0), 0);
	wire_send(wire, LENGTH, 2); /* each new frame is an edge, whether the first was read or not */
	CHECK_EQ(events_of(epoll, 0), 1);
	tap_expect(&tap, LENGTH, 1);
	tap_expect(&tap, LENGTH, 2);
	tap_expect_nothing(&tap);
	CHECK_EQ(events_of(epoll, 0), 0);
	child = send_later(wire, 3, 1);
	CHECK_EQ(events_of(epoll, 10000), 1);
	tap_expect(&tap, LENGTH, 3);
	join(child);
	link_delete(tap.index);
	CHECK_EQ(events_of(epoll, 10000), 1);
}

CASE(receive_wait_for_one)
{
	struct tap tap = tap_open(PLAIN);
	struct buffers *b = buffers_new(tap.framing, 64, LENGTH);
	int wire = wire_open(tap.index);
	pid_t child;

	set_nonblocking(tap.sock, false);
	wire_send_many(wire, LENGTH, 0, 5);
	CHECK_EQ(DO(move_in(MMSG, tap.sock, b, 0, 64, MSG_WAITFORONE)), 5);
	for (unsigned int i = 0; i < 5; i++)
		buffer_check(b, i, LENGTH, i);
	child = send_later(wire, 5, 1);
	CHECK_EQ(DO(move_in(MMSG, tap.sock, b, 0, 64, MSG_WAITFORONE)), 1);
	buffer_check(b, 0, LENGTH, 5);
	join(child);
}

/* MSG_WAITALL on a datagram socket doesn't wait for more than one frame, or one burst of those that wait. */
CASE(receive_wait_all)
{
	struct tap tap = tap_open(PLAIN);
	struct buffers *b = buffers_new(tap.framing, 8, LENGTH);
	int wire = wire_open(tap.index);
	char frame[2 * LENGTH];

	set_nonblocking(tap.sock, false);
	wire_send_many(wire, LENGTH, 0, 4);
	CHECK_EQ(DO(recv(tap.sock, frame, sizeof(frame), MSG_WAITALL)), LENGTH);
	set_burst(tap.sock, true);
	CHECK_EQ(DO(move_in(BURST, tap.sock, b, 0, 8, MSG_WAITALL)), 3);
	buffer_check(b, 2, LENGTH, 3);
}

CASE(receive_more_than_there_is)
{
	struct tap tap = tap_open(VNET12);
	struct buffers *b = buffers_new(tap.framing, 256, LENGTH);
	int wire = wire_open(tap.index);

	for (unsigned int way = 0; way < WAYS; way++) {
		set_burst(tap.sock, way == BURST);
		for (unsigned int count = 1; count < 200; count += 31) {
			wire_send_many(wire, LENGTH, 0, count);
			CHECK_EQ(DO(move_in(way, tap.sock, b, 0, 256, 0)), count);
			for (unsigned int i = 0; i < count; i++)
				buffer_check(b, i, LENGTH, i);
			CHECK_ERRNO(move_in(way, tap.sock, b, 0, 256, 0), EAGAIN);
		}
	}
}

/* A burst takes as many frames as it has room for. poll, the tun fd and the next call find the others. */
CASE(receive_less_than_there_is)
{
	struct tap tap = tap_open(PLAIN);
	struct buffers *b = buffers_new(tap.framing, 200, LENGTH);
	int wire = wire_open(tap.index);
	char frame[LENGTH];

	set_burst(tap.sock, true);
	wire_send_many(wire, LENGTH, 0, 200);
	CHECK_EQ(DO(move_in(BURST, tap.sock, b, 0, 1, 0)), 1);
	CHECK_EQ(DO(move_in(BURST, tap.sock, b, 1, 70, 0)), 70);
	CHECK_EQ(DO(read(tap.tun, frame, LENGTH)), LENGTH);
	frame_check(frame, LENGTH, 71);
	CHECK_EQ(DO(move_in(BURST, tap.sock, b, 71, 128, 0)), 128);
	for (unsigned int i = 0; i < 199; i++)
		buffer_check(b, i, LENGTH, i < 71 ? i : i + 1);
	CHECK_EQ(polled(tap.sock, POLLIN, 0), 0);
	CHECK_EQ(counter(tap.sock, "rx-frames"), 199);
	CHECK_EQ(counter(tap.sock, "rx-calls"), 3);
}

static ssize_t receive_burst(int sock, struct iovec *iov, unsigned int count, void *control, size_t room)
{
	struct msghdr message = {
		.msg_iov = iov,
		.msg_iovlen = count,
		.msg_control = control,
		.msg_controllen = room,
	};

	return recvmsg(sock, &message, 0);
}

/* With room for k lengths, a call takes at most k frames, and none of the others is lost. */
CASE(receive_fewer_lengths)
{
	struct tap tap = tap_open(PLAIN);
	struct buffers *b = buffers_new(tap.framing, 16, LENGTH);
	int wire = wire_open(tap.index);
	unsigned int next = 0;
	char control[256];

	set_burst(tap.sock, true);
	wire_send_many(wire, LENGTH, 0, 1 + 2 + 3 + 5);
	CHECK_ERRNO(receive_burst(tap.sock, b->iov, 16, control, 0), EINVAL);
	CHECK_ERRNO(receive_burst(tap.sock, b->iov, 16, control, CMSG_LEN(0)), EINVAL);
	CHECK_ERRNO(receive_burst(tap.sock, b->iov, 16, control, CMSG_LEN(3)), EINVAL);
	CHECK_ERRNO(receive_burst(tap.sock, b->iov, 16, NULL, 0), EINVAL);
	CHECK_ERRNO(recv(tap.sock, control, sizeof(control), 0), EINVAL);
	for (unsigned int k = 1; k < 6; k += k < 3 ? 1 : 2) {
		CHECK_EQ(DO(receive_burst(tap.sock, b->iov, 16, control, CMSG_LEN(k * 4))), k);
		for (unsigned int i = 0; i < k; i++)
			frame_check(b->iov[i].iov_base, LENGTH, next++);
	}
	CHECK_EQ(next, 1 + 2 + 3 + 5);
	CHECK_ERRNO(receive_burst(tap.sock, b->iov, 16, control, sizeof(control)), EAGAIN);
}

/* A call without an iovec takes no frame. An empty iovec takes a frame, and gets its length but no bytes. */
CASE(receive_empty_iovecs)
{
	struct tap tap = tap_open(PLAIN);
	struct buffers *b = buffers_new(tap.framing, 4, LENGTH);
	int wire = wire_open(tap.index);
	char control[256];

	set_burst(tap.sock, true);
	wire_send_many(wire, LENGTH, 0, 4);
	CHECK_ERRNO(receive_burst(tap.sock, b->iov, 0, control, sizeof(control)), EINVAL);
	b->iov[1].iov_len = 0;
	CHECK_EQ(DO(move_in(BURST, tap.sock, b, 0, 4, 0)), 4);
	buffer_check(b, 0, LENGTH, 0);
	CHECK_EQ(b->lengths[1], LENGTH);
	buffer_check(b, 2, LENGTH, 2);
	buffer_check(b, 3, LENGTH, 3);
}

CASE(receive_into_1024_iovecs)
{
	enum {
		IOVECS = 1024
	};
	struct tap tap = tap_open(PLAIN);
	int wire = wire_open(tap.index);
	char *memory = calloc(IOVECS, LENGTH), control[CMSG_SPACE(IOVECS * 4)];
	struct iovec iov[IOVECS];

	set_burst(tap.sock, true);
	for (unsigned int i = 0; i < IOVECS; i++)
		iov[i] = (struct iovec){ memory + i * LENGTH, LENGTH };
	wire_send_many(wire, LENGTH, 0, 300);
	CHECK_EQ(DO(receive_burst(tap.sock, iov, IOVECS, control, sizeof(control))), 256);
	CHECK_EQ(DO(receive_burst(tap.sock, iov + 256, IOVECS - 256, control, sizeof(control))), 44);
	for (unsigned int i = 0; i < 300; i++)
		frame_check(memory + i * LENGTH, LENGTH, i);
}

/*
 * A frame for which the memory is bad is lost, and counted. The call returns the frames before it. The frames
 * behind it go back to the front of the queue, in order. The next call returns the error.
 */
CASE(receive_burst_into_bad_memory)
{
	struct tap tap = tap_open(PLAIN);
	struct buffers *b = buffers_new(tap.framing, 16, LENGTH);
	int wire = wire_open(tap.index);
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *memory = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned long faulted = 0;

	DO(munmap(memory + page, page));
	set_burst(tap.sock, true);
	for (unsigned int bad = 0; bad < 16; bad++) {
		unsigned int half = bad % 2 ? LENGTH / 2 : 0; /* of the iovec's bytes are mapped */

		wire_send_many(wire, LENGTH, bad * 100, 20);
		buffers_reset(b);
		b->iov[bad] = (struct iovec){ memory + page - half, LENGTH };
		if (bad)
			CHECK_EQ(DO(move_in(BURST, tap.sock, b, 0, 16, 0)), bad);
		for (unsigned int i = 0; i < bad; i++)
			buffer_check(b, i, LENGTH, bad * 100 + i);
		CHECK_ERRNO(move_in(BURST, tap.sock, b, 0, 16, 0), EFAULT);
		CHECK_EQ(counter(tap.sock, "rx-faulted"), ++faulted);
		buffers_reset(b);
		for (unsigned int next = bad + 1; next < 20;) {
			int got = (int)DO(move_in(BURST, tap.sock, b, 0, 7, 0));

			for (int i = 0; i < got; i++, next++)
				buffer_check(b, (unsigned int)i, LENGTH, bad * 100 + next);
		}
		CHECK_ERRNO(move_in(BURST, tap.sock, b, 0, 16, 0), EAGAIN);
	}
	CHECK_EQ(counter(tap.sock, "rx-frames"), 16 * 19);
}

CASE(receive_mmsg_into_bad_memory)
{
	struct tap tap = tap_open(PLAIN);
	struct buffers *b = buffers_new(tap.framing, 8, LENGTH);
	int wire = wire_open(tap.index);

	wire_send_many(wire, LENGTH, 0, 8);
	b->iov[3].iov_base = (void *)8;
	CHECK_EQ(DO(move_in(MMSG, tap.sock, b, 0, 8, 0)), 3);
	for (unsigned int i = 0; i < 3; i++)
		buffer_check(b, i, LENGTH, i);
	buffers_reset(b);
	CHECK_ERRNO(move_in(MMSG, tap.sock, b, 0, 8, 0), EFAULT); /* of the last call, which returned 3 */
	CHECK_EQ(DO(move_in(MMSG, tap.sock, b, 0, 8, 0)), 4);
	for (unsigned int i = 0; i < 4; i++)
		buffer_check(b, i, LENGTH, 4 + i);
	CHECK_EQ(counter(tap.sock, "rx-faulted"), 1);
	CHECK_EQ(counter(tap.sock, "rx-frames"), 7);
}

/* If the lengths can't be written, the frames of the call are lost, and counted. The others stay. */
CASE(receive_bad_control_buffer)
{
	struct tap tap = tap_open(PLAIN);
	struct buffers *b = buffers_new(tap.framing, 8, LENGTH);
	int wire = wire_open(tap.index);

	set_burst(tap.sock, true);
	wire_send_many(wire, LENGTH, 0, 12);
	CHECK_ERRNO(receive_burst(tap.sock, b->iov, 8, (void *)8, CMSG_SPACE(8 * 4)), EFAULT);
	CHECK_EQ(counter(tap.sock, "rx-faulted"), 8);
	CHECK_EQ(DO(move_in(BURST, tap.sock, b, 0, 8, 0)), 4);
	buffer_check(b, 0, LENGTH, 8);
	CHECK_EQ(counter(tap.sock, "rx-frames"), 4);
}

/* One of two readers of a socket. It gets its frames in order, and none that the other gets. */
static void *read_bursts(void *argument)
{
	struct tap *tap = argument;
	struct buffers *b = buffers_new(tap->framing, 16, LENGTH);
	unsigned int last = 0;
	uintptr_t total = 0;

	for (;;) {
		int got = move_in(BURST, tap->sock, b, 0, 16, 0);

		if (got < 0) {
			CHECK_EQ(errno, EBADFD);
			return (void *)total;
		}
		for (int i = 0; i < got; i++) {
			unsigned int number = frame_number(b->iov[i].iov_base);

			CHECK(number > last);
			frame_check(b->iov[i].iov_base, LENGTH, number);
			last = number;
		}
		total += (uintptr_t)got;
	}
}

CASE(receive_by_two_threads)
{
	struct tap tap = tap_open(PLAIN);
	int wire = wire_open(tap.index);
	pthread_t threads[2];
	uintptr_t total = 0;

	set_burst(tap.sock, true);
	set_nonblocking(tap.sock, false);
	for (unsigned int i = 0; i < 2; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, read_bursts, &tap), 0);
	wire_send_many(wire, LENGTH, 1, 400);
	WAIT_FOR(counter(tap.sock, "rx-frames") == 400);
	link_delete(tap.index);
	for (unsigned int i = 0; i < 2; i++) {
		void *part;

		pthread_join(threads[i], &part);
		total += (uintptr_t)part;
	}
	CHECK_EQ(total, 400);
}
