/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Driver `uring`: a tap queue by io_uring, a system call a burst on kernels without our module.
 *
 * Each queue has an io_uring of its own, made at attach and closed at detach. Reads and writes are tried
 * (RWF_NOWAIT, which tun supports since 6.4; with O_NONBLOCK alone io_uring waits for them) and complete
 * at once. So no request for a frame outlives the call that submits it, and the kernel owns no frame between
 * calls.
 *
 * One request stays outstanding: a poll, submitted behind the reads of a burst. If it completes at once, the
 * queue holds more. If it stays, rx() looks at the io_uring's memory without a system call until it
 * completes. A worker sleeps on the queue's fd, not on the io_uring's: with DEFER_TASKRUN the latter shows
 * nothing before the kernel is entered.
 *
 * The queue's file is registered, which saves taking and giving back a reference for each frame. Frames are
 * not: that saves next to nothing (docs/benchmarks.md), and registered memory is resident.
 */
#include <errno.h>
#include <liburing.h> /* Debian's liburing-dev, 2.3 or later */
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "driver.h"
#include "uring.h"
#include "vnet_hdr.h"

#define ENTRIES (2 * TTF_MAX_BATCH) /* a burst is TTF_MAX_BATCH and a poll; a power of two */
#define FILE_INDEX 0
/* user_data of a read or write is its place in the burst. Of other requests: */
#define POLL TTF_MAX_BATCH
#define CANCEL UINT64_MAX

struct uring {
	struct io_uring ring;
	uint32_t ask;				/* the number of reads in the next burst */
	bool ready;				/* the queue may hold something */
	bool polled;				/* a poll request is outstanding */
	bool refused;				/* the kernel refused a frame in the last tx() */
	struct ttf_frame behind[TTF_MAX_BATCH]; /* refused frames, while they move behind those taken */
	int32_t results[TTF_MAX_BATCH];
};

/* 0 or -errno. The flags spare the kernel locks and interrupts; all are older than RWF_NOWAIT of tun. */
static int uring_init(struct io_uring *ring)
{
	return io_uring_queue_init(ENTRIES, ring,
				   IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER |
					   IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG);
}

int ttf_uring_probe(void)
{
	struct io_uring ring;
	int error = uring_init(&ring);

	if (!error)
		io_uring_queue_exit(&ring);
	return error;
}

static int uring_open(struct ttf_queue *queue, const struct ttf_port_config *config)
{
	struct uring *uring = calloc(1, sizeof(*uring));
	int error;

	if (!uring)
		return -ENOMEM;
	error = uring_init(&uring->ring);
	if (!error) {
		error = io_uring_register_files(&uring->ring, &config->fd, 1);
		if (error)
			io_uring_queue_exit(&uring->ring);
	}
	if (error) {
		free(uring);
		return error;
	}
	uring->ask = 1;
	uring->ready = true;
	queue->state = uring;
	return 0;
}

/* Take completions: results by their place in the burst. */
static void uring_reap(struct uring *uring)
{
	const struct io_uring_cqe *completion;
	unsigned int head, seen = 0;

	io_uring_for_each_cqe(&uring->ring, head, completion)
	{
		seen++;
		if (completion->user_data < TTF_MAX_BATCH) {
			uring->results[completion->user_data] = completion->res;
		} else if (completion->user_data == POLL) {
			uring->polled = false;
			uring->ready = true;
		}
	}
	io_uring_cq_advance(&uring->ring, seen);
}

/*
 * Submit the prepared requests and take their results. If the kernel has no memory to start a request, it is
 * cancelled with -EAGAIN: its frame may hold another packet by the next call. True if none was cancelled.
 */
static bool uring_submit(struct uring *uring, uint32_t count)
{
	struct io_uring_sq *queue = &uring->ring.sq;

	for (uint32_t i = 0; i < count; i++)
		uring->results[i] = -EAGAIN;
	io_uring_submit_and_get_events(&uring->ring);
	uring_reap(uring);
	if (!io_uring_sq_ready(&uring->ring))
		return true;
	queue->sqe_head = queue->sqe_tail = *queue->khead;
	io_uring_smp_store_release(queue->ktail, queue->sqe_tail);
	return false;
}

static void uring_prepare(struct uring *uring, int op, uint8_t *bytes, uint32_t length, uint32_t place)
{
	struct io_uring_sqe *entry = io_uring_get_sqe(&uring->ring);

	io_uring_prep_rw(op, entry, FILE_INDEX, bytes, length, 0);
	entry->rw_flags = RWF_NOWAIT;
	entry->flags = IOSQE_FIXED_FILE;
	entry->user_data = place;
}

static void uring_prepare_poll(struct uring *uring)
{
	struct io_uring_sqe *entry = io_uring_get_sqe(&uring->ring);

	io_uring_prep_poll_add(entry, FILE_INDEX, POLLIN);
	entry->flags = IOSQE_FIXED_FILE;
	entry->user_data = POLL;
	uring->polled = true;
}

