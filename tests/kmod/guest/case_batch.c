/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames that wait for the rest of their batch, whether it comes or not: they are all injected, in order, or
 * counted as dropped.
 */
#include <sys/ioctl.h>
#include <unistd.h>

#include "frames.h"
#include "harness.h"
#include "link.h"

#define LENGTH 60

/*
 * Check the counters of batches. On a slow machine a call may take longer than the timer. Then the timer may
 * have injected a part of the call's batch, and the rest may be a single frame, which isn't batched.
 */
static void check_counts(const struct tap *tap, unsigned long frames, unsigned long batched,
			 unsigned long batches)
{
	unsigned long late = counter(tap->sock, "tx-late-batches");

	CHECK_EQ(counter(tap->sock, "tx-frames"), frames);
	CHECK_EQ(counter(tap->sock, "tx-dropped"), 0);
	CHECK(counter(tap->sock, "tx-batched") <= batched);
	CHECK(counter(tap->sock, "tx-batched") + late >= batched);
	CHECK(counter(tap->sock, "tx-batches") <= batches + late);
	CHECK(counter(tap->sock, "tx-batches") >= batches);
}

/* The counters show that sendmmsg of each size is batched. */
CASE(batch_sendmmsg)
{
	struct tap tap = tap_open(PLAIN);
	struct buffers *b = buffers_new(tap.framing, 200, LENGTH);
	int wire = wire_open(tap.index);

	buffers_fill(b, LENGTH, 0);
	CHECK_EQ(DO(move_out(MMSG, tap.sock, b, 0, 1, 0)), 1);
	check_counts(&tap, 1, 0, 0);
	CHECK_EQ(DO(move_out(MMSG, tap.sock, b, 1, 2, 0)), 2);
	check_counts(&tap, 3, 2, 1);
	CHECK_EQ(DO(move_out(MMSG, tap.sock, b, 3, 64, 0)), 64);
	check_counts(&tap, 67, 66, 2);
	CHECK_EQ(DO(move_out(MMSG, tap.sock, b, 67, 128, 0)), 128);
	check_counts(&tap, 195, 194, 4);
	CHECK_EQ(DO(move_out(MMSG, tap.sock, b, 195, 5, 0)), 5);
	wire_expect_many(wire, LENGTH, 0, 200);
	wire_expect_nothing(wire);
	CHECK_EQ(counter(tap.sock, "tx-calls"), 200);
}

CASE(batch_burst)
{
	struct tap tap = tap_open(VNET12);
	struct buffers *b = buffers_new(tap.framing, 256, LENGTH);
	int wire = wire_open(tap.index);

	set_burst(tap.sock, true);
	buffers_fill(b, LENGTH, 0);
	CHECK_EQ(DO(move_out(BURST, tap.sock, b, 0, 1, 0)), 1);
	check_counts(&tap, 1, 0, 0);
	CHECK_EQ(DO(move_out(BURST, tap.sock, b, 1, 255, 0)), 255);
	check_counts(&tap, 256, 255, 4);
	CHECK_EQ(counter(tap.sock, "tx-calls"), 2);
	wire_expect_many(wire, LENGTH, 0, 256);
}

/* Of more iovecs than max_burst, max_burst frames are sent, and that number is returned. */
CASE(batch_burst_of_1024)
{
	enum {
		IOVECS = 1024
	};
	struct tap tap = tap_open(PLAIN);
	int wire = wire_open(tap.index);
	char *frames = calloc(IOVECS, LENGTH);
	struct iovec iov[IOVECS];
	struct msghdr message = { .msg_iov = iov };
	unsigned int done = 0;

	set_burst(tap.sock, true);
	for (unsigned int i = 0; i < IOVECS; i++) {
		frame_fill(frames + i * LENGTH, LENGTH, i);
		iov[i] = (struct iovec){ frames + i * LENGTH, LENGTH };
	}
	while (done < IOVECS) {
		unsigned int left = IOVECS - done;

		message.msg_iov = iov + done;
		message.msg_iovlen = left;
		CHECK_EQ(DO(sendmsg(tap.sock, &message, 0)), left < 256 ? left : 256);
		wire_expect_many(wire, LENGTH, done, left < 256 ? left : 256);
		done += 256;
	}
	message.msg_iov = iov;
	message.msg_iovlen = IOVECS + 1;
	CHECK_ERRNO(sendmsg(tap.sock, &message, 0), EMSGSIZE); /* a limit of the kernel */
	wire_expect_nothing(wire);
}

