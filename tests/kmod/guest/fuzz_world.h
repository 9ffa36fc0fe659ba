/* SPDX-License-Identifier: Apache-2.0 */
/* What the fuzzer's files of calls share: operations, their arguments, and the objects of fuzz_calls.c. */
#ifndef FUZZ_WORLD_H
#define FUZZ_WORLD_H

#include <stdbool.h>
#include <stdint.h>

struct operation {
	const char *name;
	bool (*run)(uint32_t argument);
	unsigned int weight;
	bool works;
};

/* Take a number below `below` out of the argument. */
unsigned int take(uint32_t *argument, unsigned int below);
/* A device of the fuzzer, a tun fd, memory for a frame; memory may stall whoever touches it (fuzz_stall.c). */
const char *take_device(uint32_t *argument);
int tun_of(uint32_t *argument);
void *memory_for(uint32_t *argument);
unsigned int thread_self(void);
/* Read what the kernel says of an fd. False: it isn't open. */
bool read_fdinfo(int of);
/* Let frames come to the queues of a device that all threads use. */
void wire_some(uint32_t argument);

/* fuzz_crossing.c. A thread leaves before it ends. */
extern const struct operation crossing_operations[];
extern const unsigned int crossing_operation_count;
void crossings_make(void);
void crossings_leave(void);
void crossings_end(void);

/* fuzz_stall.c: memory whose pages come late and go again. NULL: this kernel has no userfaultfd. */
bool stall_make(void);
void stall_end(void);
unsigned char *stall_memory(unsigned int page);

#endif
