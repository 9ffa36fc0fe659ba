// SPDX-License-Identifier: Apache-2.0
/*
 * Measures the cost of a descriptor's way through a ring, between two processes on two CPUs.
 *
 *   ring_hop -p CPU -c CPU -b BURST -m MILLISECONDS
 *
 * Prints, as JSON: wall time for each descriptor while the producer publishes bursts of BURST as fast as the
 * consumer takes them (both touch each descriptor, as the datapath does), and the median time that a burst
 * takes from one process to the other, which is half a round trip through two rings.
 */
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <signal.h>

#include "bench.h"
#include "ring.h"

#define SLOTS 512u /* ttfwd's default */
#define MAX_SAMPLES 20000u

struct shared {
	_Alignas(TTF_LINE_PAIR) uint32_t stop;
	_Alignas(TTF_LINE_PAIR) struct {
		struct ttf_ring_producer producer;
		struct ttf_ring_consumer consumer;
		_Alignas(TTF_LINE_PAIR) struct ttf_desc descs[SLOTS];
	} rings[3];
};

static uint32_t sink; /* so that the compiler keeps the reads of descriptors */
static struct ttf_ring views[3];

static struct ttf_ring *ring_of(int which)
{
	return &views[which];
}

static int stopped(const struct shared *shared)
{
	return (int)load_relaxed(&shared->stop);
}

/* Reclaim completed descriptors, then publish a burst. Returns 0 if there was no room. */
static int produce(struct ttf_ring *ring, uint32_t burst)
{
	if (ring_free(ring, 0) < burst) {
		uint32_t done = ring_completed(ring);

		for (uint32_t i = 0; i < done; i++)
			sink += ring_reclaimed_frame(ring, i);
		ring_reclaim(ring, done);
		if (ring_free(ring, 0) < burst)
			return 0;
	}
	for (uint32_t i = 0; i < burst; i++)
		*ring_slot(ring, i) = (struct ttf_desc){ .frame_id = ring->producer->tail + i,
							 .length = 60,
							 .out_port = 1 };
	ring_publish(ring, burst);
	return 1;
}

static uint32_t consume(struct ttf_ring *ring, uint32_t burst)
{
	uint32_t count = ring_peek(ring, burst);

	for (uint32_t i = 0; i < count; i++) {
		const struct ttf_desc desc = *(const volatile struct ttf_desc *)ring_at(ring, i);

		sink += desc.frame_id + desc.length;
	}
	if (count)
		ring_complete(ring);
	return count;
}

static void relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#endif
}

/* The other process: consumes ring 0, and returns bursts from ring 1 through ring 2. */
static void consumer(struct shared *shared, uint32_t burst)
{
	uint32_t echoed = 0;

	while (!stopped(shared)) {
		uint32_t moved = consume(ring_of(0), burst);

		echoed += consume(ring_of(1), burst);
		if (echoed >= burst && produce(ring_of(2), burst))
			echoed -= burst;
		if (!moved)
			relax();
	}
}

static double stream(uint32_t burst, uint64_t for_ns)
{
	struct ttf_ring *ring = ring_of(0);
	uint32_t before = load_acquire(&ring->consumer->head);
	uint64_t began = now_ns(), now = began, moved = 0;

	while (now - began < for_ns) {
		uint32_t head;

		for (int i = 0; i < 256; i++)
			if (!produce(ring, burst))
				relax();
		head = load_acquire(&ring->consumer->head);
		moved += head - before;
		before = head;
		now = now_ns();
	}
	return moved ? (double)(now - began) / (double)moved : 0;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static double one_way_ns(uint32_t burst, uint64_t for_ns)
{
	static uint64_t samples[MAX_SAMPLES];
	uint64_t end = now_ns() + for_ns;
	uint32_t count = 0;

	while (count < MAX_SAMPLES && now_ns() < end) {
		uint64_t began = now_ns();
		uint32_t back = 0;

		while (!produce(ring_of(1), burst))
			relax();
		while (back < burst)
			back += consume(ring_of(2), burst);
		samples[count++] = now_ns() - began;
	}
	if (!count)
		return 0;
	qsort(samples, count, sizeof(samples[0]), compare);
	return (double)samples[count / 2] / 2;
}

int main(int argc, char **argv)
{
	int producer_cpu = 0, consumer_cpu = 1, option;
	uint32_t burst = 32;
	uint64_t for_ns = 100000000;
	struct shared *shared;
	double streaming, one_way;
	pid_t child;

	while ((option = getopt(argc, argv, "p:c:b:m:")) != -1) {
		switch (option) {
		case 'p':
			producer_cpu = atoi(optarg);
			break;
		case 'c':
			consumer_cpu = atoi(optarg);
			break;
		case 'b':
			burst = (uint32_t)atoi(optarg);
			break;
		case 'm':
			for_ns = strtoull(optarg, NULL, 10) * 1000000;
			break;
		default:
			return 2;
		}
	}
	if (burst < 1 || burst > SLOTS)
		return 2;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		die("mmap");
	for (int i = 0; i < 3; i++)
		views[i] = (struct ttf_ring){ .producer = &shared->rings[i].producer,
					      .consumer = &shared->rings[i].consumer,
					      .descs = shared->rings[i].descs,
					      .slots = SLOTS };
	child = check(fork(), "fork");
	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pin(consumer_cpu);
		consumer(shared, burst);
		_exit(0);
	}
	pin(producer_cpu);
	stream(burst, for_ns / 10); /* warm */
	streaming = stream(burst, for_ns);
	one_way = one_way_ns(burst, for_ns);
	store_relaxed(&shared->stop, 1);
	waitpid(child, NULL, 0);
	printf("{\"burst\": %u, \"streaming_ns\": %.3f, \"one_way_ns\": %.1f}\n", burst, streaming, one_way);
	return 0;
}
