/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a fake device does to the frames of one direction, and its book. fake_dut.bpf.c keeps it in a map;
 * device.py has the same structs.
 *
 * A number n in "every" means the n-th frame, the 2n-th and so on, counted from 1; 0 means none.
 */
#ifndef TTF_FAKE_DUT_H
#define TTF_FAKE_DUT_H

#include <linux/types.h>

#define FAKE_COPY_BYTES 3072u /* longer frames are neither duplicated nor displaced */
#define FAKE_TIMES 256u	      /* buckets of the book; the last one has whatever is longer */
#define FAKE_TIME_NS 16u      /* of a bucket */

struct fake_behaviour {
	__u64 drop_every;
	__u64 lose_from; /* number of the first frame of a burst that is lost */
	__u64 lose_count;
	__u64 die_after;       /* frames; all that follow are lost. 0: it lives */
	__u64 limit_interval;  /* between frames, in 2^-16 ns: a rate limit; 0: none */
	__u64 limit_tolerance; /* how much earlier a frame may come, in the same unit */
	__u64 delay_ns;	       /* 0: none */
	__u64 delay_every;     /* of the frames that it passes on */
	__u64 else_delay_ns;   /* of all others, if some are delayed */
	__u64 duplicate_every; /* of the frames that it passes on */
	__u64 duplicate_count; /* at most so many */
	__u64 displace_every;  /* of the frames that it passes on */
	__u64 displace_count;  /* at most so many */
	__u64 displace_by;     /* so many later frames overtake each */
};

struct fake_book {
	__u64 received;
	__u64 dropped_every;
	__u64 dropped_burst;
	__u64 dropped_dead;
	__u64 dropped_limit;
	__u64 duplicated;
	__u64 displaced;
	__u64 held;		     /* a displaced frame that no later one has overtaken yet */
	__u64 sent;		     /* handed to the device behind, duplicates included */
	__u64 delayed[FAKE_TIMES];   /* how long they stayed, less delay_ns */
	__u64 undelayed[FAKE_TIMES]; /* how long the others did, if some are delayed */
};

struct fake_state {
	__u64 passed;
	__u64 epoch_ns;	 /* of the rate limit */
	__u64 next_due;	 /* of a frame that keeps the rate limit, in 2^-16 ns since the epoch */
	__u64 overtaken; /* how many frames have overtaken the one that is held */
	__u64 copies;	 /* that reached the map's program */
	__u64 held_length;
	__u8 held_bytes[FAKE_COPY_BYTES];
};

struct fake_dut {
	struct fake_behaviour behaviour;
	struct fake_book book;
	struct fake_state state;
};

#endif
