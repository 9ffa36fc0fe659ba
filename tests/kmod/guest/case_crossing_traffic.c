/* SPDX-License-Identifier: Apache-2.0 */
/* Frames that cross: their bytes, order and counts, from taps to taps, devices and user memory. */
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/if_vlan.h>
#include <linux/sockios.h>
#include <linux/virtio_net.h>
#include <net/ethernet.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "crossing.h"
#include "frames.h"
#include "harness.h"
#include "link.h"

#define COUNT 150 /* more than two chunks of the module */
#define LENGTH 60

/* A tap on each side, with its wire. */
struct side {
	struct tap tap;
	int wire;
	unsigned int port;
};

static struct side side_open(int crossing, unsigned int framing)
{
	struct side side = { .tap = tap_open(framing) };

	link_set_mtu(side.tap.name, 9000);
	side.wire = wire_open(side.tap.index);
	side.port = port_of(crossing, &side.tap);
	return side;
}

static void cross_all(const struct member *m, const struct side *from, const struct side *to, size_t length)
{
	struct link_counters left = link_counters(from->tap.name), arrived = link_counters(to->tap.name);

	wire_send_many(from->wire, length, 1, COUNT);
	receive(m, from->port, 0, COUNT);
	for (unsigned int i = 0; i < COUNT; i++) {
		const struct turbotap_cell *cell = &m->cells[m->first + i];

		CHECK_EQ(cell->length, length);
		CHECK_EQ(cell->port, from->port);
		CHECK_EQ(cell->header_bytes, length < 128 ? length : 128);
		CHECK_EQ(cell->flags, 0);
		CHECK_EQ(frame_number(cell->headers), i + 1);
	}
	send_slots(m, 0, COUNT, to->port);
	wire_expect_many(to->wire, length, 1, COUNT);
	wire_expect_nothing(to->wire);
	CHECK_EQ(link_counters(from->tap.name).tx_packets - left.tx_packets, COUNT);
	CHECK_EQ(link_counters(from->tap.name).tx_bytes - left.tx_bytes, COUNT * length);
	CHECK_EQ(link_counters(to->tap.name).rx_packets - arrived.rx_packets, COUNT);
	CHECK_EQ(link_counters(to->tap.name).rx_bytes - arrived.rx_bytes, COUNT * length);
}

static void crossing_bytes(unsigned int framing)
{
	static const size_t lengths[] = { 14, 60, 127, 128, 129, 1514, 9014 };
	int c = crossing_new();
	struct side from = side_open(c, framing), to = side_open(c, framing);
	struct member m = member_new(c, CROSSING_SLOTS, CROSSING_ROOM, 0);

	for (unsigned int i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		cross_all(&m, &from, &to, lengths[i]);
		cross_all(&m, &to, &from, lengths[i]);
	}
	CHECK_EQ(slots_held(c), 0);
	CHECK_EQ(held_bytes(c), 0);
	CHECK_EQ(counter(m.fd, "by-tun"), 0);
	tap_check(&from.tap, from.wire, 900); /* the burst socket beside it works */
}

__attribute__((constructor)) static void register_bytes(void)
{
	for (unsigned int framing = PLAIN; framing <= VNET12; framing++)
		case_add(crossing_bytes, framing, "crossing_bytes_%s", framings[framing].name);
}

/* Where tun must decide, frames go through tun, and the same frames arrive in the same order. */
static void by_tun(unsigned int framing, int xdp, int sndbuf)
{
	int c = crossing_new();
	struct side from = side_open(c, PLAIN), to = side_open(c, framing);
	struct member m = member_new(c, CROSSING_SLOTS, CROSSING_ROOM, 0);
	static const size_t lengths[] = { 60, 1514, 9014 };

	if (xdp)
		xdp_attach(to.tap.index, XDP_PASS);
	if (sndbuf)
		DO(ioctl(to.tap.tun, TUNSETSNDBUF, &sndbuf));
	for (unsigned int i = 0; i < 3; i++) {
		if (xdp && lengths[i] > 1514)
			continue; /* such a program refuses frames longer than a page */
		wire_send_many(from.wire, lengths[i], 1, 40);
		receive(&m, from.port, 0, 40);
		send_slots(&m, 0, 40, to.port);
		wire_expect_many(to.wire, lengths[i], 1, 40);
	}
	CHECK_EQ(counter(m.fd, "by-tun"), xdp ? 80 : 120);
	CHECK_EQ(held_bytes(c), 0);
}

