/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fuzzer's parts: a list of calls, made from a seed (fuzz_calls.c); a run of them by several threads in a
 * process of its own (fuzz_run.c); the shrinking of a list that fails (fuzz_shrink.c).
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define FUZZ_THREADS 8

/* What a call does beyond its operation is all in `argument`: the same list does the same. */
struct call {
	uint8_t thread;
	uint8_t operation;
	uint32_t argument;
};

struct calls {
	struct call *list;
	unsigned int count;
};

/* The lists of the threads, one behind the other; each depends on the seed and the thread alone. */
struct calls calls_generate(uint64_t seed, unsigned int count, unsigned int threads);
/* One line a call: thread, operation, argument. False when a file isn't such a list. */
void calls_print(const struct calls *calls, FILE *to);
bool calls_read(struct calls *calls, FILE *from);

/* The operations; `works`: among a few thousand calls some must succeed, or the fuzzer tests nothing. */
unsigned int operation_count(void);
const char *operation_name(unsigned int operation);
bool operation_works(unsigned int operation);

/* In the process that runs them: the objects that calls share; false for a call that was refused. */
void world_make(unsigned int threads);
bool call_run(const struct call *call);
/* Close everything, check what must hold now, and that a new device still forwards. */
void world_end(unsigned int threads);

/* Counts of a run, for each operation. */
struct tally {
	unsigned int worked[64];
	unsigned int refused[64];
};

/*
 * Run them. False, with the reason on stderr, when the kernel complained, when a call didn't come back, or
 * when something that must hold didn't. `executed` gets the calls that were begun.
 */
bool calls_run(const struct calls *calls, struct tally *tally, struct calls *executed);

/* A smaller list for which `fails` still says so, by at most `budget` tries. */
struct calls calls_shrink(const struct calls *calls, bool (*fails)(const struct calls *),
			  unsigned int budget);

#endif
