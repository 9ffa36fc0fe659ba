/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tests the driver for burst messages (turbotap_burst.c) without the module. This program defines sendmsg()
 * and recvmsg() itself. They behave as kmod/uapi/turbotap.h says and move frames over a list in memory. So
 * the tests cover how the driver handles the kernel's answers.
 *
 * Prints "ok" and exits with 0, or names the check that failed.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../kmod/uapi/turbotap.h"
#include "socket_batch.h"

#define CHECK(what)                                                                \
	do {                                                                       \
		if (!(what)) {                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #what); \
			exit(1);                                                   \
		}                                                                  \
	} while (0)

#define FRAMES 256
#define ROOM (TTF_FRAME_HEADROOM + TTF_FRAME_MAX_BYTES)

/* ------------------------------------------------------------------------------- the socket's other end */

static struct {
	uint32_t length;
	uint8_t first, last;
} wire[FRAMES]; /* frames that wait to be received, or were sent */
static uint32_t wire_count;
static uint32_t fails_at = UINT32_MAX; /* index of the frame that fails in the next call ... */
static int fails_with;		       /* ... and its error */
static ssize_t says;		       /* if not 0, the next call returns this */
static uint32_t lengths_told;	       /* how many lengths are missing in the answer */
static uint32_t calls_made;

static void reset(void)
{
	wire_count = calls_made = lengths_told = 0;
	says = 0;
	fails_at = UINT32_MAX;
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	uint32_t n;

	CHECK(fd == 7 && flags == MSG_DONTWAIT && !message->msg_control && !message->msg_name);
	calls_made++;
	for (n = 0; n < message->msg_iovlen && n != fails_at; n++) {
		const uint8_t *data = message->msg_iov[n].iov_base;

		wire[wire_count].length = (uint32_t)message->msg_iov[n].iov_len;
		wire[wire_count].first = data[0];
		wire[wire_count++].last = data[message->msg_iov[n].iov_len - 1];
	}
	errno = fails_with;
	return says ? says : n ? (ssize_t)n : -1;
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(message);
	uint32_t n, lengths[FRAMES];

	CHECK(fd == 7 && flags == MSG_DONTWAIT && !message->msg_name);
	CHECK(message->msg_controllen >= CMSG_SPACE(message->msg_iovlen * sizeof(uint32_t)));
	calls_made++;
	for (n = 0; n < message->msg_iovlen && n < wire_count && n != fails_at; n++) {
		struct iovec *vector = &message->msg_iov[n];
		size_t fits = wire[n].length < vector->iov_len ? wire[n].length : vector->iov_len;

		memset(vector->iov_base, wire[n].first, fits);
		lengths[n] = wire[n].length;
		if (wire[n].length > vector->iov_len)
			message->msg_flags |= MSG_TRUNC;
	}
	errno = n == fails_at ? fails_with : EAGAIN;
	if (!n)
		return -1;
	cmsg->cmsg_level = SOL_TURBOTAP;
	cmsg->cmsg_type = TURBOTAP_LENGTHS;
	cmsg->cmsg_len = CMSG_LEN((n - lengths_told) * sizeof(uint32_t));
	memcpy(CMSG_DATA(cmsg), lengths, (n - lengths_told) * sizeof(uint32_t));
	message->msg_controllen = lengths_told == n ? 0 : CMSG_SPACE((n - lengths_told) * sizeof(uint32_t));
	return says ? says : (ssize_t)n;
}

/* ------------------------------------------------------------------------------------------- the worker */

static struct socket_batch batch;
static struct ttf_frame frames[FRAMES];
static uint8_t *memory;
static struct ttf_queue queue = { .driver = &ttf_driver_turbotap_burst, .batch = &batch, .fd = 7 };
static uint64_t calls;

static int receive(uint32_t count)
{
	return queue.driver->rx(&queue, frames, count, &calls);
}

static int transmit(struct ttf_frame *first, uint32_t count)
{
	return queue.driver->tx(&queue, first, count, &calls);
}

static void new_frames(void)
{
	for (uint32_t i = 0; i < FRAMES; i++)
		frames[i] = (struct ttf_frame){ .eth = memory + (size_t)i * ROOM + TTF_FRAME_HEADROOM };
	socket_batch_forget_rx(&batch);
}

static void put(uint32_t length, uint8_t byte)
{
	wire[wire_count].length = length;
	wire[wire_count++].first = byte;
}

