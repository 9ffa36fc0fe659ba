/* SPDX-License-Identifier: Apache-2.0 */
/* io_uring on the socket: messages and polls work; fixed buffers and zero-copy are refused. */
#include <liburing.h>
#include <poll.h>

#include "frames.h"
#include "harness.h"
#include "link.h"

#define LENGTH 60

static struct io_uring *ring_new(void)
{
	struct io_uring *ring = calloc(1, sizeof(*ring));
	int error = io_uring_queue_init(64, ring, 0);

	if (error == -ENOSYS || error == -EPERM)
		case_missing("io_uring");
	CHECK_EQ(error, 0);
	return ring;
}

/* Submit the `count` prepared requests. results[user_data] gets the result of each. */
static void ring_run(struct io_uring *ring, int *results, unsigned int count)
{
	CHECK_EQ(io_uring_submit(ring), count);
	while (count) {
		struct io_uring_cqe *cqe;

		CHECK_EQ(io_uring_wait_cqe(ring, &cqe), 0);
		if (!(cqe->flags & IORING_CQE_F_NOTIF)) { /* not the end of a zero-copy send */
			results[cqe->user_data] = cqe->res;
			count--;
		}
		io_uring_cqe_seen(ring, cqe);
	}
}

static struct io_uring_sqe *sqe_for(struct io_uring *ring, unsigned int i)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

	CHECK(sqe);
	memset(sqe, 0, sizeof(*sqe));
	sqe->user_data = i;
	return sqe;
}

/* Set user_data, after an io_uring helper has cleared it. */
static void tag(struct io_uring_sqe *sqe, unsigned int i)
{
	sqe->user_data = i;
}

CASE(uring_sendmsg)
{
	struct io_uring *ring = ring_new();
	struct tap tap = tap_open(PLAIN);
	struct buffers *b = buffers_new(tap.framing, 32, LENGTH);
	int wire = wire_open(tap.index), results[32];
	struct msghdr messages[32] = { 0 }, burst = { .msg_iov = b->iov, .msg_iovlen = 32 };

	buffers_fill(b, LENGTH, 0);
	for (unsigned int i = 0; i < 32; i++) {
		struct io_uring_sqe *sqe = sqe_for(ring, i);

		messages[i] = (struct msghdr){ .msg_iov = &b->iov[i], .msg_iovlen = 1 };
		io_uring_prep_sendmsg(sqe, tap.sock, &messages[i], 0);
		sqe->flags |= IOSQE_IO_LINK; /* one after the other */
		tag(sqe, i);
	}
	ring_run(ring, results, 32);
	for (unsigned int i = 0; i < 32; i++)
		CHECK_EQ(results[i], LENGTH);
	wire_expect_many(wire, LENGTH, 0, 32);

	set_burst(tap.sock, true);
	io_uring_prep_sendmsg(sqe_for(ring, 0), tap.sock, &burst, 0);
	ring_run(ring, results, 1);
	CHECK_EQ(results[0], 32);
	wire_expect_many(wire, LENGTH, 0, 32);
	wire_expect_nothing(wire);
}

CASE(uring_recvmsg)
{
	struct io_uring *ring = ring_new();
	struct tap tap = tap_open(PLAIN);
	struct buffers *b = buffers_new(tap.framing, 32, LENGTH);
	int wire = wire_open(tap.index), result;
	char control[CMSG_SPACE(32 * 4)];
	struct msghdr message = { .msg_iov = b->iov, .msg_iovlen = 1 };

	set_nonblocking(tap.sock, false);
	for (unsigned int way = 0; way < WAYS; way++) {
		set_burst(tap.sock, way == BURST);
		/* The first receive finds a frame. The second must wait for one. */
		for (unsigned int late = 0; late < 2; late++) {
			struct io_uring_cqe *cqe;

			message.msg_iovlen = way == BURST ? 32 : 1;
			message.msg_control = way == BURST ? control : NULL;
			message.msg_controllen = way == BURST ? sizeof(control) : 0;
			if (!late)
				wire_send(wire, LENGTH, late);
			io_uring_prep_recvmsg(sqe_for(ring, 0), tap.sock, &message, 0);
			CHECK_EQ(io_uring_submit(ring), 1);
			if (late) {
				CHECK_EQ(io_uring_peek_cqe(ring, &cqe), -EAGAIN);
				wire_send(wire, LENGTH, late);
			}
			CHECK_EQ(io_uring_wait_cqe(ring, &cqe), 0);
			result = cqe->res;
			io_uring_cqe_seen(ring, cqe);
			CHECK_EQ(result, way == BURST ? 1 : LENGTH);
			frame_check(b->iov[0].iov_base, LENGTH, late);
		}
	}
}

