/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the bare loops: their options and their start. */
#ifndef TTF_BENCH_LOOP_H
#define TTF_BENCH_LOOP_H

#include <stdbool.h>

#include "bench.h"

#define LOOP_OPTIONS "n:a:b:c:i"

struct loop {
	const char *namespace;
	const char *devices[2];
	int cpu;
	bool sleeps; /* in poll(), after an empty round */
};

/* Parse one of LOOP_OPTIONS. False: it is none of them. */
static inline bool loop_option(struct loop *loop, int option)
{
	switch (option) {
	case 'n':
		loop->namespace = optarg;
		return true;
	case 'a':
		loop->devices[0] = optarg;
		return true;
	case 'b':
		loop->devices[1] = optarg;
		return true;
	case 'c':
		loop->cpu = atoi(optarg);
		return true;
	case 'i':
		loop->sleeps = true;
		return true;
	default:
		return false;
	}
}

/* Move to the CPU and into the namespace. False: an option is missing. */
static inline bool loop_enter(const struct loop *loop)
{
	if (!loop->namespace || !loop->devices[0] || !loop->devices[1])
		return false;
	pin(loop->cpu);
	enter_namespace(loop->namespace);
	return true;
}

#endif
