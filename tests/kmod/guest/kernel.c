/* SPDX-License-Identifier: Apache-2.0 */
/* Reads /dev/kmsg and the module's reference count; see kernel.h. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness.h"
#include "kernel.h"

#define CALL_TRACE "Call Trace:"

/* Only a kernel with a fault logs a message that contains one of these. */
static const char *const alarms[] = {
	"WARNING:",
	"BUG:",
	"Oops",
	CALL_TRACE,
	"general protection",
	"KASAN",
	"KCSAN",
	"UBSAN",
	"possible circular locking",
	"possible recursive locking",
	"suspicious RCU",
	"inconsistent lock state",
	"bad unlock balance",
	"held lock",
	"ODEBUG",
	"refcount_t:",
	"unreferenced object",
	"new suspected memory leaks",
	"unregister_netdevice: waiting",
	"blocked for more than",
	"soft lockup",
	"hard LOCKUP",
	"rcu_preempt detected",
	"rcu_sched detected",
	"list_add corruption",
	"list_del corruption",
	"bad page",
	"leaked reference",
	"cut here",
};

int kernel_log_open(void)
{
	int log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (log >= 0)
		lseek(log, 0, SEEK_END);
	return log;
}

static bool is_alarming(const char *text)
{
	for (size_t i = 0; i < sizeof(alarms) / sizeof(alarms[0]); i++)
		if (strstr(text, alarms[i]))
			return true;
	return false;
}

/* Of an allocation that was refused, which is no fault. A call trace follows. */
static bool is_refusal(const char *text)
{
	return strstr(text, "vmalloc error:") || strstr(text, "page allocation failure:");
}

/* Of a clock that stood still, which is a busy host's doing. */
static bool is_about_clocks(const char *text)
{
	return strstr(text, "hrtimer: interrupt took") || strstr(text, "clocksource: ");
}

unsigned int kernel_log_read(int log, bool alarming)
{
	unsigned int records = 0;
	bool refused = false;
	char record[8192];
	ssize_t length;

	for (;;) {
		length = read(log, record, sizeof(record) - 1);
		if (length < 0 && errno == EPIPE) /* the record was overwritten: read the next */
			continue;
		if (length <= 0)
			return records;
		record[length] = 0;
		refused |= is_refusal(record);
		if (is_about_clocks(record) || (alarming && !is_alarming(record)))
			continue;
		if (alarming && refused && strstr(record, CALL_TRACE)) {
			refused = false;
			continue;
		}
		fprintf(stderr, "kernel log: %s", record);
		records++;
	}
}

int module_references(void)
{
	FILE *file = fopen("/sys/module/turbotap/refcnt", "re");
	int count = -1;

	if (!file)
		return -1;
	if (fscanf(file, "%d", &count) != 1)
		count = -1;
	fclose(file);
	return count;
}

bool module_references_settle(int wanted)
{
	for (int i = 0; i < 500; i++) {
		if (module_references() == wanted)
			return true;
		sleep_ms(10);
	}
	return false;
}

bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool written;

	if (fd < 0)
		return false;
	written = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	close(fd);
	return written;
}
