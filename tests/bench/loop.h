/* SPDX-License-Identifier: Apache-2.0 */
/* What the bare loops share: their options, and how they begin. */
#ifndef TTF_BENCH_LOOP_H
#define TTF_BENCH_LOOP_H

#include <stdbool.h>

#include "bench.h"

#define LOOP_OPTIONS "n:a:b:c:i"

struct loop {
	const char *namespace;
	const char *devices[2];
	int cpu;
	bool sleeps; /* in poll(), when a round found nothing */
};

/* Takes one of LOOP_OPTIONS. False: it is none of them. */
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

/* Goes to the CPU and into the namespace. False: an option is missing. */
static inline bool loop_enter(const struct loop *loop)
{
	if (!loop->namespace || !loop->devices[0] || !loop->devices[1])
		return false;
	pin(loop->cpu);
	enter_namespace(loop->namespace);
	return true;
}

#endif
