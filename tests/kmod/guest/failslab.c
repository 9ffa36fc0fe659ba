/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Let every allocation of a call fail once: the first one in the first round, the second one in the second,
 * and so on, until a call has no allocation left that fails. This tests attaching, sending by each way, and
 * crossings (failslab_crossing.c). It needs a debug kernel with CONFIG_FAULT_INJECTION, FAILSLAB and FAIL_PAGE_ALLOC, and debugfs mounted.
 *
 * A failed attach returns ENOMEM or ENFILE, and leaves no descriptor and no reference. A failed send returns
 * an error. Every accepted frame was given to the stack or counted as dropped, and later sends succeed. Exit
 * status: 0, 1 if a check failed, STATUS_MISSING if the kernel can't inject failures.
 */
#include <fcntl.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "failslab.h"
#include "frames.h"
#include "harness.h"
#include "kernel.h"
#include "link.h"

#define LENGTH 60

/* Kept open, since opening a file allocates. */
static int fail_nth;

static bool find_fail_nth(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/task/%ld/fail-nth", syscall(SYS_gettid));
	fail_nth = open(path, O_RDWR | O_CLOEXEC);
	if (fail_nth < 0)
		fprintf(stderr, "missing: %s\n", path);
	return fail_nth >= 0;
}

void inject(unsigned int n)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", n);
	DO(pwrite(fail_nth, text, strlen(text), 0));
}

bool injected(void)
{
	char text[16] = "";

	DO(pread(fail_nth, text, sizeof(text) - 1, 0));
	inject(0);
	return atoi(text) == 0;
}

static bool prepare_injection(void)
{
	static const struct {
		const char *path, *value;
	} settings[] = {
		{ "/sys/kernel/debug/failslab/ignore-gfp-wait", "N" },
		{ "/sys/kernel/debug/failslab/verbose", "0" },
		{ "/sys/kernel/debug/fail_page_alloc/ignore-gfp-wait", "N" },
		{ "/sys/kernel/debug/fail_page_alloc/min-order", "0" },
		{ "/sys/kernel/debug/fail_page_alloc/verbose", "0" },
	};

	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
		if (!write_file(settings[i].path, settings[i].value)) {
			fprintf(stderr, "missing: %s\n", settings[i].path);
			return false;
		}
	return find_fail_nth();
}

