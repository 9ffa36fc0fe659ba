/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Driver `uring`: a tap queue by io_uring, a system call a burst on kernels without our module.
 *
 * Reads and writes are tried (RWF_NOWAIT, which tun supports since 6.4; with O_NONBLOCK alone io_uring waits
 * for them) and complete at once. So no request for a frame outlives the call that submits it, and the kernel
 * owns no frame between calls.
 *
 * One request stays outstanding: a poll, submitted behind the reads of a burst. If it completes at once, the
 * queue holds more. If it stays, rx() looks at the io_uring's memory without a system call until it
 * completes. A worker sleeps on the queue's fd, not on the io_uring's: with DEFER_TASKRUN the latter shows
 * nothing before the kernel is entered.
 *
 * The queue's file is registered, which saves taking and giving back a reference for each frame. Frames are
 * not: that saves next to nothing (docs/benchmarks.md), and registered memory is resident.
 *
 * A process has RINGS io_urings, so usually each queue has one of its own. The queues of more ports share
 * them: what one of them finds waiting may be for another, and costs it a read that finds nothing.
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
#define RINGS 8
/* user_data of a read or write is its place in the burst. Of other requests: */
#define POLL_OF(port_id) (TTF_MAX_BATCH + (port_id))
#define CANCEL UINT64_MAX

/* An io_uring, and the queues that use it. A queue's file is registered under its port id. */
struct uring {
	struct io_uring ring;
	struct uring_queue *queues[TTF_MAX_PORTS];
	int32_t results[TTF_MAX_BATCH];
};

struct ttf_urings {
	struct uring rings[RINGS];
};

struct uring_queue {
	struct uring *uring;
	uint32_t port_id;
	uint32_t ask;				/* the number of reads in the next burst */
	bool ready;				/* the queue may hold something */
	bool polled;				/* a poll request is outstanding */
	bool refused;				/* the kernel refused a frame in the last tx() */
	struct ttf_frame behind[TTF_MAX_BATCH]; /* refused frames, while they move behind those taken */
};

/* -------------------------------------------------------------------------------- the process' io_urings */

/* What is done below, and nothing else. Requests without a file need the flag all the same. */
static int uring_restrict(struct io_uring *ring)
{
	struct io_uring_restriction permitted[] = {
		{ .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_READ },
		{ .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_WRITE },
		{ .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_POLL_ADD },
		{ .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_POLL_REMOVE },
		{ .opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED, .sqe_flags = IOSQE_FIXED_FILE },
		{ .opcode = IORING_RESTRICTION_SQE_FLAGS_REQUIRED, .sqe_flags = IOSQE_FIXED_FILE },
		{ .opcode = IORING_RESTRICTION_REGISTER_OP, .register_op = IORING_REGISTER_FILES_UPDATE },
	};

	/* Debian's liburing has functions for this call and the one below, and doesn't export them. */
	return io_uring_register((unsigned int)ring->ring_fd, IORING_REGISTER_RESTRICTIONS, permitted,
				 sizeof(permitted) / sizeof(permitted[0]));
}

/* An io_uring that can't be used yet. The flags spare the kernel locks and interrupts. 0 or -errno. */
static int uring_init(struct io_uring *ring)
{
	/* All of them are older than RWF_NOWAIT of tun. */
	return io_uring_queue_init(ENTRIES, ring,
				   IORING_SETUP_R_DISABLED | IORING_SETUP_SUBMIT_ALL |
					   IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
					   IORING_SETUP_TASKRUN_FLAG);
}

