/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PART_NAME(part, name) [TTF_SANDBOX_##part] = (name),
static const char *const part_names[] = { TTF_SANDBOX_PARTS(PART_NAME) };
#undef PART_NAME

const char *ttf_sandbox_part_name(uint32_t part)
{
	return part < TTF_SANDBOX_PART_COUNT ? part_names[part] : NULL;
}

/*
 * A tmpfs in place of every file system that there is. It hides /proc, the mount point that every system has,
 * for the moment before it becomes the root; pivot_root(2) explains the two dots.
 */
static bool enter_empty_root(void)
{
	const unsigned long flags = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;

	return unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("ttfwd", "/proc", "tmpfs", flags, "mode=555") == 0 && chdir("/proc") == 0 &&
	       syscall(SYS_pivot_root, ".", ".") == 0 && umount2(".", MNT_DETACH) == 0 && chdir("/") == 0;
}

static int enter_namespaces(void)
{
	static const struct {
		int flag;
		enum ttf_sandbox_part part;
	} others[] = {
		{ CLONE_NEWNET, TTF_SANDBOX_NETWORK },
		{ CLONE_NEWIPC, TTF_SANDBOX_IPC },
		{ CLONE_NEWUTS, TTF_SANDBOX_UTS },
		{ CLONE_NEWCGROUP, TTF_SANDBOX_CGROUP },
	};
	int missing = 0;

	/* A user namespace permits an ordinary user to make the others. If there is none, they fail below. */
	if (geteuid() != 0)
		unshare(CLONE_NEWUSER);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (unshare(others[i].flag) < 0)
			missing |= 1 << others[i].part;
	if (!enter_empty_root())
		missing |= 1 << TTF_SANDBOX_MOUNTS;
	return missing;
}

static int drop_user(uint32_t uid, uint32_t gid)
{
	if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		return -errno;
	return 0;
}

static int drop_capabilities(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3];

	memset(none, 0, sizeof(none));
	return syscall(SYS_capset, &header, none) < 0 ? -errno : 0;
}

/* A process without CAP_SETPCAP may not; PR_SET_NO_NEW_PRIVS makes the bounding set useless anyway. */
static int drop_bounding_set(void)
{
	for (unsigned long cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0 && errno != EPERM)
			return -errno;
	return 0;
}

/* Nobody of the same user may look into this process, and it leaves no file behind. */
static int set_limits(void)
{
	static const int limits[] = { RLIMIT_CORE, RLIMIT_NPROC, RLIMIT_FSIZE };
	const struct rlimit none = { 0, 0 };

	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
		if (setrlimit(limits[i], &none) < 0)
			return -errno;
	return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ? -errno : 0;
}

/* After the change of user, which clears the signal. */
static int die_with(pid_t parent)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		return -errno;
	return getppid() == parent ? 0 : -ESRCH;
}

int ttf_sandbox_enter(uint32_t uid, uint32_t gid, int32_t parent)
{
	/* Before namespaces are entered: an ordinary user's ids mean nothing in a new user namespace. */
	const bool changes_user = geteuid() == 0 && uid != 0;
	const int missing = enter_namespaces();
	int error;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	error = drop_bounding_set();
	if (!error && changes_user)
		error = drop_user(uid, gid);
	if (!error)
		error = drop_capabilities();
	if (!error)
		error = set_limits();
	if (!error)
		error = die_with(parent);
	return error ? error : missing;
}
