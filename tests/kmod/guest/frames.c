/* SPDX-License-Identifier: Apache-2.0 */
/* Builds, sends and checks frames; see frames.h. */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <poll.h>
#include <unistd.h>

#include "frames.h"
#include "harness.h"

#define LONGEST 70000
#define PATIENCE_MS 10000

const char *const way_names[WAYS] = { "mmsg", "burst" };

static unsigned char pattern(size_t length, unsigned int number, size_t at)
{
	return (unsigned char)(number * 7 + length * 3 + at + (at >> 8) * 5);
}

void frame_fill(void *frame, size_t length, unsigned int number)
{
	static const unsigned char destination[6] = { 0x02, 't', 'u', 'r', 'b', 'o' };
	unsigned char *bytes = frame;

	memcpy(bytes, destination, 6);
	bytes[6] = 0x02;
	bytes[7] = (unsigned char)(number >> 24);
	bytes[8] = (unsigned char)(number >> 16);
	bytes[9] = (unsigned char)(number >> 8);
	bytes[10] = (unsigned char)number;
	bytes[11] = 0x01;
	bytes[12] = FRAME_TYPE >> 8;
	bytes[13] = FRAME_TYPE & 0xff;
	for (size_t at = FRAME_MIN; at < length; at++)
		bytes[at] = pattern(length, number, at);
}

unsigned int frame_number(const void *frame)
{
	const unsigned char *bytes = frame;

	return (unsigned int)bytes[7] << 24 | (unsigned int)bytes[8] << 16 | (unsigned int)bytes[9] << 8 |
	       bytes[10];
}

void frame_check(const void *frame, size_t length, unsigned int number)
{
	unsigned char wanted[LONGEST];

	frame_fill(wanted, length, number);
	if (!memcmp(frame, wanted, length))
		return;
	for (size_t at = 0; at < length; at++)
		if (((const unsigned char *)frame)[at] != wanted[at])
			FAIL("frame %u (it says %u) of %zu bytes differs at byte %zu", number,
			     frame_number(frame), length, at);
}

int wire_open(int index)
{
	struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(FRAME_TYPE),
		.sll_ifindex = index,
	};
	int wire = (int)DO(socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
	int bytes = 16 << 20;

	DO(setsockopt(wire, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)));
	DO(setsockopt(wire, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)));
	DO(bind(wire, (struct sockaddr *)&address, sizeof(address)));
	return wire;
}

int offload_wire_open(int index)
{
	int wire = wire_open(index), on = 1;

	DO(setsockopt(wire, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)));
	return wire;
}

void wire_send(int wire, size_t length, unsigned int number)
{
	char frame[LONGEST];

	frame_fill(frame, length, number);
	CHECK_EQ(DO(send(wire, frame, length, 0)), length);
}

void wire_send_many(int wire, size_t length, unsigned int first, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		wire_send(wire, length, first + i);
}

static void wait_readable(int fd)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN };

	poll(&ready, 1, PATIENCE_MS);
}

void wire_expect(int wire, size_t length, unsigned int number)
{
	char frame[LONGEST];
	ssize_t got = recv(wire, frame, sizeof(frame), MSG_TRUNC);

	if (got < 0 && errno == EAGAIN) {
		wait_readable(wire);
		got = recv(wire, frame, sizeof(frame), MSG_TRUNC);
	}
	if (got < 0)
		FAIL("frame %u of %zu bytes didn't arrive: %s", number, length, strerror(errno));
	if ((size_t)got != length)
		FAIL("frame %u (it says %u) has %zd bytes, not %zu", number, frame_number(frame), got,
		     length);
	frame_check(frame, length, number);
}

void wire_expect_many(int wire, size_t length, unsigned int first, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		wire_expect(wire, length, first + i);
}

void wire_expect_nothing(int wire)
{
	char frame[LONGEST];
	ssize_t got = recv(wire, frame, sizeof(frame), MSG_TRUNC);

	if (got >= 0)
		FAIL("frame %u of %zd bytes arrived, which nobody sent", frame_number(frame), got);
	CHECK_EQ(errno, EAGAIN);
}

unsigned int wire_drain(int wire)
{
	unsigned int frames = 0;
	char frame[LONGEST];

	while (recv(wire, frame, sizeof(frame), MSG_TRUNC) >= 0)
		frames++;
	return frames;
}

struct buffers *buffers_new(const struct framing *framing, unsigned int count, size_t room)
{
	struct buffers *b = calloc(1, sizeof(*b));

	if (!b || count > FRAME_MAX_BURST)
		FAIL("no memory");
	b->count = count;
	b->header = framing->header;
	b->room = room + b->header;
	b->memory = calloc(count, b->room);
	if (!b->memory)
		FAIL("no memory");
	buffers_reset(b);
	return b;
}