unsigned int open_descriptors(void)
{
	unsigned int count = 0;

	for (int fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static int attach_once(const struct tap *tap, int control, bool legacy)
{
	struct turbotap_attach argument = {
		.size = sizeof(argument),
		.tun_fd = tap->tun,
		.flags = TURBOTAP_ATTACH_BATCH | TURBOTAP_ATTACH_NONBLOCK,
		.vnet_hdr_size = tap->framing->header,
	};

	return legacy ? ioctl(control, TUNGETSOCKFD, &tap->tun) : ioctl(control, TURBOTAP_ATTACH, &argument);
}

static void attach_rounds(bool legacy)
{
	struct tap tap = tap_open(legacy ? LEGACY : VNET10);
	int control = control_open(), references = module_references(), sock, error, wire;
	unsigned int descriptors = open_descriptors(), n;

	for (n = 1;; n++) {
		bool failed;

		CHECK(n < MOST_ALLOCATIONS);
		inject(n);
		sock = attach_once(&tap, control, legacy);
		error = errno;
		failed = injected();
		if (sock >= 0 && !failed)
			break;
		if (sock >= 0) { /* the kernel could do without that allocation */
			close(sock);
			continue;
		}
		CHECK(failed);
		if (error != ENOMEM && error != ENFILE)
			FAIL("attach failed with %s", strerror(error));
		CHECK_EQ(open_descriptors(), descriptors);
		if (!module_references_settle(references))
			FAIL("an attach that failed left a reference");
	}
	close(tap.sock);
	tap.sock = sock;
	set_nonblocking(sock, true);
	wire = wire_open(tap.index);
	tap_check(&tap, wire, 1);
	printf("ok attach%s: %u allocations failed in turn\n", legacy ? ", legacy" : "", n - 1);
}

/*
 * How many frames have arrived. The stack is short of memory, too, and may lose some of a burst, but none may
 * arrive twice or out of order.
 */
static unsigned int arrived(int wire, unsigned int first, unsigned int count)
{
	unsigned int frames = 0, last = 0;
	char frame[2048];

	while (recv(wire, frame, sizeof(frame), 0) >= 0) {
		unsigned int number = frame_number(frame);

		CHECK(number >= first && number < first + count);
		CHECK(!frames || number > last);
		frame_check(frame, LENGTH, number);
		last = number;
		frames++;
	}
	return frames;
}

static void send_rounds(unsigned int framing, enum way way, unsigned int count)
{
	struct tap tap = tap_open(framing);
	struct buffers *b = buffers_new(tap.framing, count, LENGTH);
	int wire = wire_open(tap.index), moved, error;
	unsigned long accepted = 0;
	unsigned int n;
	bool failed;

	set_burst(tap.sock, way == BURST);
	for (n = 1;; n++) {
		CHECK(n < MOST_ALLOCATIONS);
		/* Half of the rounds use a new socket, which has no pages to reuse. */
		if (n % 2) {
			close(tap.sock);
			tap.sock = tap.framing->legacy ?
					   (int)DO(try_attach_legacy(tap.tun)) :
					   attach(tap.tun, tap.framing->attach_flags, tap.framing->header);
			set_burst(tap.sock, way == BURST);
			accepted = 0;
		}
		buffers_fill(b, LENGTH, n * count);
		inject(n / 2 + 1);
		moved = move_out(way, tap.sock, b, 0, count, MSG_DONTWAIT);
		error = errno;
		failed = injected();
		if (moved < 0) {
			CHECK(failed);
			if (error != ENOMEM && error != ENOBUFS && error != EAGAIN)
				FAIL("send failed with %s", strerror(error));
			moved = 0;
		}
		accepted += (unsigned int)moved;
		WAIT_FOR(counter(tap.sock, "tx-frames") + counter(tap.sock, "tx-dropped") >= accepted);
		CHECK_EQ(counter(tap.sock, "tx-frames") + counter(tap.sock, "tx-dropped"), accepted);
		CHECK(arrived(wire, n * count, count) <= (unsigned int)moved);
		if (!failed && n % 2 == 0)
			break;
	}
	CHECK_EQ(moved, count);
	printf("ok send %s by %s, %u frames: %u rounds\n", tap.framing->name, way_names[way], count, n);
}

/* Run one part in a process of its own, so that its failure doesn't hide the others. */
static bool part(void (*run)(unsigned int), unsigned int argument)
{
	int references = module_references(), log = kernel_log_open();
	pid_t child = spawn();
	int status;
	bool fine;

	if (!child) {
		DO(unshare(CLONE_NEWNET));
		write_file("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
		close(fail_nth);
		CHECK(find_fail_nth());
		run(argument);
		exit(0);
	}
	fine = waitpid(child, &status, 0) == child && WIFEXITED(status) && !WEXITSTATUS(status);
	if (kernel_log_read(log, true) || !module_references_settle(references)) {
		fprintf(stderr, "the kernel logged a fault, or a reference is left\n");
		fine = false;
	}
	close(log);
	return fine;
}

static void run_attach(unsigned int legacy)
{
	attach_rounds(legacy);
}

static void run_send(unsigned int argument)
{
	send_rounds(argument / 4, argument % 2, argument & 2 ? 64 : 1);
}

int main(void)
{
	static const unsigned int sent[] = { PLAIN, VNET10, LEGACY, NAPI };
	bool fine = true;

	if (!prepare_injection())
		return STATUS_MISSING;
	for (unsigned int legacy = 0; legacy < 2; legacy++)
		fine &= part(run_attach, legacy);
	for (unsigned int i = 0; i < sizeof(sent) / sizeof(sent[0]); i++)
		for (unsigned int way = 0; way < 4; way++)
			fine &= part(run_send, sent[i] * 4 + way);
	for (unsigned int which = 0; which < CROSSING_PARTS; which++)
		fine &= part(crossing_rounds, which);
	printf(fine ? "all fine\n" : "FAIL\n");
	return fine ? 0 : 1;
}
