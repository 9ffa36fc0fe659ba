/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Traffic while the device changes, and from several processes at once. Every frame that the socket accepted
 * is given to the stack or counted as dropped, and every frame that the stack was given arrives.
 */
#include <linux/bpf.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "frames.h"
#include "harness.h"
#include "link.h"

#define LENGTH 60
#define QUEUES 4
#define MULTI (IFF_TAP | IFF_NO_PI | IFF_MULTI_QUEUE)

/* The last byte of a frame's number selects its queue. */
static void steer_by_number(int tun)
{
	const struct bpf_insn program[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_6, .src_reg = BPF_REG_1 },
		{ .code = BPF_LD | BPF_ABS | BPF_B, .imm = 10 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr load = {
		.prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
		.insns = (uintptr_t)program,
		.insn_cnt = sizeof(program) / sizeof(program[0]),
		.license = (uintptr_t) "GPL",
	};
	int fd = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof(load));

	if (fd < 0 && errno == ENOSYS)
		case_missing("bpf()");
	if (fd < 0)
		FAIL("BPF_PROG_LOAD: %s", strerror(errno));
	DO(ioctl(tun, TUNSETSTEERINGEBPF, &fd));
	close(fd);
}

static struct tap first_queue(void)
{
	struct tap tap = { .framing = &framings[PLAIN], .tun = tun_open(NULL, MULTI) };

	snprintf(tap.name, sizeof(tap.name), "%s", tun_name(tap.tun));
	tap.index = link_index(tap.name);
	tap.sock = attach(tap.tun, TURBOTAP_ATTACH_BATCH, 0);
	link_up(tap.name);
	return tap;
}

/* A process like a forwarder's worker: receives `frames` frames from its queue and sends each back. */
static void echo(struct tap queue, unsigned int which, unsigned int frames)
{
	struct buffers *b = buffers_new(queue.framing, 32, LENGTH);
	enum way way = which % WAYS;
	unsigned int done = 0;

	set_burst(queue.sock, way == BURST);
	while (done < frames) {
		int got;

		buffers_reset(b);
		got = (int)DO(move_in(way, queue.sock, b, 0, 32, MSG_WAITFORONE));
		for (int i = 0; i < got; i++) {
			buffer_check(b, (unsigned int)i, LENGTH, (done + (unsigned int)i) * QUEUES + which);
			b->iov[i].iov_len = LENGTH;
		}
		CHECK_EQ(DO(move_out(way, queue.sock, b, 0, (unsigned int)got, 0)), got);
		done += (unsigned int)got;
	}
	CHECK_EQ(counter(queue.sock, "rx-frames"), frames);
	CHECK_EQ(counter(queue.sock, "tx-frames"), frames);
	CHECK_EQ(counter(queue.sock, "tx-dropped"), 0);
	exit(0);
}

CASE(traffic_four_queues_four_processes)
{
	enum {
		PER_QUEUE = 200
	};
	struct tap queues[QUEUES] = { first_queue() };
	unsigned int next[QUEUES], total = 0;
	struct link_counters counters;
	pid_t children[QUEUES];
	int wire = wire_open(queues[0].index);

	for (unsigned int i = 1; i < QUEUES; i++) {
		queues[i] = queues[0];
		queues[i].tun = tun_open(queues[0].name, MULTI);
		queues[i].sock = attach(queues[i].tun, TURBOTAP_ATTACH_BATCH, 0);
	}
	steer_by_number(queues[0].tun);
	for (unsigned int i = 0; i < QUEUES; i++) {
		next[i] = i;
		children[i] = spawn();
		if (!children[i])
			echo(queues[i], i, PER_QUEUE);
	}
	wire_send_many(wire, LENGTH, 0, QUEUES * PER_QUEUE);
	while (total < QUEUES * PER_QUEUE) {
		struct pollfd ready = { .fd = wire, .events = POLLIN };
		unsigned int number;
		char frame[LENGTH];

		CHECK_EQ(DO(poll(&ready, 1, 20000)), 1);
		CHECK_EQ(DO(recv(wire, frame, LENGTH, MSG_TRUNC)), LENGTH);
		number = frame_number(frame);
		CHECK_EQ(number, next[number % QUEUES]);
		frame_check(frame, LENGTH, number);
		next[number % QUEUES] += QUEUES;
		total++;
	}
	for (unsigned int i = 0; i < QUEUES; i++)
		join(children[i]);
	wire_expect_nothing(wire);
	counters = link_counters(queues[0].name);
	CHECK_EQ(counters.rx_packets, QUEUES * PER_QUEUE);
	CHECK_EQ(counters.tx_packets, QUEUES * PER_QUEUE);
	CHECK_EQ(counters.tx_dropped, 0);
}

