/* SPDX-License-Identifier: Apache-2.0 */
/* Frames of many sizes, in both directions: around the limits of pages, buffers and protocols. */
#include "frames.h"
#include "harness.h"
#include "link.h"

#define LONGEST 65535
#define LONGEST_SENT 65557 /* turbotap_info.max_frame */
#define MTU_FOR_LONGEST (65535 - 14)

static const size_t sizes[] = {
	14,    15,    16,    59,    60,	   61,	  63,	 64,	65,    127,   128,   129,   255,
	256,   257,   1023,  1024,  1025,  1513,  1514,	 1515,	1518,  1519,  2047,  2048,  2049,
	3439,  3440,  3441,  3442,  3453,  3454,  3455,	 3695,	3696,  3697,  3709,  3710,  3711,
	4095,  4096,  4097,  8191,  8192,  8193,  9013,	 9014,	9015,  9018,  16383, 16384, 16385,
	32767, 32768, 32769, 36863, 40960, 49152, 61440, 65533, 65534, 65535,
};
#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

/* With IFF_NAPI_FRAGS tun refuses the three longest. */
static unsigned int sizes_of(unsigned int framing)
{
	return framing == FRAGS ? SIZES - 3 : SIZES;
}

static void send_sizes(unsigned int argument)
{
	unsigned int count = sizes_of(argument / WAYS);
	struct tap tap = tap_open(argument / WAYS);
	struct buffers *b = buffers_new(tap.framing, SIZES, LONGEST);
	enum way way = argument % WAYS;
	int wire = wire_open(tap.index);
	unsigned int i, round;

	set_burst(tap.sock, way == BURST);
	for (i = 0; i < count; i++) {
		buffer_fill(b, i, sizes[i], i);
		CHECK_EQ(DO(move_out(way, tap.sock, b, i, 1, 0)), 1);
		wire_expect(wire, sizes[i], i);
	}
	/* Many in one call, in several orders: frames that are batched and others keep their order. */
	for (round = 1; round < 30; round += 6) {
		for (i = 0; i < count; i++)
			buffer_fill(b, i, sizes[(i * round) % count], i);
		CHECK_EQ(DO(move_out(way, tap.sock, b, 0, count, 0)), count);
		for (i = 0; i < count; i++)
			wire_expect(wire, sizes[(i * round) % count], i);
	}
	wire_expect_nothing(wire);
	CHECK_EQ(counter(tap.sock, "tx-dropped"), 0);
}

static void receive_sizes(unsigned int argument)
{
	struct tap tap = tap_open(argument / WAYS);
	struct buffers *b = buffers_new(tap.framing, SIZES, LONGEST);
	enum way way = argument % WAYS;
	int wire;

	link_set_mtu(tap.name, MTU_FOR_LONGEST);
	wire = wire_open(tap.index);
	set_burst(tap.sock, way == BURST);
	for (unsigned int i = 0; i < SIZES; i++)
		wire_send(wire, sizes[i], i);
	CHECK_EQ(DO(move_in(way, tap.sock, b, 0, SIZES, 0)), SIZES);
	for (unsigned int i = 0; i < SIZES; i++)
		buffer_check(b, i, sizes[i], i);
	CHECK_ERRNO(move_in(way, tap.sock, b, 0, SIZES, 0), EAGAIN);
}

__attribute__((constructor)) static void families(void)
{
	static const unsigned int tested[] = { PLAIN, VNET10, VNET12, LEGACY, PI, NAPI, FRAGS };

	for (unsigned int i = 0; i < sizeof(tested) / sizeof(tested[0]); i++)
		for (unsigned int way = 0; way < WAYS; way++) {
			const char *name = framings[tested[i]].name;

			case_add(send_sizes, tested[i] * WAYS + way, "size_send_%s_%s", name, way_names[way]);
			case_add(receive_sizes, tested[i] * WAYS + way, "size_receive_%s_%s", name,
				 way_names[way]);
		}
}

