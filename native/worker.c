/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loop: rx burst -> forward -> tx burst -> publish, for every port queue and every inward handoff ring.
 *
 * Counters are published in the order received, then sent or dropped, each with release. So the counters of a
 * killed worker never show more out than in, and the difference is what it held (recover.c).
 */
#include "worker.h"

#include <errno.h>
#include <unistd.h>

#include "capture.h"
#include "clock.h"
#include "crossing.h"
#include "egress.h"
#include "ethernet.h"
#include "prefetch.h"
#include "steer.h"
#include "vnet_hdr.h"
#include "worker_internal.h"

#define DRAIN_NS 50000000ull /* a busy queue never runs dry: after this time the rest is dropped by name */
#define POOL_EMPTY_SLEEP_NS 1000000ull
#define COARSE_TICK_NS 10000000ull /* the coarse clock lags by up to one tick: 10 ms at 100 Hz */

/* -------------------------------------------------------------------------------- from a device */

static void count_received(struct ttf_counters *stats, const struct ttf_frame *frames, uint32_t count,
			   uint64_t calls)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < count; i++)
		bytes += frame_counted_bytes(&frames[i]);
	count_add(&stats->rx_packets, count);
	count_add(&stats->rx_bytes, bytes);
	count_add(&stats->rx_calls, calls);
	count_add(&stats->rx_bursts[burst_bucket(count)], 1);
}

/* True if a handoff ring holds the frame now. */
static bool forward_frame(struct ttf_worker *worker, uint32_t in_port, uint32_t frame_id,
			  struct ttf_frame frame)
{
	struct forward_verdict verdict;
	struct offload_request request;

	if (frame.length >= FRAME_MALFORMED) {
		drop_frame(worker, in_port, frame,
			   frame.length == FRAME_TRUNCATED ? TTF_DROP_OVERSIZE : TTF_DROP_BAD_DESC);
		return false;
	}
	/* A malformed offload header goes no further than here, in every mode. */
	if (frame.offload && frame.length >= TTF_ETH_HLEN &&
	    ttf_vnet_hdr_parse(frame.eth, frame.length, &request) < 0) {
		drop_frame(worker, in_port, frame, TTF_DROP_OFFLOAD);
		return false;
	}
	verdict = ttf_forward(&worker->table, in_port, frame.eth, frame.length, worker->now_ns);
	switch (verdict.kind) {
	case TTF_VERDICT_PORT:
		return ttf_steer_frame(worker, in_port, verdict.value, frame_id, frame);
	case TTF_VERDICT_FLOOD:
		return ttf_steer_flood(worker, in_port, frame_id, frame);
	default:
		drop_frame(worker, in_port, frame, verdict.value);
		return false;
	}
}

int ttf_worker_receive(struct ttf_worker *worker, uint32_t port_id, bool discard)
{
	struct worker_port *port = &worker->ports[port_id];
	struct rx_burst *rx = &worker->rx;
	struct pool *pool = &worker->pool;
	uint32_t room = pool->free < worker->batch ? pool->free : worker->batch;
	uint64_t calls = 0;
	int count;

	if (port->queue.driver->crosses)
		return ttf_crossing_receive(worker, port_id, discard);
	if (!room)
		return -ENOBUFS;
	rx_burst_prepare(rx, pool, room);
	count = port->queue.driver->rx(&port->queue, rx->frames, room, &calls);
	if (count <= 0) {
		count_add(&port->stats->rx_empty_calls, calls);
		return count;
	}
	count_received(port->stats, rx->frames, (uint32_t)count, calls);
	if (worker->capturing)
		ttf_capture_received(worker, port_id, rx->frames, (uint32_t)count);
	if (discard) {
		for (int i = 0; i < count; i++)
			drop_frame(worker, port_id, rx->frames[i], TTF_DROP_SHUTDOWN);
		return count;
	}
	rx_burst_take(pool, (uint32_t)count);
	for (int i = 0; i < count; i++)
		rx->handed[i] = forward_frame(worker, port_id, rx->frame_ids[i], rx->frames[i]);
	ttf_steer_flush(worker);
	rx_burst_return(rx, pool, (uint32_t)count);
	return count;
}