/* A device with a full ring drops frames and counts them. Those in the ring are received, in order. */
CASE(traffic_full_ring)
{
	struct tap tap = tap_open(PLAIN);
	struct buffers *b = buffers_new(tap.framing, 128, LENGTH);
	int wire = wire_open(tap.index);
	unsigned int refused = 0;
	char frame[LENGTH];

	link_set_queue_length(tap.name, 100);
	for (unsigned int i = 0; i < 150; i++) {
		frame_fill(frame, LENGTH, i);
		refused += send(wire, frame, LENGTH, 0) < 0;
	}
	CHECK(refused <= 50);
	CHECK_EQ(link_counters(tap.name).tx_dropped, 50);
	set_burst(tap.sock, true);
	CHECK_EQ(DO(move_in(BURST, tap.sock, b, 0, 128, 0)), 100);
	for (unsigned int i = 0; i < 100; i++)
		buffer_check(b, i, LENGTH, i);
	wire_send(wire, LENGTH, 500);
	CHECK_EQ(DO(move_in(BURST, tap.sock, b, 0, 128, 0)), 1);
	CHECK_EQ(counter(tap.sock, "rx-frames"), 101);
}

CASE(traffic_link_down)
{
	for (unsigned int framing = 0; framing < FRAMINGS; framing++) {
		struct tap tap = tap_open(framing);
		struct buffers *b = buffers_new(tap.framing, 64, LENGTH);
		int wire = wire_open(tap.index);

		link_down(tap.name);
		for (unsigned int way = 0; way < WAYS; way++) {
			set_burst(tap.sock, way == BURST);
			buffers_fill(b, LENGTH, 0);
			CHECK_ERRNO(move_out(way, tap.sock, b, 0, 64, 0), EIO);
			CHECK_ERRNO(move_out(way, tap.sock, b, 0, 1, 0), EIO);
			CHECK_ERRNO(try_tap_send(&tap, LENGTH, 0, MSG_BATCH), EIO);
		}
		CHECK_EQ(counter(tap.sock, "tx-frames"), 0);
		CHECK_EQ(link_counters(tap.name).rx_packets, 0);
		link_up(tap.name);
		wire_drain(wire);
		for (unsigned int way = 0; way < WAYS; way++) {
			set_burst(tap.sock, way == BURST);
			CHECK_EQ(DO(move_out(way, tap.sock, b, 0, 64, 0)), 64);
			wire_expect_many(wire, LENGTH, 0, 64);
		}
		CHECK_EQ(counter(tap.sock, "tx-dropped"), 0);
	}
}

/* The result of a sender: accepted frames, refused calls. */
struct account {
	unsigned long accepted;
	unsigned long refused;
	int error; /* of the last refused call */
};

/* Send until `*stop`, or until the device is gone, by sendmmsg, burst messages and MSG_BATCH in turn. */
static struct account send_until(const struct tap *tap, volatile unsigned int *stop, unsigned int *number)
{
	struct buffers *b = buffers_new(tap->framing, 16, LENGTH);
	struct account account = { 0 };

	for (unsigned int round = 0; !*stop; round++) {
		enum way way = round % WAYS;
		int moved;

		set_burst(tap->sock, way == BURST);
		buffers_fill(b, LENGTH, *number);
		if (round % 8 == 4) {
			moved = try_tap_send(tap, LENGTH, *number, MSG_BATCH) < 0 ? -1 : 1;
		} else {
			moved = move_out(way, tap->sock, b, 0, 16, MSG_DONTWAIT);
		}
		if (moved < 0) {
			account.refused++;
			account.error = errno;
			if (errno == EBADFD)
				break;
			continue;
		}
		account.accepted += (unsigned long)moved;
		*number += (unsigned int)moved;
	}
	return account;
}

