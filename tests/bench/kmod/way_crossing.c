// SPDX-License-Identifier: Apache-2.0
/*
 * A crossing, to a tap or to a device: the frames stay in the kernel. One system call sends the frames of a batch and receives those of
 * the next. As all ways, it reads the length of each frame, but no byte of it.
 */
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "../bench.h"
#include "crossing.h"
#include "veth.h"
#include "way.h"

#define DEVICE "cross-out"
#define BEHIND_DEVICE "cross-sink"

static struct crossing_member member;
static uint32_t source, sink, waiting;
static struct turbotap_lists *lists;
static const struct turbotap_cell *cells;

static void *map(size_t bytes, int protection, off_t offset)
{
	void *memory = mmap(NULL, bytes, protection, MAP_SHARED | MAP_POPULATE, member.fd, offset);

	if (memory == MAP_FAILED)
		die("mmap of a member");
	return memory;
}

static void join(int crossing)
{
	member = crossing_join(crossing);
	lists = map(sizeof(*lists), PROT_READ | PROT_WRITE, TURBOTAP_MAP_LISTS);
	cells = map(MAX_BATCH * sizeof(*cells), PROT_READ, TURBOTAP_MAP_CELLS);
	lists->receive_port = source;
	for (uint32_t i = 0; i < MAX_BATCH; i++)
		lists->receive[i] = member.first + i;
}

static void crossing_open(const struct taps *taps, uint32_t stride)
{
	int crossing = crossing_new();

	(void)stride;
	source = crossing_port(crossing, taps->source_fd, taps->vnet_bytes);
	sink = crossing_port(crossing, taps->sink_fd, taps->vnet_bytes);
	join(crossing);
}

/* Of the two ways of this file a process opens one. */
static void crossing_device_open(const struct taps *taps, uint32_t stride)
{
	int crossing = crossing_new();

	(void)stride;
	veth_make(DEVICE, BEHIND_DEVICE);
	source = crossing_port(crossing, taps->source_fd, taps->vnet_bytes);
	sink = crossing_device(crossing, DEVICE);
	join(crossing);
}

/* Send what waits, and receive. */
static uint32_t cross(uint32_t most)
{
	int count;

	lists->send_count = waiting;
	lists->receive_count = most;
	system_calls++;
	count = check(ioctl(member.fd, TURBOTAP_CROSS, 0), "TURBOTAP_CROSS");
	if (lists->sent != waiting)
		die("a crossing refused a frame");
	waiting = 0;
	return (uint32_t)count;
}

static uint32_t crossing_receive(struct slots *slots, uint32_t most)
{
	uint32_t count = cross(most);

	for (uint32_t i = 0; i < count; i++)
		slots->lengths[i] = cells[member.first + i].length;
	return count;
}

static void crossing_send(struct slots *slots, uint32_t count)
{
	(void)slots;
	for (uint32_t i = 0; i < count; i++)
		lists->send[i] = (struct turbotap_send){ .slot = member.first + i,
							 .generation = cells[member.first + i].generation,
							 .port = sink };
	waiting = count;
}

static void crossing_finish(void)
{
	if (waiting)
		cross(0);
}

const struct way way_crossing = { .name = "crossing",
				  .open = crossing_open,
				  .receive = crossing_receive,
				  .send = crossing_send,
				  .finish = crossing_finish };

const struct way way_crossing_device = { .name = "crossing-device",
					 .open = crossing_device_open,
					 .receive = crossing_receive,
					 .send = crossing_send,
					 .finish = crossing_finish,
					 .sink = BEHIND_DEVICE };
