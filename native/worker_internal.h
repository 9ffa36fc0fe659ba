/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What worker.c (the loop), steer.c (which worker sends), egress.c (where frames leave) and worker_ports.c
 * (ports come and go) share.
 */
#ifndef TTF_WORKER_INTERNAL_H
#define TTF_WORKER_INTERNAL_H

#include <poll.h>

#include "atomic.h"
#include "pool.h"
#include "driver.h"
#include "ring.h"
#include "worker.h"

struct worker_port {
	uint32_t used;
	uint32_t generation;
	uint32_t queues;
	uint32_t mtu;
	uint32_t offloads; /* TTF_OFFLOAD_ bits that it takes; the rest is done before it gets a frame */
	int serves;	   /* this worker has a queue of the port */
	int error;	   /* errno of a queue that stopped working, looked at again every slice */
	struct ttf_queue queue;
	struct ttf_counters *stats;
	struct pktgen *generator;
	uint32_t out; /* frames that wait for transmit() */
	struct ttf_frame frames[TTF_MAX_BATCH];
};

/* The ring to one other worker, as its producer. */
struct ring_out {
	struct ttf_ring *ring;
	struct ttf_ring_stats *stats;
	struct ttf_run_words *consumer;
	int doorbell;
	uint32_t pending; /* written, not yet published */
};

/* The ring from one other worker, as its consumer. */
struct ring_in {
	struct ttf_ring *ring;
	struct ttf_ring_stats *stats;
	struct pool pool; /* the producer's */
};

struct ttf_worker {
	uint32_t id, workers, batch, steering, rx_mode;
	uint64_t spin_ns;
	struct forward_table table;
	struct pool pool;
	struct ttf_run_words *run_words;
	struct ttf_worker_stats *stats;
	uint32_t reclaim_below; /* reclaim when fewer frames are free */

	uint64_t now_ns;	/* coarse, read once a round */
	uint64_t last_work_ns;	/* precise */
	uint64_t busy_since_ns; /* 0 while idle */
	uint64_t cpu_base_ns;	/* CPU time of earlier incarnations */
	int drained;		/* DRAIN was seen through: receive no more */
	uint64_t drain_since_ns;

	uint32_t ports_high; /* the highest slot in use + 1 */
	struct worker_port ports[TTF_MAX_PORTS];
	struct ring_out *ring_out; /* [workers]; the own entry is empty */
	struct ring_in *ring_in;
	int doorbell;
	struct pollfd *polls;		    /* [1 + TTF_MAX_PORTS] */
	uint32_t polled[1 + TTF_MAX_PORTS]; /* the slots of polls, from 1 on */

	struct socket_batch scratch;
	/*
	 * What the next burst is received into: the first rx_ready frames of the pool's stack. They stay the
	 * same while frames go back to where they came from; whatever else moves the stack sets rx_ready to
	 * 0.
	 */
	uint32_t rx_ready;
	uint32_t rx_frames[TTF_MAX_BATCH];
	struct ttf_frame rx[TTF_MAX_BATCH];
	uint8_t handed[TTF_MAX_BATCH]; /* frames of the burst that a ring holds now */

	/* Frames of the pool that hold packets of segments cut here, in the order that they were taken. */
	uint32_t cut_frames;
	uint32_t cut[TTF_MAX_BATCH];
};

static inline void drop(struct ttf_counters *counters, uint32_t reason, uint64_t count)
{
	count_add(&counters->drops[reason], count);
}

/* steer.c */

/*
 * Queue one frame of this worker's pool for its output port, or for the ring to the worker that owns the
 * flow or the output queue. Returns 1 when a ring holds the frame now, else 0. Nothing leaves before
 * flush().
 */
int send_frame(struct ttf_worker *worker, uint32_t in_port, uint32_t out_port, uint32_t frame,
	       struct ttf_frame view);
/* The same for every port but in_port. Each further worker that must send gets a copy. */
int flood_frame(struct ttf_worker *worker, uint32_t in_port, uint32_t frame, struct ttf_frame view);

/* A frame that another worker flooded with this steering key: to the ports that this worker owns for it. */
void flood_handed(struct ttf_worker *worker, uint32_t key, uint32_t in_port, struct ttf_frame view);

/* Send what is queued, publish the rings, ring doorbells of sleepers. */
void flush(struct ttf_worker *worker);

/* Take back the frames that consumers are done with. */
void reclaim(struct ttf_worker *worker);

/* egress.c */

/*
 * Queue a frame on a port that this worker serves, as it is or, where it asks for what the port doesn't
 * take, with its checksum completed or as the packets that it stands for; or drop it by name.
 */
void queue_frame(struct ttf_worker *worker, struct worker_port *port, struct ttf_frame view);

/* Send what is queued. */
void transmit(struct ttf_worker *worker);

/*
 * How much of a queue that is about to go is read at most: more than any queue length in use, and an end
 * where a device that isn't ours stays up and never runs dry.
 */
#define LAST_PACKETS 65536u

/* worker.c */

/* One burst from a port's queue: receive, forward, flush. Returns packets received, or -errno. */
int receive_burst(struct ttf_worker *worker, uint32_t slot, int discard);

/* Count what the kernel dropped before a queue since the last time. */
void read_kernel_drops(struct worker_port *port);

#endif
