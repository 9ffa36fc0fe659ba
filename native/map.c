/* SPDX-License-Identifier: Apache-2.0 */
#include "map.h"

#include <errno.h>
#include <sys/mman.h>

void *ttf_map(int fd, uint64_t bytes, bool writable)
{
	void *base = mmap(NULL, bytes, PROT_READ | (writable ? PROT_WRITE : 0), MAP_SHARED, fd, 0);

	return base == MAP_FAILED ? NULL : base;
}

int ttf_map_writable(void *base, struct ttf_area area, int fd)
{
	void *at = mmap((char *)base + area.offset, area.bytes, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_FIXED, fd, (off_t)area.offset);

	return at == MAP_FAILED ? -errno : 0;
}

void ttf_unmap(void *base, uint64_t bytes)
{
	munmap(base, bytes);
}
