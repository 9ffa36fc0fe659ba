/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames too long for a batch. Their memory is reused, so no frame may change while the stack still has it.
 * Here the wire's queue keeps them.
 */
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <net/ethernet.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "frames.h"
#include "harness.h"
#include "link.h"

#define GSO_FRAME 65226
#define JUMBO 9014
#define FRAMES 40 /* more than fit the socket's pages at once */

static const struct virtio_net_hdr gso_header = {
	.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
	.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
	.hdr_len = 66,
	.gso_size = 1448,
	.csum_start = 34,
	.csum_offset = 16,
};

static void gso_fill(struct buffers *b, unsigned int i, unsigned int number)
{
	buffer_fill(b, i, GSO_FRAME, number);
	memcpy(b->iov[i].iov_base, &gso_header, sizeof(gso_header));
}

static int gso_wire_open(int index)
{
	int wire = wire_open(index), on = 1, bytes = 64 << 20;

	DO(setsockopt(wire, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)));
	DO(setsockopt(wire, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)));
	return wire;
}

/* The GSO frame arrives whole, with its sender's request to segment it. */
static void gso_expect(int wire, unsigned int number)
{
	static char frame[GSO_FRAME + 1];
	struct virtio_net_hdr header;
	struct iovec parts[] = { { &header, sizeof(header) }, { frame, sizeof(frame) } };

	CHECK_EQ(DO(readv(wire, parts, 2)), sizeof(header) + GSO_FRAME);
	CHECK_EQ(header.flags, gso_header.flags);
	CHECK_EQ(header.gso_type, gso_header.gso_type);
	CHECK_EQ(header.gso_size, gso_header.gso_size);
	CHECK_EQ(header.csum_start, gso_header.csum_start);
	CHECK_EQ(header.csum_offset, gso_header.csum_offset);
	frame_check(frame, GSO_FRAME, number);
}

static void large_gso(unsigned int argument)
{
	struct tap tap = tap_open(argument / WAYS);
	struct buffers *b = buffers_new(tap.framing, FRAMES, GSO_FRAME);
	int wire = gso_wire_open(tap.index);
	enum way way = argument % WAYS;

	set_burst(tap.sock, way == BURST);
	for (unsigned int round = 0; round < 3; round++) {
		for (unsigned int i = 0; i < FRAMES; i++)
			gso_fill(b, i, round * FRAMES + i);
		CHECK_EQ(DO(move_out(way, tap.sock, b, 0, FRAMES, 0)), FRAMES);
		for (unsigned int i = 0; i < FRAMES; i++)
			gso_expect(wire, round * FRAMES + i);
	}
	CHECK_EQ(counter(tap.sock, "tx-frames"), 3 * FRAMES);
	CHECK_EQ(link_counters(tap.name).rx_bytes, 3l * FRAMES * GSO_FRAME);
}

/* Read some frames at once and some later, so that memory isn't freed in the order of its use. */
static void large_held(unsigned int argument)
{
	struct tap tap = tap_open(argument);
	struct buffers *b = buffers_new(tap.framing, 1, GSO_FRAME);
	int quick = wire_open(tap.index), slow = wire_open(tap.index);
	unsigned int behind = 0;

	set_burst(tap.sock, true);
	for (unsigned int i = 0; i < 4 * FRAMES; i++) {
		size_t length = i % 3 ? JUMBO : GSO_FRAME;

		buffer_fill(b, 0, length, i);
		CHECK_EQ(DO(move_out(BURST, tap.sock, b, 0, 1, 0)), 1);
		wire_expect(quick, length, i);
		for (; i % 11 == 0 && behind < i; behind++)
			wire_expect(slow, behind % 3 ? JUMBO : GSO_FRAME, behind);
	}
}

/* tun's error for a malformed frame is returned. The frames before it are delivered, and none behind it. */
CASE(large_refused)
{
	struct tap tap = tap_open(VNET10);
	struct buffers *b = buffers_new(tap.framing, 5, GSO_FRAME);
	int wire = gso_wire_open(tap.index);
	struct virtio_net_hdr wrong = gso_header;

	wrong.gso_size = 0;
	set_burst(tap.sock, true);
	for (unsigned int i = 0; i < 5; i++)
		gso_fill(b, i, i);
	memcpy(b->iov[2].iov_base, &wrong, sizeof(wrong));
	CHECK_EQ(DO(move_out(BURST, tap.sock, b, 0, 5, 0)), 2);
	CHECK_ERRNO(move_out(BURST, tap.sock, b, 2, 3, 0), EINVAL);
	CHECK_EQ(DO(move_out(BURST, tap.sock, b, 3, 2, 0)), 2);
	for (unsigned int i = 0; i < 5; i++)
		if (i != 2)
			gso_expect(wire, i);
	wire_expect_nothing(wire);
}

CASE(large_while_down)
{
	struct tap tap = tap_open(VNET10);
	struct buffers *b = buffers_new(tap.framing, 1, GSO_FRAME);
	int wire;

	set_burst(tap.sock, true);
	gso_fill(b, 0, 1);
	link_down(tap.name);
	CHECK_ERRNO(move_out(BURST, tap.sock, b, 0, 1, 0), EIO);
	link_up(tap.name);
	wire = gso_wire_open(tap.index);
	CHECK_EQ(DO(move_out(BURST, tap.sock, b, 0, 1, 0)), 1);
	gso_expect(wire, 1);
	wire_expect_nothing(wire);
}

CASE(large_from_bad_memory)
{
	struct tap tap = tap_open(PLAIN);
	struct buffers *b = buffers_new(tap.framing, 1, GSO_FRAME);
	int wire = wire_open(tap.index);
	char *hole = mmap(NULL, 128 << 10, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(hole != MAP_FAILED);
	DO(munmap(hole + (32 << 10), 96 << 10));
	buffer_fill(b, 0, GSO_FRAME, 1);
	CHECK_EQ(DO(send(tap.sock, b->iov[0].iov_base, GSO_FRAME, 0)), GSO_FRAME);
	CHECK_ERRNO(send(tap.sock, hole, GSO_FRAME, 0), EFAULT);
	CHECK_EQ(DO(send(tap.sock, b->iov[0].iov_base, GSO_FRAME, 0)), GSO_FRAME);
	wire_expect(wire, GSO_FRAME, 1);
	wire_expect(wire, GSO_FRAME, 1);
	wire_expect_nothing(wire);
}

/* tun accepts no pages then. The first frame finds that out and is sent again; no later frame is refused. */
CASE(large_with_napi_frags)
{
	struct tap tap = tap_open(FRAGS);
	int wire = wire_open(tap.index);

	for (unsigned int i = 0; i < FRAMES; i++) {
		tap_send(&tap, JUMBO, i);
		wire_expect(wire, JUMBO, i);
	}
	CHECK_EQ(link_counters(tap.name).rx_packets, FRAMES);
	CHECK_EQ(link_counters(tap.name).rx_dropped, 1);
}

__attribute__((constructor)) static void families(void)
{
	static const unsigned int framed[] = { VNET10, VNET12 }, held[] = { PLAIN, VNET12, LEGACY, PI, NAPI };

	for (unsigned int i = 0; i < sizeof(framed) / sizeof(framed[0]); i++)
		for (unsigned int way = 0; way < WAYS; way++)
			case_add(large_gso, framed[i] * WAYS + way, "large_gso_%s_%s",
				 framings[framed[i]].name, way_names[way]);
	for (unsigned int i = 0; i < sizeof(held) / sizeof(held[0]); i++)
		case_add(large_held, held[i], "large_held_%s", framings[held[i]].name);
}
