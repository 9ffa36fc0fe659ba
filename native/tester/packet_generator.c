/* SPDX-License-Identifier: Apache-2.0 */
#include "tester/packet_generator.h"

#include <errno.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "atomic.h"
#include "clock.h"
#include "tester/frame_write.h"
#include "tester/schedule.h"
#include "tester/work.h"

#define FIRST_SOCKET 1	       /* the process' descriptors */
#define BUFFER_BYTES (4 << 20) /* what a NIC may hold of ours */

int ttf_packet_sender_open(const char *device)
{
	const int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), bytes = BUFFER_BYTES, one = 1;
	struct sockaddr_ll address = { .sll_family = AF_PACKET };
	int error = 0;

	if (fd < 0)
		return -errno;
	address.sll_ifindex = (int)if_nametoindex(device);
	if (!address.sll_ifindex || setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one)) ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)) ||
	    bind(fd, (const struct sockaddr *)&address, sizeof(address)))
		error = -errno;
	if (!error)
		return fd;
	close(fd);
	return error;
}

/*
 * Hand a frame to the device. 1: it took it; 0: it refused it; -errno: there is no device that could. A full
 * socket buffer is the device's delay, not its refusal: the frame waits.
 */
static int packet_send(int fd, const uint8_t *frame, uint32_t length, const atomic_bool *stopping)
{
	while (send(fd, frame, length, MSG_DONTWAIT) < 0) {
		if (errno == ENOBUFS)
			return 0;
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		if (atomic_load(stopping))
			return 0;
	}
	return 1;
}

/* A frame that is ready to be sent. */
struct outgoing {
	const uint8_t *bytes;
	uint32_t length;
	bool stamped;
};

static struct outgoing next_made(const struct ttf_packet_source *source, uint32_t way,
				 const struct ttf_sent *sent, const struct ttf_stamp *stamp)
{
	const struct ttf_generator_config *config = source->config;
	const uint32_t index = way * TTF_MAX_SIZES + config->order[sent->order_at];
	const struct ttf_template *template = &config->templates[index];
	const uint32_t flow = frame_flow(sent->frames, config->flows, config->random, config->seed);

	frame_write(source->frames[index], &config->places[way], template, flow, stamp);
	return (struct outgoing){ source->frames[index], template->frame_bytes, true };
}

static struct outgoing next_captured(const struct ttf_packet_source *source, const struct ttf_sent *sent,
				     const struct ttf_stamp *stamp)
{
	const struct ttf_replay_frame *frame = &source->replay->frames[sent->order_at];

	if (frame->has_stamp)
		ttf_replay_stamp(frame, stamp);
	return (struct outgoing){ frame->bytes, frame->length, frame->has_stamp };
}

/* Send the next frame of a way. Returns 0 or -errno. */
static int send_next(const struct ttf_packet_source *source, struct ttf_packet_run *run, uint32_t way,
		     uint64_t now_ns, uint64_t late_ns, const atomic_bool *stopping)
{
	struct ttf_sent *sent = &run->schedule.ways[way];
	const struct ttf_stamp stamp = frame_stamp(sent->frames, now_ns, late_ns);
	const uint32_t period = source->replay ? source->replay->count : source->config->order_length;
	const struct outgoing frame =
		source->replay ? next_captured(source, sent, &stamp) : next_made(source, way, sent, &stamp);
	const int taken = packet_send(FIRST_SOCKET + (int)way, frame.bytes, frame.length, stopping);

	if (taken < 0)
		return taken;
	if (++sent->order_at == period)
		sent->order_at = 0;
	if (!frame.stamped) {
		run->ways[way].unstamped++;
		return 0;
	}
	sent->frames++;
	run->ways[way].refused += !taken;
	histogram_add(&sent->lateness, late_ns);
	return 0;
}

/* What the process is given. */
struct context {
	const struct ttf_packet_source *source;
	struct ttf_packet_run *run;
};

static void mark(struct ttf_packet_run *run, uint32_t second)
{
	for (uint32_t way = 0; way < TTF_MAX_WAYS; way++)
		run->marks[second].number[way] = run->schedule.ways[way].frames;
}

static int generate(void *context, const struct ttf_run_config *config, const atomic_bool *stopping)
{
	const struct context *given = context;
	struct ttf_packet_run *run = given->run;
	struct ttf_generator *schedule = &run->schedule;
	const uint32_t ways = given->source->config->ways;
	int error = 0;

	(void)config;
	while (!load_acquire(&schedule->start_ns) && !atomic_load(stopping))
		store_relaxed(&schedule->turns, schedule->turns + 1);
	while (!error && schedule->slot < schedule->slots && !atomic_load(stopping)) {
		const uint64_t now_ns = clock_precise_ns();
		uint64_t due_ns = schedule_due_ns(schedule);
		uint32_t way, second;

		if (now_ns < due_ns)
			continue;
		due_ns = schedule_catch_up(schedule, ways, due_ns, now_ns);
		if (schedule->slot == schedule->slots)
			break;
		if (schedule_needs_mark(schedule, due_ns, &second))
			mark(run, second);
		way = (uint32_t)(schedule->slot % ways);
		schedule_advance(schedule);
		error = send_next(given->source, run, way, now_ns, now_ns - due_ns, stopping);
		if (error)
			run->failed_way = way;
	}
	return error;
}

struct ttf_packet_run *ttf_packet_run_new(void)
{
	void *run = mmap(NULL, sizeof(struct ttf_packet_run), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return run == MAP_FAILED ? NULL : run;
}

void ttf_packet_run_free(struct ttf_packet_run *run)
{
	munmap(run, sizeof(*run));
}

struct ttf_runner *ttf_packet_runner_new(const struct ttf_packet_source *source, const int *sockets,
					 struct ttf_packet_run *run, int32_t cpu, int32_t nice)
{
	struct context context = { source, run }; /* the process has a copy of this thread's stack */
	struct ttf_work work = { .run = generate, .context = &context, .fd_count = source->config->ways };

	for (uint32_t way = 0; way < work.fd_count; way++)
		work.fds[way] = sockets[way];
	return ttf_runner_start(&work, cpu, nice);
}
