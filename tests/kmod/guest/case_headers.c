/* SPDX-License-Identifier: Apache-2.0 */
/* The virtio_net_hdr of a frame received in a burst is the same, bit for bit, as tun's. */
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <net/ethernet.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "frames.h"
#include "harness.h"

#define LENGTH 200
#define FRAMES 8
#define CSUM_START 34

static void offload_wire_send(int wire, const struct virtio_net_hdr *header, unsigned int number)
{
	char frame[LENGTH];
	struct iovec parts[] = { { (void *)header, sizeof(*header) }, { frame, LENGTH } };

	frame_fill(frame, LENGTH, number);
	CHECK_EQ(DO(writev(wire, parts, 2)), sizeof(*header) + LENGTH);
}

static void send_all(int wire)
{
	static const struct virtio_net_hdr requests[] = {
		{ 0 },
		{ .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = CSUM_START, .csum_offset = 6 },
		{ .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = CSUM_START, .csum_offset = 16 },
	};

	for (unsigned int i = 0; i < FRAMES; i++)
		offload_wire_send(wire, &requests[i % 3], i);
}

static void check_headers(unsigned int framing)
{
	struct tap tap = tap_open(framing);
	const size_t size = tap.framing->header + LENGTH;
	struct buffers *b = buffers_new(tap.framing, FRAMES, LENGTH);
	int wire = offload_wire_open(tap.index);
	char by_tun[sizeof(struct virtio_net_hdr_mrg_rxbuf) + LENGTH];

	DO(ioctl(tap.tun, TUNSETOFFLOAD, TUN_F_CSUM));
	set_burst(tap.sock, true);
	send_all(wire);
	CHECK_EQ(DO(move_in(BURST, tap.sock, b, 0, FRAMES, 0)), FRAMES);
	send_all(wire);
	for (unsigned int i = 0; i < FRAMES; i++) {
		const char *got = b->iov[i].iov_base;

		CHECK_EQ(DO(read(tap.tun, by_tun, sizeof(by_tun))), size);
		CHECK_EQ(b->lengths[i], size);
		CHECK(!memcmp(got, by_tun, sizeof(struct virtio_net_hdr)));
		CHECK(!memcmp(got + tap.framing->header, by_tun + tap.framing->header, LENGTH));
		CHECK_EQ(got[0], i % 3 ? VIRTIO_NET_HDR_F_NEEDS_CSUM : 0);
	}
}

CASE(headers_of_a_burst_10)
{
	check_headers(VNET10);
}

CASE(headers_of_a_burst_12)
{
	check_headers(VNET12);
}

/* A truncated frame has a whole header, and the length of the whole frame. */
CASE(headers_of_truncated_frames)
{
	struct tap tap = tap_open(VNET12);
	struct buffers *b = buffers_new(tap.framing, 2, LENGTH / 2);
	int wire = wire_open(tap.index);

	set_burst(tap.sock, true);
	wire_send_many(wire, LENGTH, 0, 2);
	CHECK_EQ(DO(move_in(BURST, tap.sock, b, 0, 2, 0)), 2);
	for (unsigned int i = 0; i < 2; i++) {
		CHECK_EQ(b->lengths[i], tap.framing->header + LENGTH);
		CHECK_EQ(((char *)b->iov[i].iov_base)[0], 0);
		CHECK_EQ(frame_number((char *)b->iov[i].iov_base + tap.framing->header), i);
	}
}