CASE(crossing_to_tap_with_xdp)
{
	by_tun(PLAIN, 1, 0);
}

CASE(crossing_to_tap_with_xdp_and_header)
{
	by_tun(VNET12, 1, 0);
}

CASE(crossing_to_tap_with_napi)
{
	by_tun(NAPI, 0, 0);
}

CASE(crossing_to_tap_with_napi_frags)
{
	by_tun(FRAGS, 0, 0);
}

CASE(crossing_to_tap_with_send_buffer)
{
	by_tun(VNET10, 0, 1 << 24);
}

/* A program that drops sees the frames, as it would see those of write(). */
CASE(crossing_xdp_drops)
{
	int c = crossing_new();
	struct side from = side_open(c, PLAIN), to = side_open(c, PLAIN);
	struct member m = member_new(c, 64, CROSSING_ROOM, 0);
	int link = xdp_attach(to.tap.index, XDP_DROP);

	wire_send_many(from.wire, LENGTH, 1, 10);
	receive(&m, from.port, 0, 10);
	send_slots(&m, 0, 10, to.port);
	wire_expect_nothing(to.wire);
	CHECK_EQ(link_counters(to.tap.name).rx_dropped, 10);
	close(link);
	wire_send(from.wire, LENGTH, 11);
	receive(&m, from.port, 0, 1);
	send_slots(&m, 0, 1, to.port);
	wire_expect(to.wire, LENGTH, 11);
}

/* A flood: clones to several ports, the frame itself to the last. One copy is rewritten, the others aren't. */
CASE(crossing_flood)
{
	int c = crossing_new();
	struct side sides[4];
	struct member m = member_new(c, 64, CROSSING_ROOM, 0);
	unsigned char frame[1514];

	for (unsigned int i = 0; i < 4; i++)
		sides[i] = side_open(c, i % 2 ? PLAIN : VNET10);
	wire_send(sides[0].wire, 1514, 7);
	receive(&m, sides[0].port, 0, 1);
	for (unsigned int i = 0; i < 3; i++)
		entry_set(&m, i, m.first, sides[i + 1].port, i < 2 ? TURBOTAP_SEND_KEEP : 0);
	frame_fill(frame, sizeof(frame), 7);
	memset(frame, 0x44, 6);
	m.lists->send[1].rewrite = 6;
	memcpy(m.lists->headers[1], frame, 6);
	CHECK_EQ(try_cross(&m, 3), 3);
	wire_expect(sides[1].wire, 1514, 7);
	wire_expect(sides[3].wire, 1514, 7);
	{
		unsigned char got[1600];

		CHECK_EQ(DO(recv(sides[2].wire, got, sizeof(got), 0)), 1514);
		CHECK(!memcmp(got, frame, 1514));
	}
	CHECK_EQ(send_one(&m, m.first, sides[1].port, 0), ENOENT);
	CHECK_EQ(held_bytes(c), 0);
}

CASE(crossing_rewrites_addresses)
{
	int c = crossing_new();
	struct side from = side_open(c, PLAIN), to = side_open(c, PLAIN);
	struct member m = member_new(c, 64, CROSSING_ROOM, 0);
	unsigned char wanted[LENGTH], got[LENGTH];

	wire_send_many(from.wire, LENGTH, 1, 2);
	receive(&m, from.port, 0, 2);
	frame_fill(wanted, LENGTH, 1);
	for (unsigned int i = 0; i < 12; i++)
		wanted[i] = (unsigned char)(2 * i);
	CHECK_EQ(send_rewritten(&m, m.first, to.port, wanted, 12), 0);
	CHECK_EQ(DO(recv(to.wire, got, LENGTH, 0)), LENGTH);
	CHECK(!memcmp(got, wanted, LENGTH));
	/* More is a right, and doesn't go through: the frame is gone then. */
	CHECK_EQ(send_rewritten(&m, m.first + 1, to.port, wanted, 13), EPERM);
	wire_expect_nothing(to.wire);
	CHECK(!slot_holds(c, m.first + 1));
}