static uint32_t receive_ports(struct ttf_worker *worker, bool discard)
{
	uint32_t moved = 0;

	if (worker->pool.free < worker->reclaim_below)
		ttf_handoff_reclaim(&worker->handoff);
	/* Frames that cross need none. */
	if (!worker->pool.free)
		count_add(&worker->stats->pool_empty_rounds, 1);
	for (uint32_t p = 0; p < worker->ports_high; p++) {
		struct worker_port *port = &worker->ports[p];
		int count;

		if (!port->serves || port->error)
			continue;
		if (worker->crossing && !port->queue.driver->crosses)
			ttf_crossing_flush(worker); /* a port of the crossing sends what waits itself */
		count = ttf_worker_receive(worker, p, discard);
		if (count > 0)
			moved += (uint32_t)count;
		else if (count != 0 && count != -EAGAIN && count != -EINTR && count != -ENOBUFS)
			port->error = -count; /* the device is down or gone; tried again next slice */
	}
	return moved;
}

/* -------------------------------------------------------------------------- from another worker */

/* Check the bounds of a descriptor of another worker's frame, and send it. */
static void consume_desc(struct ttf_worker *worker, struct handoff_in *in, const struct ttf_desc *shared)
{
	/* One read of shared memory: the values that are checked are the values that are used. */
	const struct ttf_desc desc = *(const volatile struct ttf_desc *)shared;
	const struct worker_port *in_port;
	struct worker_port *out_port;
	struct ttf_frame frame;

	if (desc.frame_id >= in->pool.frames || desc.length < TTF_ETH_HLEN ||
	    desc.length > TTF_FRAME_MAX_BYTES || desc.in_port >= TTF_MAX_PORTS ||
	    desc.out_port >= TTF_MAX_PORTS) {
		count_add(&in->stats->bad, 1);
		drop_orphan(worker, (struct ttf_frame){ 0 }, TTF_DROP_BAD_DESC);
		return;
	}
	frame = (struct ttf_frame){ .eth = pool_eth(&in->pool, desc.frame_id),
				    .length = desc.length,
				    .offload = desc.flags & TTF_DESC_OFFLOAD };
	if (desc.flags & TTF_DESC_FLOOD) {
		in_port = &worker->ports[desc.in_port];
		if (!in_port->used || (uint16_t)in_port->generation != desc.in_generation)
			drop_orphan(worker, frame, TTF_DROP_NO_PORT);
		else
			ttf_steer_flooded(worker, desc.flood_key, desc.in_port, frame);
		return;
	}
	out_port = &worker->ports[desc.out_port];
	if (!out_port->used || !out_port->serves || (uint16_t)out_port->generation != desc.out_generation)
		drop_orphan(worker, frame, TTF_DROP_NO_PORT);
	else
		ttf_egress_frame(worker, out_port, frame);
}

/* One burst from a handoff ring: claim, send straight from the producer's pool, complete. */
static uint32_t consume_burst(struct ttf_worker *worker, struct handoff_in *in)
{
	uint32_t count = handoff_receive(in, worker->batch);

	if (!count)
		return 0;
	if (worker->capturing)
		ttf_capture_time(worker);
	for (uint32_t i = 0; i < count; i++)
		prefetch_read(pool_eth(&in->pool, ring_at(&in->ring, i)->frame_id));
	for (uint32_t i = 0; i < count; i++)
		consume_desc(worker, in, ring_at(&in->ring, i));
	ttf_steer_flush(worker);
	handoff_complete(in, count);
	return count;
}

static uint32_t consume_rings(struct ttf_worker *worker)
{
	uint32_t moved = 0;

	for (uint32_t w = 0; w < worker->workers; w++)
		if (worker->handoff.in[w].stats)
			moved += consume_burst(worker, &worker->handoff.in[w]);
	return moved;
}

/* ------------------------------------------------------------------------- from the generator */

static uint32_t generate_burst(struct ttf_worker *worker, struct worker_port *port)
{
	uint32_t count = ttf_pktgen_due(port->generator, clock_precise_ns(), worker->batch);

	if (!count)
		return 0;
	count_add(&port->stats->generated_packets, count);
	if (worker->capturing)
		ttf_capture_time(worker);
	ttf_pktgen_fill(port->generator, port->frames, count);
	port->out = count;
	ttf_steer_flush(worker);
	return count;
}

static uint32_t generate_ports(struct ttf_worker *worker)
{
	uint32_t moved = 0;

	for (uint32_t p = 0; p < worker->ports_high; p++)
		if (worker->ports[p].generator && worker->ports[p].serves)
			moved += generate_burst(worker, &worker->ports[p]);
	return moved;
}

/* --------------------------------------------------------------------------------------- sleep */

static uint64_t earliest_generation(const struct ttf_worker *worker, uint64_t until_ns)
{
	for (uint32_t p = 0; p < worker->ports_high; p++) {
		const struct worker_port *port = &worker->ports[p];

		if (port->generator && port->serves && port->generator->due_ns < until_ns)
			until_ns = port->generator->due_ns;
	}
	return until_ns;
}

