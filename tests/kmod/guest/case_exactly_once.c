/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A burst of 64 frames in which one can't be sent, at every place in turn. The frames before it are delivered
 * once and in order, and the call returns their number. None of the others is delivered. The frames behind it
 * are delivered when they are sent again. Every framing and both ways are tested.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "frames.h"
#include "harness.h"
#include "link.h"

#define FRAMES 64
#define LENGTH 60

enum fault {
	BAD_POINTER,
	UNMAPPED_END,
	RUNT,
	OVERSIZED,
	FAULTS
};

static const int fault_errors[FAULTS] = { EFAULT, EFAULT, EINVAL, EMSGSIZE };

/* One byte more than any framing allows: max_frame, the longest undeclared header, and one. */
#define TOO_LONG (65557 + 128 + 1)

static struct iovec fault_iovec(enum fault fault, const struct framing *framing)
{
	static char *memory, *hole;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	if (!memory) {
		memory = mmap(NULL, 20 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		CHECK(memory != MAP_FAILED);
		frame_fill(memory + framing->header, 13, 0);
		hole = memory + 19 * page;
		DO(munmap(hole, page));
	}
	switch (fault) {
	case BAD_POINTER:
		return (struct iovec){ hole, framing->header + LENGTH };
	case UNMAPPED_END:
		return (struct iovec){ hole - framing->header - LENGTH / 2, framing->header + LENGTH };
	case RUNT:
		return (struct iovec){ memory, framing->header + 13 };
	default:
		return (struct iovec){ memory, framing->header + TOO_LONG };
	}
}

/* Send one burst in which the `bad`-th frame can't be sent, with frames numbered from `number` on. */
static void send_with_fault(enum way way, const struct tap *tap, int wire, struct buffers *b,
			    unsigned int bad, enum fault fault, unsigned int number)
{
	buffers_fill(b, LENGTH, number);
	b->iov[bad] = fault_iovec(fault, tap->framing);

	if (bad)
		CHECK_EQ(DO(move_out(way, tap->sock, b, 0, FRAMES, 0)), bad);
	wire_expect_many(wire, LENGTH, number, bad);
	CHECK_ERRNO(move_out(way, tap->sock, b, bad, FRAMES - bad, 0), fault_errors[fault]);
	wire_expect_nothing(wire);
	if (bad == FRAMES - 1)
		return;
	CHECK_EQ(DO(move_out(way, tap->sock, b, bad + 1, FRAMES - bad - 1, 0)), FRAMES - bad - 1);
	wire_expect_many(wire, LENGTH, number + bad + 1, FRAMES - bad - 1);
}

static void every_place(unsigned int framing, enum way way)
{
	struct tap tap = tap_open(framing);
	struct buffers *b = buffers_new(tap.framing, FRAMES, LENGTH);
	unsigned int number = 0, bad, fault;
	int wire = wire_open(tap.index);
	unsigned long sent = 0;

	set_burst(tap.sock, way == BURST);
	for (fault = 0; fault < FAULTS; fault++)
		for (bad = 0; bad < FRAMES; bad++, number += FRAMES, sent += FRAMES - 1)
			send_with_fault(way, &tap, wire, b, bad, fault, number);
	wire_expect_nothing(wire);
	CHECK_EQ(counter(tap.sock, "tx-frames"), sent);
	CHECK_EQ(counter(tap.sock, "tx-dropped"), 0);
	CHECK_EQ(link_counters(tap.name).rx_packets, sent);
}

static void run(unsigned int argument)
{
	every_place(argument / WAYS, argument % WAYS);
}

/* An XDP program sees the frames before the stack does. tun runs it on batches by other code. */
static void with_xdp(enum xdp_action action, unsigned int framing, enum way way)
{
	struct tap tap = tap_open(framing);
	struct buffers *b = buffers_new(tap.framing, FRAMES, LENGTH);
	int wire = wire_open(tap.index), bad;
	unsigned int number = 0;

	set_burst(tap.sock, way == BURST);
	xdp_attach(tap.index, action);
	for (bad = 0; bad < FRAMES; bad += 7, number += FRAMES) {
		if (action == XDP_PASS) {
			send_with_fault(way, &tap, wire, b, (unsigned int)bad, RUNT, number);
			continue;
		}
		buffers_fill(b, LENGTH, number);
		/* tun would count the other faults as dropped, too. */
		b->iov[bad] = fault_iovec(RUNT, tap.framing);
		if (bad)
			CHECK_EQ(DO(move_out(way, tap.sock, b, 0, FRAMES, 0)), bad);
		CHECK_ERRNO(move_out(way, tap.sock, b, (unsigned int)bad, FRAMES - (unsigned int)bad, 0),
			    EINVAL);
	}
	wire_expect_nothing(wire);
	if (action == XDP_DROP)
		CHECK_EQ(link_counters(tap.name).rx_dropped, counter(tap.sock, "tx-frames"));
}

static const struct {
	const char *name;
	enum xdp_action action;
	unsigned int framing;
} programs[] = {
	{ "xdp_pass", XDP_PASS, PLAIN },	 { "xdp_drop", XDP_DROP, PLAIN },
	{ "xdp_pass_vnet12", XDP_PASS, VNET12 }, { "xdp_drop_alone", XDP_DROP, ALONE },
	{ "xdp_pass_napi", XDP_PASS, NAPI },
};

static void run_xdp(unsigned int argument)
{
	with_xdp(programs[argument / WAYS].action, programs[argument / WAYS].framing, argument % WAYS);
}

__attribute__((constructor)) static void families(void)
{
	for (unsigned int framing = 0; framing < FRAMINGS; framing++)
		for (unsigned int way = 0; way < WAYS; way++)
			case_add(run, framing * WAYS + way, "exactly_once_%s_%s", framings[framing].name,
				 way_names[way]);
	for (unsigned int i = 0; i < sizeof(programs) / sizeof(programs[0]); i++)
		for (unsigned int way = 0; way < WAYS; way++)
			case_add(run_xdp, i * WAYS + way, "exactly_once_%s_%s", programs[i].name,
				 way_names[way]);
}

/* A kernel address in an iovec. sendmsg refuses the whole message, sendmmsg only that frame's. */
CASE(exactly_once_kernel_address)
{
	struct tap tap = tap_open(PLAIN);
	struct buffers *b = buffers_new(tap.framing, FRAMES, LENGTH);
	int wire = wire_open(tap.index);

	buffers_fill(b, LENGTH, 0);
	b->iov[3].iov_base = (void *)0xffff888000000000;
	CHECK_EQ(DO(move_out(MMSG, tap.sock, b, 0, FRAMES, 0)), 3);
	wire_expect_many(wire, LENGTH, 0, 3);
	set_burst(tap.sock, true);
	CHECK_ERRNO(move_out(BURST, tap.sock, b, 0, FRAMES, 0), EFAULT);
	wire_expect_nothing(wire);
}

/* As a forwarder does: send, skip the frame that can't be sent, and go on behind it. */
CASE(exactly_once_many_faults)
{
	for (unsigned int way = 0; way < WAYS; way++) {
		struct tap tap = tap_open(VNET10);
		struct buffers *b = buffers_new(tap.framing, FRAMES, LENGTH);
		int wire = wire_open(tap.index);
		unsigned int next = 0, refused = 0;

		set_burst(tap.sock, way == BURST);
		buffers_fill(b, LENGTH, 0);
		for (unsigned int i = 1; i < FRAMES; i += i % 4 + 1)
			b->iov[i] = fault_iovec(i % FAULTS, tap.framing);
		while (next < FRAMES) {
			int moved = move_out(way, tap.sock, b, next, FRAMES - next, MSG_DONTWAIT);

			CHECK(moved != 0);
			refused += moved < 0;
			next += moved < 0 ? 1 : (unsigned int)moved;
		}
		next = 0;
		for (unsigned int i = 1; i < FRAMES; i += i % 4 + 1, refused--) {
			wire_expect_many(wire, LENGTH, next, i - next);
			next = i + 1;
		}
		CHECK_EQ(refused, 0);
		wire_expect_many(wire, LENGTH, next, FRAMES - next);
		wire_expect_nothing(wire);
	}
}