/* The frame that the kernel would make of these headers and this payload, with the offload it requests. */
struct segmented {
	struct virtio_net_hdr vnet;
	unsigned char bytes[54 + 4000];
};

static struct segmented segmented_make(void)
{
	static const unsigned char headers[54] = {
		2,    't', 'u',	 'r',  'b', 'o', 2, 0, 0,  0, 1, 1, 8,	  0,	    /* Ethernet */
		0x45, 0,   0x0f, 0xc8, 0,   1,	 0, 0, 64, 6, 0, 0,		    /* IPv4 */
		10,   0,   0,	 1,    10,  0,	 0, 2,				    /* */
		0,    80,  0,	 81,   0,   0,	 0, 1, 0,  0, 0, 0, 0x50, 16, 1, 0, /* TCP */
	};
	struct segmented s = { .vnet = {
				       .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
				       .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
				       .hdr_len = 54,
				       .gso_size = 1000,
				       .csum_start = 34,
				       .csum_offset = 16,
			       } };

	memcpy(s.bytes, headers, sizeof(headers));
	for (size_t i = 54; i < sizeof(s.bytes); i++)
		s.bytes[i] = (unsigned char)(i * 7);
	return s;
}

static int gso_wire_open(int index)
{
	struct sockaddr_ll address = { .sll_family = AF_PACKET,
				       .sll_protocol = htons(ETH_P_IP),
				       .sll_ifindex = index };
	int wire = offload_wire_open(index);

	DO(bind(wire, (struct sockaddr *)&address, sizeof(address)));
	return wire;
}

static void gso_send(const struct tap *tap, int wire, const struct segmented *s)
{
	DO(ioctl(tap->tun, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6));
	CHECK_EQ(DO(send(wire, s, sizeof(*s), 0)), sizeof(*s));
}

static void wait_for(int wire)
{
	struct pollfd ready = { .fd = wire, .events = POLLIN };

	poll(&ready, 1, 10000);
}

static void gso_expect(int wire, const struct segmented *s)
{
	struct segmented got;

	wait_for(wire);
	CHECK_EQ(DO(recv(wire, &got, sizeof(got), MSG_TRUNC)), sizeof(got));
	CHECK_EQ(got.vnet.gso_type, s->vnet.gso_type);
	CHECK_EQ(got.vnet.gso_size, s->vnet.gso_size);
	CHECK_EQ(got.vnet.flags, s->vnet.flags);
	CHECK_EQ(got.vnet.csum_start, s->vnet.csum_start);
	CHECK(!memcmp(got.bytes, s->bytes, sizeof(got.bytes)));
}

