/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The runner of the module's tests:
 *
 *   cases list           print the names of all cases
 *   cases run NAME...    run these
 *   cases all            run all
 *
 * Needs root and the modules tun and turbotap. It is linked statically, so it also runs where there is only a
 * kernel. Exit status: 0, 1 if a case failed, STATUS_MISSING if none failed but one could not run.
 */
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "kernel.h"

#define MAX_CASES 256
#define TIMEOUT_MS 60000 /* a case that takes longer hangs */

static struct test_case cases[MAX_CASES];
static unsigned int case_count;

void case_add(void (*run)(unsigned int), unsigned int argument, const char *format, ...)
{
	struct test_case *c = &cases[case_count++];
	va_list args;

	if (case_count > MAX_CASES)
		abort();
	va_start(args, format);
	vsnprintf(c->name, sizeof(c->name), format, args);
	va_end(args);
	c->run = run;
	c->argument = argument;
}

static void run_in_child(const struct test_case *c)
{
	setpgid(0, 0);
	DO(unshare(CLONE_NEWNET));
	if (!write_file("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1") && errno != ENOENT)
		FAIL("can't turn IPv6 off: %s", strerror(errno));
	signal(SIGPIPE, SIG_IGN);
	c->run(c->argument);
	exit(0);
}

/* Print the child's kernel stack. */
static void show_stack(pid_t child)
{
	char command[64], line[256];
	FILE *stack;

	snprintf(command, sizeof(command), "/proc/%d/stack", (int)child);
	stack = fopen(command, "re");
	while (stack && fgets(line, sizeof(line), stack))
		fprintf(stderr, "  %s", line);
	if (stack)
		fclose(stack);
}

/* The child's wait status. A child that hangs is killed. */
static int wait_for(pid_t child, bool *hangs)
{
	uint64_t deadline = now_ms() + TIMEOUT_MS;
	int status;

	*hangs = false;
	for (unsigned int ms = 1; waitpid(child, &status, WNOHANG) == 0; ms = ms < 16 ? ms * 2 : ms) {
		if (!*hangs && now_ms() > deadline) {
			*hangs = true;
			show_stack(child);
			kill(-child, SIGKILL);
		}
		sleep_ms(ms);
	}
	kill(-child, SIGKILL);
	while (waitpid(-1, NULL, 0) > 0) /* orphans of the case, whose subreaper this is */
		;
	return status;
}

static int judge(const struct test_case *c, int log, int references)
{
	pid_t child;
	bool hangs;
	int status;

	fflush(NULL);
	child = fork();
	if (child < 0)
		return 1;
	if (!child)
		run_in_child(c);
	setpgid(child, child);
	status = wait_for(child, &hangs);
	if (hangs)
		fprintf(stderr, "%s hung\n", c->name);
	else if (WIFSIGNALED(status))
		fprintf(stderr, "%s was ended by signal %d\n", c->name, WTERMSIG(status));
	status = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
	if (kernel_log_read(log, true)) {
		fprintf(stderr, "%s: the kernel logged a fault\n", c->name);
		status = 1;
	}
	if (!module_references_settle(references)) {
		fprintf(stderr, "%s: the module has %d references, not %d\n", c->name, module_references(),
			references);
		status = 1;
	}
	return status;
}

static int run_case(const struct test_case *c)
{
	uint64_t began = now_ms();
	int references = module_references();
	int log = kernel_log_open();
	int status;

	if (log < 0 || references < 0) {
		fprintf(stderr, "needs /dev/kmsg and the module turbotap\n");
		return 1;
	}
	status = judge(c, log, references);
	close(log);
	printf("%s %s (%llu ms)\n",
	       !status			? "ok" :
	       status == STATUS_MISSING ? "missing" :
					  "FAIL",
	       c->name, (unsigned long long)(now_ms() - began));
	fflush(stdout);
	return status;
}

static bool is_wanted(const char *name, int count, char **names)
{
	for (int i = 0; i < count; i++)
		if (!strcmp(name, names[i]))
			return true;
	return false;
}

int main(int argc, char **argv)
{
	bool all = argc == 2 && !strcmp(argv[1], "all");
	bool list = argc == 2 && !strcmp(argv[1], "list");
	unsigned int ran = 0, failed = 0, missing = 0;

	if (!all && !list && (argc < 3 || strcmp(argv[1], "run"))) {
		fprintf(stderr, "usage: cases list | all | run NAME...\n");
		return 2;
	}
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	for (unsigned int i = 0; i < case_count; i++) {
		int status;

		if (list) {
			puts(cases[i].name);
			continue;
		}
		if (!all && !is_wanted(cases[i].name, argc - 2, argv + 2))
			continue;
		status = run_case(&cases[i]);
		ran++;
		missing += status == STATUS_MISSING;
		failed += status && status != STATUS_MISSING;
	}
	if (list)
		return 0;
	if (!all && ran != (unsigned int)argc - 2) {
		fprintf(stderr, "no such case\n");
		return 2;
	}
	printf("%u ran, %u failed, %u missing\n", ran, failed, missing);
	return failed ? 1 : missing ? STATUS_MISSING : 0;
}
