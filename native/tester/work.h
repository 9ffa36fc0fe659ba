/* SPDX-License-Identifier: Apache-2.0 */
/* What a runner's process does: the generators in C say it, and Python never sees it. */
#ifndef TTF_WORK_H
#define TTF_WORK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "runner.h"

#define TTF_WORK_FDS 2

struct ttf_work {
	/*
	 * One run, until it is told to stop; a signal wakes it then from system calls. 0 or -errno. Only memory that
	 * is mapped shared reaches the parent.
	 */
	int (*run)(void *context, const struct ttf_run_config *config, const atomic_bool *stopping);
	void *context;
	/* The process' descriptors: in it they have the numbers 1, 2 ... It has no others. */
	int32_t fds[TTF_WORK_FDS];
	uint32_t fd_count;
};

/* Start a process for it, in the network namespace of this thread. NULL with errno. */
struct ttf_runner *ttf_runner_start(const struct ttf_work *work, int32_t cpu, int32_t nice);

#endif
