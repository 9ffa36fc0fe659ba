/* SPDX-License-Identifier: Apache-2.0 */
/* Makes crossings, ports and members, and calls them; see crossing.h. */
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "crossing.h"
#include "harness.h"

#define PATIENCE 10000 /* ms */

int create_crossing(int control, unsigned int slots, unsigned int header_bytes, unsigned long bytes)
{
	struct turbotap_crossing how = {
		.size = sizeof(how),
		.flags = TURBOTAP_CROSSING_CLOEXEC,
		.slots = slots,
		.header_bytes = header_bytes,
		.bytes = bytes,
	};

	return ioctl(control, TURBOTAP_CREATE, &how);
}

int try_crossing(unsigned int slots, unsigned int header_bytes, unsigned long bytes)
{
	int control = control_open(), fd = create_crossing(control, slots, header_bytes, bytes),
	    error = errno;

	close(control);
	errno = error;
	return fd;
}

int crossing_new(void)
{
	return (int)DO(try_crossing(CROSSING_SLOTS, TURBOTAP_CELL_HEADERS, CROSSING_ROOM));
}

int try_port_tap(int crossing, int tun, unsigned int vnet_hdr_size)
{
	struct turbotap_port_tap tap = { .size = sizeof(tap), .tun_fd = tun, .vnet_hdr_size = vnet_hdr_size };

	return ioctl(crossing, TURBOTAP_PORT_TAP, &tap);
}

int try_port_device(int crossing, int index)
{
	struct turbotap_port_device device = { .size = sizeof(device), .ifindex = index };

	return ioctl(crossing, TURBOTAP_PORT_DEVICE, &device);
}

int try_port_delete(int crossing, unsigned int port)
{
	return ioctl(crossing, TURBOTAP_PORT_DELETE, port);
}

unsigned int port_of(int crossing, const struct tap *tap)
{
	return (unsigned int)DO(try_port_tap(crossing, tap->tun, tap->framing->header));
}

unsigned int port_of_device(int crossing, int index)
{
	return (unsigned int)DO(try_port_device(crossing, index));
}

void port_delete(int crossing, unsigned int port)
{
	DO(try_port_delete(crossing, port));
}

int try_join(int crossing, struct turbotap_member *join)
{
	join->size = sizeof(*join);
	join->flags = TURBOTAP_CROSSING_CLOEXEC;
	return ioctl(crossing, TURBOTAP_JOIN, join);
}

static void *map(int fd, size_t length, int protection, off_t offset)
{
	void *memory = mmap(NULL, length, protection, MAP_SHARED, fd, offset);

	if (memory == MAP_FAILED)
		FAIL("mmap at %#lx: %s", (unsigned long)offset, strerror(errno));
	return memory;
}

static size_t pages(size_t bytes)
{
	return (bytes + 4095) & ~(size_t)4095;
}

struct member member_map(int fd, unsigned int first, unsigned int count, unsigned int number)
{
	struct member m = { .fd = fd, .first = first, .count = count, .number = number };

	m.lists = map(fd, pages(sizeof(*m.lists)), PROT_READ | PROT_WRITE, TURBOTAP_MAP_LISTS);
	m.cells = map(fd, pages((first + count) * sizeof(*m.cells)), PROT_READ, TURBOTAP_MAP_CELLS);
	return m;
}

struct member member_new(int crossing, unsigned int slots, unsigned long bytes, unsigned int rights)
{
	struct turbotap_member join = { .slots = slots, .bytes = bytes, .rights = rights };
	int fd = (int)DO(try_join(crossing, &join));

	return member_map(fd, join.first, slots, join.number);
}

void member_close(struct member *m)
{
	DO(munmap(m->lists, pages(sizeof(*m->lists))));
	DO(munmap((void *)m->cells, pages((m->first + m->count) * sizeof(*m->cells))));
	DO(close(m->fd));
	m->fd = -1;
}