/* Lengths don't count the header. A frame one byte too long was truncated; one that fits exactly was not. */
static void test_rx_lengths(uint32_t header)
{
	const uint32_t most = TTF_FRAME_MAX_BYTES;
	const uint32_t lengths[] = { 14, 60, 1514, most, most + 1, 60 };

	reset();
	new_frames();
	queue.header_bytes = header;
	for (uint32_t i = 0; i < 6; i++)
		put(lengths[i] + header, (uint8_t)i);
	calls = 0;
	CHECK(receive(64) == 6);
	CHECK(calls == 1 && calls_made == 1);
	for (uint32_t i = 0; i < 6; i++) {
		CHECK(frames[i].length == (i == 4 ? UINT32_MAX : lengths[i]));
		CHECK(frames[i].eth[0] == i && *(frames[i].eth - header) == i);
		/* The header's bytes are the frame's number; flags other than 0 request an offload. */
		CHECK(!frames[i].offload == !(header && i));
	}
	CHECK(receive(3) == 3); /* no more than fit */
	wire_count = 1;
	put(header ? 4 : 0, 9); /* shorter than its header */
	CHECK(receive(64) == 2 && frames[1].length == 0);
	wire_count = 0;
	CHECK(receive(64) == -EAGAIN && calls == 4);
	fails_at = 0;
	fails_with = EBADFD;
	CHECK(receive(64) == -EBADFD);
}

static void test_rx_largest_burst(void)
{
	reset();
	new_frames();
	queue.header_bytes = 0;
	for (uint32_t i = 0; i < FRAMES; i++)
		put(60 + i, (uint8_t)i);
	CHECK(receive(FRAMES) == FRAMES);
	for (uint32_t i = 0; i < FRAMES; i++)
		CHECK(frames[i].length == 60 + i && frames[i].eth[59] == (uint8_t)i);
}

/* The iovecs persist between calls and are shared with mmsg. Other frames or headers must refill them. */
static void test_rx_vectors_follow_the_frames(void)
{
	struct ttf_frame swap;

	reset();
	new_frames();
	queue.header_bytes = TTF_VNET_HDR_BYTES;
	put(70, 1);
	CHECK(receive(8) == 1 && batch.rx_filled == 8);
	CHECK(receive(4) == 1 && batch.rx_filled == 8);
	swap = frames[0];
	frames[0] = frames[1];
	frames[1] = swap;
	socket_batch_forget_rx(&batch); /* as the worker does */
	wire[0].first = 2;
	CHECK(receive(8) == 1);
	CHECK(frames[0].eth[0] == 2 && frames[1].eth[0] == 1);
	queue.header_bytes = 0;
	wire[0].first = 3;
	CHECK(receive(8) == 1);
	CHECK(frames[0].eth[0] == 3 && frames[0].eth[-1] == 2 && frames[0].length == 70);
}

/* A socket without TURBOTAP_BURST returns bytes and no lengths: the driver must not read that as frames. */
static void test_rx_of_another_socket(void)
{
	reset();
	new_frames();
	put(60, 1);
	put(60, 2);
	says = 120;
	CHECK(receive(64) == -EPROTO);
	says = 0;
	lengths_told = 1;
	CHECK(receive(64) == -EPROTO);
	lengths_told = 2;
	CHECK(receive(64) == -EPROTO);
}

static void test_tx(uint32_t header)
{
	reset();
	new_frames();
	queue.header_bytes = header;
	for (uint32_t i = 0; i < FRAMES; i++) {
		frames[i].length = 60 + i;
		memset(frames[i].eth - header, (int)i, 60 + i + header);
	}
	calls = 0;
	CHECK(transmit(frames, FRAMES) == FRAMES);
	CHECK(calls == 1 && calls_made == 1 && wire_count == FRAMES);
	for (uint32_t i = 0; i < FRAMES; i++)
		CHECK(wire[i].length == 60 + i + header && wire[i].first == (uint8_t)i &&
		      wire[i].last == (uint8_t)i);

	/* Returns the count of frames before the first failure, or the error if the first frame fails. */
	wire_count = 0;
	fails_at = 5;
	fails_with = EMSGSIZE;
	CHECK(transmit(frames, 64) == 5);
	fails_at = 0;
	CHECK(transmit(frames + 5, 59) == -EMSGSIZE);
	fails_at = UINT32_MAX;
	wire_count = 0;
	CHECK(transmit(frames + 6, 58) == 58 && wire[0].first == 6);

	wire_count = 0;
	says = 64 * 60; /* bytes, as a socket without TURBOTAP_BURST returns */
	CHECK(transmit(frames, 64) == -EPROTO);
}

int main(void)
{
	memory = malloc((size_t)FRAMES * ROOM);
	CHECK(memory);
	ttf_socket_batch_init(&batch);
	test_rx_lengths(0);
	test_rx_lengths(TTF_VNET_HDR_BYTES);
	test_rx_largest_burst();
	test_rx_vectors_follow_the_frames();
	test_rx_of_another_socket();
	test_tx(0);
	test_tx(TTF_VNET_HDR_BYTES);
	free(memory);
	puts("ok");
	return 0;
}