/* A GSO frame crosses whole, and its cell says what it requests. */
static void crossing_gso(unsigned int framing)
{
	int c = crossing_new(), wires[2];
	struct side from = side_open(c, VNET10), to = side_open(c, framing);
	struct member m = member_new(c, 64, CROSSING_ROOM, TURBOTAP_RIGHT_REWRITE);
	struct segmented s = segmented_make();
	struct virtio_net_hdr vnet;

	wires[0] = gso_wire_open(from.tap.index);
	wires[1] = gso_wire_open(to.tap.index);
	gso_send(&from.tap, wires[0], &s);
	receive(&m, from.port, 0, 1);
	memcpy(&vnet, m.cells[m.first].vnet, sizeof(vnet));
	CHECK_EQ(m.cells[m.first].length, sizeof(s.bytes));
	CHECK_EQ(vnet.gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
	CHECK_EQ(vnet.gso_size, 1000);
	CHECK_EQ(vnet.csum_start, 34);
	send_slots(&m, 0, 1, to.port);
	gso_expect(wires[1], &s);

	/* Rewritten as far as possible: what it requests is validated, and stays. */
	gso_send(&from.tap, wires[0], &s);
	receive(&m, from.port, 0, 1);
	s.bytes[30] = 10;
	s.bytes[33] = 77;
	s.bytes[127] ^= 0xff;
	CHECK_EQ(send_rewritten(&m, m.first, to.port, s.bytes, 128), 0);
	gso_expect(wires[1], &s);
	CHECK_EQ(counter(m.fd, "by-tun"), 0);
}

__attribute__((constructor)) static void register_gso(void)
{
	case_add(crossing_gso, PLAIN, "crossing_gso_to_plain");
	case_add(crossing_gso, VNET12, "crossing_gso_to_vnet12");
}

/* By tun's own way: as it is to a queue with a header, in segments to one without. */
CASE(crossing_gso_by_tun)
{
	int c = crossing_new(), wires[3], limit = 1 << 24;
	struct side from = side_open(c, VNET10), whole = side_open(c, VNET12), plain = side_open(c, PLAIN);
	struct member m = member_new(c, 64, CROSSING_ROOM, 0);
	struct segmented s = segmented_make(), got;
	size_t payload = 0;

	wires[0] = gso_wire_open(from.tap.index);
	wires[1] = gso_wire_open(whole.tap.index);
	wires[2] = gso_wire_open(plain.tap.index);
	DO(ioctl(whole.tap.tun, TUNSETSNDBUF, &limit));
	DO(ioctl(plain.tap.tun, TUNSETSNDBUF, &limit));
	gso_send(&from.tap, wires[0], &s);
	receive(&m, from.port, 0, 1);
	entry_set(&m, 0, m.first, whole.port, TURBOTAP_SEND_KEEP);
	entry_set(&m, 1, m.first, plain.port, 0);
	CHECK_EQ(try_cross(&m, 2), 2);
	CHECK_EQ(counter(m.fd, "by-tun"), 2);
	gso_expect(wires[1], &s);
	for (unsigned int i = 0; i < 4; i++) {
		size_t length = (size_t)DO(recv(wires[2], &got, sizeof(got), MSG_TRUNC)) - sizeof(got.vnet);

		CHECK_EQ(got.vnet.gso_type, VIRTIO_NET_HDR_GSO_NONE);
		CHECK_EQ(length, 54 + 1000);
		CHECK(!memcmp(got.bytes + 54, s.bytes + 54 + payload, 1000));
		payload += 1000;
	}
	CHECK_ERRNO(recv(wires[2], &got, sizeof(got), 0), EAGAIN);
}

/* A rewrite after which the headers don't fit the offload that the frame requests. */
CASE(crossing_rewrite_is_validated)
{
	static const struct {
		size_t at;
		unsigned char byte;
	} wrong[] = { { 12, 0x86 }, { 14, 0x65 }, { 23, 17 } };
	int c = crossing_new(), wire;
	struct side from = side_open(c, VNET10), to = side_open(c, VNET10);
	struct member m = member_new(c, 64, CROSSING_ROOM, TURBOTAP_RIGHT_REWRITE);
	struct segmented s = segmented_make();

	wire = gso_wire_open(from.tap.index);
	for (unsigned int i = 0; i < 3; i++) {
		struct segmented changed = s;
		int error;

		gso_send(&from.tap, wire, &s);
		receive(&m, from.port, 0, 1);
		changed.bytes[wrong[i].at] = wrong[i].byte;
		/* The kernel checks some of it now and the rest where it segments: neither may hurt. */
		error = send_rewritten(&m, m.first, to.port, changed.bytes, 54);
		CHECK(error == 0 || error == EINVAL);
	}
	gso_send(&from.tap, wire, &s);
	receive(&m, from.port, 0, 1);
	CHECK_EQ(send_rewritten(&m, m.first, to.port, s.bytes, TURBOTAP_CELL_HEADERS + 1), EINVAL);
	CHECK_EQ(slots_held(c), 0);
}

/* A VLAN tag beside the frame is in its data in the cell, and where it arrives. */
CASE(crossing_vlan_tag)
{
	int c = crossing_new(), wire, on = 1;
	struct side from = side_open(c, PLAIN), to = side_open(c, PLAIN);
	struct member m = member_new(c, 64, CROSSING_ROOM, TURBOTAP_RIGHT_COPY);
	struct sockaddr_ll all = { .sll_family = AF_PACKET,
				   .sll_protocol = htons(ETH_P_ALL),
				   .sll_ifindex = to.tap.index };
	unsigned char frame[64], got[128];

	frame_fill(frame, 64, 5);
	memcpy(frame + 12, "\x81\x00\x20\x07\x88\xb5", 6);
	wire = (int)DO(socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0));
	DO(setsockopt(wire, SOL_PACKET, PACKET_AUXDATA, &on, sizeof(on)));
	DO(bind(wire, (struct sockaddr *)&all, sizeof(all)));
	CHECK_EQ(DO(send(from.wire, frame, 64, 0)), 64);
	receive(&m, from.port, 0, 1);
	CHECK(!memcmp(m.cells[m.first].headers, frame, 64));
	CHECK_EQ(copy_out(&m, m.first, got, sizeof(got), 0), 64);
	CHECK(!memcmp(got, frame, 64));
	send_slots(&m, 0, 1, to.port);
	{
		char control[256];
		struct iovec iov = { got, sizeof(got) };
		struct msghdr message = { .msg_iov = &iov,
					  .msg_iovlen = 1,
					  .msg_control = control,
					  .msg_controllen = sizeof(control) };
		struct tpacket_auxdata aux;

		CHECK_EQ(DO(recvmsg(wire, &message, 0)), 60); /* the stack took the tag out again */
		memcpy(&aux, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(aux));
		CHECK(aux.tp_status & TP_STATUS_VLAN_VALID);
		CHECK_EQ(aux.tp_vlan_tci, 0x2007);
	}
}