CASE(uring_poll)
{
	struct io_uring *ring = ring_new();
	struct tap tap = tap_open(PLAIN);
	int wire = wire_open(tap.index);
	struct io_uring_cqe *cqe;

	io_uring_prep_poll_add(sqe_for(ring, 0), tap.sock, POLLIN);
	CHECK_EQ(io_uring_submit(ring), 1);
	CHECK_EQ(io_uring_peek_cqe(ring, &cqe), -EAGAIN);
	wire_send(wire, LENGTH, 1);
	CHECK_EQ(io_uring_wait_cqe(ring, &cqe), 0);
	CHECK(cqe->res & POLLIN);
	io_uring_cqe_seen(ring, cqe);
	tap_expect(&tap, LENGTH, 1);

	/* A poll and a receive wait when the device is deleted. */
	set_nonblocking(tap.sock, false);
	io_uring_prep_poll_add(sqe_for(ring, 0), tap.sock, POLLIN);
	io_uring_prep_recv(sqe_for(ring, 1), tap.sock, &wire, sizeof(wire), 0);
	CHECK_EQ(io_uring_submit(ring), 2);
	link_delete(tap.index);
	for (unsigned int i = 0; i < 2; i++) {
		CHECK_EQ(io_uring_wait_cqe(ring, &cqe), 0);
		/* tun wakes with POLLIN. */
		CHECK(cqe->res < 0 || cqe->res & (POLLIN | POLLERR));
		io_uring_cqe_seen(ring, cqe);
	}
}

CASE(uring_fixed_buffers)
{
	struct io_uring *ring = ring_new();
	struct tap tap = tap_open(PLAIN);
	struct buffers *b = buffers_new(tap.framing, 1, LENGTH);
	int wire = wire_open(tap.index), results[2];
	struct io_uring_sqe *sqe;

	buffers_fill(b, LENGTH, 1);
	CHECK_EQ(io_uring_register_buffers(ring, b->iov, 1), 0);
	sqe = sqe_for(ring, 0);
	io_uring_prep_write_fixed(sqe, tap.sock, b->iov[0].iov_base, LENGTH, 0, 0);
	ring_run(ring, results, 1);
	CHECK_EQ(results[0], -EOPNOTSUPP);
	wire_expect_nothing(wire);

	wire_send(wire, LENGTH, 2);
	io_uring_prep_read_fixed(sqe_for(ring, 0), tap.sock, b->iov[0].iov_base, LENGTH, 0, 0);
	ring_run(ring, results, 1);
	CHECK_EQ(results[0], -EOPNOTSUPP);
	tap_expect(&tap, LENGTH, 2);
}

CASE(uring_zero_copy)
{
	struct io_uring *ring = ring_new();
	struct tap tap = tap_open(PLAIN);
	struct buffers *b = buffers_new(tap.framing, 1, LENGTH);
	struct msghdr message = { .msg_iov = b->iov, .msg_iovlen = 1 };
	int wire = wire_open(tap.index), results[1];

	buffers_fill(b, LENGTH, 1);
	CHECK_EQ(io_uring_register_buffers(ring, b->iov, 1), 0);
	io_uring_prep_send_zc(sqe_for(ring, 0), tap.sock, b->iov[0].iov_base, LENGTH, 0, 0);
	ring_run(ring, results, 1);
	CHECK_EQ(results[0], -EOPNOTSUPP);
	io_uring_prep_send_zc_fixed(sqe_for(ring, 0), tap.sock, b->iov[0].iov_base, LENGTH, 0, 0, 0);
	ring_run(ring, results, 1);
	CHECK_EQ(results[0], -EOPNOTSUPP);
	io_uring_prep_sendmsg_zc(sqe_for(ring, 0), tap.sock, &message, 0);
	ring_run(ring, results, 1);
	CHECK_EQ(results[0], -EOPNOTSUPP);
	wire_expect_nothing(wire);
}
