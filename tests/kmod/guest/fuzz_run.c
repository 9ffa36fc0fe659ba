/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a list of calls in another process, which has its own network namespace and one thread for each thread
 * of the list. Meanwhile the first process reads the kernel's log, and notices when no call returns any more.
 */
#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuzz.h"
#include "fuzz_world.h"
#include "harness.h"
#include "kernel.h"

#define HANG_MS 60000 /* without a call that returns */
#define REPORT_MS 20000

/* The progress of the threads, in memory that both processes share. */
struct progress {
	_Atomic unsigned int begun[FUZZ_THREADS]; /* 1 + index of the thread's current call; 0: none */
	_Atomic unsigned int worked[64], refused[64];
};

static struct progress *progress;
static const struct calls *running;

static void *run_thread(void *argument)
{
	unsigned int thread = (unsigned int)(uintptr_t)argument;

	for (unsigned int i = 0; i < running->count; i++) {
		const struct call *call = &running->list[i];

		if (call->thread != thread)
			continue;
		progress->begun[thread] = i + 1;
		if (call_run(call))
			progress->worked[call->operation]++;
		else
			progress->refused[call->operation]++;
	}
	crossings_leave();
	return NULL;
}

static void run_all(const struct calls *calls)
{
	pthread_t threads[FUZZ_THREADS];

	running = calls;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	DO(unshare(CLONE_NEWNET));
	write_file("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
	signal(SIGPIPE, SIG_IGN);
	signal(SIGIO, SIG_IGN);
	world_make(FUZZ_THREADS);
	for (unsigned int i = 0; i < FUZZ_THREADS; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, run_thread, (void *)(uintptr_t)i), 0);
	for (unsigned int i = 0; i < FUZZ_THREADS; i++)
		pthread_join(threads[i], NULL);
	world_end(FUZZ_THREADS);
	exit(0);
}

static void show_stacks(pid_t process)
{
	char path[280], line[256];
	struct dirent *entry;
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)process);
	tasks = opendir(path);
	while (tasks && (entry = readdir(tasks))) {
		FILE *stack;

		snprintf(path, sizeof(path), "/proc/%d/task/%.16s/stack", (int)process, entry->d_name);
		stack = entry->d_name[0] == '.' ? NULL : fopen(path, "re");
		while (stack && fgets(line, sizeof(line), stack))
			fprintf(stderr, "  %s: %s", entry->d_name, line);
		if (stack)
			fclose(stack);
	}
	if (tasks)
		closedir(tasks);
}

static void show_current(const struct calls *calls)
{
	for (unsigned int i = 0; i < FUZZ_THREADS; i++)
		if (progress->begun[i]) {
			struct calls one = { &calls->list[progress->begun[i] - 1], 1 };

			fprintf(stderr, "thread %u was last at: ", i);
			calls_print(&one, stderr);
		}
}

static unsigned long calls_ended(void)
{
	unsigned long total = 0;

	for (unsigned int i = 0; i < operation_count(); i++)
		total += progress->worked[i] + progress->refused[i];
	return total;
}

/* Wait for the process. False, and it is ended, if it fails or hangs, or if the kernel logs a fault. */
static bool observe(pid_t process, int log)
{
	unsigned long last = 0;
	uint64_t moved = now_ms(), told = moved;
	int status = -1;

	while (waitpid(process, &status, WNOHANG) == 0) {
		bool faults = kernel_log_read(log, true), hangs;

		if (calls_ended() != last) {
			last = calls_ended();
			moved = now_ms();
		}
		if (now_ms() - told > REPORT_MS) {
			fprintf(stderr, "%lu calls\n", calls_ended());
			told = now_ms();
		}
		hangs = now_ms() - moved > HANG_MS;
		if (faults || hangs) {
			fprintf(stderr, faults ? "the kernel logged a fault\n" : "no call returns\n");
			show_stacks(process);
			kill(process, SIGKILL);
			waitpid(process, &status, 0);
			return false;
		}
		sleep_ms(20);
	}
	if (WIFSIGNALED(status))
		fprintf(stderr, "the process was ended by signal %d\n", WTERMSIG(status));
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void take_executed(const struct calls *calls, struct calls *executed)
{
	*executed = (struct calls){ calloc(calls->count + 1, sizeof(struct call)), 0 };
	for (unsigned int i = 0; i < calls->count; i++)
		if (i < progress->begun[calls->list[i].thread])
			executed->list[executed->count++] = calls->list[i];
}

bool calls_run(const struct calls *calls, struct tally *tally, struct calls *executed)
{
	int log = kernel_log_open(), references = module_references();
	pid_t process;
	bool fine;

	if (log < 0 || references < 0) {
		fprintf(stderr, "needs /dev/kmsg and the module turbotap\n");
		exit(2);
	}
	if (!progress)
		progress = mmap(NULL, sizeof(*progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
				-1, 0);
	memset(progress, 0, sizeof(*progress));
	process = spawn();
	if (!process)
		run_all(calls);
	fine = observe(process, log);
	if (!fine)
		show_current(calls);
	if (!module_references_settle(references)) {
		fprintf(stderr, "the module has %d references, not %d\n", module_references(), references);
		fine = false;
	}
	if (kernel_log_read(log, true))
		fine = false;
	close(log);
	for (unsigned int i = 0; tally && i < operation_count(); i++) {
		tally->worked[i] = progress->worked[i];
		tally->refused[i] = progress->refused[i];
	}
	if (executed)
		take_executed(calls, executed);
	return fine;
}
