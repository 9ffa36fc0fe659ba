/* SPDX-License-Identifier: Apache-2.0 */
/* A worker is made and unmade; its ports come and go between slices. */
#include <errno.h>
#include <stdlib.h>

#include "clock.h"
#include "layout.h"
#include "worker_internal.h"

static void set_ports_high(struct ttf_worker *worker)
{
	worker->ports_high = 0;
	for (uint32_t slot = 0; slot < TTF_MAX_PORTS; slot++)
		if (worker->ports[slot].used)
			worker->ports_high = slot + 1;
}

static int map_rings(struct ttf_worker *worker, const struct ttf_worker_config *config)
{
	const uint32_t slots = ((const struct ttf_header *)config->rings)->ports; /* see layout.c */
	struct ttf_ring **outward = calloc(worker->workers, sizeof(struct ttf_ring *));
	int error = 0;

	if (!outward)
		return -ENOMEM;
	for (uint32_t w = 0; w < worker->workers; w++) {
		struct ring_out *out = &worker->ring_out[w];
		struct ring_in *in = &worker->ring_in[w];

		if (w == worker->id)
			continue;
		out->ring = outward[w] = ttf_rings_ring(config->rings, worker->id, w);
		out->stats = ttf_stats_ring(config->stats, worker->id, w);
		out->consumer = ttf_rings_run_words(config->rings, w);
		out->doorbell = config->doorbells[w];
		in->ring = ttf_rings_ring(config->rings, w, worker->id);
		in->stats = ttf_stats_ring(config->stats, w, worker->id);
		ttf_pool_init(&in->pool, config->frames[w], 0);
		if (out->ring->slots != slots || in->ring->slots != slots)
			error = -EINVAL;
	}
	if (!error)
		error = ttf_pool_rebuild(&worker->pool, outward, worker->workers);
	free(outward);
	return error;
}

static int config_valid(const struct ttf_worker_config *config)
{
	const struct ttf_header *stats = config->stats, *rings = config->rings;

	if (stats->workers != rings->workers)
		return 0;
	for (uint32_t w = 0; w < stats->workers; w++)
		if (((const struct ttf_header *)config->frames[w])->epoch != stats->epoch)
			return 0;
	return stats->epoch == rings->epoch && config->id < stats->workers && stats->ports == TTF_MAX_PORTS &&
	       config->batch >= 1 && config->batch <= TTF_MAX_BATCH && config->mode <= TTF_MODE_TXONLY &&
	       config->steering <= TTF_STEERING_FLOW && config->rx_mode <= TTF_RX_ADAPTIVE;
}

struct ttf_worker *ttf_worker_new(const struct ttf_worker_config *config)
{
	struct ttf_worker *worker;
	uint32_t out_at_most;
	int error = -ENOMEM;

	if (!config_valid(config)) {
		errno = EINVAL;
		return NULL;
	}
	worker = calloc(1, sizeof(*worker));
	if (!worker) {
		errno = ENOMEM;
		return NULL;
	}
	worker->id = config->id;
	worker->workers = ((const struct ttf_header *)config->stats)->workers;
	worker->batch = config->batch;
	worker->steering = config->steering;
	worker->rx_mode = config->rx_mode;
	worker->spin_ns = config->spin_ns;
	worker->table.mode = config->mode;
	worker->table.fdb = ttf_rings_fdb(config->rings);
	for (uint32_t slot = 0; slot < TTF_MAX_PORTS; slot++) {
		worker->table.peer[slot] = -1;
		worker->ports[slot].stats = ttf_stats_queue(config->stats, slot, worker->id);
	}
	ttf_socket_batch_init(&worker->scratch);
	worker->run_words = ttf_rings_run_words(config->rings, worker->id);
	worker->stats = ttf_stats_worker(config->stats, worker->id);
	worker->doorbell = config->doorbells[worker->id];
	worker->ring_out = calloc(worker->workers, sizeof(*worker->ring_out));
	worker->ring_in = calloc(worker->workers, sizeof(*worker->ring_in));
	worker->polls = calloc(1 + TTF_MAX_PORTS, sizeof(*worker->polls));
	if (worker->ring_out && worker->ring_in && worker->polls)
		error = ttf_pool_init(&worker->pool, config->frames[worker->id], 1);
	if (!error)
		error = map_rings(worker, config);
	if (error) {
		ttf_worker_free(worker);
		errno = -error;
		return NULL;
	}
	/* Long before the pool is empty: the sooner a frame comes back, the warmer it is. */
	out_at_most =
		worker->pool.frames / 4 < 4 * worker->batch ? worker->pool.frames / 4 : 4 * worker->batch;
	worker->reclaim_below = worker->pool.frames - out_at_most;
	worker->cpu_base_ns = worker->stats->cpu_ns;
	worker->last_work_ns = now_precise_ns();
	store_relaxed(&worker->stats->pool_frames, worker->pool.frames);
	store_relaxed(&worker->stats->pool_free_frames, worker->pool.free);
	store_relaxed(&worker->run_words->sleeping, 0);
	store_relaxed(&worker->stats->heartbeat_ns, now_coarse_ns());
	return worker;
}

