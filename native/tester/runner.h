/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process in which a generator runs, pinned to a CPU. It lives as long as the tester, has a session of its own,
 * and ends with its parent.
 *
 * A process, since a nice value counts only among the processes of a session where the kernel groups these
 * (CONFIG_SCHED_AUTOGROUP, Debian's default): the session's own is set, too. And since a signal has to end a run.
 */
#ifndef TTF_RUNNER_H
#define TTF_RUNNER_H

#include <stdint.h>

#include "generator.h"

#define TTF_RUN_FRAME_BYTES 4096

struct ttf_runner;

struct ttf_run_config {
	uint32_t batch; /* frames that are handed over together */
	uint32_t bytes; /* of the frame that the program starts from: what the longest one has */
	uint8_t frame[TTF_RUN_FRAME_BYTES];
};

/*
 * Start the process of a generator in the kernel, in the network namespace of this thread. NULL with errno. Others
 * are started by functions of their own.
 */
struct ttf_runner *ttf_runner_new(int program, struct ttf_generator *generator, int32_t cpu, int32_t nice);
int32_t ttf_runner_pid(const struct ttf_runner *runner);

/* Start a run; it waits for generator->start_ns. 0 or -errno. A generator in user space takes no `config`. */
int ttf_runner_begin(struct ttf_runner *runner, const struct ttf_run_config *config);

/* 0, or -errno of why there is no run: the kernel refuses it; -ESRCH: the process was killed. */
int ttf_runner_error(struct ttf_runner *runner);

/* Return when nothing is sent any more, within some 25 ms. 0 or -errno. */
int ttf_runner_stop(struct ttf_runner *runner);

/* How often the last run was made to leave its CPU, and its time on the CPU. After ttf_runner_stop(). */
uint64_t ttf_runner_preemptions(const struct ttf_runner *runner);
uint64_t ttf_runner_cpu_ns(const struct ttf_runner *runner);

/* End the process. */
void ttf_runner_free(struct ttf_runner *runner);

#endif
