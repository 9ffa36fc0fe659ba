// SPDX-License-Identifier: Apache-2.0
/*
 * Forward frames from one device to another in several ways, and measure each. `make bench-kmod` runs it in a
 * guest.
 *
 *   forward -w WAY,WAY... [-s SIZE] [-b BATCH] [-p PACKETS] [-r ROUNDS] [-d] [-x PART] [-f CPU] [-c CPU]
 *           [-o] [-e]
 *
 * Each round measures each way once, in rotating order. The first round warms up and isn't reported. The
 * source's queue is filled on CPU -f before the clock starts, and emptied on CPU -c.
 * -d: frames are delivered to a UDP socket instead of dropped by the stack.
 * -x: PART is forward, or receive or send alone; or whole, which includes filling the queue, a batch at a time, so
 * that ways within the kernel can be compared.
 * -o: frames are GSO frames of TCP, between taps with a virtio_net_hdr and offload.
 * -e: shows which kernel functions a single way spends its time in. Sampling takes time too, so the
 * measurements aren't reported.
 *
 * Prints a line of JSON for each measurement, or for each function. The program fails unless every frame
 * reached the sink's device, and the socket, exactly once.
 */
#include <string.h>

#include "../bench.h"
#include "load.h"
#include "samples.h"
#include "way.h"

#define MAX_WAYS 12
#define CALIBRATION 1000000u /* instructions */
#define CALIBRATIONS 10

uint64_t system_calls;

static const struct way *const all_ways[MAX_WAYS] = { &way_rw,	    &way_uring,	       &way_mmsg,
						      &way_burst,   &way_crossing,     &way_ttfwd,
						      &way_capture, &way_burst_device, &way_crossing_device,
						      &way_bridge,  &way_mirred,       &way_veth };

enum part {
	FORWARD,
	RECEIVE,
	SEND,
	WHOLE
};

static const char *const part_names[] = { "forward", "receive", "send", "whole" };

/* A way, and where its frames enter and arrive. */
struct lane {
	const struct way *way;
	const char *sink;
	int source_fd;
};

struct plan {
	struct frames frames;
	uint32_t batch, packets, rounds;
	enum part part;
	int fill_cpu, forward_cpu;
	int samples;
	struct lane lanes[MAX_WAYS];
	uint32_t lane_count;
};

struct slots slots_make(uint32_t stride)
{
	struct slots slots = { .stride = stride, .memory = aligned_alloc(4096, MAX_BATCH * stride) };

	if (!slots.memory)
		die("aligned_alloc");
	memset(slots.memory, 1, MAX_BATCH * stride); /* so no page fault comes later */
	return slots;
}

/* The shortest time of an instruction: exactly 1 ns if the clock counts instructions. */
static double instruction_ns(void)
{
	uint64_t best = UINT64_MAX;

	for (int i = 0; i < CALIBRATIONS; i++) {
		uint64_t start = now_ns(), left = CALIBRATION / 2, ns;

		__asm__ volatile("1: dec %0\n\tjnz 1b" : "+r"(left));
		ns = now_ns() - start;
		best = ns < best ? ns : best;
	}
	return (double)best / CALIBRATION;
}

/* The measured loop. Returns the number of moved frames. */
static uint32_t move(const struct plan *plan, const struct way *way, struct slots *slots, uint32_t waiting)
{
	uint32_t moved = 0;

	if (!way->receive)
		return waiting;
	while (moved < waiting) {
		uint32_t count = plan->batch < waiting - moved ? plan->batch : waiting - moved;

		if (plan->part != SEND)
			count = way->receive(slots, count);
		if (!count)
			break;
		if (plan->part != RECEIVE)
			way->send(slots, count);
		if (plan->part == SEND && way->finish)
			way->finish();
		moved += count;
	}
	if (way->finish)
		way->finish();
	return moved;
}

static void expect(const char *what, uint64_t expected, uint64_t found)
{
	if (found == expected)
		return;
	fprintf(stderr, "%s: %llu instead of %llu\n", what, (unsigned long long)found,
		(unsigned long long)expected);
	exit(1);
}

/* Print the measurement as JSON. */
static const char *described(const struct plan *plan, const struct way *way)
{
	static char text[256];

	snprintf(text, sizeof(text),
		 "\"way\": \"%s\", \"part\": \"%s\", \"size_bytes\": %u, \"batch_packets\": %u, "
		 "\"delivered\": %s",
		 way->name, part_names[plan->part], plan->frames.size, plan->batch,
		 plan->frames.fate == DELIVERED ? "true" : "false");
	return text;
}

