/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ring between two processes that are killed again and again:
 *
 *   ring_stress SEED DESCRIPTORS KILLS SLOTS START
 *
 * Position k of the ring always carries sequence number k, in eight words of its frame, so that one
 * comparison finds each frame that was lost, repeated, reordered, or overwritten during a read. Each side
 * dies KILLS times: half of these are kills from outside at random moments, in the other half the process
 * kills itself at a random point in the middle of its work. The parent recovers as the supervisor does, and
 * counts.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "atomic.h"
#include "layout.h"
#include "pool.h"
#include "ring.h"

#define BURST 64u
#define WORDS 8

enum side {
	PRODUCER,
	CONSUMER
};

/* Points where a process may kill itself: in and between all states of the table in ring.h. */
enum point {
	NOWHERE,
	WRITTEN,    /* producer: frames taken and descriptors written, not published */
	PUBLISHED,  /* producer: published, not counted */
	RECLAIMING, /* producer: frames put back, reclaimed index not yet moved */
	CLAIMED,    /* consumer: claimed, nothing delivered */
	DELIVERING, /* consumer: half of what it claimed is delivered */
	DELIVERED,  /* consumer: all delivered, not completed */
	COMPLETED,  /* consumer: completed, not counted */
	POINTS
};

struct shared {
	struct ttf_ring_out_stats out;
	struct ttf_ring_in_stats in;
	uint64_t delivered_next; /* the consumer's: position after the last delivery */
	uint64_t pad[15];
	uint64_t wrong; /* position + 1 of the first frame with wrong content */
	uint64_t found, expected;
	uint32_t stop;
};

static struct shared *shared;
static struct ttf_ring *ring;
static uint32_t ring_start, frame_count;
static void *frames;
static uint64_t total;
static uint64_t random_state;

