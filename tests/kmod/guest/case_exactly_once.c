/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A burst of 64 with something wrong at one place, at every place in turn: the frames before it are delivered
 * once and in order, the call says how many, none of the others are, and what follows is delivered when it is
 * sent again. For every framing, by sendmmsg and by burst messages.
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
	CROSSES_INTO_NOTHING,
	RUNT,
	OVERSIZED,
	FAULTS
};

static const int fault_errors[FAULTS] = { EFAULT, EFAULT, EINVAL, EMSGSIZE };

/* One byte more than any framing takes: what an undeclared header may be is allowed for. */
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
	case CROSSES_INTO_NOTHING:
		return (struct iovec){ hole - framing->header - LENGTH / 2, framing->header + LENGTH };
	case RUNT:
		return (struct iovec){ memory, framing->header + 13 };
	default:
		return (struct iovec){ memory, framing->header + TOO_LONG };
	}
}

/* One burst, in which the `bad`-th frame can't be sent. Uses numbers from `number` on. */
static void send_with_fault(enum io io, const struct tap *tap, int wire, struct buffers *b, unsigned int bad,
			    enum fault fault, unsigned int number)
{
	buffers_fill(b, LENGTH, number);
	b->iov[bad] = fault_iovec(fault, tap->framing);

	if (bad)
		CHECK_EQ(DO(move_out(io, tap->sock, b, 0, FRAMES, 0)), bad);
	wire_expect_many(wire, LENGTH, number, bad);
	CHECK_ERRNO(move_out(io, tap->sock, b, bad, FRAMES - bad, 0), fault_errors[fault]);
	wire_expect_nothing(wire);
	if (bad == FRAMES - 1)
		return;
	CHECK_EQ(DO(move_out(io, tap->sock, b, bad + 1, FRAMES - bad - 1, 0)), FRAMES - bad - 1);
	wire_expect_many(wire, LENGTH, number + bad + 1, FRAMES - bad - 1);
}

static void every_place(unsigned int framing, enum io io)
{
	struct tap tap = tap_open(framing);
	struct buffers *b = buffers_new(tap.framing, FRAMES, LENGTH);
	unsigned int number = 0, bad, fault;
	int wire = wire_open(tap.index);
	unsigned long sent = 0;

	set_burst(tap.sock, io == BURST);
	for (fault = 0; fault < FAULTS; fault++)
		for (bad = 0; bad < FRAMES; bad++, number += FRAMES, sent += FRAMES - 1)
			send_with_fault(io, &tap, wire, b, bad, fault, number);
	wire_expect_nothing(wire);
	CHECK_EQ(counter(tap.sock, "tx-frames"), sent);
	CHECK_EQ(counter(tap.sock, "tx-dropped"), 0);
	CHECK_EQ(link_counters(tap.name).rx_packets, sent);
}

static void run(unsigned int argument)
{
	every_place(argument / IOS, argument % IOS);
}

/* A program on the device sees the frames before the stack does, and batches go another way past it. */
static void with_xdp(enum xdp_action action, unsigned int framing, enum io io)
{
	struct tap tap = tap_open(framing);
	struct buffers *b = buffers_new(tap.framing, FRAMES, LENGTH);
	int wire = wire_open(tap.index), bad;
	unsigned int number = 0;

	set_burst(tap.sock, io == BURST);
	xdp_attach(tap.index, action);
	for (bad = 0; bad < FRAMES; bad += 7, number += FRAMES) {
		if (action == XDP_PASS) {
			send_with_fault(io, &tap, wire, b, (unsigned int)bad, RUNT, number);
			continue;
		}
		buffers_fill(b, LENGTH, number);
		b->iov[bad] = fault_iovec(RUNT, tap.framing); /* tun counts the others as dropped, too */
		if (bad)
			CHECK_EQ(DO(move_out(io, tap.sock, b, 0, FRAMES, 0)), bad);
		CHECK_ERRNO(move_out(io, tap.sock, b, (unsigned int)bad, FRAMES - (unsigned int)bad, 0),
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
	with_xdp(programs[argument / IOS].action, programs[argument / IOS].framing, argument % IOS);
}

__attribute__((constructor)) static void families(void)
{
	for (unsigned int framing = 0; framing < FRAMINGS; framing++)
		for (unsigned int io = 0; io < IOS; io++)
			case_add(run, framing * IOS + io, "exactly_once_%s_%s", framings[framing].name,
				 io_names[io]);
	for (unsigned int i = 0; i < sizeof(programs) / sizeof(programs[0]); i++)
		for (unsigned int io = 0; io < IOS; io++)
			case_add(run_xdp, i * IOS + io, "exactly_once_%s_%s", programs[i].name, io_names[io]);
}

/* An address that isn't a user's at all: nothing of the message is looked at. */
CASE(exactly_once_kernel_address)
{
	struct tap tap = tap_open(PLAIN);
	struct buffers *b = buffers_new(tap.framing, FRAMES, LENGTH);
	int wire = wire_open(tap.index);

	buffers_fill(b, LENGTH, 0);
	b->iov[3].iov_base = (void *)0xffff888000000000;
	CHECK_EQ(DO(move_out(MMSG, tap.sock, b, 0, FRAMES, 0)), 3);
	wire_expect_many(wire, LENGTH, 0, 3);
	set_burst(tap.sock, 1);
	CHECK_ERRNO(move_out(BURST, tap.sock, b, 0, FRAMES, 0), EFAULT);
	wire_expect_nothing(wire);
}

/* As a forwarder does it: send, step over what can't be sent, send the rest, until all is done. */
CASE(exactly_once_many_faults)
{
	for (unsigned int io = 0; io < IOS; io++) {
		struct tap tap = tap_open(VNET10);
		struct buffers *b = buffers_new(tap.framing, FRAMES, LENGTH);
		int wire = wire_open(tap.index);
		unsigned int next = 0, refused = 0;

		set_burst(tap.sock, io == BURST);
		buffers_fill(b, LENGTH, 0);
		for (unsigned int i = 1; i < FRAMES; i += i % 4 + 1)
			b->iov[i] = fault_iovec(i % FAULTS, tap.framing);
		while (next < FRAMES) {
			int moved = move_out(io, tap.sock, b, next, FRAMES - next, MSG_DONTWAIT);

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
