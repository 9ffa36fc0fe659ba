/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loop: rx burst -> forward -> tx burst -> publish, for every port queue and every inbound ring.
 *
 * Counters are published in the order received, then sent or dropped, each with release: the counters of
 * a killed worker never show more out than in, and what is missing is what it held (recover.c).
 */
#include "worker.h"

#include <errno.h>
#include <unistd.h>

#include "clock.h"
#include "flow_hash.h"
#include "vnet_hdr.h"
#include "prefetch.h"
#include "worker_internal.h"

#define DRAIN_NS 50000000ull /* a busy queue is not waited for; the rest is dropped by name */
#define POOL_EMPTY_SLEEP_NS 1000000ull
#define COARSE_TICK_NS 10000000ull /* the coarse clock lags by up to one tick: 10 ms at 100 Hz */

static uint32_t burst_bucket(uint32_t count)
{
	return 31u - (uint32_t)__builtin_clz(count);
}

static void count_received(struct ttf_counters *stats, const struct ttf_frame *frames, uint32_t count,
			   uint64_t calls)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < count; i++)
		bytes += frames[i].length == UINT32_MAX ? 0 : frames[i].length;
	count_add(&stats->rx_packets, count);
	count_add(&stats->rx_bytes, bytes);
	count_add(&stats->rx_calls, calls);
	count_add(&stats->rx_bursts[burst_bucket(count)], 1);
}

/* Returns 1 when a ring holds the frame now. */
static int forward_frame(struct ttf_worker *worker, uint32_t slot, uint32_t frame, struct ttf_frame view)
{
	struct ttf_counters *stats = worker->ports[slot].stats;
	struct forward_verdict verdict;
	struct offload_request request;

	if (view.length == UINT32_MAX) {
		drop(stats, TTF_DROP_OVERSIZE, 1);
		return 0;
	}
	/* Whatever becomes of it: a header that makes no sense goes no further than here. */
	if (view.offload && view.length >= TTF_ETH_HLEN &&
	    ttf_vnet_hdr_parse(view.eth, view.length, &request) < 0) {
		drop(stats, TTF_DROP_OFFLOAD, 1);
		return 0;
	}
	verdict = forward(&worker->table, slot, view.eth, view.length, worker->now_ns);
	switch (verdict.kind) {
	case TTF_VERDICT_PORT:
		return send_frame(worker, slot, verdict.value, frame, view);
	case TTF_VERDICT_FLOOD:
		return flood_frame(worker, slot, frame, view);
	default:
		drop(stats, verdict.value, 1);
		return 0;
	}
}

static void ready_frames(struct ttf_worker *worker, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		worker->rx_frames[i] = pool_peek(&worker->pool, i);
		worker->rx[i].eth = pool_eth(&worker->pool, worker->rx_frames[i]);
		if (worker->workers > 1)
			prefetch_write(worker->rx[i].eth);
	}
	worker->rx_ready = count;
	worker->scratch.rx_filled = 0;
}

int receive_burst(struct ttf_worker *worker, uint32_t slot, int discard)
{
	struct worker_port *port = &worker->ports[slot];
	struct pool *pool = &worker->pool;
	uint32_t room = pool->free < worker->batch ? pool->free : worker->batch;
	uint64_t calls = 0;
	int count;

	if (!room)
		return -ENOBUFS;
	if (worker->rx_ready < room)
		ready_frames(worker, room);
	count = port->queue.driver->rx(&port->queue, worker->rx, room, &calls);
	if (count <= 0) {
		count_add(&port->stats->rx_empty_calls, calls);
		return count;
	}
	count_received(port->stats, worker->rx, (uint32_t)count, calls);
	if (discard) {
		drop(port->stats, TTF_DROP_SHUTDOWN, (uint64_t)count);
		return count;
	}
	pool_take(pool, (uint32_t)count);
	for (int i = 0; i < count; i++)
		worker->handed[i] = (uint8_t)forward_frame(worker, slot, worker->rx_frames[i], worker->rx[i]);
	flush(worker);
	for (int i = count; i-- > 0;) {
		if (worker->handed[i])
			worker->rx_ready = 0;
		else
			pool_put(pool, worker->rx_frames[i]);
	}
	return count;
}