static uint64_t random_next(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static void *map(size_t bytes)
{
	void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (base == MAP_FAILED) {
		perror("mmap");
		exit(2);
	}
	return base;
}

static uint64_t word_of(uint64_t sequence, int i)
{
	return (sequence + (uint64_t)i) * 0x9e3779b97f4a7c15ull;
}

static void die_at(enum point here, enum point point, uint64_t *countdown)
{
	if (here == point && --*countdown == 0)
		raise(SIGKILL);
}

/* ------------------------------------------------------------------------------------ producer */

static void produce(enum point point, uint64_t countdown)
{
	const struct ttf_ring *rings[] = { ring };
	struct pool pool;

	if (ttf_pool_init(&pool, frames, frame_count, true) < 0 || ttf_pool_rebuild(&pool, rings, 1) < 0)
		exit(2);
	/* A new incarnation inherits only the published frames. */
	uint64_t sequence = shared->out.pushed;

	while (sequence < total) {
		uint32_t completed = ring_completed(ring);
		uint32_t pending = 0;

		for (uint32_t i = 0; i < completed; i++)
			pool_put(&pool, ring_reclaimed_frame(ring, i));
		if (completed) {
			die_at(RECLAIMING, point, &countdown);
			ring_reclaim(ring, completed);
		}
		while (pending < BURST && sequence + pending < total && pool.free &&
		       ring_free(ring, pending)) {
			uint32_t frame = pool_peek(&pool, 0);
			uint64_t *words = (uint64_t *)(void *)pool_eth(&pool, frame);

			pool_take(&pool, 1);
			for (int i = 0; i < WORDS; i++)
				words[i] = word_of(sequence + pending, i);
			*ring_slot(ring, pending) = (struct ttf_desc){ .frame_id = frame, .length = 60 };
			pending++;
		}
		if (!pending) {
			sched_yield();
			continue;
		}
		die_at(WRITTEN, point, &countdown);
		ring_publish(ring, pending);
		die_at(PUBLISHED, point, &countdown);
		count_add(&shared->out.pushed, pending);
		sequence += pending;
	}
	while (!load_relaxed(&shared->stop))
		usleep(1000);
	exit(0);
}

/* ------------------------------------------------------------------------------------ consumer */

static void check(const struct pool *pool, uint32_t i, uint64_t sequence)
{
	const struct ttf_desc *desc = ring_at(ring, i);
	const uint64_t *words;

	if (desc->frame_id < pool->frames) {
		words = (const uint64_t *)(const void *)pool_eth(pool, desc->frame_id);
		for (int w = 0; w < WORDS; w++)
			if (words[w] != word_of(sequence, w)) {
				shared->found = words[w];
				shared->expected = word_of(sequence, w);
				store_release(&shared->wrong, sequence + 1);
				exit(1);
			}
		return;
	}
	shared->found = desc->frame_id;
	store_release(&shared->wrong, sequence + 1);
	exit(1);
}

static void consume(enum point point, uint64_t countdown)
{
	struct pool pool;

	if (ttf_pool_init(&pool, frames, frame_count, false) < 0)
		exit(2);
	uint64_t position = shared->in.popped;

	while (position < total) {
		uint32_t count = ring_peek(ring, BURST);

		if (!count) {
			sched_yield();
			continue;
		}
		die_at(CLAIMED, point, &countdown);
		for (uint32_t i = 0; i < count; i++)
			check(&pool, i, position + i);
		/* Delivery: check again, as a frame must not change between its checksum and its sending. */
		for (uint32_t i = 0; i < count; i++) {
			check(&pool, i, position + i);
			store_release(&shared->delivered_next, position + i + 1);
			if (i == count / 2)
				die_at(DELIVERING, point, &countdown);
		}
		die_at(DELIVERED, point, &countdown);
		ring_complete(ring);
		die_at(COMPLETED, point, &countdown);
		position += count;
		count_add(&shared->in.popped, count);
	}
	while (!load_relaxed(&shared->stop))
		usleep(1000);
	exit(0);
}

/* ---------------------------------------------------------------------------------- supervisor */

static pid_t start(enum side side, int dies)
{
	enum point point = NOWHERE;
	uint64_t countdown = 1 + random_next() % 200;
	pid_t pid;

	if (dies)
		point = side == PRODUCER ? WRITTEN + random_next() % 3 : CLAIMED + random_next() % 4;
	fflush(stdout);
	pid = fork();
	if (pid < 0) {
		perror("fork");
		exit(2);
	}
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (side == PRODUCER)
		produce(point, countdown);
	else
		consume(point, countdown);
	exit(2);
}

static int fail(const char *what, uint64_t a, uint64_t b)
{
	printf("FAILED: %s: %llu, %llu\n", what, (unsigned long long)a, (unsigned long long)b);
	return 1;
}

static int report_wrong(void)
{
	printf("FAILED: position %llu holds %llx, expected %llx\n", (unsigned long long)shared->wrong - 1,
	       (unsigned long long)shared->found, (unsigned long long)shared->expected);
	return 1;
}

/* As in recover.c: only the index counts. */
static void repair(uint64_t *counter, uint32_t index)
{
	*counter += (uint32_t)(index - (uint32_t)*counter);
}

static uint64_t lost;
static uint64_t losses; /* kills that lost something */

static int recover(enum side side)
{
	if (side == PRODUCER) {
		repair(&shared->out.pushed, ring->producer->tail - ring_start);
		return 0;
	}
	uint64_t head = shared->in.popped +
			(uint32_t)(ring->consumer->head - ring_start - (uint32_t)shared->in.popped);
	uint64_t delivered = shared->delivered_next;
	uint32_t given_back = ring_abandon(ring);
	uint64_t behind;

	repair(&shared->in.popped, ring->consumer->head - ring_start);
	behind = shared->in.popped;
	if (given_back > BURST)
		return fail("claimed more than a burst", given_back, BURST);
	if (behind != head + given_back)
		return fail("the ring went on elsewhere", behind, head + given_back);
	/* Losses of earlier deaths lie below head. This death lost only claimed frames. */
	if (delivered > behind)
		return fail("delivered unclaimed frames", delivered, behind);
	uint64_t missing = behind - (delivered > head ? delivered : head);

	if (missing > given_back)
		return fail("lost more than was claimed", missing, given_back);
	lost += missing;
	losses += missing > 0;
	return 0;
}

/* If the stream ends before the process reaches its point of death, it is killed. */
static int wait_for_death(pid_t pid, int *status)
{
	for (;;) {
		pid_t found = waitpid(pid, status, WNOHANG);

		if (found)
			return found == pid ? 0 : -1;
		if (load_acquire(&shared->in.popped) == total)
			kill(pid, SIGKILL);
		usleep(50);
	}
}

static int run(unsigned kills)
{
	unsigned killed[2] = { 0, 0 };
	pid_t pids[2] = { start(PRODUCER, 0), start(CONSUMER, 0) };
	uint64_t step = total / (2 * kills + 2);
	uint64_t next = step;
	int status;

	while (killed[PRODUCER] < kills || killed[CONSUMER] < kills) {
		enum side side = random_next() % 2 ? PRODUCER : CONSUMER;
		int inside = random_next() % 2;

		if (killed[side] >= kills)
			side = 1 - side;
		while (load_acquire(&shared->out.pushed) < next && !load_acquire(&shared->wrong))
			usleep(50);
		next += step;
		if (load_acquire(&shared->wrong))
			return report_wrong();
		/* Replace the process by one that kills itself at a chosen point, and wait for its death. */
		for (int death = 0; death < 1 + inside; death++) {
			if (death == 0) {
				for (uint64_t spin = random_next() % 4096; spin; spin--)
					__asm__ volatile("");
				kill(pids[side], SIGKILL);
			}
			if (wait_for_death(pids[side], &status) < 0)
				return fail("waitpid", (uint64_t)errno, 0);
			if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
				return load_acquire(&shared->wrong) ? report_wrong() :
								      fail("exit", (uint64_t)status, side);
			killed[side]++;
			if (recover(side))
				return 1;
			pids[side] = start(side, inside && death == 0);
		}
	}
	while (load_acquire(&shared->delivered_next) < total && !load_acquire(&shared->wrong)) {
		/* Unless the lost frames were the stream's last. */
		if (load_acquire(&shared->in.popped) == total)
			break;
		usleep(200);
	}
	store_relaxed(&shared->stop, 1);
	for (int side = 0; side < 2; side++) {
		if (waitpid(pids[side], &status, 0) != pids[side] || status != 0)
			return load_acquire(&shared->wrong) ? report_wrong() :
							      fail("end", (uint64_t)status, 0);
	}
	if (shared->out.pushed != total || shared->in.popped != total)
		return fail("totals", shared->out.pushed, shared->in.popped);
	if (lost > (uint64_t)killed[CONSUMER] * BURST)
		return fail("lost more than a burst a kill", lost, killed[CONSUMER]);
	printf("descriptors %llu producer_kills %u consumer_kills %u lost %llu in %llu\n",
	       (unsigned long long)total, killed[PRODUCER], killed[CONSUMER], (unsigned long long)lost,
	       (unsigned long long)losses);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc != 6) {
		fprintf(stderr, "usage: ring_stress SEED DESCRIPTORS KILLS SLOTS START\n");
		return 2;
	}
	uint64_t seed = strtoull(argv[1], NULL, 0);
	unsigned kills = (unsigned)strtoul(argv[3], NULL, 0);
	uint32_t slots = (uint32_t)strtoul(argv[4], NULL, 0);
	uint32_t first = (uint32_t)strtoul(argv[5], NULL, 0);

	total = strtoull(argv[2], NULL, 0);
	random_state = seed * 0x9e3779b97f4a7c15ull + 1;
	printf("seed %llu slots %u start %u\n", (unsigned long long)seed, slots, first);
	shared = map(sizeof(*shared));
	frame_count = slots + BURST;
	ring_start = first;
	ring = map(sizeof(*ring)); /* every process has the same view */
	*ring = (struct ttf_ring){ .producer = map(sizeof(*ring->producer)),
				   .consumer = map(sizeof(*ring->consumer)),
				   .descs = map(slots * sizeof(struct ttf_desc)),
				   .slots = slots };
	ring_reset(ring, first);
	frames = map(ttf_frames_bytes(frame_count));
	return run(kills);
}
