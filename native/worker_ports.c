/* SPDX-License-Identifier: Apache-2.0 */
/* A worker is made and unmade; its ports come and go between slices. */
#include <errno.h>
#include <stdlib.h>

#include "capture.h"
#include "clock.h"
#include "crossing.h"
#include "layout.h"
#include "steer.h"
#include "worker_internal.h"

/* -------------------------------------------------------------------------------------- worker */

static int open_rings(struct ttf_worker *worker, const struct ttf_worker_config *config)
{
	const uint32_t frames = ((const struct ttf_rings *)config->rings)->frames;
	const struct ttf_ring **outward = calloc(worker->workers, sizeof(*outward));
	int error;

	if (!outward)
		return -ENOMEM;
	for (uint32_t w = 0; w < worker->workers; w++) {
		struct handoff_out *out = &worker->handoff.out[w];
		struct handoff_in *in = &worker->handoff.in[w];

		if (w == worker->id)
			continue;
		out->ring = ttf_rings_ring(config->rings, worker->id, w);
		out->stats = ttf_stats_ring_out(config->stats, worker->id, w);
		out->consumer = ttf_rings_worker_words(config->rings, w);
		out->doorbell = config->doorbells[w];
		outward[w] = &out->ring;
		in->ring = ttf_rings_ring(config->rings, w, worker->id);
		in->stats = ttf_stats_ring_in(config->stats, w, worker->id);
		ttf_pool_init(&in->pool, config->frames[w], frames, false);
	}
	error = ttf_pool_rebuild(&worker->pool, outward, worker->workers);
	free(outward);
	return error;
}

static bool worker_config_valid(const struct ttf_worker_config *config)
{
	const struct ttf_header *stats = config->stats, *rings = config->rings;

	return stats->workers == rings->workers && stats->epoch == rings->epoch &&
	       config->id < stats->workers && stats->ports == TTF_MAX_PORTS && config->batch >= 1 &&
	       config->batch <= TTF_MAX_BATCH && config->mode <= TTF_MODE_TXONLY &&
	       config->steering <= TTF_STEERING_FLOW && config->rx_mode <= TTF_RX_ADAPTIVE;
}

/* Reclaim long before the pool is empty: the sooner a frame comes back, the warmer it is. */
static uint32_t reclaim_below(const struct ttf_worker *worker)
{
	const uint32_t frames = worker->pool.frames;

	return frames - (frames / 4 < 4 * worker->batch ? frames / 4 : 4 * worker->batch);
}

struct ttf_worker *ttf_worker_new(const struct ttf_worker_config *config)
{
	struct ttf_worker *worker;
	struct handoff *handoff;
	int error = -ENOMEM;