/* A queue in error would end every sleep at once: leave it out for the rest of the slice. */
static void note_errors(struct ttf_worker *worker, nfds_t count)
{
	for (nfds_t i = 1; i < count; i++)
		if (worker->polls[i].revents & (POLLERR | POLLNVAL))
			worker->ports[worker->polled[i]].error = ENETDOWN;
}

/* Sleep until a packet, a doorbell, a message, or until_ns (CLOCK_MONOTONIC). */
static void sleep_until_woken(struct ttf_worker *worker, uint32_t attention, uint64_t until_ns)
{
	struct pollfd *polls = worker->polls;
	uint64_t now = clock_precise_ns();
	nfds_t count = 0, queues;
	uint64_t wait_ns;
	int member = -1;

	polls[count++] = (struct pollfd){ .fd = worker->doorbell, .events = POLLIN };
	if (!worker->pool.free) {
		/* Nothing can be received without a free frame. Consumers free frames, and ring no bell. */
		if (until_ns > now + POOL_EMPTY_SLEEP_NS)
			until_ns = now + POOL_EMPTY_SLEEP_NS;
	} else if (!worker->drained) {
		member = ttf_crossing_fd(worker);
		for (uint32_t p = 0; p < worker->ports_high; p++)
			if (worker->ports[p].serves && !worker->ports[p].error && !worker->ports[p].listens) {
				worker->polled[count] = p;
				polls[count++] =
					(struct pollfd){ .fd = worker->ports[p].queue.fd, .events = POLLIN };
			}
		until_ns = earliest_generation(worker, until_ns);
	}
	queues = count;
	if (member >= 0)
		polls[count++] = (struct pollfd){ .fd = member, .events = POLLIN };
	wait_ns = until_ns > now ? until_ns - now : 0;

	store_relaxed(&worker->words->sleeping, 1);
	fence_seq_cst(); /* see ttf_handoff_publish() */
	if (!handoff_waiting(&worker->handoff) && load_relaxed(&worker->run_words->attention) == attention) {
		struct timespec timeout = { (time_t)(wait_ns / 1000000000ull),
					    (long)(wait_ns % 1000000000ull) };

		if (ppoll(polls, count, &timeout, NULL) > 0) {
			uint64_t rings;

			/* A failing read is EAGAIN: the doorbell has been answered already. */
			if (polls[0].revents & POLLIN && read(worker->doorbell, &rings, sizeof(rings)) < 0)
				polls[0].revents = 0;
			note_errors(worker, queues);
		}
		count_add(&worker->stats->sleeps, 1);
	}
	store_relaxed(&worker->words->sleeping, 0);
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
	uint64_t now = clock_precise_ns();

	if (worker->busy_since_ns)
		worker->last_work_ns = now;
	busy_ends(worker, now);
	ttf_handoff_reclaim(&worker->handoff);
	if (worker->rx_mode == TTF_RX_POLLING ||
	    (worker->rx_mode == TTF_RX_ADAPTIVE && now - worker->last_work_ns < worker->spin_ns)) {
		ttf_crossing_yield(worker);
		return;
	}
	sleep_until_woken(worker, attention, until_ns);
}

/*
 * One round in each run state:
 *
 *   RUN    receive, generate, consume
 *   DRAIN  receive until a round finds nothing or DRAIN_NS have passed, then only consume. The run_state_seen
 *          word tells the supervisor: from then on this worker hands nothing over
 *   STOP   consume; then count what the kernel's queues still hold, drop it by name, and end
 */
static uint32_t run_round(struct ttf_worker *worker, uint32_t run_state)
{
	uint32_t moved = 0;

	if (run_state == TTF_RUN_STATE_RUN) {
		moved = receive_ports(worker, false) + generate_ports(worker);
	} else if (!worker->drained) {
		if (!worker->drain_since_ns)
			worker->drain_since_ns = worker->now_ns;
		moved = receive_ports(worker, false);
		/* Without a free frame a round finds nothing, and the queues may hold packets. */
		worker->drained =
			(!moved && worker->pool.free) || worker->now_ns - worker->drain_since_ns > DRAIN_NS;
	}
	if (worker->workers > 1)
		moved += consume_rings(worker);
	if (!moved || worker->drained)
		ttf_crossing_flush(worker);
	if (run_state != TTF_RUN_STATE_RUN && worker->drained)
		store_release(&worker->words->run_state_seen, run_state);
	return moved;
}

static void discard_rest(struct ttf_worker *worker)
{
	uint32_t moved, total = 0;

	while (total < LAST_PACKETS && (moved = receive_ports(worker, true)) > 0)
		total += moved;
}