/* A tag that waits beside the frame, for hardware that would insert it. */
CASE(crossing_vlan_device)
{
	int c = crossing_new(), fd = (int)DO(socket(AF_INET, SOCK_DGRAM, 0));
	struct side from = side_open(c, PLAIN);
	struct member m = member_new(c, 64, CROSSING_ROOM, 0);
	struct vlan_ioctl_args vlan = { .cmd = ADD_VLAN_CMD, .u.VID = 7 };
	unsigned char wanted[LENGTH + 4];
	char name[IFNAMSIZ * 2];

	strcpy(vlan.device1, from.tap.name);
	if (ioctl(fd, SIOCSIFVLAN, &vlan) < 0)
		case_missing("VLAN devices");
	snprintf(name, sizeof(name), "%s.7", from.tap.name);
	if (!link_index(name))
		snprintf(name, sizeof(name), "vlan0007");
	link_up(name);
	wire_send(wire_open(link_index(name)), LENGTH, 3);
	receive(&m, from.port, 0, 1);
	frame_fill(wanted + 4, LENGTH, 3);
	memmove(wanted, wanted + 4, 12);
	memcpy(wanted + 12, "\x81\x00\x00\x07", 4);
	CHECK_EQ(m.cells[m.first].length, LENGTH + 4);
	CHECK(!memcmp(m.cells[m.first].headers, wanted, LENGTH + 4));
}

