/* SPDX-License-Identifier: Apache-2.0 */
#include "tester/programs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#define MAX_MAPPED 4
#define TCX_INGRESS 46 /* BPF_TCX_INGRESS, which headers before Linux 6.6 don't have */

/* The compiled programs, linked in by native/build_bpf.py. */
extern const uint8_t _binary_generator_bpf_o_start[], _binary_generator_bpf_o_end[];
extern const uint8_t _binary_receiver_bpf_o_start[], _binary_receiver_bpf_o_end[];

struct ttf_programs {
	struct bpf_object *object;
	struct {
		const char *name;
		void *memory;
		size_t bytes;
	} mapped[MAX_MAPPED];
	uint32_t mapped_count;
};

static int silent(enum libbpf_print_level level, const char *format, va_list arguments)
{
	(void)level;
	(void)format;
	(void)arguments;
	return 0;
}

static int set_config(struct bpf_object *object, const void *config, size_t bytes)
{
	struct bpf_map *map = bpf_object__find_map_by_name(object, ".rodata");

	return map ? bpf_map__set_initial_value(map, config, bytes) : -EINVAL;
}

static int map_memory(struct ttf_programs *programs, const struct bpf_map *map)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t value = (bpf_map__value_size(map) + 7) & ~(size_t)7;
	size_t bytes = (value * bpf_map__max_entries(map) + page - 1) & ~(page - 1);
	void *memory;

	if (programs->mapped_count == MAX_MAPPED)
		return -ENOSPC;
	memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);
	if (memory == MAP_FAILED)
		return -errno;
	programs->mapped[programs->mapped_count].name = bpf_map__name(map);
	programs->mapped[programs->mapped_count].memory = memory;
	programs->mapped[programs->mapped_count++].bytes = bytes;
	return 0;
}

static int map_all(struct ttf_programs *programs)
{
	struct bpf_map *map;
	int error = 0;

	bpf_object__for_each_map(
		map, programs->object) if (!error && bpf_map__type(map) == BPF_MAP_TYPE_ARRAY &&
					   !bpf_map__is_internal(map)) error = map_memory(programs, map);
	return error;
}

static struct ttf_programs *load(const uint8_t *start, const uint8_t *end, const void *config,
				 size_t config_bytes, uint32_t cpus)
{
	struct ttf_programs *programs = calloc(1, sizeof(*programs));
	struct bpf_map *for_each_cpu;
	int error = -ENOMEM;

	if (!programs)
		return NULL;
	libbpf_set_print(silent);
	programs->object = bpf_object__open_mem(start, (size_t)(end - start), NULL);
	if (!programs->object) {
		error = -errno;
		goto failed;
	}
	error = set_config(programs->object, config, config_bytes);
	for_each_cpu = bpf_object__find_map_by_name(programs->object, "received");
	if (!error && for_each_cpu)
		error = bpf_map__set_max_entries(for_each_cpu, cpus);
	if (!error)
		error = bpf_object__load(programs->object);
	if (!error)
		error = map_all(programs);
	if (!error)
		return programs;
failed:
	ttf_programs_free(programs);
	errno = -error;
	return NULL;
}

struct ttf_programs *ttf_load_generator(const struct ttf_generator_config *config)
{
	return load(_binary_generator_bpf_o_start, _binary_generator_bpf_o_end, config, sizeof(*config), 0);
}

struct ttf_programs *ttf_load_receiver(const struct ttf_receiver_config *config, uint32_t cpus)
{
	return load(_binary_receiver_bpf_o_start, _binary_receiver_bpf_o_end, config, sizeof(*config), cpus);
}

void ttf_programs_free(struct ttf_programs *programs)
{
	for (uint32_t i = 0; i < programs->mapped_count; i++)
		munmap(programs->mapped[i].memory, programs->mapped[i].bytes);
	bpf_object__close(programs->object); /* of NULL: nothing */
	free(programs);
}

int ttf_program_fd(const struct ttf_programs *programs, const char *name)
{
	struct bpf_program *program = bpf_object__find_program_by_name(programs->object, name);

	return program ? bpf_program__fd(program) : -ENOENT;
}

void *ttf_map_memory(struct ttf_programs *programs, const char *name)
{
	for (uint32_t i = 0; i < programs->mapped_count; i++)
		if (!strcmp(programs->mapped[i].name, name))
			return programs->mapped[i].memory;
	return NULL;
}

int ttf_set_device(struct ttf_programs *programs, uint32_t way, uint32_t ifindex)
{
	int map = bpf_object__find_map_fd_by_name(programs->object, "devices");

	return map < 0 ? map : bpf_map_update_elem(map, &way, &ifindex, BPF_ANY);
}

int ttf_attach_xdp(int program, uint32_t ifindex)
{
	return bpf_link_create(program, (int)ifindex, BPF_XDP, NULL);
}

int ttf_attach_tc(int program, uint32_t ifindex)
{
	return bpf_link_create(program, (int)ifindex, (enum bpf_attach_type)TCX_INGRESS, NULL);
}

/* Padding is cleared, too: libbpf looks at it. */
static void name_filter(const struct ttf_filter *filter, struct bpf_tc_hook *hook,
			struct bpf_tc_opts *options)
{
	memset(hook, 0, sizeof(*hook));
	hook->sz = sizeof(*hook);
	hook->ifindex = (int)filter->ifindex;
	hook->attach_point = BPF_TC_INGRESS;
	memset(options, 0, sizeof(*options));
	options->sz = sizeof(*options);
	options->handle = filter->handle;
	options->priority = filter->priority;
}

static int remove_clsact(struct bpf_tc_hook *hook)
{
	hook->attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS;
	return bpf_tc_hook_destroy(hook);
}

int ttf_filter_attach(int program, uint32_t ifindex, struct ttf_filter *filter)
{
	struct bpf_tc_hook hook;
	struct bpf_tc_opts options;
	int made, error;

	libbpf_set_print(silent);
	*filter = (struct ttf_filter){ .ifindex = ifindex };
	name_filter(filter, &hook, &options);
	options.prog_fd = program;
	made = bpf_tc_hook_create(&hook);
	if (made && made != -EEXIST)
		return made;
	error = bpf_tc_attach(&hook, &options);
	if (error && !made)
		remove_clsact(&hook);
	filter->handle = options.handle;
	filter->priority = options.priority;
	filter->made_clsact = !made;
	return error;
}

int ttf_filter_detach(const struct ttf_filter *filter)
{
	struct bpf_tc_hook hook;
	struct bpf_tc_opts options;

	name_filter(filter, &hook, &options);
	return filter->made_clsact ? remove_clsact(&hook) : bpf_tc_detach(&hook, &options);
}
