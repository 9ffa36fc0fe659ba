/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sandbox_probe LAST [NUMBER...]: for each system call up to LAST, without those named, prints its number and
 * how a confined process ends that makes it with zeros: "exit N" or "signal N".
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sandbox.h"

static int named(long call, int argc, char **argv)
{
	for (int i = 2; i < argc; i++)
		if (atol(argv[i]) == call)
			return 1;
	return 0;
}

static int end_of(long call)
{
	int status = -1;
	pid_t child = fork();

	if (child == 0) {
		if (ttf_sandbox_confine() != 0)
			_exit(3);
		syscall(call, 0, 0, 0, 0, 0, 0);
		_exit(0);
	}
	waitpid(child, &status, 0);
	return status;
}

int main(int argc, char **argv)
{
	const struct rlimit none = { 0, 0 };

	if (argc < 2 || setrlimit(RLIMIT_CORE, &none) < 0)
		return 2;
	for (long call = 0; call <= atol(argv[1]); call++) {
		int status;

		if (named(call, argc, argv))
			continue;
		status = end_of(call);
		if (WIFSIGNALED(status))
			printf("%ld signal %d\n", call, WTERMSIG(status));
		else
			printf("%ld exit %d\n", call, WEXITSTATUS(status));
	}
	return 0;
}
