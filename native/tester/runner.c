/* SPDX-License-Identifier: Apache-2.0 */
#include "tester/work.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STOP_TRY_NS 2000000 /* a run ends within 4 to 25 ms of its signal */
#define STOP_TRIES 2500

#define COMMANDS 0 /* the process' descriptor for them; those of its work follow */

/* Shared by both processes. */
struct shared {
	struct ttf_run_config config;
	_Atomic uint64_t asked; /* runs that the parent has begun */
	_Atomic uint64_t ended; /* of these */
	atomic_bool stopping;
	atomic_int error;
	_Atomic uint64_t preemptions;
	_Atomic uint64_t cpu_ns;
};

struct ttf_runner {
	struct shared *shared;
	pid_t pid;
	int commands; /* a byte begins a run; closing it ends the process */
};

/* ------------------------------------------------------------------------------- the process */

static void wake(int number)
{
	(void)number;
}

static uint64_t used_ns(const struct rusage *usage)
{
	uint64_t seconds = (uint64_t)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec);

	return seconds * 1000000000ull +
	       (uint64_t)(usage->ru_utime.tv_usec + usage->ru_stime.tv_usec) * 1000ull;
}

/* The session's nice value. A kernel that doesn't group processes has no such file, and needs none. */
static int set_session_nice(int32_t nice)
{
	int file = open("/proc/self/autogroup", O_WRONLY | O_CLOEXEC), error = 0;
	char text[12];

	if (file < 0)
		return errno == ENOENT ? 0 : -errno;
	snprintf(text, sizeof(text), "%d", nice);
	if (write(file, text, strlen(text)) < 0)
		error = -errno;
	close(file);
	return error;
}

static int take_place(int32_t cpu, int32_t nice)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET((size_t)cpu, &cpus);
	if (sched_setaffinity(0, sizeof(cpus), &cpus) || setpriority(PRIO_PROCESS, 0, nice))
		return -errno;
	return set_session_nice(nice);
}

static void run(struct shared *shared, const struct ttf_work *work)
{
	struct rusage before, after;
	int error;

	getrusage(RUSAGE_SELF, &before);
	error = work->run(work->context, &shared->config, &shared->stopping);
	getrusage(RUSAGE_SELF, &after);
	atomic_store(&shared->preemptions, (uint64_t)(after.ru_nivcsw - before.ru_nivcsw));
	atomic_store(&shared->cpu_ns, used_ns(&after) - used_ns(&before));
	atomic_store(&shared->error, error);
}

static void close_from(int first)
{
	int limit = (int)sysconf(_SC_OPEN_MAX);

	if (close_range((unsigned int)first, ~0u, 0) == 0)
		return;
	for (int fd = first; fd < limit; fd++)
		close(fd);
}

/* Give the process its descriptors, and no others. */
static void take_descriptors(const struct ttf_work *work, int commands)
{
	int above[1 + TTF_WORK_FDS];

	/* Above all targets first, so that none overwrites another. */
	above[0] = fcntl(commands, F_DUPFD, 1 + TTF_WORK_FDS);
	for (uint32_t i = 0; i < work->fd_count; i++)
		above[1 + i] = fcntl(work->fds[i], F_DUPFD, 1 + TTF_WORK_FDS);
	for (int i = 0; i <= (int)work->fd_count; i++)
		dup2(above[i], i);
	close_from(1 + (int)work->fd_count);
}

static _Noreturn void live(struct shared *shared, const struct ttf_work *work, int commands, int32_t cpu,
			   int32_t nice, pid_t parent)
{
	struct sigaction on_wake = { .sa_handler = wake }; /* without SA_RESTART: it ends system calls */
	sigset_t none;
	char command;
	int error;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, "ttfwd-generator");
	if (getppid() != parent)
		_exit(1);
	sigaction(SIGUSR1, &on_wake, NULL);
	/* Not the parent's handlers. Ctrl-C is for the parent, which stops the run and keeps what was sent. */
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_DFL);
	signal(SIGHUP, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	error = take_place(cpu, nice);
	take_descriptors(work, commands);
	for (;;) {
		ssize_t got = read(COMMANDS, &command, 1);

		if (got < 0 && errno == EINTR)
			continue;
		if (got != 1)
			_exit(0);
		if (error)
			atomic_store(&shared->error, error);
		else
			run(shared, work);
		atomic_fetch_add(&shared->ended, 1);
	}
}

/* -------------------------------------------------------------------------------- the parent */

struct ttf_runner *ttf_runner_start(const struct ttf_work *work, int32_t cpu, int32_t nice)
{
	struct ttf_runner *runner = calloc(1, sizeof(*runner));
	pid_t parent = getpid();
	int ends[2], error;

	if (!runner)
		return NULL;
	runner->shared = mmap(NULL, sizeof(*runner->shared), PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (runner->shared == MAP_FAILED)
		goto no_memory;
	if (pipe2(ends, O_CLOEXEC))
		goto no_pipe;
	runner->commands = ends[1];
	runner->pid = fork();
	if (runner->pid == 0)
		live(runner->shared, work, ends[0], cpu, nice, parent);
	error = errno;
	close(ends[0]);
	if (runner->pid > 0)
		return runner;
	close(ends[1]);
	errno = error;
no_pipe:
	error = errno;
	munmap(runner->shared, sizeof(*runner->shared));
	errno = error;
no_memory:
	error = errno;
	free(runner);
	errno = error;
	return NULL;
}

int32_t ttf_runner_pid(const struct ttf_runner *runner)
{
	return runner->pid;
}

int ttf_runner_begin(struct ttf_runner *runner, const struct ttf_run_config *config)
{
	struct shared *shared = runner->shared;

	if (config)
		shared->config = *config;
	atomic_store(&shared->error, 0);
	atomic_store(&shared->stopping, false);
	atomic_fetch_add(&shared->asked, 1);
	return write(runner->commands, "", 1) == 1 ? 0 : -errno;
}

static bool is_alive(const struct ttf_runner *runner)
{
	siginfo_t how = { 0 };

	return waitid(P_PID, (id_t)runner->pid, &how, WEXITED | WNOHANG | WNOWAIT) == 0 && how.si_pid == 0;
}

int ttf_runner_error(struct ttf_runner *runner)
{
	return is_alive(runner) ? atomic_load(&runner->shared->error) : -ESRCH;
}

int ttf_runner_stop(struct ttf_runner *runner)
{
	const struct timespec pause = { .tv_nsec = STOP_TRY_NS };
	struct shared *shared = runner->shared;

	atomic_store(&shared->stopping, true);
	/* The signal may come before the system call that it is to end. */
	for (int tries = 0; atomic_load(&shared->ended) != atomic_load(&shared->asked); tries++) {
		if (!is_alive(runner))
			return -ESRCH;
		if (tries == STOP_TRIES)
			return -ETIMEDOUT;
		kill(runner->pid, SIGUSR1);
		nanosleep(&pause, NULL);
	}
	return 0;
}

uint64_t ttf_runner_preemptions(const struct ttf_runner *runner)
{
	return atomic_load(&runner->shared->preemptions);
}

uint64_t ttf_runner_cpu_ns(const struct ttf_runner *runner)
{
	return atomic_load(&runner->shared->cpu_ns);
}

void ttf_runner_free(struct ttf_runner *runner)
{
	close(runner->commands);
	kill(runner->pid, SIGKILL);
	while (waitpid(runner->pid, NULL, 0) < 0 && errno == EINTR)
		;
	munmap(runner->shared, sizeof(*runner->shared));
	free(runner);
}
