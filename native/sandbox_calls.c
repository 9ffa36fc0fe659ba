/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The filter of system calls: those of the loop and its drivers, and those of Python between slices. Every
 * other one kills the process (SIGSYS), so that an attempt is seen. A call that is missing here shows the
 * same way: its number is in the kernel's log.
 *
 * A rule without a condition costs next to nothing: the kernel keeps a bitmap of calls that are always
 * allowed. So the calls of every burst have none.
 */
#include <errno.h>
#include <linux/if_packet.h>
#include <linux/io_uring.h>
#include <sched.h>
#include <seccomp.h> /* Debian's libseccomp-dev */
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../kmod/uapi/turbotap_crossing.h"
#include "sandbox.h"

/* A condition. The macros of seccomp.h leave a field out, of which clang warns. */
#define ARGUMENT_IS(number, value)                                                    \
	{                                                                             \
		.arg = (number), .op = SCMP_CMP_EQ, .datum_a = (scmp_datum_t)(value), \
	}

static const int always[] = {
	/* bursts, messages, doorbells, and the lines that a crash writes */
	SCMP_SYS(read),
	SCMP_SYS(write),
	SCMP_SYS(writev),
	SCMP_SYS(recvfrom),
	SCMP_SYS(recvmsg),
	SCMP_SYS(recvmmsg),
	SCMP_SYS(sendto),
	SCMP_SYS(sendmsg),
	SCMP_SYS(sendmmsg),
	SCMP_SYS(io_uring_enter),
	/* sleep; C libraries make select() of one or the other */
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(select),
	SCMP_SYS(pselect6),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(sched_yield),
	/* where the vDSO has no answer */
	SCMP_SYS(clock_gettime),
	SCMP_SYS(gettimeofday),
	/* ports come and go */
	SCMP_SYS(close),
	SCMP_SYS(getsockname),
	/* memory */
	SCMP_SYS(brk),
	SCMP_SYS(madvise),
	SCMP_SYS(mremap),
	SCMP_SYS(munmap),
	/* Python, and the C library's abort() */
	SCMP_SYS(futex),
	SCMP_SYS(getpid),
	SCMP_SYS(getrandom),
	SCMP_SYS(gettid),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(sigaltstack),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
};

/* A call that the architecture doesn't have needs no rule. */
static int allow(scmp_filter_ctx filter, int call, const struct scmp_arg_cmp *conditions, unsigned int count)
{
	int error = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, call, count, conditions);

	return error == -EDOM ? 0 : error;
}

static int allow_always(scmp_filter_ctx filter)
{
	int error = 0;

	for (size_t i = 0; !error && i < sizeof(always) / sizeof(always[0]); i++)
		error = allow(filter, always[i], NULL, 0);
	return error;
}

static int allow_conditionally(scmp_filter_ctx filter)
{
	const struct scmp_arg_cmp no_code = {
		.arg = 2, .op = SCMP_CMP_MASKED_EQ, .datum_a = PROT_EXEC, .datum_b = 0
	};
	/* Of this process alone. The supervisor may lack CAP_SYS_NICE, and can't do it then. */
	const struct scmp_arg_cmp own_cpu = ARGUMENT_IS(0, 0);
	/* When it joins the crossing (crossing.c). */
	const struct scmp_arg_cmp own_batches[] = { ARGUMENT_IS(0, 0), ARGUMENT_IS(1, SCHED_BATCH) };
	/* A signal to this process alone: Python's fault handler ends with one. */
	const struct scmp_arg_cmp self = ARGUMENT_IS(0, getpid());
	const struct scmp_arg_cmp get_error[] = { ARGUMENT_IS(1, SOL_SOCKET), ARGUMENT_IS(2, SO_ERROR) };
	const struct scmp_arg_cmp get_drops[] = { ARGUMENT_IS(1, SOL_PACKET),
						  ARGUMENT_IS(2, PACKET_STATISTICS) };
	/* Has the device of a packet socket a carrier (packet_tx.c)? */
	const struct scmp_arg_cmp get_name = ARGUMENT_IS(1, SIOCGIFNAME);
	const struct scmp_arg_cmp get_flags = ARGUMENT_IS(1, SIOCGIFFLAGS);
	/* The crossing (crossing_calls.h). What a member's fd can do is all that a worker does. */
	const struct scmp_arg_cmp cross = ARGUMENT_IS(1, TURBOTAP_CROSS);
	const struct scmp_arg_cmp copy_out = ARGUMENT_IS(1, TURBOTAP_COPY_OUT);
	const struct scmp_arg_cmp listen_to = ARGUMENT_IS(1, TURBOTAP_LISTEN);
	/* The io_urings were made, and restricted, before the filter (uring.h): a queue comes, a queue goes. */
	const struct scmp_arg_cmp set_file = ARGUMENT_IS(1, IORING_REGISTER_FILES_UPDATE);
	const struct {
		int call;
		unsigned int count;
		const struct scmp_arg_cmp *conditions;
	} rules[] = {
		{ .call = SCMP_SYS(mmap), .count = 1, .conditions = &no_code },
		{ .call = SCMP_SYS(mprotect), .count = 1, .conditions = &no_code },
		{ .call = SCMP_SYS(sched_setaffinity), .count = 1, .conditions = &own_cpu },
		{ .call = SCMP_SYS(sched_setscheduler), .count = 2, .conditions = own_batches },
		{ .call = SCMP_SYS(tgkill), .count = 1, .conditions = &self },
		{ .call = SCMP_SYS(getsockopt), .count = 2, .conditions = get_error },
		{ .call = SCMP_SYS(getsockopt), .count = 2, .conditions = get_drops },
		{ .call = SCMP_SYS(ioctl), .count = 1, .conditions = &get_name },
		{ .call = SCMP_SYS(ioctl), .count = 1, .conditions = &get_flags },
		{ .call = SCMP_SYS(ioctl), .count = 1, .conditions = &cross },
		{ .call = SCMP_SYS(ioctl), .count = 1, .conditions = &copy_out },
		{ .call = SCMP_SYS(ioctl), .count = 1, .conditions = &listen_to },
		{ .call = SCMP_SYS(io_uring_register), .count = 1, .conditions = &set_file },
	};
	int error = 0;

	for (size_t i = 0; !error && i < sizeof(rules) / sizeof(rules[0]); i++)
		error = allow(filter, rules[i].call, rules[i].conditions, rules[i].count);
	return error;
}

int ttf_sandbox_confine(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int error;

	if (!filter)
		return -ENOMEM;
	/* The calls of another ABI of this machine have other numbers. */
	error = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	/* A binary tree instead of a list. */
	if (!error)
		error = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (!error)
		error = allow_always(filter);
	if (!error)
		error = allow_conditionally(filter);
	if (!error)
		error = seccomp_load(filter);
	seccomp_release(filter);
	return error;
}
