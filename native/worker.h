/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One worker: its ports, its pool, its row and column of the ring matrix, and the loop over them.
 *
 * Called by forwarder/worker/main.py alone: create, attach ports, then ttf_worker_run() slice after slice.
 * Between slices ports come and go; during one nothing is allocated, logged, locked or asked of Python.
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
	void *const *frames;  /* one a worker */
	const int *doorbells; /* one eventfd a worker, borrowed */
};

enum ttf_run_end {
	TTF_RUN_SLICE,	   /* the time is over */
	TTF_RUN_ATTENTION, /* a message waits in the control channel */
	TTF_RUN_STOPPED	   /* told to stop, and drained */
};

struct ttf_worker;

/* Map everything, rebuild the pool from the rings. NULL and errno. */
struct ttf_worker *ttf_worker_new(const struct ttf_worker_config *config);
void ttf_worker_free(struct ttf_worker *worker);

/* 0 or -EINVAL (a value out of range), -EEXIST, or what kept the driver from opening the queue. */
int ttf_worker_attach(struct ttf_worker *worker, const struct ttf_port_config *config);
int ttf_worker_set_peer(struct ttf_worker *worker, uint32_t port_id, int32_t peer);

/* Have a port's queue generate. 0, -EINVAL, -ENOMEM. */
int ttf_worker_pktgen(struct ttf_worker *worker, uint32_t port_id, const struct ttf_pktgen_config *config);

/*
 * Forward what the port's queue still holds (bounded), then forget the port: frames for it are from now
 * on dropped as no_port. 0 or -ENOENT.
 */
int ttf_worker_detach(struct ttf_worker *worker, uint32_t port_id);

/* The errno that stopped a port's queue (its device is gone), 0 while it works. */
int ttf_worker_queue_error(const struct ttf_worker *worker, uint32_t port_id);

/*
 * Run the loop for slice_ns at most. Returns enum ttf_run_end. `attention` is what ttf_worker_attention()
 * said before the control channel was last looked at, so that no message is overlooked.
 */
int ttf_worker_run(struct ttf_worker *worker, uint64_t slice_ns, uint32_t attention);
uint32_t ttf_worker_attention(const struct ttf_worker *worker);

#endif
