/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tester's programs in the kernel: loading them, reaching their maps, attaching them to devices.
 *
 * What is attached goes when its descriptor is closed, so also when the process dies. Kernels before 6.6 have no
 * such links for tc; there a filter has to be taken away by name.
 */
#ifndef TTF_PROGRAMS_H
#define TTF_PROGRAMS_H

#include <stdbool.h>
#include <stdint.h>

#include "generator.h"
#include "receiver.h"

/* Programs that are loaded, with their maps. */
struct ttf_programs;

/* Load the generator's or the receiver's programs. NULL with errno. */
struct ttf_programs *ttf_load_generator(const struct ttf_generator_config *config);
struct ttf_programs *ttf_load_receiver(const struct ttf_receiver_config *config, uint32_t cpus);

/* Closes programs and maps, and unmaps. What is attached stays, and so do runs: end them first. */
void ttf_programs_free(struct ttf_programs *programs);

/* A descriptor, which belongs to the programs; -ENOENT. */
int ttf_program_fd(const struct ttf_programs *programs, const char *name);

/* The memory of a mapped map, by its name. NULL: no mapped map has that name. */
void *ttf_map_memory(struct ttf_programs *programs, const char *name);

/* The device that frames of a way go to, by its index in the namespace of this thread. 0 or -errno. */
int ttf_set_device(struct ttf_programs *programs, uint32_t way, uint32_t ifindex);

/* Attach to a device of this thread's namespace. A descriptor or -errno. -EBUSY: somebody else's is there. */
int ttf_attach_xdp(int program, uint32_t ifindex);
int ttf_attach_tc(int program, uint32_t ifindex);

/* A filter at clsact's ingress, and how it is found again. */
struct ttf_filter {
	uint32_t ifindex;
	uint32_t handle;
	uint32_t priority;
	bool made_clsact; /* the queueing discipline wasn't there: it goes with the filter */
};

/* For kernels without links for tc: those answer ttf_attach_tc() with -EINVAL. 0 or -errno. */
int ttf_filter_attach(int program, uint32_t ifindex, struct ttf_filter *filter);
int ttf_filter_detach(const struct ttf_filter *filter);

#endif
