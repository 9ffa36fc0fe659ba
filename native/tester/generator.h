/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the generator's program (generator.bpf.c) and user space share.
 *
 * A run sends for one way, or for two that take turns. Its schedule is a series of slots at equal distances; a
 * frame is due at each. Slot n is of way n mod ways.
 */
#ifndef TTF_GENERATOR_H
#define TTF_GENERATOR_H

#include "frame.h"
#include "histogram.h"

#define TTF_FRACTION_LOG2 16 /* times in the schedule are multiples of 2^-16 ns */
#define TTF_CATCH_UP 64	     /* late frames of each way that are sent after a stall; the rest is left out */
#define TTF_MAX_SECONDS 86400

/* Constant: the program is loaded for it. */
struct ttf_generator_config {
	struct ttf_places places[TTF_MAX_WAYS];
	uint32_t frame_bytes; /* of the frames that the kernel gives: the longest one's */
	uint32_t ways;
	uint32_t order_length; /* the mix repeats after so many frames */
	uint32_t flows;
	uint32_t random;
	uint32_t seed;
	uint32_t to_stack; /* frames go to the device as socket buffers, so that it selects the queue */
	uint32_t ifindex[TTF_MAX_WAYS]; /* for that */
	uint8_t order[TTF_MAX_ORDER];	/* of each frame, the index of its size */
	struct ttf_template
		templates[TTF_MAX_WAYS * TTF_MAX_SIZES]; /* of a way: from way * TTF_MAX_SIZES on */
};

struct ttf_sent {
	uint64_t frames;
	uint64_t order_at;
	struct ttf_histogram lateness;
};

/* One run. User space zeroes it, fills it in, starts the run, and writes start_ns last. */
struct ttf_generator {
	uint64_t start_ns; /* 0: wait */
	uint64_t interval; /* from slot to slot, 2^-16 ns; 0: as fast as can be */
	uint64_t slots;

	/* The program's. */
	uint64_t turns;	  /* it was called: it counts until start_ns is there */
	uint64_t slot;	  /* the next one; `slots` at the end */
	uint64_t due;	  /* of it, from start_ns, 2^-16 ns */
	uint64_t mark_ns; /* from start_ns: the second that begins next */
	struct ttf_sent ways[TTF_MAX_WAYS];
};

/* The first frame of each second, for each way. A second without a frame has zeros. */
struct ttf_mark {
	uint64_t number[TTF_MAX_WAYS];
};

#endif
