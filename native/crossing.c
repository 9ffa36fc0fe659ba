/* SPDX-License-Identifier: Apache-2.0 */
/* A worker's part in the crossing, and the call that sends and receives. What it does with frames: crossing_forward.c */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "capture_crossing.h"
#include "crossing_internal.h"
#include "crossing_tally.h"

/* ---------------------------------------------------------------------------------------- life */

static int map(struct crossing *crossing)
{
	void *lists = mmap(NULL, sizeof(*crossing->lists), PROT_READ | PROT_WRITE, MAP_SHARED,
			   crossing->member, TURBOTAP_MAP_LISTS);
	void *cells;

	if (lists == MAP_FAILED)
		return -errno;
	crossing->lists = lists;
	cells = mmap(NULL, crossing->cells_bytes, PROT_READ, MAP_SHARED, crossing->member,
		     TURBOTAP_MAP_CELLS);
	if (cells == MAP_FAILED)
		return -errno;
	crossing->cells = cells;
	return 0;
}

int ttf_crossing_join(struct ttf_worker *worker, struct ttf_crossing_notes *notes, int member, uint32_t first,
		      uint32_t slots)
{
	struct crossing *crossing;
	int error;

	if (worker->crossing || slots < worker->batch || first > TURBOTAP_CROSSING_SLOTS - slots)
		return -EINVAL;
	crossing = calloc(1, sizeof(*crossing));
	if (!crossing)
		return -ENOMEM;
	worker->crossing = crossing;
	crossing->member = member;
	crossing->notes = notes;
	crossing->cells_bytes = (first + slots) * sizeof(*crossing->cells);
	error = map(crossing);
	if (error) {
		ttf_crossing_leave(worker);
		return error;
	}
	notes->calls = crossing->lists->calls;
	for (uint32_t i = 0; i < worker->batch; i++)
		crossing->lists->receive[i] = first + i;
	return 0;
}

void ttf_crossing_leave(struct ttf_worker *worker)
{
	struct crossing *crossing = worker->crossing;

	if (!crossing)
		return;
	if (crossing->cells)
		munmap((void *)crossing->cells, crossing->cells_bytes);
	if (crossing->lists)
		munmap(crossing->lists, sizeof(*crossing->lists));
	free(crossing);
	worker->crossing = NULL;
}

/*
 * So quick a worker is woken for each packet of a stream: it has sent one before the next comes. With this policy
 * a waking worker lets the sender go on, where both share a CPU, and finds a burst.
 */
static void let_bursts_form(void)
{
	const struct sched_param none = { 0 };

	sched_setscheduler(0, SCHED_BATCH, &none);
}

int ttf_crossing_listen(struct ttf_worker *worker, struct worker_port *port)
{
	struct crossing *crossing = worker->crossing;
	int error = ttf_call_listen(crossing->member, port->crossing_port, 1, 0);

	if (error)
		return error;
	port->listens = true;
	if (!crossing->listening++)
		let_bursts_form();
	return 0;
}

void ttf_crossing_ignore(struct ttf_worker *worker, struct worker_port *port)
{
	if (!port->listens)
		return;
	/* An error says that the port is gone already, and the module has forgotten it. */
	ttf_call_listen(worker->crossing->member, port->crossing_port, 0, 0);
	port->listens = false;
	worker->crossing->listening--;
}

void ttf_crossing_yield(const struct ttf_worker *worker)
{
	if (worker->crossing && worker->crossing->listening)
		sched_yield();
}

int ttf_crossing_fd(const struct ttf_worker *worker)
{
	return worker->crossing && worker->crossing->listening ? worker->crossing->member : -1;
}

/* ----------------------------------------------------------------------------------- the call */

/* The order of these steps is what a crash relies on (crossing_tally.h). */
static void count_call(struct ttf_worker *worker)
{
	const struct turbotap_lists *lists = worker->crossing->lists;
	const uint32_t received = lists->received;
	struct ttf_crossing_notes *notes = worker->crossing->notes;
	uint64_t *counters = (uint64_t *)worker->stats;
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < received; i++)
		bytes += cell_of(worker->crossing, i)->length;
	ttf_crossing_tally(notes, lists, worker->stats, bytes);
	store_release(&notes->calls, lists->calls);
	for (uint32_t i = 0; i < notes->changed; i++)
		store_release(&counters[notes->changes[i].word], notes->changes[i].value);
	store_release(&notes->changed, 0);
}

int ttf_crossing_call(struct ttf_worker *worker, uint32_t in_port, uint32_t most)
{
	struct crossing *crossing = worker->crossing;
	struct turbotap_lists *lists = crossing->lists;
	const uint32_t sent = crossing->waiting;
	int count;

	if (worker->capturing)
		ttf_capture_crossing_begins(worker);
	crossing->notes->in_port = in_port;
	lists->send_count = sent;
	lists->receive_count = most;
	lists->receive_port = most ? worker->ports[in_port].crossing_port : 0;
	count = ttf_call_cross(crossing->member);
	crossing->waiting = 0;
	count_call(worker);
	if (worker->capturing)
		ttf_capture_crossing_ended(worker, sent);
	return count;
}

void ttf_crossing_flush(struct ttf_worker *worker)
{
	const struct crossing *crossing = worker->crossing;
	uint32_t out_port;

	if (!crossing || !crossing->waiting)
		return;
	out_port = crossing->notes->entries[0].out_port;
	ttf_crossing_call(worker, TTF_NOWHERE, 0);
	if (out_port != TTF_NOWHERE)
		count_add(&worker->ports[out_port].stats->tx_calls, 1);
}
