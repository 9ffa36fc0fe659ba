/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One worker: its ports, its pool, its row and column of the matrix of handoff rings, and the loop over them.
 *
 * Create a worker, attach ports, then call ttf_worker_run() slice after slice. Ports come and go between
 * slices. During a slice nothing is allocated, logged or locked, and Python isn't called. Not for several
 * threads.
 */
#ifndef TTF_WORKER_H
#define TTF_WORKER_H

#include "abi.h"
#include "forward.h"
#include "pktgen.h"
#include "port_config.h"

enum ttf_steering {
	TTF_STEERING_QUEUE, /* the worker that received a packet sends it */
	TTF_STEERING_FLOW   /* the worker that the flow's hash names sends it */
};

enum ttf_rx_mode {
	TTF_RX_POLLING,	  /* never sleeps */
	TTF_RX_INTERRUPT, /* sleeps whenever a round found nothing */
	TTF_RX_ADAPTIVE	  /* sleeps spin_ns after the last packet */
};

struct ttf_worker_config {
	uint32_t id;
	uint32_t batch;
	uint32_t mode;	   /* enum ttf_mode */
	uint32_t steering; /* enum ttf_steering */
	uint32_t rx_mode;  /* enum ttf_rx_mode */
	uint64_t spin_ns;
	void *stats; /* checked mappings */
	void *rings;
	void *const *frames;  /* one for each worker */
	void *capture;	      /* this worker's struct ttf_capture; NULL: it captures nothing */
	const int *doorbells; /* an eventfd for each worker, borrowed */
};

enum ttf_run_end {
	TTF_RUN_SLICE,	   /* the time is over */
	TTF_RUN_ATTENTION, /* a message waits in the worker channel */
	TTF_RUN_STOPPED	   /* run state STOP, and everything is drained */
};

struct ttf_worker;

/* The pool is rebuilt from the rings. NULL with errno: EINVAL, ENOMEM. */
struct ttf_worker *ttf_worker_new(const struct ttf_worker_config *config);
void ttf_worker_free(struct ttf_worker *worker);

/*
 * Join the crossing, before any port is attached: the member's slots are `first` and the `slots` that follow. Its
 * fd stays the caller's. 0 or -errno.
 */
int ttf_worker_join(struct ttf_worker *worker, int member, uint32_t first, uint32_t slots);

/* 0, -EINVAL (a value out of range), -EEXIST, or the driver's -errno. */
int ttf_worker_attach(struct ttf_worker *worker, const struct ttf_port_config *config);

/* The port's device has another MTU, or takes other offloads, from now on. 0, -ENOENT, -EINVAL. */
int ttf_worker_update_port(struct ttf_worker *worker, uint32_t port_id, uint32_t mtu, uint32_t offloads);
int ttf_worker_set_peer(struct ttf_worker *worker, uint32_t port_id, int32_t peer);

/* Generate packets into a port's queue. 0, -EINVAL, -ENOMEM. */
int ttf_worker_pktgen(struct ttf_worker *worker, uint32_t port_id, const struct ttf_pktgen_config *config);

/*
 * Forward the packets that the port's queue holds, up to a limit, then forget the port. From now on frames
 * for it are dropped as no_port. 0 or -ENOENT.
 */
int ttf_worker_detach(struct ttf_worker *worker, uint32_t port_id);

/* The errno that stopped a port's queue (its device is gone), 0 while it works. */
int ttf_worker_queue_error(const struct ttf_worker *worker, uint32_t port_id);

/*
 * Run the loop for slice_ns at most. Returns enum ttf_run_end. Call ttf_worker_attention() before looking at
 * the worker channel, and give its value here: then no message is overlooked.
 */
int ttf_worker_run(struct ttf_worker *worker, uint64_t slice_ns, uint32_t attention);
uint32_t ttf_worker_attention(const struct ttf_worker *worker);

#endif
