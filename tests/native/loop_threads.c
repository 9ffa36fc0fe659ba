/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Workers as threads of one process. test_ring_tsan.py runs it under ThreadSanitizer, test_wakeups.py
 * without:
 *
 *   loop_threads polling|interrupt|adaptive mmsg|uring PACKETS BURST
 *
 * Three workers steer flows between two ports whose queues are AF_UNIX datagram sockets. The main thread
 * sends bursts and waits for all of each before the next. It stops the workers as the supervisor does. A
 * slice lasts an hour, so a lost wake-up hangs the program.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "atomic.h"
#include "run_state.h"
#include "layout.h"
#include "uring.h"
#include "worker.h"

#define WORKERS 3u
#define PORTS 2u
#define FRAMES 256u
#define SLOTS 32u
#define HOUR_NS 3600000000000ull

static void *stats, *rings, *frames[WORKERS];
static int doorbells[WORKERS];
static int inside[PORTS][WORKERS], outside[PORTS][WORKERS];
static uint32_t io;
static struct ttf_worker *workers[WORKERS];
static pthread_barrier_t attached;

static void *zeroed(uint64_t bytes)
{
	void *base = aligned_alloc(4096, (bytes + 4095) & ~4095ull);

	if (!base)
		exit(2);
	return memset(base, 0, bytes);
}

/* In the worker's own thread: an io_uring belongs to one thread. */
static void attach(uint32_t w)
{
	struct ttf_urings *urings = io == TTF_DRIVER_URING ? ttf_urings_new() : NULL;

	for (uint32_t p = 0; p < PORTS; p++) {
		struct ttf_port_config port = { .port_id = p,
						.generation = 2,
						.queues = WORKERS,
						.mtu = 1500,
						.peer = 1 - (int)p,
						.fd = inside[p][w],
						.driver = io,
						.urings = urings };

		if (ttf_worker_attach(workers[w], &port) != 0)
			exit(2);
	}
}

static void *run(void *arg)
{
	struct ttf_worker *worker = workers[(uintptr_t)arg];

	attach((uint32_t)(uintptr_t)arg);
	pthread_barrier_wait(&attached);
	while (ttf_worker_run(worker, HOUR_NS, ttf_worker_attention(worker)) != TTF_RUN_STOPPED)
		;
	return NULL;
}

static void start(uint32_t w, uint32_t rx_mode)
{
	struct ttf_worker_config config = { .id = w,
					    .batch = 8,
					    .mode = TTF_MODE_XCONNECT,
					    .steering = TTF_STEERING_FLOW,
					    .rx_mode = rx_mode,
					    .spin_ns = 20000,
					    .stats = stats,
					    .rings = rings,
					    .frames = frames,
					    .doorbells = doorbells };

	workers[w] = ttf_worker_new(&config);
	if (!workers[w])
		exit(2);
}

static void ask(uint32_t w, uint32_t control)
{
	uint64_t one = 1;

	ttf_run_state_set(rings, w, control);
	ttf_run_state_attention(rings, w);
	if (write(doorbells[w], &one, sizeof(one)) < 0)
		exit(2);
}

static uint64_t receive(uint32_t p)
{
	uint8_t eth[128];
	uint64_t got = 0;

	for (uint32_t w = 0; w < WORKERS; w++)
		while (recv(outside[p][w], eth, sizeof(eth), MSG_DONTWAIT) == 60)
			got++;
	return got;
}

int main(int argc, char **argv)
{
	static const char *const modes[] = { "polling", "interrupt", "adaptive" };
	int pair[2];
	pthread_t threads[WORKERS];
	uint64_t packets, burst, random = 88172645463325252ull, got = 0, counted = 0;
	uint32_t rx_mode = 0;

	if (argc != 5)
		return 2;
	while (rx_mode < 2 && strcmp(modes[rx_mode], argv[1]) != 0)
		rx_mode++;
	io = strcmp(argv[2], "uring") == 0 ? TTF_DRIVER_URING : TTF_DRIVER_TURBOTAP_MMSG;
	packets = strtoull(argv[3], NULL, 0);
	burst = strtoull(argv[4], NULL, 0);
	stats = zeroed(ttf_stats_bytes(WORKERS, TTF_MAX_PORTS));
	ttf_stats_prepare(stats, WORKERS, TTF_MAX_PORTS, 1);
	ttf_stats_publish(stats);
	rings = zeroed(ttf_rings_bytes(WORKERS, SLOTS));
	ttf_rings_init(rings, WORKERS, SLOTS, FRAMES, UINT32_MAX - 100, 1000000000, 1);
	for (uint32_t w = 0; w < WORKERS; w++) {
		frames[w] = zeroed(ttf_frames_bytes(FRAMES));
		doorbells[w] = eventfd(0, EFD_NONBLOCK);
		for (uint32_t p = 0; p < PORTS; p++) {
			if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, pair) < 0)
				return 2;
			inside[p][w] = pair[0];
			outside[p][w] = pair[1];
		}
	}
	for (uint32_t w = 0; w < WORKERS; w++)
		start(w, rx_mode);
	pthread_barrier_init(&attached, NULL, WORKERS);
	for (uintptr_t w = 0; w < WORKERS; w++)
		pthread_create(&threads[w], NULL, run, (void *)w);

	for (uint64_t n = 0; n < packets; n++) {
		uint8_t eth[60] = { [12] = 0x08, [14] = 0x45, [23] = 17 };

		eth[26] = (uint8_t)(n * 7); /* the flow: a source address */
		memcpy(eth + 42, &n, sizeof(n));
		if (send(outside[n % PORTS][n % WORKERS], eth, sizeof(eth), 0) != sizeof(eth))
			return 2;
		while ((n + 1) % burst == 0 && got < n + 1) {
			got += receive(0) + receive(1);
			sched_yield();
		}
		/* Vary the pause: the next burst must arrive at any stage of falling asleep. */
		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		for (uint64_t spin = random % 2048; spin; spin--)
			__asm__ volatile("");
	}
	while (got < packets) {
		got += receive(0) + receive(1);
		sched_yield();
	}
	for (uint32_t w = 0; w < WORKERS; w++)
		ask(w, TTF_RUN_STATE_DRAIN);
	for (uint32_t w = 0; w < WORKERS; w++)
		while (ttf_run_state_seen(rings, w) != TTF_RUN_STATE_DRAIN)
			sched_yield();
	while (ttf_rings_waiting(rings))
		sched_yield();
	for (uint32_t w = 0; w < WORKERS; w++)
		ask(w, TTF_RUN_STATE_STOP);
	for (uint32_t w = 0; w < WORKERS; w++)
		pthread_join(threads[w], NULL);
	for (uint32_t w = 0; w < WORKERS; w++) {
		for (uint32_t p = 0; p < PORTS; p++)
			counted += ttf_stats_queue(stats, p, w)->tx_packets;
		ttf_worker_free(workers[w]);
	}
	if (counted != packets) {
		printf("FAILED: %llu counted\n", (unsigned long long)counted);
		return 1;
	}
	printf("ok %llu\n", (unsigned long long)got);
	return 0;
}
