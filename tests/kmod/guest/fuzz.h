/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of the fuzzer: making a list of calls from a seed, and each call (fuzz_calls.c); running a list
 * by several threads of another process (fuzz_run.c); shrinking a list that fails (fuzz_shrink.c).
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define FUZZ_THREADS 8

/* All details of a call come from `argument`, so the same list makes the same calls. */
struct call {
	uint8_t thread;
	uint8_t operation;
	uint32_t argument;
};

struct calls {
	struct call *list;
	unsigned int count;
};

/* The lists of all threads, one after the other. Each depends only on the seed and the thread. */
struct calls calls_generate(uint64_t seed, unsigned int count, unsigned int threads);
/* One line per call: thread, operation, argument. calls_read() is false if the file isn't such a list. */
void calls_print(const struct calls *calls, FILE *to);
bool calls_read(struct calls *calls, FILE *from);

/* The operations. If one `works`, some of a few thousand calls must succeed, or it isn't tested. */
unsigned int operation_count(void);
const char *operation_name(unsigned int operation);
bool operation_works(unsigned int operation);

/* Make the objects that the calls of this process share. */
void world_make(unsigned int threads);
/* Make a call; false if it was refused. */
bool call_run(const struct call *call);
/* Close all objects, check that accepted frames were counted, and that frames pass a new device. */
void world_end(unsigned int threads);

/* Counts of a run, for each operation. */
struct tally {
	unsigned int worked[64];
	unsigned int refused[64];
};

/*
 * Run the calls. False, with the reason on stderr, if the kernel logged a fault, if a call didn't return, or
 * if a check failed. `executed` gets the calls that were begun.
 */
bool calls_run(const struct calls *calls, struct tally *tally, struct calls *executed);

/* A part of the list for which `fails` is still true, found by at most `budget` calls of it. */
struct calls calls_shrink(const struct calls *calls, bool (*fails)(const struct calls *),
			  unsigned int budget);

#endif