/* Every length around the longest that the module batches, mixed with short frames. */
CASE(size_around_the_batch_limit)
{
	struct tap tap = tap_open(PLAIN);
	struct buffers *b = buffers_new(tap.framing, 64, 3900);
	int wire = wire_open(tap.index);
	size_t length;

	set_burst(tap.sock, true);
	for (length = 3330; length + 32 < 3800; length += 32) {
		for (unsigned int i = 0; i < 64; i++)
			buffer_fill(b, i, i % 2 ? length + i / 2 : 60, i);
		CHECK_EQ(DO(move_out(BURST, tap.sock, b, 0, 64, 0)), 64);
		for (unsigned int i = 0; i < 64; i++)
			wire_expect(wire, i % 2 ? length + i / 2 : 60, i);
	}
	CHECK(counter(tap.sock, "tx-batched") > 0);
	CHECK(counter(tap.sock, "tx-batched") < counter(tap.sock, "tx-frames"));
}

/* With a declared framing, the longest frame is exactly max_frame of TURBOTAP_GET_INFO. */
CASE(size_longest)
{
	static const unsigned int declared[] = { PLAIN, VNET10, VNET12 };

	for (unsigned int k = 0; k < 6; k++) {
		struct tap tap = tap_open(declared[k / 2]);
		struct buffers *b = buffers_new(tap.framing, 2, LONGEST_SENT + 1);
		int wire = wire_open(tap.index);

		set_burst(tap.sock, k % 2);
		buffer_fill(b, 0, LONGEST_SENT, 1);
		buffer_fill(b, 1, LONGEST_SENT + 1, 2);
		CHECK_EQ(DO(move_out(k % 2 ? BURST : MMSG, tap.sock, b, 0, 2, 0)), 1);
		wire_expect(wire, LONGEST_SENT, 1);
		CHECK_ERRNO(move_out(k % 2 ? BURST : MMSG, tap.sock, b, 1, 1, 0), EMSGSIZE);
		CHECK_ERRNO(try_tap_send(&tap, LONGEST_SENT + 1, 3, 0), EMSGSIZE);
		wire_expect_nothing(wire);
	}
}

/* Without TURBOTAP_BURST, all iovecs of a message are one frame. */
CASE(size_scattered)
{
	static const unsigned int tested[] = { PLAIN, LEGACY, VNET12, PI, NAPI, FRAGS };
	static const size_t lengths[] = { 14, 60, 1514, 3000, 9014 };

	for (unsigned int k = 0; k < sizeof(tested) / sizeof(tested[0]); k++) {
		struct tap tap = tap_open(tested[k]);
		struct buffers *b = buffers_new(tap.framing, 1, 9014);
		int wire = wire_open(tap.index);

		for (unsigned int i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
			size_t whole = b->header + lengths[i], part = whole / 13 + 1, done = 0;
			struct mmsghdr messages[2] = { 0 };
			struct iovec pieces[16];
			unsigned int count = 0;

			buffer_fill(b, 0, lengths[i], i);
			for (; done < whole; done += part, count++)
				pieces[count] = (struct iovec){ (char *)b->iov[0].iov_base + done,
								part < whole - done ? part : whole - done };
			for (unsigned int m = 0; m < 2; m++)
				messages[m].msg_hdr =
					(struct msghdr){ .msg_iov = pieces, .msg_iovlen = count };
			if (tested[k] == FRAGS && count > 1)
				messages[0].msg_hdr = messages[1].msg_hdr =
					(struct msghdr){ .msg_iov = b->iov, .msg_iovlen = 1 };
			CHECK_EQ(DO(sendmmsg(tap.sock, messages, 2, 0)), 2);
			wire_expect(wire, lengths[i], i);
			wire_expect(wire, lengths[i], i);
		}
		wire_expect_nothing(wire);
	}
}

CASE(size_gathered)
{
	struct tap tap = tap_open(VNET10);
	int wire = wire_open(tap.index);
	char memory[10 + 1514], wanted[1514];
	struct iovec pieces[4] = {
		{ memory, 3 }, { memory + 3, 20 }, { memory + 23, 1 }, { memory + 24, 1500 }
	};
	struct msghdr message = { .msg_iov = pieces, .msg_iovlen = 4 };

	wire_send(wire, 1514, 7);
	CHECK_EQ(DO(recvmsg(tap.sock, &message, 0)), sizeof(memory));
	frame_fill(wanted, 1514, 7);
	CHECK(!memcmp(memory + 10, wanted, 1514));
}
