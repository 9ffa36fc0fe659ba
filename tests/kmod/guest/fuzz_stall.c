/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory whose page faults are answered late, by userfaultfd: a call that touches it sleeps in the middle of
 * its work. A thread answers each fault after a while, and another takes the pages away again.
 */
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fuzz_world.h"
#include "harness.h"

#define PAGE 4096
#define PAGES 64
#define LATE_MS 3

static unsigned char *memory;
static int faults = -1;
static pthread_t answerer;
static _Atomic bool ended;

static void answer(const struct uffd_msg *message)
{
	struct uffdio_zeropage zero = {
		.range = { message->arg.pagefault.address & ~(__u64)(PAGE - 1), PAGE },
	};

	sleep_ms(LATE_MS);
	if (ioctl(faults, UFFDIO_ZEROPAGE, &zero) && errno == EEXIST)
		ioctl(faults, UFFDIO_WAKE, &zero.range);
}

static void *answer_faults(void *unused)
{
	struct pollfd ready = { .fd = faults, .events = POLLIN };
	struct uffd_msg message;
	unsigned int page = 0;

	(void)unused;
	while (!ended) {
		poll(&ready, 1, 5);
		while (read(faults, &message, sizeof(message)) == sizeof(message))
			if (message.event == UFFD_EVENT_PAGEFAULT)
				answer(&message);
		madvise(memory + PAGE * (page++ % PAGES), PAGE, MADV_DONTNEED);
	}
	return NULL;
}

bool stall_make(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register registered = { .mode = UFFDIO_REGISTER_MODE_MISSING };

	ended = false;
	faults = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (faults < 0)
		return false;
	memory = mmap(NULL, PAGE * PAGES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	registered.range = (struct uffdio_range){ (uintptr_t)memory, PAGE * PAGES };
	CHECK(memory != MAP_FAILED);
	DO(ioctl(faults, UFFDIO_API, &api));
	DO(ioctl(faults, UFFDIO_REGISTER, &registered));
	CHECK_EQ(pthread_create(&answerer, NULL, answer_faults, NULL), 0);
	return true;
}

/* No other thread uses the memory any more. */
void stall_end(void)
{
	if (faults < 0)
		return;
	ended = true;
	pthread_join(answerer, NULL);
	close(faults);
	faults = -1;
}

unsigned char *stall_memory(unsigned int page)
{
	return faults < 0 ? NULL : memory + PAGE * (page % (PAGES - 16));
}