static int uring_make(struct io_uring *ring)
{
	int error = uring_init(ring);

	if (error)
		return error;
	error = io_uring_register_files_sparse(ring, TTF_MAX_PORTS);
	if (!error)
		error = uring_restrict(ring);
	if (!error)
		error = io_uring_register((unsigned int)ring->ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
	if (error)
		io_uring_queue_exit(ring);
	return error;
}

struct ttf_urings *ttf_urings_new(void)
{
	struct ttf_urings *urings = calloc(1, sizeof(*urings));
	int error = urings ? 0 : -ENOMEM;

	for (uint32_t i = 0; !error && i < RINGS; i++) {
		error = uring_make(&urings->rings[i].ring);
		while (error && i)
			io_uring_queue_exit(&urings->rings[--i].ring);
	}
	if (error) {
		free(urings);
		errno = -error;
		return NULL;
	}
	return urings;
}

void ttf_urings_free(struct ttf_urings *urings)
{
	if (!urings)
		return;
	for (uint32_t i = 0; i < RINGS; i++)
		io_uring_queue_exit(&urings->rings[i].ring);
	free(urings);
}

int ttf_uring_probe(void)
{
	struct io_uring ring;
	int error = uring_init(&ring);

	if (!error)
		io_uring_queue_exit(&ring);
	return error;
}

/* ---------------------------------------------------------------------------------------------- a queue */

/* Register the queue's file, or no file (-1) in its place. 0 or -errno. */
static int uring_set_file(struct uring_queue *queue, int fd)
{
	int result = io_uring_register_files_update(&queue->uring->ring, queue->port_id, &fd, 1);

	return result < 0 ? result : 0;
}

static int uring_open(struct ttf_queue *queue, const struct ttf_port_config *config)
{
	struct uring_queue *mine;
	int error;

	if (!config->urings)
		return -ENOSYS;
	mine = calloc(1, sizeof(*mine));
	if (!mine)
		return -ENOMEM;
	mine->uring = &config->urings->rings[config->port_id % RINGS];
	mine->port_id = config->port_id;
	mine->ask = 1;
	mine->ready = true;
	error = uring_set_file(mine, config->fd);
	if (error) {
		free(mine);
		return error;
	}
	mine->uring->queues[mine->port_id] = mine;
	queue->state = mine;
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
		} else if (completion->user_data < POLL_OF(TTF_MAX_PORTS)) {
			struct uring_queue *polled = uring->queues[completion->user_data - TTF_MAX_BATCH];

			if (polled) {
				polled->polled = false;
				polled->ready = true;
			}
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

static void uring_prepare(const struct uring_queue *queue, int op, uint8_t *bytes, uint32_t length,
			  uint32_t place)
{
	struct io_uring_sqe *entry = io_uring_get_sqe(&queue->uring->ring);

	io_uring_prep_rw(op, entry, (int)queue->port_id, bytes, length, 0);
	entry->rw_flags = RWF_NOWAIT;
	entry->flags = IOSQE_FIXED_FILE;
	entry->user_data = place;
}

static void uring_prepare_poll(struct uring_queue *queue)
{
	struct io_uring_sqe *entry = io_uring_get_sqe(&queue->uring->ring);

	io_uring_prep_poll_add(entry, (int)queue->port_id, POLLIN);
	entry->flags = IOSQE_FIXED_FILE;
	entry->user_data = POLL_OF(queue->port_id);
	queue->polled = true;
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
	struct uring_queue *mine = queue->state;
	const bool polls = !mine->polled;

	for (uint32_t i = 0; i < count; i++)
		uring_prepare(mine, IORING_OP_READ, frames[i].eth - header, TTF_FRAME_MAX_BYTES + header, i);
	mine->ready = false;
	if (polls)
		uring_prepare_poll(mine);
	++*calls;
	if (!uring_submit(mine->uring, count)) {
		mine->ready = true;
		if (polls)
			mine->polled = false;
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
	struct uring_queue *mine = queue->state;
	const int32_t *results = mine->uring->results;
	int32_t error = -EAGAIN;
	uint32_t n = 0, bytes = 0;

	if (!mine->ready && !uring_events_wait(mine->uring))
		return -EAGAIN;
	if (count > mine->ask)
		count = mine->ask;
	count = driver_burst_limit(queue, count);
	uring_read_burst(queue, frames, count, calls);
	for (uint32_t i = 0; i < count; i++) {
		int32_t got = results[i];

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
		mine->ready = true;
	mine->ask = uring_next_ask(n, count);
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
	struct uring_queue *mine = queue->state;
	const int32_t *results = mine->uring->results;
	uint32_t taken = 0, left = 0;
	int32_t error = 0;

	if (mine->refused)
		count = 1;
	for (uint32_t i = 0; i < count; i++)
		uring_prepare(mine, IORING_OP_WRITE, frames[i].eth - header, frames[i].length + header, i);
	++*calls;
	uring_submit(mine->uring, count);
	for (uint32_t i = 0; i < count; i++) {
		if (results[i] < 0) {
			error = error ? error : results[i];
			mine->behind[left++] = frames[i];
		} else if (taken++ != i) {
			frames[taken - 1] = frames[i];
		}
	}
	for (uint32_t i = 0; i < left; i++)
		frames[taken + i] = mine->behind[i];
	mine->refused = left > 0;
	return taken ? (int)taken : error;
}

/* Remove the poll first, and then the file: both hold the queue, and the io_uring goes on. */
static void uring_close(struct ttf_queue *queue)
{
	struct uring_queue *mine = queue->state;
	struct uring *uring = mine->uring;
	int error = 0;

	if (mine->polled) {
		struct io_uring_sqe *entry = io_uring_get_sqe(&uring->ring);

		io_uring_prep_poll_remove(entry, POLL_OF(mine->port_id));
		entry->flags = IOSQE_FIXED_FILE;
		entry->user_data = CANCEL;
	}
	while (mine->polled && (error >= 0 || error == -EINTR)) {
		error = io_uring_submit_and_wait(&uring->ring, 1);
		uring_reap(uring);
	}
	uring->queues[mine->port_id] = NULL;
	uring_set_file(mine, -1);
	free(mine);
	queue->state = NULL;
}

const struct ttf_driver_ops ttf_driver_uring = {
	.rx = uring_rx, .tx = uring_tx, .open = uring_open, .close = uring_close
};