static volatile unsigned int stop;

static void on_alarm(int number)
{
	(void)number;
	stop = 1;
}

static void check_conserved(const struct tap *tap, const struct account *account)
{
	WAIT_FOR(counter(tap->sock, "tx-frames") + counter(tap->sock, "tx-dropped") >= account->accepted);
	CHECK_EQ(counter(tap->sock, "tx-frames") + counter(tap->sock, "tx-dropped"), account->accepted);
}

CASE(traffic_while_link_flaps)
{
	struct tap tap = tap_open(PLAIN);
	unsigned int number = 0;
	struct account account;
	pid_t child = spawn();

	if (!child) {
		for (unsigned int i = 0; i < 20; i++) {
			link_down(tap.name);
			sleep_ms(3);
			link_up(tap.name);
			sleep_ms(7);
		}
		kill(getppid(), SIGUSR1);
		exit(0);
	}
	signal(SIGUSR1, on_alarm);
	account = send_until(&tap, &stop, &number);
	join(child);
	CHECK(account.accepted > 0);
	CHECK(!account.refused || account.error == EIO);
	check_conserved(&tap, &account);
	CHECK_EQ(link_counters(tap.name).rx_packets, counter(tap.sock, "tx-frames"));
}

CASE(traffic_until_device_is_deleted)
{
	for (unsigned int round = 0; round < 8; round++) {
		struct tap tap = tap_open(round % 2 ? VNET10 : PLAIN);
		unsigned int number = 0;
		struct account account;
		pid_t child = spawn();

		if (!child) {
			sleep_ms(5 + round);
			link_delete(tap.index);
			exit(0);
		}
		account = send_until(&tap, &stop, &number);
		CHECK_EQ(account.error, EBADFD);
		join(child);
		check_conserved(&tap, &account);
		close(tap.sock);
		close(tap.tun);
	}
}

CASE(traffic_while_queue_detaches)
{
	struct tap tap = first_queue();
	int wire = wire_open(tap.index);
	unsigned int number = 0;
	struct account account;
	pid_t child = spawn();

	if (!child) {
		for (unsigned int i = 0; i < 20; i++) {
			queue_detach(tap.tun);
			sleep_ms(2);
			queue_attach(tap.tun);
			sleep_ms(4);
		}
		kill(getppid(), SIGUSR1);
		exit(0);
	}
	signal(SIGUSR1, on_alarm);
	account = send_until(&tap, &stop, &number);
	join(child);
	CHECK(account.accepted > 0);
	CHECK_EQ(account.refused, 0);
	check_conserved(&tap, &account);
	CHECK_EQ(counter(tap.sock, "tx-dropped"), 0);
	CHECK_EQ(link_counters(tap.name).rx_packets, account.accepted);
	set_burst(tap.sock, false);
	wire_send(wire, LENGTH, 7);
	tap_expect(&tap, LENGTH, 7);
}

/* Frames arrive while the queue is detached and attached: each is received, or dropped by the device. */
CASE(traffic_in_while_queue_detaches)
{
	enum {
		FRAMES = 500
	};
	struct tap tap = first_queue();
	int wire = wire_open(tap.index);
	struct buffers *b = buffers_new(tap.framing, 32, LENGTH);
	unsigned int last = 0;
	pid_t child = spawn();

	if (!child) {
		for (unsigned int i = 1; i <= FRAMES; i++) {
			char frame[LENGTH];

			if (i % 50 == 20)
				queue_detach(tap.tun);
			if (i % 50 == 30)
				queue_attach(tap.tun);
			frame_fill(frame, LENGTH, i);
			send(wire, frame, LENGTH, 0);
		}
		exit(0);
	}
	set_burst(tap.sock, true);
	while (last < FRAMES) {
		int got = (int)DO(move_in(BURST, tap.sock, b, 0, 32, 0));

		for (int i = 0; i < got; i++) {
			unsigned int number = frame_number(b->iov[i].iov_base);

			CHECK(number > last);
			buffer_check(b, (unsigned int)i, LENGTH, number);
			last = number;
		}
	}
	join(child);
	CHECK(counter(tap.sock, "rx-frames") <= link_counters(tap.name).tx_packets);
	CHECK_EQ(counter(tap.sock, "rx-faulted"), 0);
}