/* Act on a descriptor of another worker's frame, once its bounds are known to be right. */
static void consume_desc(struct ttf_worker *worker, struct ring_in *in, const struct ttf_desc *shared)
{
	/* One read of shared memory: what was checked is what is used. */
	const struct ttf_desc desc = *(const volatile struct ttf_desc *)shared;
	struct ttf_counters *orphans = &worker->stats->orphans;
	const struct worker_port *in_port;
	struct worker_port *out_port;
	struct ttf_frame view;

	if (desc.frame >= in->pool.frames || desc.length < TTF_ETH_HLEN ||
	    desc.length > TTF_FRAME_MAX_BYTES || desc.in_port >= TTF_MAX_PORTS ||
	    desc.out_port >= TTF_MAX_PORTS) {
		count_add(&in->stats->bad, 1);
		drop(orphans, TTF_DROP_BAD_DESC, 1);
		return;
	}
	view = (struct ttf_frame){ .eth = pool_eth(&in->pool, desc.frame),
				   .length = desc.length,
				   .offload = desc.flags & TTF_DESC_OFFLOAD };
	if (desc.flags & TTF_DESC_FLOOD) {
		in_port = &worker->ports[desc.in_port];
		if (!in_port->used || (uint16_t)in_port->generation != desc.in_generation)
			drop(orphans, TTF_DROP_NO_PORT, 1);
		else
			flood_handed(worker, desc.out_generation, desc.in_port, view);
		return;
	}
	out_port = &worker->ports[desc.out_port];
	if (!out_port->used || !out_port->serves || (uint16_t)out_port->generation != desc.out_generation)
		drop(orphans, TTF_DROP_NO_PORT, 1);
	else
		queue_frame(worker, out_port, view);
}

/* One burst from a ring: claim, send straight from the producer's pool, complete. */
static uint32_t consume_burst(struct ttf_worker *worker, struct ring_in *in)
{
	uint32_t count = ring_peek(in->ring, worker->batch);

	if (!count)
		return 0;
	for (uint32_t i = 0; i < count; i++)
		prefetch_read(pool_eth(&in->pool, ring_at(in->ring, i)->frame));
	for (uint32_t i = 0; i < count; i++)
		consume_desc(worker, in, ring_at(in->ring, i));
	flush(worker);
	ring_complete(in->ring);
	count_add(&in->stats->popped, count);
	return count;
}

static uint32_t consume_rings(struct ttf_worker *worker)
{
	uint32_t moved = 0;

	for (uint32_t w = 0; w < worker->workers; w++)
		if (worker->ring_in[w].ring)
			moved += consume_burst(worker, &worker->ring_in[w]);
	return moved;
}

static uint32_t receive_ports(struct ttf_worker *worker, int discard)
{
	uint32_t moved = 0;

	if (worker->pool.free < worker->reclaim_below)
		reclaim(worker);
	if (!worker->pool.free) {
		count_add(&worker->stats->pool_empty_rounds, 1);
		return 0;
	}
	for (uint32_t slot = 0; slot < worker->ports_high; slot++) {
		struct worker_port *port = &worker->ports[slot];
		int count;

		if (!port->serves || port->error)
			continue;
		count = receive_burst(worker, slot, discard);
		if (count > 0)
			moved += (uint32_t)count;
		else if (count != 0 && count != -EAGAIN && count != -EINTR && count != -ENOBUFS)
			port->error = -count; /* the device is down or gone; tried again next slice */
	}
	return moved;
}

static uint32_t generate_burst(struct ttf_worker *worker, struct worker_port *port)
{
	uint32_t count = ttf_pktgen_due(port->generator, now_precise_ns(), worker->batch);

	if (!count)
		return 0;
	count_add(&port->stats->generated_packets, count);
	ttf_pktgen_fill(port->generator, port->frames, count);
	port->out = count;
	flush(worker);
	return count;
}

