/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lock-free code, shared by threads, for ThreadSanitizer:
 *
 *   ring_tsan ring DESCRIPTORS     a producer and a consumer, frames checked and used again
 *   ring_tsan fdb ROUNDS           four threads learn, look up and flush
 *   ring_tsan watched DESCRIPTORS as `ring`, with a third thread that reads the indices
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "atomic.h"
#include "fdb.h"
#include "layout.h"
#include "pool.h"
#include "ring.h"

#define SLOTS 64u
#define FRAMES 96u
#define BURST 16u

#define START (UINT32_MAX - 1000)

static struct ttf_ring *ring;
static void *frames;
static uint64_t total;
static int failed;

static void fail(const char *what)
{
	printf("FAILED: %s\n", what);
	store_release(&failed, 1);
}

/* -------------------------------------------------------------------------------------------- ring */

static void *produce(void *arg)
{
	const struct ttf_ring *rings[] = { NULL, ring };
	struct pool pool;

	(void)arg;
	if (ttf_pool_init(&pool, frames, FRAMES, true) < 0 || ttf_pool_rebuild(&pool, rings, 2) < 0)
		exit(2);
	for (uint64_t sequence = 0; sequence < total && !load_acquire(&failed);) {
		uint32_t completed = ring_completed(ring);
		uint32_t pending = 0;

		for (uint32_t i = 0; i < completed; i++)
			pool_put(&pool, ring_reclaimed_frame(ring, i));
		ring_reclaim(ring, completed);
		while (pending < BURST && sequence + pending < total && pool.free &&
		       ring_free(ring, pending)) {
			uint32_t frame = pool_peek(&pool, 0);

			pool_take(&pool, 1);
			memset(pool_eth(&pool, frame), (int)((sequence + pending) & 0xff), 60);
			*ring_slot(ring, pending) =
				(struct ttf_desc){ .frame_id = frame,
						   .length = (uint32_t)(sequence + pending) };
			pending++;
		}
		ring_publish(ring, pending);
		sequence += pending;
		if (!pending)
			sched_yield();
		/* A new incarnation, while the consumer continues. */
		if (pending && sequence % 1000 < BURST && ttf_pool_rebuild(&pool, rings, 2) < 0)
			exit(2);
	}
	ttf_pool_exit(&pool);
	return NULL;
}

static void *consume(void *arg)
{
	struct pool pool;
	uint64_t position = 0;

	(void)arg;
	if (ttf_pool_init(&pool, frames, FRAMES, false) < 0)
		exit(2);
	while (position < total && !load_acquire(&failed)) {
		uint32_t count = ring_peek(ring, BURST);

		for (uint32_t i = 0; i < count; i++) {
			const struct ttf_desc *desc = ring_at(ring, i);
			uint8_t expected[60];

			memset(expected, (int)((position + i) & 0xff), sizeof(expected));
			if (desc->length != (uint32_t)(position + i))
				fail("order");
			if (memcmp(pool_eth(&pool, desc->frame_id), expected, sizeof(expected)) != 0)
				fail("content");
		}
		ring_complete(ring);
		position += count;
		if (!count)
			sched_yield();
	}
	return NULL;
}

/* `ttfwd stats` and the supervisor read these while both sides work. */
static void *watch(void *arg)
{
	(void)arg;
	while (load_acquire(&ring->consumer->head) - START != (uint32_t)total && !load_acquire(&failed)) {
		struct ttf_ring_indices seen;

		if (!ring_is_possible(ring, &seen))
			fail("a ring at work seems impossible");
		sched_yield();
	}
	return NULL;
}

static void run_ring(int watched)
{
	pthread_t threads[3];
	static struct ttf_ring_producer producer;
	static struct ttf_ring_consumer consumer;
	static struct ttf_desc descs[SLOTS];
	static struct ttf_ring view = {
		.producer = &producer, .consumer = &consumer, .descs = descs, .slots = SLOTS
	};

	ring = &view;
	frames = calloc(1, ttf_frames_bytes(FRAMES));
	if (!frames)
		exit(2);
	ring_reset(ring, START);
	pthread_create(&threads[0], NULL, produce, NULL);
	pthread_create(&threads[1], NULL, consume, NULL);
	if (watched)
		pthread_create(&threads[2], NULL, watch, NULL);
	for (int i = 0; i < 2 + watched; i++)
		pthread_join(threads[i], NULL);
	if (!failed && consumer.head - START != (uint32_t)total)
		fail("frames are missing");
	free(frames);
}

/* --------------------------------------------------------------------------------------------- fdb */

#define THREADS 4u
#define STATIONS 64u

static struct ttf_fdb *fdb;

/*
 * Station s lives behind port s % 4 and moves to s % 4 + 4 now and then; ports 8 and up have no station.
 * So a lookup must return one of two ports.
 */
static void *stations(void *arg)
{
	uint64_t random = (uint64_t)(uintptr_t)arg * 0x9e3779b97f4a7c15ull + 1;

	for (uint64_t round = 0; round < total && !load_acquire(&failed); round++) {
		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;

		uint32_t station = (uint32_t)(random % STATIONS);
		uint8_t mac[6] = { 2, 0, 0, 0, 0, (uint8_t)station };
		uint32_t home = station % 4;
		uint64_t now = 1000000000ull * (1 + round / 64);
		int port;

		ttf_fdb_learn(fdb, mac, random >> 40 & 1 ? home : home + 4, now);
		port = ttf_fdb_lookup(fdb, mac, now);
		if (port != FDB_UNKNOWN && port != (int)home && port != (int)home + 4)
			fail("a station was found at a port where it never was");
		if (round % 2000 == 0)
			ttf_fdb_flush(fdb, (uint32_t)(random >> 20) % 8);
	}
	return NULL;
}

static void run_fdb(void)
{
	pthread_t threads[THREADS];

	fdb = calloc(1, sizeof(*fdb));
	if (!fdb)
		exit(2);
	fdb->ageing_ns = 300ull * 1000000000ull;
	for (uintptr_t i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, stations, (void *)(i + 1));
	for (uint32_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (uint32_t port = 0; port < 8; port++)
		ttf_fdb_flush(fdb, port);
	for (uint32_t b = 0; b < TTF_FDB_BUCKETS; b++)
		for (int way = 0; way < TTF_FDB_WAYS; way++)
			if (fdb->entries[b][way].key)
				fail("an entry of no port");
	free(fdb);
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		fprintf(stderr, "usage: ring_tsan ring|watched|fdb COUNT\n");
		return 2;
	}
	total = strtoull(argv[2], NULL, 0);
	if (strcmp(argv[1], "fdb") == 0)
		run_fdb();
	else
		run_ring(strcmp(argv[1], "watched") == 0);
	if (!failed)
		printf("ok %llu\n", (unsigned long long)total);
	return failed;
}
