/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs of the generator in the kernel: the process calls BPF_PROG_TEST_RUN, and the kernel calls the program.
 *
 * The kernel counts no more than 2^32 calls of the program, about an hour. Then a run pauses for some 50 ms, and
 * its schedule moves on by as much, so no frame is left out.
 */
#include <errno.h>
#include <string.h>

#include <bpf/bpf.h>

#include "clock.h"
#include "tester/work.h"

#define PROGRAM 1	       /* the process' descriptor */
#define MOST_CALLS 0xffffff00u /* of the program in one system call */
#define RESUME_NS 50000000ull  /* a system call takes up to 20 ms until it first calls the program */

/* One system call. A schedule that has begun goes on where it is. */
static int call(struct ttf_generator *generator, const struct ttf_run_config *config)
{
	struct bpf_test_run_opts options;
	int error;

	memset(&options, 0, sizeof(options)); /* its padding, too: libbpf looks at it */
	options.sz = sizeof(options);
	options.data_in = config->frame;
	options.data_size_in = config->bytes;
	options.repeat = (int)MOST_CALLS;
	options.flags = BPF_F_TEST_XDP_LIVE_FRAMES;
	options.batch_size = config->batch;
	if (generator->start_ns)
		generator->start_ns = clock_precise_ns() + RESUME_NS - (generator->due >> TTF_FRACTION_LOG2);
	error = bpf_prog_test_run_opts(PROGRAM, &options);
	return error == -EINTR ? 0 : error;
}

static int run(void *context, const struct ttf_run_config *config, const atomic_bool *stopping)
{
	int error = 0;

	while (!error && !atomic_load(stopping))
		error = call(context, config);
	return error;
}

struct ttf_runner *ttf_runner_new(int program, struct ttf_generator *generator, int32_t cpu, int32_t nice)
{
	const struct ttf_work work = { .run = run, .context = generator, .fds = { program }, .fd_count = 1 };

	return ttf_runner_start(&work, cpu, nice);
}
