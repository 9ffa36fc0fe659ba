/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fuzzer: random calls from several threads, which try to break the module.
 *
 *   fuzz SEED CALLS [THREADS]   make CALLS calls in total, by THREADS threads (4); SEED is a number, or
 *                               "random": another one each time, which is printed
 *   fuzz --replay FILE          make the calls of a printed list
 *   fuzz --self-test            test the shrinking, on an invented failure
 *
 * The same seed makes the same calls in each thread, but the scheduler decides how the threads interleave. A
 * failing list is shrunk by running parts of it again, and the shortest part that still fails is printed.
 * Exit status: 0 no failure, 1 failure, 2 wrong usage.
 */
#include <sys/random.h>
#include <unistd.h>

#include "fuzz.h"
#include "harness.h"

#define SHRINK_RUNS 200
#define ENOUGH_TO_JUDGE 10000 /* calls, among which each operation that can succeed does */
#define ATTEMPTS 3	      /* a race doesn't happen each time */

static bool fails(const struct calls *calls)
{
	for (unsigned int i = 0; i < ATTEMPTS; i++)
		if (!calls_run(calls, NULL, NULL))
			return true;
	return false;
}

static void report(const struct calls *executed)
{
	struct calls least = *executed;

	printf("%u calls had been made; looking for those that cause it\n", executed->count);
	fflush(stdout);
	if (fails(executed))
		least = calls_shrink(executed, fails, SHRINK_RUNS);
	else
		printf("It doesn't happen again. All calls follow.\n");
	printf("--- %u calls, for fuzz --replay\n", least.count);
	calls_print(&least, stdout);
	printf("---\n");
}

static bool tally_show(const struct tally *tally, bool judge)
{
	bool fine = true;

	for (unsigned int i = 0; i < operation_count(); i++) {
		bool idle = judge && operation_works(i) && !tally->worked[i];

		printf("  %-14s %7u worked %7u refused%s\n", operation_name(i), tally->worked[i],
		       tally->refused[i], idle ? "  <- never worked: not tested" : "");
		fine = fine && !idle;
	}
	return fine;
}

static int run(const struct calls *calls, bool judge)
{
	struct calls executed;
	struct tally tally;

	if (!calls_run(calls, &tally, &executed)) {
		report(&executed);
		return 1;
	}
	if (!tally_show(&tally, judge))
		return 1;
	printf("%u calls: fine\n", calls->count);
	return 0;
}

/* An invented failure: a "dup" of thread 0 before a "close" of thread 1. */
static bool invented_failure(const struct calls *calls)
{
	bool seen = false;

	for (unsigned int i = 0; i < calls->count; i++) {
		const struct call *call = &calls->list[i];

		seen |= call->thread == 0 && !strcmp(operation_name(call->operation), "dup");
		if (seen && call->thread == 1 && !strcmp(operation_name(call->operation), "close"))
			return true;
	}
	return false;
}

static bool same(const struct calls *one, const struct calls *other)
{
	bool equal = one->count == other->count;

	for (unsigned int i = 0; equal && i < one->count; i++)
		equal = one->list[i].thread == other->list[i].thread &&
			one->list[i].operation == other->list[i].operation &&
			one->list[i].argument == other->list[i].argument;
	return equal;
}

static int self_test(void)
{
	struct calls calls = calls_generate(1, 2000, 4), again = calls_generate(1, 2000, 4), read_back;
	struct calls least = calls_shrink(&calls, invented_failure, 1000);
	FILE *file = tmpfile();

	CHECK(file);
	CHECK(same(&calls, &again));
	CHECK(invented_failure(&calls));
	CHECK_EQ(least.count, 2);
	CHECK(invented_failure(&least));
	calls_print(&calls, file);
	rewind(file);
	CHECK(calls_read(&read_back, file));
	CHECK(same(&calls, &read_back));
	printf("2000 calls were shrunk to:\n");
	calls_print(&least, stdout);
	return 0;
}

static int replay(const char *path)
{
	FILE *file = fopen(path, "re");
	struct calls calls;

	if (!file || !calls_read(&calls, file)) {
		fprintf(stderr, "%s: not a list of calls\n", path);
		return 2;
	}
	return run(&calls, false);
}

int main(int argc, char **argv)
{
	unsigned long count, threads;
	struct calls calls;
	uint64_t seed;

	if (argc == 2 && !strcmp(argv[1], "--self-test"))
		return self_test();
	if (argc == 3 && !strcmp(argv[1], "--replay"))
		return replay(argv[2]);
	count = argc > 2 ? strtoul(argv[2], NULL, 0) : 0;
	threads = argc > 3 ? strtoul(argv[3], NULL, 0) : 4;
	if (argc < 3 || argc > 4 || !count || !threads || threads > FUZZ_THREADS) {
		fprintf(stderr, "usage: fuzz SEED CALLS [THREADS]\n");
		return 2;
	}
	seed = strtoull(argv[1], NULL, 0);
	if (!strcmp(argv[1], "random"))
		DO(getrandom(&seed, sizeof(seed) / 2, 0));
	printf("seed %llu\n", (unsigned long long)seed);
	calls = calls_generate(seed, (unsigned int)count, (unsigned int)threads);
	return run(&calls, count >= ENOUGH_TO_JUDGE);
}