void ttf_worker_count_kernel_drops(struct worker_port *port)
{
	if (port->serves && port->queue.driver->drops)
		count_add(&port->stats->kernel_drops, port->queue.driver->drops(&port->queue));
}

static void slice_begins(struct ttf_worker *worker)
{
	for (uint32_t p = 0; p < worker->ports_high; p++)
		worker->ports[p].error = 0;
}

static void slice_ends(struct ttf_worker *worker, uint64_t began_ns)
{
	uint64_t now = clock_precise_ns();

	if (worker->busy_since_ns) {
		busy_ends(worker, now);
		worker->busy_since_ns = now;
	}
	count_add(&worker->stats->running_ns, now - began_ns);
	store_release(&worker->stats->cpu_ns, worker->cpu_base_ns + clock_ns(CLOCK_PROCESS_CPUTIME_ID));
	store_relaxed(&worker->stats->pool_free_frames, worker->pool.free);
	for (uint32_t p = 0; p < worker->ports_high; p++)
		ttf_worker_count_kernel_drops(&worker->ports[p]);
}

uint32_t ttf_worker_attention(const struct ttf_worker *worker)
{
	return load_acquire(&worker->run_words->attention); /* pairs with ttf_run_state_attention() */
}

/*
 * Theory of operation
 *
 * The loop runs in slices. Python calls ttf_worker_run() with a slice's length, looks after the worker
 * channel (ports come and go), and calls again. During a slice nothing is allocated, logged or locked, and
 * Python doesn't run.
 *
 * A slice is a sequence of rounds. Each round
 *
 *   1. reads the run state, what to capture, the mask of living workers, and the coarse clock, and stores the
 *      heartbeat: a supervisor that sees no new heartbeat kills the worker;
 *   2. receives one burst from every port queue of this worker, forwards it, and sends it: through its own
 *      queues at once, through the handoff rings of other workers as descriptors. Frames that are sent or
 *      dropped return to the pool before the next burst; frames in rings return when their consumers give
 *      them back (ttf_handoff_reclaim());
 *   3. consumes one burst from every inward handoff ring: such frames leave straight from the producer's
 *      pool.
 *
 * Frames that stay in the kernel (crossing.h) are sent by the call that receives the next burst, or at the end of
 * a round that moved nothing.
 *
 * One burst each keeps every source of packets live: none waits for another to run dry.
 *
 * A round that moved nothing is idle time. A worker in rx mode `polling` begins the next round at once.
 * Otherwise the worker sleeps in ppoll() on its queues and its doorbell, in rx mode `adaptive` only once
 * spin_ns have passed without work. Before it sleeps it stores `sleeping`, fences, and looks at its inward
 * rings once more; ttf_handoff_publish() does the opposite, so no wake-up is lost.
 *
 * A slice ends when its time is over, when a message waits in the worker channel, or in run state STOP when
 * everything is drained. The coarse clock may lag by a tick, so a sleep lasts up to a tick longer than the
 * slice: otherwise the end of every slice would be a spin.
 *
 * Caveats
 *   - A queue's error (its device is down or gone) silences the queue for the rest of the slice only.
 *   - The worker may be killed at any instruction. The next incarnation finds in shared memory which frames
 *     the rings hold (ttf_pool_rebuild()), and the supervisor what was lost (ttf_recover_worker()).
 */
int ttf_worker_run(struct ttf_worker *worker, uint64_t slice_ns, uint32_t attention)
{
	const uint64_t began_ns = clock_precise_ns();
	const uint64_t until_ns = began_ns + slice_ns;
	int end = TTF_RUN_SLICE;

	slice_begins(worker);
	for (;;) {
		uint32_t run_state = load_acquire(&worker->run_words->run_state);
		uint32_t capture = load_relaxed(&worker->run_words->capture);
		uint32_t moved;

		worker->now_ns = clock_coarse_ns();
		store_relaxed(&worker->stats->heartbeat_ns, worker->now_ns);
		steer_living(worker);
		if (capture != worker->capture.ordered)
			ttf_capture_ordered(worker, capture);
		moved = run_round(worker, run_state);
		if (worker->capturing)
			ttf_capture_publish(worker);
		count_add(&worker->stats->rounds, 1);
		if (moved && !worker->busy_since_ns)
			worker->busy_since_ns = clock_precise_ns();
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
		if (!moved)
			idle(worker, attention, until_ns + COARSE_TICK_NS);
	}
	ttf_crossing_flush(worker);
	if (worker->capturing)
		ttf_capture_publish(worker);
	slice_ends(worker, began_ns);
	return end;
}
