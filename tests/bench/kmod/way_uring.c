// SPDX-License-Identifier: Apache-2.0
/*
 * io_uring on the taps' own fds, with registered files: one io_uring_enter() carries the writes of a burst
 * and the reads of the next one, which use the other half of the buffers.
 *
 * The best way without turbotap.ko: system calls are as rare, but each frame is a separate request.
 */
#include <errno.h>
#include <liburing.h>

#include "../bench.h"
#include "way.h"

enum {
	SOURCE,
	SINK
};

#define READ_TAG (1ull << 32)

static struct io_uring ring;
static struct slots halves[2];
static unsigned int half, queued;

static void uring_open(const struct taps *taps, uint32_t stride)
{
	struct io_uring_params params = { .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN };
	int files[] = { [SOURCE] = taps->source_fd, [SINK] = taps->sink_fd };

	errno = -io_uring_queue_init_params(2 * MAX_BATCH, &ring, &params);
	if (errno)
		die("io_uring_setup");
	errno = -io_uring_register_files(&ring, files, 2);
	if (errno)
		die("io_uring_register");
	halves[0] = slots_make(stride);
	halves[1] = slots_make(stride);
}

/* Complete all queued requests, and store the lengths of reads. Reads complete in order, so the received
 * frames come first. */
static uint32_t submit(uint32_t *lengths)
{
	unsigned int total = queued, head, seen = 0;
	struct io_uring_cqe *completion;
	uint32_t received = 0;

	queued = 0;
	system_calls++;
	if (io_uring_submit_and_wait(&ring, total) != (int)total)
		die("io_uring_enter");
	io_uring_for_each_cqe(&ring, head, completion)
	{
		seen++;
		if (!(completion->user_data & READ_TAG)) {
			if (completion->res != (int)completion->user_data)
				die("a write by io_uring");
		} else if (completion->res >= 0) {
			lengths[received++] = (uint32_t)completion->res;
		} else if (completion->res != -EAGAIN) {
			die("a read by io_uring");
		}
	}
	io_uring_cq_advance(&ring, seen);
	if (seen != total)
		die("io_uring: completions");
	return received;
}

static struct io_uring_sqe *next_entry(void)
{
	queued++;
	return io_uring_get_sqe(&ring);
}

static uint32_t uring_receive(struct slots *slots, uint32_t most)
{
	half ^= 1;
	slots->memory = halves[half].memory;
	for (uint32_t i = 0; i < most; i++) {
		struct io_uring_sqe *entry = next_entry();

		io_uring_prep_read(entry, SOURCE, slot(slots, i), slots->stride, 0);
		io_uring_sqe_set_flags(entry, IOSQE_FIXED_FILE);
		io_uring_sqe_set_data64(entry, READ_TAG);
	}
	return submit(slots->lengths);
}

static void uring_send(struct slots *slots, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		struct io_uring_sqe *entry = next_entry();

		io_uring_prep_write(entry, SINK, slot(slots, i), slots->lengths[i], 0);
		io_uring_sqe_set_flags(entry, IOSQE_FIXED_FILE);
		io_uring_sqe_set_data64(entry, slots->lengths[i]);
	}
}

static void uring_finish(void)
{
	if (queued)
		submit(NULL);
}

const struct way way_uring = { .name = "uring",
			       .open = uring_open,
			       .receive = uring_receive,
			       .send = uring_send,
			       .finish = uring_finish };