void buffers_reset(struct buffers *b)
{
	for (unsigned int i = 0; i < b->count; i++)
		b->iov[i] = (struct iovec){ b->memory + i * b->room, b->room };
}

void buffer_fill(struct buffers *b, unsigned int i, size_t length, unsigned int number)
{
	char *start = b->memory + i * b->room;

	CHECK(b->header + length <= b->room);
	memset(start, 0, b->header);
	frame_fill(start + b->header, length, number);
	b->iov[i] = (struct iovec){ start, b->header + length };
}

void buffers_fill(struct buffers *b, size_t length, unsigned int first)
{
	for (unsigned int i = 0; i < b->count; i++)
		buffer_fill(b, i, length, first + i);
}

void buffer_check(const struct buffers *b, unsigned int i, size_t length, unsigned int number)
{
	CHECK_EQ(b->lengths[i], b->header + length);
	frame_check((char *)b->iov[i].iov_base + b->header, length, number);
}

static void messages_for(struct mmsghdr *messages, struct buffers *b, unsigned int first, unsigned int count)
{
	memset(messages, 0, count * sizeof(*messages));
	for (unsigned int i = 0; i < count; i++) {
		messages[i].msg_hdr.msg_iov = &b->iov[first + i];
		messages[i].msg_hdr.msg_iovlen = 1;
	}
}

int move_out(enum way way, int sock, struct buffers *b, unsigned int first, unsigned int count, int flags)
{
	struct msghdr burst = { .msg_iov = &b->iov[first], .msg_iovlen = count };
	struct mmsghdr messages[FRAME_MAX_BURST];

	if (way == BURST)
		return (int)sendmsg(sock, &burst, flags);
	messages_for(messages, b, first, count);
	return sendmmsg(sock, messages, count, flags);
}

static int burst_in(int sock, struct buffers *b, unsigned int first, unsigned int count, int flags)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(FRAME_MAX_BURST * sizeof(__u32))];
	} control;
	struct msghdr burst = {
		.msg_iov = &b->iov[first],
		.msg_iovlen = count,
		.msg_control = &control,
		.msg_controllen = CMSG_SPACE(count * sizeof(__u32)),
	};
	int got = (int)recvmsg(sock, &burst, flags);

	if (got < 0)
		return got;
	CHECK_EQ(control.header.cmsg_level, SOL_TURBOTAP);
	CHECK_EQ(control.header.cmsg_type, TURBOTAP_LENGTHS);
	CHECK_EQ(control.header.cmsg_len, CMSG_LEN((unsigned int)got * sizeof(__u32)));
	for (int i = 0; i < got; i++)
		b->lengths[first + i] = ((__u32 *)CMSG_DATA(&control.header))[i];
	return got;
}

int move_in(enum way way, int sock, struct buffers *b, unsigned int first, unsigned int count, int flags)
{
	struct mmsghdr messages[FRAME_MAX_BURST];
	int got;

	if (way == BURST)
		return burst_in(sock, b, first, count, flags);
	messages_for(messages, b, first, count);
	got = recvmmsg(sock, messages, count, flags, NULL);
	for (int i = 0; i < got; i++)
		b->lengths[first + i] = messages[i].msg_len;
	return got;
}

int try_tap_send(const struct tap *tap, size_t length, unsigned int number, int flags)
{
	char message[LONGEST];

	memset(message, 0, tap->framing->header);
	frame_fill(message + tap->framing->header, length, number);
	return (int)send(tap->sock, message, tap->framing->header + length, flags);
}

void tap_send(const struct tap *tap, size_t length, unsigned int number)
{
	CHECK_EQ(DO(try_tap_send(tap, length, number, 0)), tap->framing->header + length);
}

void tap_expect(const struct tap *tap, size_t length, unsigned int number)
{
	char message[LONGEST];
	ssize_t got = recv(tap->sock, message, sizeof(message), 0);

	if (got < 0 && errno == EAGAIN) {
		wait_readable(tap->sock);
		got = recv(tap->sock, message, sizeof(message), 0);
	}
	if (got < 0)
		FAIL("frame %u of %zu bytes isn't there: %s", number, length, strerror(errno));
	CHECK_EQ(got, tap->framing->header + length);
	frame_check(message + tap->framing->header, length, number);
}

void tap_expect_nothing(const struct tap *tap)
{
	char message[LONGEST];
	ssize_t got = recv(tap->sock, message, sizeof(message), MSG_DONTWAIT);

	if (got >= 0)
		FAIL("frame %u of %zd bytes is there, which nobody sent",
		     frame_number(message + tap->framing->header), got);
	CHECK_EQ(errno, EAGAIN);
}

void tap_check(const struct tap *tap, int wire, unsigned int number)
{
	tap_send(tap, 60, number);
	wire_expect(wire, 60, number);
	wire_send(wire, 60, number + 1);
	tap_expect(tap, 60, number + 1);
}