int try_receive(const struct member *m, unsigned int port, unsigned int at, unsigned int count)
{
	m->lists->send_count = 0;
	m->lists->receive_port = port;
	m->lists->receive_count = count;
	for (unsigned int i = 0; i < count; i++)
		m->lists->receive[i] = m->first + at + i;
	return ioctl(m->fd, TURBOTAP_CROSS, 0);
}

void receive(const struct member *m, unsigned int port, unsigned int at, unsigned int count)
{
	uint64_t deadline = now_ms() + PATIENCE;

	while (count) {
		int got = (int)DO(try_receive(m, port, at, count));

		at += (unsigned int)got;
		count -= (unsigned int)got;
		if (count && now_ms() > deadline)
			FAIL("%u frames didn't come", count);
	}
}

void entry_set(const struct member *m, unsigned int i, unsigned int slot, unsigned int port,
	       unsigned int flags)
{
	m->lists->send[i] = (struct turbotap_send){
		.slot = slot,
		.generation = m->cells[slot].generation,
		.port = port,
		.flags = (__u16)flags,
		.result = 1,
	};
}

unsigned int try_cross(const struct member *m, unsigned int entries)
{
	m->lists->send_count = entries;
	m->lists->receive_count = 0;
	CHECK_EQ(DO(ioctl(m->fd, TURBOTAP_CROSS, 0)), 0);
	return m->lists->sent;
}

void send_slots(const struct member *m, unsigned int at, unsigned int count, unsigned int port)
{
	for (unsigned int i = 0; i < count; i++)
		entry_set(m, i, m->first + at + i, port, 0);
	if (try_cross(m, count) == count)
		return;
	for (unsigned int i = 0; i < count; i++)
		if (m->lists->send[i].result)
			FAIL("frame %u of %u wasn't sent: %s", i, count, strerror(-m->lists->send[i].result));
	FAIL("%u frames were sent of %u", m->lists->sent, count);
}

int send_one(const struct member *m, unsigned int slot, unsigned int port, unsigned int flags)
{
	entry_set(m, 0, slot, port, flags);
	CHECK_EQ(try_cross(m, 1), m->lists->send[0].result == 0);
	return -m->lists->send[0].result;
}

int send_rewritten(const struct member *m, unsigned int slot, unsigned int port, const void *bytes,
		   unsigned int count)
{
	entry_set(m, 0, slot, port, 0);
	m->lists->send[0].rewrite = (__u16)count;
	memcpy(m->lists->headers[0], bytes, count);
	CHECK_EQ(try_cross(m, 1), m->lists->send[0].result == 0);
	return -m->lists->send[0].result;
}

int copy_out(const struct member *m, unsigned int slot, void *buffer, unsigned int length, unsigned int flags)
{
	struct turbotap_copy copy = {
		.slot = slot,
		.generation = m->cells[slot].generation,
		.buffer = (uintptr_t)buffer,
		.length = length,
		.flags = flags,
	};
	struct turbotap_copies copies = { sizeof(copies), 1, (uintptr_t)&copy };

	CHECK_EQ(DO(ioctl(m->fd, TURBOTAP_COPY_OUT, &copies)), 1);
	return copy.result;
}

bool slot_holds(int crossing, unsigned int slot)
{
	__u64 word = 0;
	struct turbotap_held held = { sizeof(held), slot / 64 * 64, slot % 64 + 1, 0, (uintptr_t)&word };

	DO(ioctl(crossing, TURBOTAP_HELD, &held));
	return word >> slot % 64 & 1;
}

unsigned int slots_held(int crossing)
{
	__u64 words[CROSSING_SLOTS / 64] = { 0 };
	struct turbotap_held held = { sizeof(held), 0, CROSSING_SLOTS, 0, (uintptr_t)words };
	unsigned int count = 0;

	DO(ioctl(crossing, TURBOTAP_HELD, &held));
	for (unsigned int i = 0; i < CROSSING_SLOTS / 64; i++)
		count += (unsigned int)__builtin_popcountll(words[i]);
	return count;
}

unsigned long held_bytes(int crossing)
{
	return counter(crossing, "held-bytes");
}