	if (!worker_config_valid(config)) {
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
	for (uint32_t p = 0; p < TTF_MAX_PORTS; p++) {
		worker->table.peer[p] = -1;
		worker->ports[p].stats = ttf_stats_queue(config->stats, p, worker->id);
	}
	worker->live_words = ((const struct ttf_rings *)config->rings)->live;
	worker->run_words = ttf_rings_run_words(config->rings, worker->id);
	worker->words = ttf_rings_worker_words(config->rings, worker->id);
	worker->stats = ttf_stats_worker(config->stats, worker->id);
	worker->crossing_notes = ttf_rings_crossing_notes(config->rings, worker->id);
	worker->doorbell = config->doorbells[worker->id];
	worker->polls = calloc(2 + TTF_MAX_PORTS, sizeof(*worker->polls));
	ttf_socket_batch_init(&worker->batch_arrays);
	worker->rx.batch = &worker->batch_arrays;
	worker->rx.shared = worker->workers > 1;
	handoff = &worker->handoff;
	handoff->workers = worker->workers;
	handoff->out = calloc(worker->workers, sizeof(*handoff->out));
	handoff->in = calloc(worker->workers, sizeof(*handoff->in));
	handoff->pool = &worker->pool;
	handoff->rx = &worker->rx;
	handoff->stats = worker->stats;
	if (handoff->out && handoff->in && worker->polls)
		error = ttf_pool_init(&worker->pool, config->frames[worker->id],
				      ((const struct ttf_rings *)config->rings)->frames, true);
	if (!error)
		error = open_rings(worker, config);
	if (error) {
		ttf_worker_free(worker);
		errno = -error;
		return NULL;
	}
	worker->reclaim_below = reclaim_below(worker);
	ttf_steer_to_living(worker, load_acquire(&worker->run_words->living));
	worker->cpu_base_ns = worker->stats->cpu_ns;
	worker->last_work_ns = clock_precise_ns();
	store_relaxed(&worker->stats->pool_frames, worker->pool.frames);
	store_release(&worker->stats->pool_free_frames, worker->pool.free); /* the guard reads both at once */
	store_relaxed(&worker->words->sleeping, 0);
	ttf_capture_init(worker, config->capture);
	store_relaxed(&worker->stats->heartbeat_ns, clock_coarse_ns());
	return worker;
}

int ttf_worker_join(struct ttf_worker *worker, int member, uint32_t first, uint32_t slots)
{
	return ttf_crossing_join(worker, worker->crossing_notes, member, first, slots);
}

static void close_queue(struct ttf_worker *worker, struct worker_port *port)
{
	ttf_crossing_ignore(worker, port);
	if (port->serves && port->queue.driver->close)
		port->queue.driver->close(&port->queue);
	port->serves = false;
}

void ttf_worker_free(struct ttf_worker *worker)
{
	if (!worker)
		return;
	for (uint32_t p = 0; p < TTF_MAX_PORTS; p++) {
		ttf_pktgen_free(worker->ports[p].generator);
		close_queue(worker, &worker->ports[p]);
	}
	ttf_crossing_leave(worker);
	ttf_pool_exit(&worker->pool);
	free(worker->polls);
	free(worker->handoff.in);
	free(worker->handoff.out);
	free(worker);
}

/* --------------------------------------------------------------------------------------- ports */

static void set_ports_high(struct ttf_worker *worker)
{
	worker->ports_high = 0;
	for (uint32_t p = 0; p < TTF_MAX_PORTS; p++)
		if (worker->ports[p].used)
			worker->ports_high = p + 1;
}

static bool peer_valid(int32_t peer)
{
	return peer >= -1 && peer < TTF_MAX_PORTS;
}

static bool port_config_valid(const struct ttf_worker *worker, const struct ttf_port_config *config)
{
	const struct ttf_driver_ops *driver = ttf_driver_ops(config->driver);

	if (config->port_id >= TTF_MAX_PORTS || !peer_valid(config->peer))
		return false;
	if (!driver)
		return false;
	if (config->queues < 1 || config->queues > worker->workers)
		return false;
	if (config->crossing_port ? !worker->crossing : driver->crosses)
		return false;
	/* The first workers have a queue each. */
	if ((config->fd >= 0) != (worker->id < config->queues))
		return false;
	if (config->header_bytes)
		return config->header_bytes == TTF_VNET_HDR_BYTES;
	return !driver->needs_header && !config->offloads;
}

int ttf_worker_attach(struct ttf_worker *worker, const struct ttf_port_config *config)
{
	struct worker_port *port;
	int error = 0;

	if (!port_config_valid(worker, config))
		return -EINVAL;
	port = &worker->ports[config->port_id];
	if (port->used)
		return -EEXIST;
	*port = (struct worker_port){
		.used = true,
		.generation = config->generation,
		.queues = config->queues,
		.mtu = config->mtu,
		.offloads = config->offloads,
		.crossing_port = config->crossing_port,
		.serves = config->fd >= 0,
		.stats = port->stats,
		.queue = { .driver = ttf_driver_ops(config->driver),
			   .batch = &worker->batch_arrays,
			   .fd = config->fd,
			   .header_bytes = config->header_bytes,
			   .shared = worker->workers > 1 },
	};
	if (port->serves && port->queue.driver->open)
		error = port->queue.driver->open(&port->queue, config);
	else if (port->serves && port->queue.driver->crosses)
		error = ttf_crossing_listen(worker, port);
	if (error) {
		port->used = false;
		port->serves = false;
		return error;
	}
	worker->headers |= config->header_bytes > 0;
	worker->table.peer[config->port_id] = (int16_t)config->peer;
	set_ports_high(worker);
	return 0;
}

int ttf_worker_update_port(struct ttf_worker *worker, uint32_t port_id, uint32_t mtu, uint32_t offloads)
{
	struct worker_port *port;

	if (port_id >= TTF_MAX_PORTS || !worker->ports[port_id].used)
		return -ENOENT;
	port = &worker->ports[port_id];
	if (offloads && !port->queue.header_bytes)
		return -EINVAL;
	port->mtu = mtu;
	port->offloads = offloads;
	return 0;
}

int ttf_worker_set_peer(struct ttf_worker *worker, uint32_t port_id, int32_t peer)
{
	if (port_id >= TTF_MAX_PORTS || !peer_valid(peer))
		return -EINVAL;
	worker->table.peer[port_id] = (int16_t)peer;
	return 0;
}

static bool pktgen_config_valid(const struct ttf_pktgen_config *config)
{
	return config->size >= TTF_PKTGEN_MIN_BYTES && config->size <= TTF_PKTGEN_MAX_BYTES &&
	       config->flows >= 1 && config->flows <= TTF_PKTGEN_MAX_FLOWS;
}

int ttf_worker_pktgen(struct ttf_worker *worker, uint32_t port_id, const struct ttf_pktgen_config *config)
{
	struct pktgen *generator;

	if (port_id >= TTF_MAX_PORTS || !worker->ports[port_id].used || !pktgen_config_valid(config))
		return -EINVAL;
	generator = ttf_pktgen_new(config);
	if (!generator)
		return -ENOMEM;
	ttf_pktgen_free(worker->ports[port_id].generator);
	worker->ports[port_id].generator = generator;
	return 0;
}

/* Forward what the queue holds, as far as frames last. */
static void empty_queue(struct ttf_worker *worker, uint32_t port_id)
{
	uint32_t total = 0;

	while (worker->ports[port_id].serves && total < LAST_PACKETS) {
		int count;

		/* Frames that come back from consumers are room to receive. */
		ttf_handoff_reclaim(&worker->handoff);
		count = ttf_worker_receive(worker, port_id, false);
		if (count <= 0)
			break;
		total += (uint32_t)count;
	}
}

int ttf_worker_detach(struct ttf_worker *worker, uint32_t port_id)
{
	struct worker_port *port;

	if (port_id >= TTF_MAX_PORTS || !worker->ports[port_id].used)
		return -ENOENT;
	port = &worker->ports[port_id];
	empty_queue(worker, port_id);
	ttf_crossing_flush(worker);
	ttf_worker_count_kernel_drops(port);
	ttf_pktgen_free(port->generator);
	port->generator = NULL;
	port->used = false;
	close_queue(worker, port);
	worker->table.peer[port_id] = -1;
	for (uint32_t p = 0; p < TTF_MAX_PORTS; p++)
		if (worker->table.peer[p] == (int16_t)port_id)
			worker->table.peer[p] = -1;
	set_ports_high(worker);
	return 0;
}

int ttf_worker_queue_error(const struct ttf_worker *worker, uint32_t port_id)
{
	return port_id < TTF_MAX_PORTS ? worker->ports[port_id].error : 0;
}