/*
 * Are completions or task work pending? May be spuriously true: the kernel sets the flag after the work that
 * it stands for. So this is a reason to enter the kernel, and says nothing of the poll.
 */
static bool uring_events_wait(const struct uring *uring)
{
	return io_uring_cq_ready(&uring->ring) ||
	       __atomic_load_n(uring->ring.sq.kflags, __ATOMIC_RELAXED) & IORING_SQ_TASKRUN;
}

static void uring_read_burst(struct ttf_queue *queue, const struct ttf_frame *frames, uint32_t count,
			     uint64_t *calls)
{
	const uint32_t header = queue->header_bytes;
	struct uring *uring = queue->state;
	const bool polls = !uring->polled;

	for (uint32_t i = 0; i < count; i++)
		uring_prepare(uring, IORING_OP_READ, frames[i].eth - header, TTF_FRAME_MAX_BYTES + header, i);
	uring->ready = false;
	if (polls)
		uring_prepare_poll(uring);
	++*calls;
	if (!uring_submit(uring, count)) {
		uring->ready = true;
		if (polls)
			uring->polled = false;
	}
}

/* A read that finds nothing costs less than one more call: grow fast, shrink slowly. */
static uint32_t uring_next_ask(uint32_t came, uint32_t asked)
{
	if (came < asked)
		return (came + asked) / 2 + 1;
	return came < TTF_MAX_BATCH / 2 ? 2 * came : TTF_MAX_BATCH;
}

static int uring_rx(struct ttf_queue *queue, struct ttf_frame *frames, uint32_t count, uint64_t *calls)
{
	const uint32_t header = queue->header_bytes, room = TTF_FRAME_MAX_BYTES + header;
	struct uring *uring = queue->state;
	int32_t error = -EAGAIN;
	uint32_t n = 0, bytes = 0;

	if (!uring->ready && !uring_events_wait(uring))
		return -EAGAIN;
	if (count > uring->ask)
		count = uring->ask;
	count = driver_burst_limit(queue, count);
	uring_read_burst(queue, frames, count, calls);
	for (uint32_t i = 0; i < count; i++) {
		int32_t got = uring->results[i];

		if (got < 0) {
			error = got;
			continue;
		}
		/* A packet may arrive between two reads: then the first found none, and the second has it. */
		if (n != i)
			memcpy(frames[n].eth - header, frames[i].eth - header, (size_t)got);
		/* tun truncates a frame silently: a full buffer is a truncated frame. */
		if ((uint32_t)got >= room)
			frames[n].length = FRAME_TRUNCATED;
		else
			frames[n].length = (uint32_t)got > header ? (uint32_t)got - header : 0;
		frames[n].offload = header && vnet_hdr_requests(frames[n].eth);
		bytes += (uint32_t)got;
		n++;
	}
	if (error != -EAGAIN)
		uring->ready = true;
	uring->ask = uring_next_ask(n, count);
	driver_burst_received(queue, bytes, n);
	return n ? (int)n : error;
}

/*
 * A refused write doesn't stop the writes behind it. tx() must report the first frames, so the frames that
 * were taken move to the front, in order, and the refused ones behind them. These are sent next, one at a
 * time until the kernel takes one again.
 */
static int uring_tx(struct ttf_queue *queue, struct ttf_frame *frames, uint32_t count, uint64_t *calls)
{
	const uint32_t header = queue->header_bytes;
	struct uring *uring = queue->state;
	uint32_t taken = 0, left = 0;
	int32_t error = 0;

	if (uring->refused)
		count = 1;
	for (uint32_t i = 0; i < count; i++)
		uring_prepare(uring, IORING_OP_WRITE, frames[i].eth - header, frames[i].length + header, i);
	++*calls;
	uring_submit(uring, count);
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

/* Remove the poll first: it holds the file, and the kernel frees an io_uring some time after its close. */
static void uring_close(struct ttf_queue *queue)
{
	struct uring *uring = queue->state;
	int error = 0;

	if (uring->polled) {
		struct io_uring_sqe *entry = io_uring_get_sqe(&uring->ring);

		io_uring_prep_poll_remove(entry, POLL);
		entry->user_data = CANCEL;
	}
	while (uring->polled && (error >= 0 || error == -EINTR)) {
		error = io_uring_submit_and_wait(&uring->ring, 1);
		uring_reap(uring);
	}
	io_uring_unregister_files(&uring->ring);
	io_uring_queue_exit(&uring->ring);
	free(uring);
	queue->state = NULL;
}

const struct ttf_driver_ops ttf_driver_uring = {
	.rx = uring_rx, .tx = uring_tx, .open = uring_open, .close = uring_close
};
