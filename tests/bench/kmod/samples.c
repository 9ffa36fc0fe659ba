// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <linux/perf_event.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "../bench.h"
#include "samples.h"

#define PERIOD_NS 9973 /* a prime, so that no kernel loop runs in step with it */
#define RING_BYTES (512u << 10)
#define MAX_SYMBOLS 400000u

struct symbol {
	uint64_t address;
	uint32_t hits;
	char name[60];
};

struct record {
	struct perf_event_header header;
	uint64_t address;
};

static int event_fd;
static struct perf_event_mmap_page *control;
static struct symbol *symbols; /* by address; the first stands for user space */
static uint32_t symbol_count;

static int by_address(const void *a, const void *b)
{
	uint64_t left = ((const struct symbol *)a)->address, right = ((const struct symbol *)b)->address;

	return left < right ? -1 : left > right;
}

static int by_hits(const void *a, const void *b)
{
	uint32_t left = ((const struct symbol *)a)->hits, right = ((const struct symbol *)b)->hits;

	return left > right ? -1 : left < right;
}

static void read_symbols(void)
{
	FILE *file = fopen("/proc/kallsyms", "re");
	unsigned long long address;
	char type, line[256];

	symbols = calloc(MAX_SYMBOLS, sizeof(*symbols));
	if (!file || !symbols)
		die("/proc/kallsyms");
	strcpy(symbols[symbol_count++].name, "(user space)");
	while (symbol_count < MAX_SYMBOLS && fgets(line, sizeof(line), file)) {
		struct symbol *symbol = &symbols[symbol_count];

		if (sscanf(line, "%llx %c %59s", &address, &type, symbol->name) != 3 || !strchr("tTwW", type))
			continue;
		symbol->address = address;
		symbol_count++;
	}
	fclose(file);
	qsort(symbols, symbol_count, sizeof(*symbols), by_address);
	if (!symbols[symbol_count - 1].address) {
		errno = EACCES;
		die("addresses in /proc/kallsyms");
	}
}

void samples_open(void)
{
	struct perf_event_attr attributes = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attributes),
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.sample_period = PERIOD_NS,
		.sample_type = PERF_SAMPLE_IP,
		.disabled = 1,
	};

	event_fd = check((int)syscall(SYS_perf_event_open, &attributes, 0, -1, -1, PERF_FLAG_FD_CLOEXEC),
			 "perf_event_open");
	control = mmap(NULL, (size_t)getpagesize() + RING_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, event_fd,
		       0);
	if (control == MAP_FAILED)
		die("ring of perf events");
	read_symbols();
}

void samples_start(void)
{
	check(ioctl(event_fd, PERF_EVENT_IOC_ENABLE, 0), "PERF_EVENT_IOC_ENABLE");
}

static void hit(uint64_t address)
{
	uint32_t low = 0, high = symbol_count;

	while (high - low > 1) {
		uint32_t middle = low + (high - low) / 2;

		if (symbols[middle].address <= address)
			low = middle;
		else
			high = middle;
	}
	symbols[low].hits++;
}

void samples_stop(void)
{
	const uint8_t *ring = (const uint8_t *)control + getpagesize();
	uint64_t head, tail = control->data_tail;

	check(ioctl(event_fd, PERF_EVENT_IOC_DISABLE, 0), "PERF_EVENT_IOC_DISABLE");
	head = __atomic_load_n(&control->data_head, __ATOMIC_ACQUIRE);
	while (tail < head) {
		struct record record;
		size_t at = tail % RING_BYTES; /* all sizes are multiples of eight: a header is never split */

		memcpy(&record.header, ring + at, sizeof(record.header));
		memcpy(&record.address, ring + (at + sizeof(record.header)) % RING_BYTES,
		       sizeof(record.address));
		if (record.header.type == PERF_RECORD_LOST) {
			errno = ENOBUFS;
			die("samples");
		}
		if (record.header.type == PERF_RECORD_SAMPLE)
			hit(record.header.misc & PERF_RECORD_MISC_USER ? 0 : record.address);
		tail += record.header.size;
	}
	__atomic_store_n(&control->data_tail, tail, __ATOMIC_RELEASE);
}

void samples_print(const char *prefix)
{
	struct symbol *found = malloc(symbol_count * sizeof(*found));
	uint32_t total = 0, count = 0;

	if (!found)
		die("malloc");
	for (uint32_t i = 0; i < symbol_count; i++) {
		if (!symbols[i].hits)
			continue;
		total += symbols[i].hits;
		found[count++] = symbols[i];
		symbols[i].hits = 0;
	}
	qsort(found, count, sizeof(*found), by_hits);
	for (uint32_t i = 0; i < count; i++)
		printf("{%s, \"function\": \"%s\", \"samples\": %u, \"of_samples\": %u}\n", prefix,
		       found[i].name, found[i].hits, total);
	free(found);
}
