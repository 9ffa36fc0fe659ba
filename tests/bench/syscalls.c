// SPDX-License-Identifier: Apache-2.0
/*
 * Counts the system calls of processes, with all their threads, during MS milliseconds:
 *
 *   syscalls -m MS PID...
 *
 * A BPF program on the kernel's sys_enter tracepoint counts. Unlike ptrace(), it stops no process. It costs
 * some nanoseconds per call, so nothing else is measured at that time. Prints the number.
 */
#include <linux/bpf.h>
#include <string.h>
#include <sys/syscall.h>

#include "bench.h"

#define MAX_PIDS 16
#define KEY_AT (-4) /* place of the map's key in the program's stack frame */

/* Lines of BPF assembly, named as in Documentation/bpf/standardization/instruction-set.rst. */
#define SET(reg, value)                                                               \
	{                                                                             \
		.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = (reg), .imm = (value) \
	}
#define CALL(function)                                        \
	{                                                     \
		.code = BPF_JMP | BPF_CALL, .imm = (function) \
	}
#define IF_EQUAL(reg, value, skip)                                                                        \
	{                                                                                                 \
		.code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = (reg), .off = (short)(skip), .imm = (value) \
	}
#define EXIT                               \
	{                                  \
		.code = BPF_JMP | BPF_EXIT \
	}

static int bpf(enum bpf_cmd command, union bpf_attr *attributes, const char *what)
{
	return check((int)syscall(SYS_bpf, command, attributes, sizeof(*attributes)), what);
}

static int make_map(void)
{
	union bpf_attr map = { .map_type = BPF_MAP_TYPE_ARRAY,
			       .key_size = sizeof(uint32_t),
			       .value_size = sizeof(uint64_t),
			       .max_entries = 1 };

	return bpf(BPF_MAP_CREATE, &map, "BPF_MAP_CREATE");
}

static void attach(int map, char *const *pids, int count)
{
	const struct bpf_insn head[] = {
		CALL(BPF_FUNC_get_current_pid_tgid),
		{ .code = BPF_ALU64 | BPF_RSH | BPF_K, .dst_reg = 0, .imm = 32 }, /* the process */
	};
	const struct bpf_insn tail[] = {
		SET(0, 0),
		EXIT,
		{ .code = BPF_ST | BPF_MEM | BPF_W, .dst_reg = 10, .off = KEY_AT, .imm = 0 },
		{ .code = BPF_LD | BPF_IMM | BPF_DW, .dst_reg = 1, .src_reg = BPF_PSEUDO_MAP_FD, .imm = map },
		{ 0 }, /* second half of the line before */
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 2, .src_reg = 10 },
		{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 2, .imm = KEY_AT },
		CALL(BPF_FUNC_map_lookup_elem),
		IF_EQUAL(0, 0, 2),
		SET(1, 1),
		{ .code = BPF_STX | BPF_ATOMIC | BPF_DW, .dst_reg = 0, .src_reg = 1, .imm = BPF_ADD },
		SET(0, 0),
		EXIT,
	};
	struct bpf_insn program[sizeof(head) / sizeof(*head) + MAX_PIDS + sizeof(tail) / sizeof(*tail)];
	uint32_t at = sizeof(head) / sizeof(*head);

	memcpy(program, head, sizeof(head));
	for (int i = 0; i < count; i++) /* to the line that follows the first EXIT */
		program[at++] = (struct bpf_insn)IF_EQUAL(0, atoi(pids[i]), count - i + 1);
	memcpy(program + at, tail, sizeof(tail));
	at += sizeof(tail) / sizeof(*tail);

	union bpf_attr load = { .prog_type = BPF_PROG_TYPE_RAW_TRACEPOINT,
				.insns = (uintptr_t)program,
				.insn_cnt = at,
				.license = (uintptr_t) "Apache-2.0" };
	union bpf_attr open = { .raw_tracepoint = { .name = (uintptr_t) "sys_enter" } };

	open.raw_tracepoint.prog_fd = (uint32_t)bpf(BPF_PROG_LOAD, &load, "BPF_PROG_LOAD");
	bpf(BPF_RAW_TRACEPOINT_OPEN, &open, "BPF_RAW_TRACEPOINT_OPEN");
}

static uint64_t counted(int map)
{
	uint32_t key = 0;
	uint64_t value = 0;
	union bpf_attr lookup = { .map_fd = (uint32_t)map,
				  .key = (uintptr_t)&key,
				  .value = (uintptr_t)&value };

	bpf(BPF_MAP_LOOKUP_ELEM, &lookup, "BPF_MAP_LOOKUP_ELEM");
	return value;
}

int main(int argc, char **argv)
{
	int option, milliseconds = 0, map;
	uint64_t before;

	while ((option = getopt(argc, argv, "m:")) != -1) {
		if (option != 'm')
			return 2;
		milliseconds = atoi(optarg);
	}
	if (milliseconds < 1 || optind == argc || argc - optind > MAX_PIDS)
		return 2;
	map = make_map();
	attach(map, argv + optind, argc - optind);
	before = counted(map);
	usleep((useconds_t)milliseconds * 1000);
	printf("%llu\n", (unsigned long long)(counted(map) - before));
	return 0;
}
