/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One worker's private state. Each file uses only those below it:
 *
 *   worker_ports.c  a worker is made and unmade; its ports come and go between slices
 *   worker.c        the loop
 *   crossing.c      frames that stay in the kernel
 *   steer.c         which worker sends a frame
 *   egress.c        frames leave by this worker's ports
 *   capture.c       what happens to frames, for those who watch
 *   handoff.c       frames go to other workers, and come back (knows nothing of struct ttf_worker)
 */
#ifndef TTF_WORKER_INTERNAL_H
#define TTF_WORKER_INTERNAL_H

#include <poll.h>
#include <stdbool.h>

#include "atomic.h"
#include "driver.h"
#include "handoff.h"
#include "pool.h"
#include "rx_burst.h"
#include "socket_batch.h"
#include "worker.h"

/*
 * At most this many packets are read from a queue before it is closed: more than any queue length in use. A
 * device that isn't ours stays up, so its queue may never run dry.
 */
#define LAST_PACKETS 65536u

#define STEER_KEYS 256u /* the low bits of a steering key choose the owner */

struct worker_port {
	bool used;
	bool serves; /* this worker has a queue of the port */
	int error;   /* errno of a queue that stopped working; it is tried again every slice */
	uint32_t generation;
	uint32_t queues;
	uint32_t mtu;
	uint32_t offloads;	/* TTF_OFFLOAD_ bits that it takes; egress.c does the rest */
	uint32_t crossing_port; /* its number in the crossing; 0: it is outside */
	bool listens;		/* poll() of the crossing's member tells of its frames */
	struct ttf_queue queue;
	struct ttf_counters *stats;
	struct pktgen *generator;
	uint32_t out; /* frames that wait for ttf_egress_flush() */
	struct ttf_frame frames[TTF_MAX_BATCH];
};

struct capture {
	struct ttf_capture *shared; /* NULL: the worker captures nothing */
	uint32_t ordered;	    /* ttf_run_words.capture */
	uint32_t keep;		    /* bytes of each frame */
	bool written;		    /* there is something to publish */
	uint64_t next;		    /* the next record's place */
	uint64_t records;
	uint64_t now_ns;
};

struct ttf_worker {
	uint32_t id, workers, batch, steering, rx_mode;
	uint32_t capturing; /* 1 << enum ttf_event: what is recorded; 0: nobody watches */
	uint64_t spin_ns;
	struct forward_table table;
	const struct ttf_run_words *run_words;
	struct ttf_worker_words *words;
	struct ttf_worker_stats *stats;
	struct pool pool;
	uint32_t reclaim_below; /* reclaim when fewer frames are free */
	struct rx_burst rx;
	struct handoff handoff;

	/* Who owns a steering key at ports of so many queues, by the mask of the living when it last changed.
	 */
	const uint64_t *live_words;
	uint32_t living_seen;
	uint8_t owners[TTF_MAX_WORKERS + 1][STEER_KEYS];

	/* Frames of the pool that are copies for this worker's ports, in the order in which they were taken.
	 */
	uint32_t segmented;
	uint32_t segmented_ids[TTF_MAX_BATCH];

	uint64_t now_ns;	/* coarse, read once a round */
	uint64_t last_work_ns;	/* precise */
	uint64_t busy_since_ns; /* 0 while idle */
	uint64_t cpu_base_ns;	/* CPU time of earlier incarnations */
	bool drained;		/* DRAIN is over: nothing more is received */
	uint64_t drain_since_ns;

	bool headers;	     /* a port was attached whose queues have offload headers */
	uint32_t ports_high; /* the highest port id in use + 1 */
	struct worker_port ports[TTF_MAX_PORTS];
	int doorbell;
	struct pollfd *polls;		    /* [2 + TTF_MAX_PORTS]: the doorbell, queues, the crossing */
	uint32_t polled[1 + TTF_MAX_PORTS]; /* the port ids of polls, from 1 on */

	struct socket_batch batch_arrays; /* of the drivers on sockets */

	struct ttf_crossing_notes *crossing_notes;
	struct crossing *crossing; /* NULL: the instance has none */

	struct capture capture;
};

static inline uint32_t port_number(const struct ttf_worker *worker, const struct worker_port *port)
{
	return (uint32_t)(port - worker->ports);
}

/*
 * Whether frames from port `in` cross to port `out`: they stay in the kernel, and no other worker has a part. Not
 * if they may request an offload and `out` takes none: egress.c completes them.
 */
static inline bool port_crosses(const struct worker_port *in, const struct worker_port *out)
{
	return in->queue.driver->crosses && out->crossing_port && (out->offloads || !in->offloads);
}

static inline void count_drop(struct ttf_counters *counters, uint32_t reason, uint64_t count)
{
	count_add(&counters->drops[reason], count);
}

/* Bucket of ttf_counters.rx_bursts. */
static inline uint32_t burst_bucket(uint32_t count)
{
	return 31u - (uint32_t)__builtin_clz(count);
}

/*
 * One burst from a port's queue: receive, forward, send. `discard` drops it by name instead. Returns the
 * packets received, or -errno.
 */
int ttf_worker_receive(struct ttf_worker *worker, uint32_t port_id, bool discard);

/* Count the packets that the kernel dropped at a queue since the last time. */
void ttf_worker_count_kernel_drops(struct worker_port *port);

#endif
