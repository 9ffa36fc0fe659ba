/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The harness of the cases: registration, checks, processes.
 *
 * A case is a function. It runs in its own process and its own network namespace, without IPv6, whose packets
 * would mix with those of the case. It ends at the first check that fails. After a case the runner (cases.c)
 * kills the processes that are left. Then the module must have as many references as before, and the kernel
 * must not have logged a fault; otherwise the case has failed.
 */
#ifndef HARNESS_H
#define HARNESS_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

/* The exit status of a case or a program if this kernel or machine lacks something that it needs. */
#define STATUS_MISSING 4

struct test_case {
	char name[64];
	void (*run)(unsigned int argument);
	unsigned int argument;
};

/* Register a case, from a constructor: before main(). */
void case_add(void (*run)(unsigned int), unsigned int argument, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#define CASE(id)                                                     \
	static void id(void);                                        \
	static void run_##id(unsigned int argument)                  \
	{                                                            \
		(void)argument;                                      \
		id();                                                \
	}                                                            \
	__attribute__((constructor)) static void register_##id(void) \
	{                                                            \
		case_add(run_##id, 0, #id);                          \
	}                                                            \
	static void id(void)

#define FAIL(...) case_fail(__FILE__, __LINE__, __VA_ARGS__)

#define CHECK(condition)                        \
	do {                                    \
		if (!(condition))               \
			FAIL("%s", #condition); \
	} while (0)

/* Both sides are integers; a failure shows both. */
#define CHECK_EQ(got, wanted)                                                            \
	do {                                                                             \
		long long got_ = (long long)(got), wanted_ = (long long)(wanted);        \
		if (got_ != wanted_)                                                     \
			FAIL("%s is %lld, not %lld (%s)", #got, got_, wanted_, #wanted); \
	} while (0)

/* A system call that must succeed: its value. */
#define DO(call)                                                \
	({                                                      \
		long value_ = (long)(call);                     \
		if (value_ < 0)                                 \
			FAIL("%s: %s", #call, strerror(errno)); \
		value_;                                         \
	})

/* A system call that must fail with this errno. */
#define CHECK_ERRNO(call, wanted)                                                          \
	do {                                                                               \
		errno = 0;                                                                 \
		long value_ = (long)(call);                                                \
		if (value_ != -1 || errno != (wanted))                                     \
			FAIL("%s gave %ld, %s; wanted %s", #call, value_, strerror(errno), \
			     strerror(wanted));                                            \
	} while (0)

void case_fail(const char *file, int line, const char *format, ...)
	__attribute__((noreturn, format(printf, 3, 4)));
void case_missing(const char *what) __attribute__((noreturn));

/* Fork. A check that fails in the child fails the case when the child is joined. */
pid_t spawn(void);
void join(pid_t child);

uint64_t now_ms(void);
void sleep_ms(unsigned int ms);

/* Wait until a condition holds; after 10 s the case fails. This measures no time. */
#define WAIT_FOR(condition)                                                \
	do {                                                               \
		uint64_t deadline_ = now_ms() + 10000;                     \
		while (!(condition)) {                                     \
			if (now_ms() > deadline_)                          \
				FAIL("waited in vain for %s", #condition); \
			sleep_ms(1);                                       \
		}                                                          \
	} while (0)

#endif