static void measure(const struct plan *plan, const struct lane *lane, struct slots *slots, uint32_t round)
{
	const struct way *way = lane->way;
	uint32_t sent = plan->part == RECEIVE ? 0 : plan->packets, moved = 0;
	/* The whole path: sender and forwarder take turns. */
	uint32_t waiting = plan->part == WHOLE ? plan->batch : plan->packets;
	struct received before = load_received(lane->sink), after;
	uint64_t start, ns = 0;

	system_calls = 0;
	for (uint32_t done = 0; done < plan->packets; done += waiting) {
		if (plan->part != SEND) {
			pin(plan->fill_cpu);
			start = now_ns();
			load_fill(lane->source_fd, waiting);
			ns += plan->part == WHOLE ? now_ns() - start : 0;
		}
		pin(plan->forward_cpu);
		if (plan->samples && round)
			samples_start();
		start = now_ns();
		moved += move(plan, way, slots, waiting);
		ns += now_ns() - start;
		if (plan->samples && round)
			samples_stop();
	}

	after = load_received(lane->sink);
	expect(way->name, plan->packets, moved);
	expect("frames of the sink's device", sent, after.frames - before.frames);
	expect("bytes of the sink's device", (uint64_t)sent * plan->frames.size, after.bytes - before.bytes);
	expect("frames of the UDP socket", plan->frames.fate == DELIVERED ? sent : 0, load_delivered());
	if (!round || plan->samples)
		return;
	printf("{%s, \"round\": %u, \"packets\": %u, \"ns\": %llu, \"system_calls\": %llu}\n",
	       described(plan, way), round, plan->packets, (unsigned long long)ns,
	       (unsigned long long)system_calls);
}

static void add_ways(struct plan *plan, char *list)
{
	for (char *name = strtok(list, ","); name; name = strtok(NULL, ",")) {
		uint32_t i = 0;

		while (i < MAX_WAYS && strcmp(name, all_ways[i]->name))
			i++;
		if (i == MAX_WAYS || plan->lane_count == MAX_WAYS)
			exit(2);
		plan->lanes[plan->lane_count++].way = all_ways[i];
	}
}

static enum part part_named(const char *name)
{
	for (enum part part = FORWARD; part <= WHOLE; part++)
		if (!strcmp(name, part_names[part]))
			return part;
	exit(2);
}

/* The buffer size; 0 if the frame fits none. */
static uint32_t buffer_size(const struct frames *frames)
{
	static const uint32_t buffers[] = { SMALL_BUFFER, LARGE_BUFFER, SEGMENT_BUFFER };

	for (size_t i = 0; i < sizeof(buffers) / sizeof(buffers[0]); i++)
		if (frames_bytes(frames) <= buffers[i])
			return buffers[i];
	return 0;
}

static struct plan parse(int argc, char **argv)
{
	struct plan plan = { .frames = { .size = 60 }, .batch = 64, .packets = 1024, .rounds = 5 };
	int option;

	while ((option = getopt(argc, argv, "w:s:b:p:r:x:f:c:deo")) != -1) {
		switch (option) {
		case 'w':
			add_ways(&plan, optarg);
			break;
		case 's':
			plan.frames.size = (uint32_t)atoi(optarg);
			break;
		case 'b':
			plan.batch = (uint32_t)atoi(optarg);
			break;
		case 'p':
			plan.packets = (uint32_t)atoi(optarg);
			break;
		case 'r':
			plan.rounds = (uint32_t)atoi(optarg);
			break;
		case 'x':
			plan.part = part_named(optarg);
			break;
		case 'f':
			plan.fill_cpu = atoi(optarg);
			break;
		case 'c':
			plan.forward_cpu = atoi(optarg);
			break;
		case 'e':
			plan.samples = 1;
			break;
		case 'o':
			plan.frames.segments = true;
			break;
		case 'd':
			plan.frames.fate = DELIVERED;
			break;
		default:
			exit(2);
		}
	}
	if (!plan.lane_count || plan.frames.size < 60 || !buffer_size(&plan.frames) || !plan.batch ||
	    plan.batch > MAX_BATCH || !plan.packets || (plan.part == WHOLE && plan.packets % plan.batch) ||
	    (plan.samples && plan.lane_count != 1))
		exit(2);
	return plan;
}

static void open_lane(struct lane *lane, const struct taps *taps, const struct plan *plan, uint32_t stride)
{
	lane->way->open(taps, stride);
	lane->sink = lane->way->sink ? lane->way->sink : taps->sink;
	lane->source_fd =
		load_socket(lane->way->source ? lane->way->source : taps->source, plan->frames.segments);
}

int main(int argc, char **argv)
{
	struct plan plan = parse(argc, argv);
	struct taps taps = load_taps(&plan.frames, plan.packets);
	struct slots slots = slots_make(buffer_size(&plan.frames));

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (uint32_t i = 0; i < MAX_BATCH; i++) {
		frames_make(slot(&slots, i), &plan.frames);
		slots.lengths[i] = frames_bytes(&plan.frames);
	}
	for (uint32_t i = 0; i < plan.lane_count; i++)
		open_lane(&plan.lanes[i], &taps, &plan, slots.stride);
	printf("{\"instruction_ns\": %.4f}\n", instruction_ns());
	if (plan.samples)
		samples_open();
	for (uint32_t round = 0; round <= plan.rounds; round++)
		for (uint32_t i = 0; i < plan.lane_count; i++)
			measure(&plan, &plan.lanes[(round + i) % plan.lane_count], &slots, round);
	if (plan.samples)
		samples_print(described(&plan, plan.lanes[0].way));
	return 0;
}
