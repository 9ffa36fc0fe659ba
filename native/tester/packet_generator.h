/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The generator in user space: packet sockets, for devices that take no redirected frames (many NICs), for
 * frames that live frames can't carry (longer than 3.4 KB), and for captures.
 *
 * A process of its own (runner.h) reads the clock until the next frame is due, stamps it, and sends it: each frame has a system call
 * of its own. So a stamp is as young as it can be, and it is known of each frame whether the device took it.
 * On a veth a transmit ring isn't faster, and four frames a call win a fifth for a stamp that is 4 us old.
 */
#ifndef TTF_PACKET_GENERATOR_H
#define TTF_PACKET_GENERATOR_H

#include <stdint.h>

#include "generator.h"
#include "replay.h"
#include "runner.h"

/* What is sent. */
struct ttf_packet_source {
	const struct ttf_generator_config *config;
	uint8_t *frames[TTF_MAX_WAYS * TTF_MAX_SIZES]; /* whole; of each template */
	const struct ttf_replay *replay;	       /* NULL, or these frames instead */
};

struct ttf_packet_sent {
	uint64_t refused;   /* stamped, and not taken by the device */
	uint64_t unstamped; /* of a capture, and without room for a stamp */
};

/* One run, shared with the process that sends. */
struct ttf_packet_run {
	struct ttf_generator schedule;
	uint32_t failed_way; /* of an error */
	struct ttf_packet_sent ways[TTF_MAX_WAYS];
	struct ttf_mark marks[TTF_MAX_SECONDS];
};

/* A socket that sends by a device of this thread's network namespace, past its queueing discipline. Or -errno. */
int ttf_packet_sender_open(const char *device);

struct ttf_packet_run *ttf_packet_run_new(void); /* NULL with errno */
void ttf_packet_run_free(struct ttf_packet_run *run);

/*
 * Start a process that sends the ways of `source` by these sockets. The source stays as it is meanwhile. NULL with
 * errno. A run that ends with -errno: the device of failed_way is gone or down, or can't carry a frame.
 */
struct ttf_runner *ttf_packet_runner_new(const struct ttf_packet_source *source, const int *sockets,
					 struct ttf_packet_run *run, int32_t cpu, int32_t nice);

#endif