/* To a device: what it transmits is the frame. Here it is another tap, whose queue is read. */
CASE(crossing_to_device)
{
	int c = crossing_new();
	struct side from = side_open(c, PLAIN);
	struct tap out = tap_open(PLAIN);
	unsigned int port = port_of_device(c, out.index);
	struct member m = member_new(c, 128, CROSSING_ROOM, 0);
	struct buffers *b = buffers_new(out.framing, 100, 1514);

	set_burst(out.sock, true);
	wire_send_many(from.wire, 1514, 1, 100);
	receive(&m, from.port, 0, 100);
	send_slots(&m, 0, 100, port);
	CHECK_EQ(DO(move_in(BURST, out.sock, b, 0, 100, 0)), 100);
	for (unsigned int i = 0; i < 100; i++)
		buffer_check(b, i, 1514, i + 1);
	/* Longer than its MTU. */
	wire_send(from.wire, 2000, 1);
	receive(&m, from.port, 0, 1);
	CHECK_EQ(send_one(&m, m.first, port, 0), EMSGSIZE);
	DO(ioctl(out.tun, TUNSETCARRIER, &(int){ 0 }));
	wire_send(from.wire, 1514, 2);
	receive(&m, from.port, 0, 1);
	CHECK_EQ(send_one(&m, m.first, port, 0), EIO);
	DO(ioctl(out.tun, TUNSETCARRIER, &(int){ 1 }));
	link_down(out.name);
	wire_send(from.wire, 1514, 2);
	receive(&m, from.port, 0, 1);
	CHECK_EQ(send_one(&m, m.first, port, 0), EIO);
	CHECK_EQ(try_receive(&m, port, 0, 1), -1);
	CHECK_EQ(errno, EOPNOTSUPP);
}

/* A GSO frame to a device that can't segment it: the kernel does. */
CASE(crossing_gso_to_device)
{
	int c = crossing_new();
	struct side from = side_open(c, VNET10);
	struct tap out = tap_open(PLAIN);
	unsigned int port = port_of_device(c, out.index);
	struct member m = member_new(c, 64, CROSSING_ROOM, 0);
	struct segmented s = segmented_make();
	unsigned char got[2000];

	gso_send(&from.tap, gso_wire_open(from.tap.index), &s);
	receive(&m, from.port, 0, 1);
	send_slots(&m, 0, 1, port);
	for (unsigned int i = 0; i < 4; i++) {
		CHECK_EQ(DO(recv(out.sock, got, sizeof(got), 0)), 1054);
		CHECK(!memcmp(got + 54, s.bytes + 54 + 1000 * i, 1000));
	}
}

CASE(crossing_copies_out)
{
	int c = crossing_new();
	struct side from = side_open(c, VNET10), to = side_open(c, PLAIN);
	struct member m = member_new(c, 64, CROSSING_ROOM / 2, TURBOTAP_RIGHT_COPY);
	struct member other = member_new(c, 64, 4096, 0);
	unsigned char got[9014];

	wire_send_many(from.wire, 9014, 1, 3);
	receive(&m, from.port, 0, 3);
	for (unsigned int i = 0; i < 3; i++) {
		CHECK_EQ(copy_out(&m, m.first + i, got, sizeof(got), 0), 9014);
		frame_check(got, 9014, i + 1);
		CHECK_EQ(copy_out(&m, m.first + i, got, 100, 0), 100);
	}
	CHECK_EQ(copy_out(&m, m.first, (void *)8, 100, 0), -EFAULT);
	CHECK_EQ(copy_out(&m, m.first, got, sizeof(got), 2), -EINVAL);
	CHECK_EQ(copy_out(&m, m.first, got, sizeof(got), TURBOTAP_COPY_RELEASE), 9014);
	CHECK_EQ(copy_out(&m, m.first, got, sizeof(got), 0), -ENOENT);
	send_slots(&m, 1, 2, to.port); /* the others are where they were, whole */
	wire_expect_many(to.wire, 9014, 2, 2);
	{
		struct turbotap_copy copy = { 0 };
		struct turbotap_copies copies = { sizeof(copies), 1, (uintptr_t)&copy };

		CHECK_ERRNO(ioctl(other.fd, TURBOTAP_COPY_OUT, &copies), EPERM);
		copies.count = 0;
		CHECK_ERRNO(ioctl(m.fd, TURBOTAP_COPY_OUT, &copies), EINVAL);
		copies.count = TURBOTAP_CROSSING_BATCH + 1;
		CHECK_ERRNO(ioctl(m.fd, TURBOTAP_COPY_OUT, &copies), EINVAL);
		copies = (struct turbotap_copies){ sizeof(copies), 1, 8 };
		CHECK_ERRNO(ioctl(m.fd, TURBOTAP_COPY_OUT, &copies), EFAULT);
	}
	CHECK_EQ(held_bytes(c), 0);
}

