/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the receiver's programs (receiver.bpf.c) and user space share. A receiver takes the frames of one way.
 *
 * A frame is known by its number: the 32 bits that it carries, extended. A bitmap has a bit for each of the last
 * 2^27 numbers, so a frame that is lost and one that comes twice are told exactly, however late they come. In a
 * trial of more frames user space counts off whole seconds behind, and clears their bits (window.h).
 */
#ifndef TTF_RECEIVER_H
#define TTF_RECEIVER_H

#include <stdint.h>

#include "frame.h"
#include "histogram.h"

#define TTF_WINDOW_LOG2 27
#define TTF_WINDOW_WORDS 2097152 /* 2^27 bits, 16 MiB */
#define TTF_JITTER_FRACTION_LOG2 4

/* Constant: the program is loaded for it. A frame is ours if it is UDP, with these addresses and our port. */
struct ttf_receiver_config {
	uint32_t ip;		 /* 4 or 6 */
	uint32_t source4, sink4; /* network byte order; the first 16 bits count */
	uint64_t source6, sink6; /* the first 64 bits, likewise */
};

/* One; all CPUs write it. User space zeroes it before each trial. */
struct ttf_receiver {
	uint64_t start_ns; /* a frame with an older stamp is stale */
	uint64_t floor;	   /* numbers below it have been counted off */
	uint64_t next;	   /* NextExp of RFC 4737: one more than the highest number that came */
	uint64_t last_ns;
	uint64_t longest_gap_ns; /* between two arrivals */
};

/* One for each CPU. */
struct ttf_received {
	uint64_t frames; /* different ones */
	uint64_t duplicates;
	uint64_t reordered;
	uint64_t reordered_extent; /* the greatest distance from the highest number that was there already */
	uint64_t stale;
	uint64_t beyond;   /* further ahead than the window reaches: user space didn't keep up */
	uint64_t foreign;  /* left alone */
	uint64_t previous; /* number + 1 of the frame before, on this CPU */
	uint64_t previous_path_ns;
	uint64_t jitter; /* RFC 3550, 2^-4 ns */
	struct ttf_histogram path;
	struct ttf_histogram response;
	struct ttf_histogram ipdv;
};

#endif