static void close_queue(struct worker_port *port)
{
	if (port->serves && port->queue.driver->close)
		port->queue.driver->close(&port->queue);
	port->serves = 0;
}

void ttf_worker_free(struct ttf_worker *worker)
{
	if (!worker)
		return;
	for (uint32_t slot = 0; slot < TTF_MAX_PORTS; slot++) {
		ttf_pktgen_free(worker->ports[slot].generator);
		close_queue(&worker->ports[slot]);
	}
	ttf_pool_exit(&worker->pool);
	free(worker->polls);
	free(worker->ring_in);
	free(worker->ring_out);
	free(worker);
}

int ttf_worker_attach(struct ttf_worker *worker, const struct ttf_port_config *config)
{
	static const struct ttf_driver_ops *const drivers[] = {
		[TTF_DRIVER_TAP] = &ttf_driver_tap,
		[TTF_DRIVER_TURBOTAP_MMSG] = &ttf_driver_turbotap_mmsg,
		[TTF_DRIVER_PACKET] = &ttf_driver_packet,
		[TTF_DRIVER_TURBOTAP_BURST] = &ttf_driver_turbotap_burst,
		[TTF_DRIVER_URING] = &ttf_driver_uring,
	};
	struct worker_port *port;

	if (config->port_id >= TTF_MAX_PORTS || config->queues < 1 || config->queues > worker->workers ||
	    config->peer < -1 || config->peer >= TTF_MAX_PORTS || config->driver > TTF_DRIVER_URING ||
	    (config->header_bytes && config->header_bytes != TTF_VNET_HDR_BYTES) ||
	    (config->offloads && !config->header_bytes) ||
	    (config->driver == TTF_DRIVER_PACKET && !config->header_bytes) ||
	    (config->fd >= 0) != (worker->id < config->queues))
		return -EINVAL;
	port = &worker->ports[config->port_id];
	if (port->used)
		return -EEXIST;
	*port = (struct worker_port){
		.used = 1,
		.generation = config->generation,
		.queues = config->queues,
		.mtu = config->mtu,
		.offloads = config->offloads,
		.serves = config->fd >= 0,
		.stats = port->stats,
		.queue = { .driver = drivers[config->driver],
			   .scratch = &worker->scratch,
			   .fd = config->fd,
			   .plain_fd = config->plain_fd,
			   .header_bytes = config->header_bytes,
			   .shared = worker->workers > 1 },
	};
	if (port->serves && port->queue.driver->open) {
		int error = port->queue.driver->open(&port->queue);

		if (error) {
			port->used = 0;
			port->serves = 0;
			return error;
		}
	}
	worker->table.peer[config->port_id] = (int16_t)config->peer;
	set_ports_high(worker);
	return 0;
}

int ttf_worker_set_peer(struct ttf_worker *worker, uint32_t slot, int32_t peer)
{
	if (slot >= TTF_MAX_PORTS || peer < -1 || peer >= TTF_MAX_PORTS)
		return -EINVAL;
	worker->table.peer[slot] = (int16_t)peer;
	return 0;
}

int ttf_worker_pktgen(struct ttf_worker *worker, uint32_t slot, const struct ttf_pktgen_config *config)
{
	struct pktgen *generator;

	if (slot >= TTF_MAX_PORTS || !worker->ports[slot].used || config->size < 60 || config->size > 9018 ||
	    config->flows < 1 || config->flows > 16384)
		return -EINVAL;
	generator = ttf_pktgen_new(config);
	if (!generator)
		return -ENOMEM;
	ttf_pktgen_free(worker->ports[slot].generator);
	worker->ports[slot].generator = generator;
	return 0;
}

int ttf_worker_detach(struct ttf_worker *worker, uint32_t slot)
{
	struct worker_port *port;
	uint32_t total = 0;

	if (slot >= TTF_MAX_PORTS || !worker->ports[slot].used)
		return -ENOENT;
	port = &worker->ports[slot];
	while (port->serves && total < LAST_PACKETS) {
		int count;

		reclaim(worker); /* what consumers are done with is room to receive */
		count = receive_burst(worker, slot, 0);
		if (count <= 0)
			break;
		total += (uint32_t)count;
	}
	read_kernel_drops(port);
	ttf_pktgen_free(port->generator);
	port->generator = NULL;
	port->used = 0;
	close_queue(port);
	worker->table.peer[slot] = -1;
	for (uint32_t p = 0; p < TTF_MAX_PORTS; p++)
		if (worker->table.peer[p] == (int16_t)slot)
			worker->table.peer[p] = -1;
	set_ports_high(worker);
	return 0;
}

int ttf_worker_queue_error(const struct ttf_worker *worker, uint32_t slot)
{
	return slot < TTF_MAX_PORTS ? worker->ports[slot].error : 0;
}