static uint32_t generate_ports(struct ttf_worker *worker)
{
	uint32_t moved = 0;

	for (uint32_t slot = 0; slot < worker->ports_high; slot++)
		if (worker->ports[slot].generator && worker->ports[slot].serves)
			moved += generate_burst(worker, &worker->ports[slot]);
	return moved;
}

/* --------------------------------------------------------------------------------------- sleep */

static int rings_waiting(const struct ttf_worker *worker)
{
	for (uint32_t w = 0; w < worker->workers; w++)
		if (worker->ring_in[w].ring && ring_waiting(worker->ring_in[w].ring))
			return 1;
	return 0;
}

static uint64_t earliest_generation(const struct ttf_worker *worker, uint64_t until_ns)
{
	for (uint32_t slot = 0; slot < worker->ports_high; slot++) {
		const struct worker_port *port = &worker->ports[slot];

		if (port->generator && port->serves && port->generator->due_ns < until_ns)
			until_ns = port->generator->due_ns;
	}
	return until_ns;
}

/* A queue that is no longer in order would end every sleep at once: leave it for the rest of the slice. */
static void note_errors(struct ttf_worker *worker, nfds_t count)
{
	for (nfds_t i = 1; i < count; i++)
		if (worker->polls[i].revents & (POLLERR | POLLNVAL))
			worker->ports[worker->polled[i]].error = ENETDOWN;
}

/* Sleep until a packet, a doorbell, a message, or until_ns (CLOCK_MONOTONIC). */
static void sleep_until_woken(struct ttf_worker *worker, uint32_t attention, uint64_t until_ns)
{
	struct ttf_run_words *run_words = worker->run_words;
	struct pollfd *polls = worker->polls;
	uint64_t now = now_precise_ns();
	nfds_t count = 0;
	uint64_t wait_ns;

	polls[count++] = (struct pollfd){ .fd = worker->doorbell, .events = POLLIN };
	if (!worker->pool.free) {
		/* What a port holds can't be received; only a consumer can help, and it rings no bell. */
		if (until_ns > now + POOL_EMPTY_SLEEP_NS)
			until_ns = now + POOL_EMPTY_SLEEP_NS;
	} else if (!worker->drained) {
		for (uint32_t slot = 0; slot < worker->ports_high; slot++)
			if (worker->ports[slot].serves && !worker->ports[slot].error) {
				worker->polled[count] = slot;
				polls[count++] = (struct pollfd){ .fd = worker->ports[slot].queue.fd,
								  .events = POLLIN };
			}
		until_ns = earliest_generation(worker, until_ns);
	}
	wait_ns = until_ns > now ? until_ns - now : 0;

	store_relaxed(&run_words->sleeping, 1);
	fence_seq_cst(); /* see publish_rings() in steer.c */
	if (!rings_waiting(worker) && load_relaxed(&run_words->attention) == attention) {
		struct timespec timeout = { (time_t)(wait_ns / 1000000000ull),
					    (long)(wait_ns % 1000000000ull) };

		if (ppoll(polls, count, &timeout, NULL) > 0) {
			uint64_t rings;

			/* EAGAIN: somebody else's doorbell; nothing to clear. */
			if (polls[0].revents & POLLIN && read(worker->doorbell, &rings, sizeof(rings)) < 0)
				polls[0].revents = 0;
			note_errors(worker, count);
		}
		count_add(&worker->stats->sleeps, 1);
	}
	store_relaxed(&run_words->sleeping, 0);
}

/* ------------------------------------------------------------------------------------- the loop */

static void busy_ends(struct ttf_worker *worker, uint64_t now_ns)
{
	if (!worker->busy_since_ns)
		return;
	count_add(&worker->stats->busy_ns, now_ns - worker->busy_since_ns);
	worker->busy_since_ns = 0;
}

static void idle(struct ttf_worker *worker, uint32_t attention, uint64_t until_ns)
{
	uint64_t now = now_precise_ns();

	if (worker->busy_since_ns)
		worker->last_work_ns = now;
	busy_ends(worker, now);
	reclaim(worker);
	if (worker->rx_mode == TTF_RX_POLLING ||
	    (worker->rx_mode == TTF_RX_ADAPTIVE && now - worker->last_work_ns < worker->spin_ns))
		return;
	sleep_until_woken(worker, attention, until_ns);
}

