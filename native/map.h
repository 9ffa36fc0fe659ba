/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mappings of segments. No descriptor stays behind a mapping (Python's mmap keeps one), so a process whose
 * descriptors are closed can't change the size of what it maps.
 */
#ifndef TTF_MAP_H
#define TTF_MAP_H

#include <stdbool.h>
#include <stdint.h>

#include "layout.h"

/* Map `bytes` bytes from a segment's beginning. NULL with errno. */
void *ttf_map(int fd, uint64_t bytes, bool writable);

/* Put a writable mapping over one area of a mapping; `fd` was opened for writing. 0 or -errno. */
int ttf_map_writable(void *base, struct ttf_area area, int fd);

void ttf_unmap(void *base, uint64_t bytes);

#endif
