/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames go from worker to worker: the handoff rings of one worker, outward and inward.
 *
 * A frame stays in the pool of the worker that received it; a descriptor of it crosses a ring (ring.h).
 *
 *   producer                                       consumer
 *   handoff_full()         no room for one more    handoff_receive()   claim a burst of descriptors
 *   handoff_transmit()     write a descriptor      handoff_complete()  give the frames back
 *   ttf_handoff_publish()  show what was written   handoff_waiting()   is there anything to receive?
 *   ttf_handoff_reclaim()  take back the frames
 *                          that are given back
 *
 * A consumer sees nothing before ttf_handoff_publish(), which also wakes it if it sleeps. The worker that
 * finds a ring full drops the frame: a slow consumer must not stop its producers.
 */
#ifndef TTF_HANDOFF_H
#define TTF_HANDOFF_H

#include "pool.h"
#include "ring.h"
#include "rx_burst.h"

/* The ring to one other worker. */
struct handoff_out {
	struct ttf_ring ring;
	struct ttf_ring_out_stats *stats;
	const struct ttf_worker_words *consumer;
	int doorbell;	  /* the consumer's eventfd */
	uint32_t pending; /* written, not yet published */
	uint32_t room;	  /* at least so many can be pending */
};

/* The ring from one other worker. */
struct handoff_in {
	struct ttf_ring ring;
	struct ttf_ring_in_stats *stats;
	struct pool pool; /* the producer's, which this worker can only read */
};

struct handoff {
	uint32_t workers;
	struct handoff_out *out; /* [workers]; this worker's own entry is empty */
	struct handoff_in *in;	 /* [workers]; likewise */
	struct pool *pool;	 /* this worker's */
	struct rx_burst *rx;	 /* invalid once frames come back to the pool */
	struct ttf_worker_stats *stats;
};

/* Take back the frames that consumers gave back. */
void ttf_handoff_reclaim(struct handoff *handoff);

/* Publish what was transmitted, and ring the doorbells of sleeping consumers. */
void ttf_handoff_publish(struct handoff *handoff);

/* Whether the ring to worker `to` has room for one more, perhaps after frames were taken back. */
bool ttf_handoff_make_room(struct handoff *handoff, uint32_t to);

static inline bool handoff_full(struct handoff *handoff, uint32_t to)
{
	const struct handoff_out *out = &handoff->out[to];

	return out->pending >= out->room && !ttf_handoff_make_room(handoff, to);
}

/* Not if handoff_full(). */
static inline void handoff_transmit(struct handoff *handoff, uint32_t to, struct ttf_desc desc)
{
	struct handoff_out *out = &handoff->out[to];

	*ring_slot(&out->ring, out->pending) = desc;
	out->pending++;
}

/* How many descriptors, at most max, ring_at(&in->ring, 0), ... give until handoff_complete(). */
static inline uint32_t handoff_receive(struct handoff_in *in, uint32_t max)
{
	return ring_peek(&in->ring, max);
}

static inline void handoff_complete(struct handoff_in *in, uint32_t count)
{
	ring_complete(&in->ring);
	count_add(&in->stats->popped, count);
}

static inline bool handoff_waiting(const struct handoff *handoff)
{
	for (uint32_t w = 0; w < handoff->workers; w++)
		if (handoff->in[w].stats && ring_waiting(&handoff->in[w].ring))
			return true;
	return false;
}

#endif
