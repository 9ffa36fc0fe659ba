/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Driver `uring`: a tap queue by io_uring, a system call a burst on kernels without our module.
 *
 * Each queue has a ring of its own, made at attach and unmade at detach. No request outlives the call that
 * submits it, so that the kernel never owns a frame between calls: reads and writes are tried (RWF_NOWAIT,
 * which tun knows since 6.4; O_NONBLOCK alone has io_uring wait for them) and end at once. What stays
 * outstanding is one poll request, submitted behind the reads of a burst. Where it ends at once the queue
 * holds more; where it stays, rx() looks at the ring's memory for as long as nothing comes, without a system
 * call. A worker that sleeps does so on the queue's fd, not on the ring's: with DEFER_TASKRUN that one tells
 * nothing before the kernel is entered.
 *
 * The queue's file is registered (a reference that isn't taken and given back for each frame), frames are
 * not: it saves next to nothing (docs/benchmarks.md), and registered memory is resident.
 */
#include <errno.h>
#include <liburing.h> /* Debian's liburing-dev, 2.3 or later */
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "vnet_hdr.h"
#include "driver.h"
#include "uring.h"

#define ENTRIES (2 * TTF_MAX_BATCH) /* of a burst there are TTF_MAX_BATCH and a poll; a power of two */
#define FILE_INDEX 0
/* What requests have as user_data, if not their place in the burst. */
#define POLL TTF_MAX_BATCH
#define CANCEL UINT64_MAX

struct uring {
	struct io_uring ring;
	uint32_t ask;				/* how many reads the next burst is */
	int ready;				/* the queue may hold something */
	int polled;				/* a poll request is outstanding */
	int refused;				/* the kernel refused a frame of the last tx() */
	struct ttf_frame behind[TTF_MAX_BATCH]; /* what was refused, on its way behind what was taken */
	int32_t results[TTF_MAX_BATCH];
};

/* 0 or -errno. The flags spare the kernel locks and interrupts; all of them are older than what queues need.
 */
static int ring_init(struct io_uring *ring)
{
	return io_uring_queue_init(ENTRIES, ring,
				   IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER |
					   IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG);
}

int ttf_uring_probe(void)
{
	struct io_uring ring;
	int error = ring_init(&ring);

	if (!error)
		io_uring_queue_exit(&ring);
	return error;
}

static int uring_open(struct ttf_queue *queue)
{
	struct uring *uring = calloc(1, sizeof(*uring));
	int error;

	if (!uring)
		return -ENOMEM;
	error = ring_init(&uring->ring);
	if (!error) {
		error = io_uring_register_files(&uring->ring, &queue->fd, 1);
		if (error)
			io_uring_queue_exit(&uring->ring);
	}
	if (error) {
		free(uring);
		return error;
	}
	uring->ask = 1;
	uring->ready = 1;
	queue->uring = uring;
	return 0;
}

/* What the kernel says of requests, by their place in the burst. */
static void reap(struct uring *uring)
{
	const struct io_uring_cqe *completion;
	unsigned int head, seen = 0;

	io_uring_for_each_cqe(&uring->ring, head, completion)
	{
		seen++;
		if (completion->user_data < TTF_MAX_BATCH) {
			uring->results[completion->user_data] = completion->res;
		} else if (completion->user_data == POLL) {
			uring->polled = 0;
			uring->ready = 1;
		}
	}
	io_uring_cq_advance(&uring->ring, seen);
}

/*
 * Submit what was prepared and take the results. What the kernel had no memory to begin with is forgotten,
 * as its frame may be another packet's by the next call, and counts as refused with -EAGAIN. Returns whether
 * there was nothing such.
 */
static int submit(struct uring *uring, uint32_t count)
{
	struct io_uring_sq *queue = &uring->ring.sq;

	for (uint32_t i = 0; i < count; i++)
		uring->results[i] = -EAGAIN;
	io_uring_submit_and_get_events(&uring->ring);
	reap(uring);
	if (!io_uring_sq_ready(&uring->ring))
		return 1;
	queue->sqe_head = queue->sqe_tail = *queue->khead;
	io_uring_smp_store_release(queue->ktail, queue->sqe_tail);
	return 0;
}

static void prepare(struct uring *uring, int op, uint8_t *bytes, uint32_t length, uint32_t place)
{
	struct io_uring_sqe *entry = io_uring_get_sqe(&uring->ring);

	io_uring_prep_rw(op, entry, FILE_INDEX, bytes, length, 0);
	entry->rw_flags = RWF_NOWAIT;
	entry->flags = IOSQE_FIXED_FILE;
	entry->user_data = place;
}

static void prepare_poll(struct uring *uring)
{
	struct io_uring_sqe *entry = io_uring_get_sqe(&uring->ring);

	io_uring_prep_poll_add(entry, FILE_INDEX, POLLIN);
	entry->flags = IOSQE_FIXED_FILE;
	entry->user_data = POLL;
	uring->polled = 1;
}