/* A handle is a number: a member sends what another one received, and both do it at once. */
CASE(crossing_hand_over)
{
	int c = crossing_new();
	struct side from = side_open(c, PLAIN), to = side_open(c, PLAIN);
	struct member one = member_new(c, 256, CROSSING_ROOM / 2, 0);
	struct member two = member_new(c, 256, CROSSING_ROOM / 2, 0);
	unsigned int both = 0;

	wire_send_many(from.wire, LENGTH, 1, 100);
	receive(&one, from.port, 0, 100);
	two.cells = one.cells;
	for (unsigned int i = 0; i < 100; i++) {
		entry_set(&one, i, one.first + i, to.port, 0);
		entry_set(&two, i, one.first + i, to.port, 0);
	}
	both = try_cross(&two, 100) + try_cross(&one, 100);
	CHECK_EQ(both, 100);
	CHECK_EQ(one.lists->send[0].result, -ENOENT);
	wire_expect_many(to.wire, LENGTH, 1, 100);
	wire_expect_nothing(to.wire);
	CHECK_EQ(counter(one.fd, "refused"), 100);
}

/* Sends and receives by one call: what is received may go into the slots that are sent. */
CASE(crossing_both_in_one_call)
{
	int c = crossing_new();
	struct side from = side_open(c, PLAIN), to = side_open(c, PLAIN);
	struct member m = member_new(c, 64, CROSSING_ROOM, 0);

	for (unsigned int round = 0; round < 20; round++) {
		wire_send_many(from.wire, LENGTH, 1 + 60 * round, 60);
		for (unsigned int i = 0; i < 60; i++) {
			m.lists->receive[i] = m.first + i;
			entry_set(&m, i, m.first + i, to.port, 0);
		}
		m.lists->send_count = round ? 60 : 0;
		m.lists->receive_count = 60;
		m.lists->receive_port = from.port;
		CHECK_EQ(DO(ioctl(m.fd, TURBOTAP_CROSS, 0)), 60);
		CHECK_EQ(m.lists->sent, round ? 60 : 0);
		CHECK_EQ(m.lists->lost, 0);
		CHECK_EQ(m.lists->received, 60);
		CHECK_EQ(m.lists->calls, round + 1);
	}
	wire_expect_many(to.wire, LENGTH, 1, 60 * 19);
	CHECK_EQ(slots_held(c), 60);
	CHECK_EQ(counter(m.fd, "calls"), 20);
	CHECK_EQ(counter(m.fd, "received"), 1200);
}

/* A frame that another socket holds, too, isn't changed by a rewrite. */
CASE(crossing_rewrite_leaves_clones_alone)
{
	int c = crossing_new(), tee;
	struct side from = side_open(c, PLAIN), to = side_open(c, PLAIN);
	struct member m = member_new(c, 64, CROSSING_ROOM, 0);
	struct sockaddr_ll all = { .sll_family = AF_PACKET,
				   .sll_protocol = htons(ETH_P_ALL),
				   .sll_ifindex = from.tap.index };
	unsigned char got[LENGTH];

	tee = (int)DO(socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0));
	DO(bind(tee, (struct sockaddr *)&all, sizeof(all)));
	wire_send(from.wire, LENGTH, 3);
	receive(&m, from.port, 0, 1);
	CHECK_EQ(send_rewritten(&m, m.first, to.port, "rewritten!!!", 12), 0);
	CHECK_EQ(DO(recv(tee, got, sizeof(got), 0)), LENGTH);
	frame_check(got, LENGTH, 3);
	CHECK_EQ(DO(recv(to.wire, got, sizeof(got), 0)), LENGTH);
	CHECK(!memcmp(got, "rewritten!!!", 12));
}