/* sendmmsg of burst messages: a message of which not all frames are sent ends the call. */
CASE(batch_sendmmsg_of_bursts)
{
	struct tap tap = tap_open(PLAIN);
	struct buffers *b = buffers_new(tap.framing, 64, LENGTH);
	int wire = wire_open(tap.index);
	struct mmsghdr messages[4] = { 0 };

	set_burst(tap.sock, true);
	buffers_fill(b, LENGTH, 0);
	for (unsigned int i = 0; i < 4; i++) {
		messages[i].msg_hdr.msg_iov = b->iov + i * 16;
		messages[i].msg_hdr.msg_iovlen = 16;
	}
	CHECK_EQ(DO(sendmmsg(tap.sock, messages, 4, 0)), 4);
	for (unsigned int i = 0; i < 4; i++)
		CHECK_EQ(messages[i].msg_len, 16);
	wire_expect_many(wire, LENGTH, 0, 64);

	b->iov[16 + 5].iov_len = 13;
	CHECK_EQ(DO(sendmmsg(tap.sock, messages, 4, 0)), 2);
	CHECK_EQ(messages[1].msg_len, 5);
	wire_expect_many(wire, LENGTH, 0, 16 + 5);
	wire_expect_nothing(wire);
}

/* sendmmsg can't read the last message's header, so the batch never gets its last message. */
CASE(batch_last_message_never_comes)
{
	struct tap tap = tap_open(PLAIN);
	struct buffers *b = buffers_new(tap.framing, 10, LENGTH);
	int wire = wire_open(tap.index);
	struct mmsghdr messages[10] = { 0 };

	for (unsigned int round = 0; round < 3; round++) {
		buffers_fill(b, LENGTH, round * 9);
		for (unsigned int i = 0; i < 10; i++)
			messages[i].msg_hdr = (struct msghdr){ .msg_iov = &b->iov[i], .msg_iovlen = 1 };
		messages[9].msg_hdr.msg_iov = (void *)8;
		CHECK_EQ(DO(sendmmsg(tap.sock, messages, 10, 0)), 9);
		wire_expect_many(wire, LENGTH, round * 9, 9); /* without another call */
		WAIT_FOR(counter(tap.sock, "tx-frames") == (round + 1) * 9);
		CHECK(counter(tap.sock, "tx-late-batches") > round);
		CHECK_EQ(counter(tap.sock, "tx-batched"), (round + 1) * 9);
	}
	wire_expect_nothing(wire);
}

CASE(batch_set_by_hand)
{
	struct tap tap = tap_open(VNET10);
	int wire = wire_open(tap.index);

	for (unsigned int i = 0; i < 5; i++)
		CHECK_EQ(DO(try_tap_send(&tap, LENGTH, i, MSG_BATCH)), 10 + LENGTH);
	wire_expect_many(wire, LENGTH, 0, 5);
	WAIT_FOR(counter(tap.sock, "tx-frames") == 5);
	CHECK(counter(tap.sock, "tx-late-batches") >= 1);
	wire_expect_nothing(wire);
}

/* Frames of the next call don't overtake those that wait, whether they are batched or not. */
CASE(batch_is_not_overtaken)
{
	static const size_t lengths[] = { LENGTH, 9014 /* too long for a batch */, 14 };
	struct tap tap = tap_open(PLAIN);
	struct buffers *b = buffers_new(tap.framing, 8, LENGTH);
	int wire = wire_open(tap.index);
	unsigned int number = 0;

	for (unsigned int i = 0; i < 3; i++) {
		set_burst(tap.sock, false);
		CHECK_EQ(DO(try_tap_send(&tap, LENGTH, number, MSG_BATCH)), LENGTH);
		CHECK_EQ(DO(try_tap_send(&tap, lengths[i], number + 1, 0)), lengths[i]);
		wire_expect(wire, LENGTH, number);
		wire_expect(wire, lengths[i], number + 1);
		wire_expect_nothing(wire);
		number += 2;

		CHECK_EQ(DO(try_tap_send(&tap, LENGTH, number, MSG_BATCH)), LENGTH);
		set_burst(tap.sock, true);
		buffers_fill(b, LENGTH, number + 1);
		CHECK_EQ(DO(move_out(BURST, tap.sock, b, 0, i ? 8 : 1, 0)), i ? 8 : 1);
		wire_expect_many(wire, LENGTH, number, 1 + (i ? 8 : 1));
		number += 1 + (i ? 8 : 1);
	}
	CHECK_EQ(counter(tap.sock, "tx-frames"), number);
}

/* An error of a later message leaves the earlier ones unharmed. */
CASE(batch_survives_an_error)
{
	struct tap tap = tap_open(PLAIN);
	int wire = wire_open(tap.index);

	for (unsigned int i = 0; i < 4; i++) {
		CHECK_EQ(DO(try_tap_send(&tap, LENGTH, 2 * i, MSG_BATCH)), LENGTH);
		CHECK_EQ(DO(try_tap_send(&tap, LENGTH, 2 * i + 1, MSG_BATCH)), LENGTH);
		if (i == 0)
			CHECK_ERRNO(send(tap.sock, "short", 5, MSG_BATCH), EINVAL);
		else if (i == 1)
			CHECK_ERRNO(send(tap.sock, (void *)8, LENGTH, MSG_BATCH), EFAULT);
		else if (i == 2)
			CHECK_ERRNO(send(tap.sock, (void *)8, 70000, 0), EMSGSIZE);
		else
			CHECK_ERRNO(send(tap.sock, (void *)8, LENGTH, 0), EFAULT);
		wire_expect_many(wire, LENGTH, 2 * i, 2);
	}
	CHECK_EQ(counter(tap.sock, "tx-frames"), 8);
}