/*
 * Has the kernel told anything, or will it when it is entered? It may say so once too often (the flag is set
 * behind the work that it stands for), so this is a reason to look and proves nothing of the poll.
 */
static int events_wait(const struct uring *uring)
{
	return io_uring_cq_ready(&uring->ring) ||
	       __atomic_load_n(uring->ring.sq.kflags, __ATOMIC_RELAXED) & IORING_SQ_TASKRUN;
}

static void read_burst(struct ttf_queue *queue, const struct ttf_frame *frames, uint32_t count,
		       uint64_t *calls)
{
	const uint32_t header = queue->header_bytes;
	struct uring *uring = queue->uring;
	const int polls = !uring->polled;

	for (uint32_t i = 0; i < count; i++)
		prepare(uring, IORING_OP_READ, frames[i].eth - header, TTF_FRAME_MAX_BYTES + header, i);
	uring->ready = 0;
	if (polls)
		prepare_poll(uring);
	++*calls;
	if (!submit(uring, count)) {
		uring->ready = 1;
		uring->polled &= !polls;
	}
}

/* A read that finds nothing costs less than one more call: quickly up, and slowly down to what comes. */
static uint32_t next_ask(uint32_t came, uint32_t asked)
{
	if (came < asked)
		return (came + asked) / 2 + 1;
	return came < TTF_MAX_BATCH / 2 ? 2 * came : TTF_MAX_BATCH;
}

static int uring_rx(struct ttf_queue *queue, struct ttf_frame *frames, uint32_t count, uint64_t *calls)
{
	const uint32_t header = queue->header_bytes, room = TTF_FRAME_MAX_BYTES + header;
	struct uring *uring = queue->uring;
	int32_t error = -EAGAIN;
	uint32_t n = 0, bytes = 0;

	if (!uring->ready && !events_wait(uring))
		return -EAGAIN;
	if (count > uring->ask)
		count = uring->ask;
	count = driver_burst_limit(queue, count);
	read_burst(queue, frames, count, calls);
	for (uint32_t i = 0; i < count; i++) {
		int32_t got = uring->results[i];

		if (got < 0) {
			error = got;
			continue;
		}
		/* A packet may have come between a read that found none and the one behind it. */
		if (n != i)
			memcpy(frames[n].eth - header, frames[i].eth - header, (size_t)got);
		/* tun cuts a frame to the buffer without saying so: a full buffer is one that was cut. */
		if ((uint32_t)got >= room)
			frames[n].length = FRAME_TRUNCATED;
		else
			frames[n].length = (uint32_t)got > header ? (uint32_t)got - header : 0;
		frames[n].offload = header && vnet_hdr_requests(frames[n].eth);
		bytes += (uint32_t)got;
		n++;
	}
	if (error != -EAGAIN)
		uring->ready = 1;
	uring->ask = next_ask(n, count);
	driver_burst_received(queue, bytes, n);
	return n ? (int)n : error;
}

/*
 * A write that is refused doesn't hold up those behind it. So that tx() tells the truth of the first frames,
 * those that were taken go to the front, in order; the others are next, and tried one by one until the kernel
 * takes one again.
 */
static int uring_tx(struct ttf_queue *queue, struct ttf_frame *frames, uint32_t count, uint64_t *calls)
{
	const uint32_t header = queue->header_bytes;
	struct uring *uring = queue->uring;
	uint32_t taken = 0, left = 0;
	int32_t error = 0;

	if (uring->refused)
		count = 1;
	for (uint32_t i = 0; i < count; i++)
		prepare(uring, IORING_OP_WRITE, frames[i].eth - header, frames[i].length + header, i);
	++*calls;
	submit(uring, count);
	for (uint32_t i = 0; i < count; i++) {
		if (uring->results[i] < 0) {
			error = error ? error : uring->results[i];
			uring->behind[left++] = frames[i];
		} else if (taken++ != i) {
			frames[taken - 1] = frames[i];
		}
	}
	for (uint32_t i = 0; i < left; i++)
		frames[taken + i] = uring->behind[i];
	uring->refused = left > 0;
	return taken ? (int)taken : error;
}

/* The poll request goes first: it holds the file, and the kernel unmakes a ring some time after its close. */
static void uring_close(struct ttf_queue *queue)
{
	struct uring *uring = queue->uring;
	int error = 0;

	if (uring->polled) {
		struct io_uring_sqe *entry = io_uring_get_sqe(&uring->ring);

		io_uring_prep_poll_remove(entry, POLL);
		entry->user_data = CANCEL;
	}
	while (uring->polled && (error >= 0 || error == -EINTR)) {
		error = io_uring_submit_and_wait(&uring->ring, 1);
		reap(uring);
	}
	io_uring_unregister_files(&uring->ring);
	io_uring_queue_exit(&uring->ring);
	free(uring);
	queue->uring = NULL;
}

const struct ttf_driver_ops ttf_driver_uring = {
	.rx = uring_rx, .tx = uring_tx, .open = uring_open, .close = uring_close
};
