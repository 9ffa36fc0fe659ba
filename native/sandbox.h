/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker shuts itself in before it reads a message or a packet. What comes from outside may take it over
 * later; then it can do little more than forward badly. docs/security.md says what.
 *
 * ttf_sandbox_enter() comes first, because the filter of ttf_sandbox_confine() forbids the calls that it
 * makes.
 */
#ifndef TTF_SANDBOX_H
#define TTF_SANDBOX_H

#include <stdint.h>

/* X(NAME, "name"): what a kernel, or the container around us, may not permit. */
#define TTF_SANDBOX_PARTS(X)                         \
	X(MOUNTS, "an empty file system of its own") \
	X(NETWORK, "a network namespace of its own") \
	X(IPC, "an IPC namespace of its own")        \
	X(UTS, "a UTS namespace of its own")         \
	X(CGROUP, "a cgroup namespace of its own")   \
	X(CALLS, "a filter of system calls")

enum ttf_sandbox_part {
#define TTF_SANDBOX_NUMBER(part, name) TTF_SANDBOX_##part,
	TTF_SANDBOX_PARTS(TTF_SANDBOX_NUMBER)
#undef TTF_SANDBOX_NUMBER
	TTF_SANDBOX_PART_COUNT
};

/* The name of a part, NULL for a number that none has. */
const char *ttf_sandbox_part_name(uint32_t part);

/*
 * Give up for good: the host's files, networks and names; user and group, unless they are ours already; all
 * capabilities, and the right to gain any by exec; core dumps, new processes, and the growth of files. The
 * kernel kills this process when `parent` ends; if it has ended, that is -ESRCH.
 *
 * Returns a bit (1 << part) for each part that the kernel doesn't permit, or -errno.
 */
int ttf_sandbox_enter(uint32_t uid, uint32_t gid, int32_t parent);

/*
 * From now on the kernel kills this process at any system call that the loop, its drivers, and Python between
 * slices don't make. 0 or -errno; -EINVAL: this kernel has no such filters.
 */
int ttf_sandbox_confine(void);

#endif