CASE(batch_is_injected_at_close)
{
	struct tap tap = tap_open(PLAIN);
	int wire = wire_open(tap.index);

	for (unsigned int i = 0; i < 20; i++) {
		int sock = attach(tap.tun, TURBOTAP_ATTACH_BATCH, 0);
		char frame[LENGTH];

		frame_fill(frame, LENGTH, i);
		CHECK_EQ(DO(send(sock, frame, LENGTH, MSG_BATCH)), LENGTH);
		close(sock);
		wire_expect(wire, LENGTH, i);
	}
	wire_expect_nothing(wire);
}

/* A full batch of 64 frames is injected at once. */
CASE(batch_is_injected_when_full)
{
	struct tap tap = tap_open(PLAIN);
	int wire = wire_open(tap.index);

	for (unsigned int i = 0; i < 64 + 3; i++)
		CHECK_EQ(DO(try_tap_send(&tap, LENGTH, i, MSG_BATCH)), LENGTH);
	wire_expect_many(wire, LENGTH, 0, 64 + 3);
	WAIT_FOR(counter(tap.sock, "tx-frames") == 64 + 3);
	CHECK_EQ(counter(tap.sock, "tx-dropped"), 0);
}

/* A frame whose header requests an offload keeps its place in the order, and tun checks its header. */
CASE(batch_with_offload_headers)
{
	enum {
		NEEDS_CSUM = 1,
		HDR_LEN = 2,
		CSUM_START = 6
	};
	struct tap tap = tap_open(VNET10);
	struct buffers *b = buffers_new(tap.framing, 16, LENGTH);
	int wire = wire_open(tap.index);

	buffers_fill(b, LENGTH, 0);
	((char *)b->iov[5].iov_base)[HDR_LEN] = 20;	   /* allowed: hdr_len is a hint */
	((char *)b->iov[9].iov_base)[HDR_LEN] = (char)200; /* longer than the frame: refused */
	CHECK_EQ(DO(move_out(MMSG, tap.sock, b, 0, 16, 0)), 9);
	CHECK_ERRNO(move_out(MMSG, tap.sock, b, 9, 7, 0), EINVAL);
	CHECK_EQ(DO(move_out(MMSG, tap.sock, b, 10, 6, 0)), 6);
	wire_expect_many(wire, LENGTH, 0, 9);
	wire_expect_many(wire, LENGTH, 10, 6);
	wire_expect_nothing(wire);
	CHECK_EQ(counter(tap.sock, "tx-frames"), 15);

	buffers_fill(b, LENGTH, 20);
	((char *)b->iov[3].iov_base)[0] = NEEDS_CSUM;
	((char *)b->iov[3].iov_base)[CSUM_START] = (char)250; /* beyond the frame */
	CHECK_EQ(DO(move_out(MMSG, tap.sock, b, 0, 16, 0)), 3);
	CHECK_ERRNO(move_out(MMSG, tap.sock, b, 3, 13, 0), EINVAL);
	wire_expect_many(wire, LENGTH, 20, 3);
	wire_expect_nothing(wire);
}

/* The send buffer's limit of the tun fd holds for the socket as well. */
CASE(batch_respects_the_send_buffer)
{
	struct tap tap = tap_open(PLAIN);
	struct buffers *b = buffers_new(tap.framing, 64, LENGTH);
	int wire = wire_open(tap.index), limit = 1 << 20;

	DO(ioctl(tap.tun, TUNSETSNDBUF, &limit));
	buffers_fill(b, LENGTH, 0);
	CHECK_EQ(DO(move_out(MMSG, tap.sock, b, 0, 64, 0)), 64);
	wire_expect_many(wire, LENGTH, 0, 64);
	check_counts(&tap, 64, 0, 0);
	limit = 0x7fffffff;
	DO(ioctl(tap.tun, TUNSETSNDBUF, &limit));
	CHECK_EQ(DO(move_out(MMSG, tap.sock, b, 0, 64, 0)), 64);
	wire_expect_many(wire, LENGTH, 0, 64);
	check_counts(&tap, 128, 64, 1);
}

/* The stack may keep frames for long: their memory isn't reused before it has freed them. */
CASE(batch_memory_is_not_reused_early)
{
	struct tap tap = tap_open(PLAIN);
	struct buffers *b = buffers_new(tap.framing, 64, 1514);
	int wire = wire_open(tap.index);

	set_burst(tap.sock, true);
	for (unsigned int round = 0; round < 20; round++) {
		buffers_fill(b, 1514, round * 64);
		CHECK_EQ(DO(move_out(BURST, tap.sock, b, 0, 64, 0)), 64);
	}
	wire_expect_many(wire, 1514, 0, 20 * 64);
	wire_expect_nothing(wire);
}