/*
 * What one round does under each control word:
 *
 *   RUN    receive, generate, consume
 *   DRAIN  receive until a round finds nothing or DRAIN_NS is over, then only consume; the run_state_seen
 *          word says when: from then on this worker's rings get nothing new
 *   STOP   consume; what the kernel's queues still hold is counted and dropped by name; then the end
 */
static uint32_t run_round(struct ttf_worker *worker, uint32_t run_state)
{
	uint32_t moved = 0;

	if (run_state == TTF_RUN_STATE_RUN) {
		moved = receive_ports(worker, 0) + generate_ports(worker);
	} else if (!worker->drained) {
		if (!worker->drain_since_ns)
			worker->drain_since_ns = worker->now_ns;
		moved = receive_ports(worker, 0);
		/* Without a free frame a round finds nothing, whatever the queues hold. */
		worker->drained =
			(!moved && worker->pool.free) || worker->now_ns - worker->drain_since_ns > DRAIN_NS;
	}
	if (worker->workers > 1)
		moved += consume_rings(worker);
	if (run_state != TTF_RUN_STATE_RUN && worker->drained)
		store_release(&worker->run_words->run_state_seen, run_state);
	return moved;
}

static void discard_rest(struct ttf_worker *worker)
{
	uint32_t moved, total = 0;

	while (total < LAST_PACKETS && (moved = receive_ports(worker, 1)) > 0)
		total += moved;
}

void read_kernel_drops(struct worker_port *port)
{
	if (port->serves && port->queue.driver->drops)
		count_add(&port->stats->kernel_drops, port->queue.driver->drops(&port->queue));
}

static void slice_begins(struct ttf_worker *worker)
{
	for (uint32_t slot = 0; slot < worker->ports_high; slot++)
		worker->ports[slot].error = 0;
}

static void slice_ends(struct ttf_worker *worker, uint64_t began_ns)
{
	uint64_t now = now_precise_ns();

	if (worker->busy_since_ns) {
		busy_ends(worker, now);
		worker->busy_since_ns = now;
	}
	count_add(&worker->stats->running_ns, now - began_ns);
	store_release(&worker->stats->cpu_ns, worker->cpu_base_ns + clock_ns(CLOCK_PROCESS_CPUTIME_ID));
	store_relaxed(&worker->stats->pool_free_frames, worker->pool.free);
	for (uint32_t slot = 0; slot < worker->ports_high; slot++)
		read_kernel_drops(&worker->ports[slot]);
}

uint32_t ttf_worker_attention(const struct ttf_worker *worker)
{
	return load_acquire(&worker->run_words->attention); /* pairs with ttf_run_state_attention() */
}

int ttf_worker_run(struct ttf_worker *worker, uint64_t slice_ns, uint32_t attention)
{
	const uint64_t began_ns = now_precise_ns();
	const uint64_t until_ns = began_ns + slice_ns;
	int end = TTF_RUN_SLICE;

	slice_begins(worker);
	for (;;) {
		uint32_t run_state = load_acquire(&worker->run_words->run_state);
		uint32_t moved;

		worker->now_ns = now_coarse_ns();
		store_relaxed(&worker->stats->heartbeat_ns, worker->now_ns);
		moved = run_round(worker, run_state);
		count_add(&worker->stats->rounds, 1);
		if (moved && !worker->busy_since_ns)
			worker->busy_since_ns = now_precise_ns();
		if (!moved && worker->drained && run_state == TTF_RUN_STATE_STOP) {
			discard_rest(worker);
			end = TTF_RUN_STOPPED;
			break;
		}
		if (worker->now_ns >= until_ns)
			break;
		if (ttf_worker_attention(worker) != attention) {
			end = TTF_RUN_ATTENTION;
			break;
		}
		if (!moved) /* sleep past the end of the slice by the coarse clock, or it would end in a spin
			     */
			idle(worker, attention, until_ns + COARSE_TICK_NS);
	}
	slice_ends(worker, began_ns);
	return end;
}
