/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the benchmark's programs: pinning, namespaces, time, and error exits. */
#ifndef TTF_BENCH_H
#define TTF_BENCH_H

#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define BENCH_BATCH 64u	    /* ttfwd's default */
#define BENCH_BUFFER 2048u  /* one frame of MTU 1500, and a vnet header */
#define BENCH_VNET_BYTES 10 /* the legacy virtio_net_hdr */

static inline void die(const char *what)
{
	perror(what);
	exit(1);
}

static inline int check(int result, const char *what)
{
	if (result < 0)
		die(what);
	return result;
}

static inline uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

static inline void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	check(sched_setaffinity(0, sizeof(set), &set), "sched_setaffinity");
}

static inline void enter_namespace(const char *name)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "/run/netns/%s", name);
	fd = check(open(path, O_RDONLY | O_CLOEXEC), path);
	check(setns(fd, CLONE_NEWNET), "setns");
	close(fd);
}

/* The harness waits for this line. */
static inline void say_ready(void)
{
	check((int)write(STDOUT_FILENO, "READY\n", 6), "stdout");
}

#endif
