// SPDX-License-Identifier: GPL-2.0
/*
 * Receiving: frames from a tap's queue into slots that user space picks.
 *
 * As many frames are taken from the queue as there are slots for them and as
 * the member may still hold bytes. The others stay there, for the next call
 * and for readers of the tun fd.
 */
#include <linux/prefetch.h>

#include "crossing.h"

/* What fits into the member's share of the bytes stays within it. */
struct taken {
	unsigned int count;
	bool full;		/* there was no room for the next one */
	void *ptrs[TT_CHUNK];
};

/* fill_lock is held, so nobody else adds to the member's bytes. */
static void take(struct tt_member *m, struct tt_port *port, unsigned int most,
		 struct taken *taken)
{
	long room = m->bytes -
		atomic_long_read(&m->crossing->held[m->number]);
	struct ptr_ring *ring = port->ring;
	void *ptr;

	taken->count = 0;
	taken->full = false;
	spin_lock(&ring->consumer_lock);
	while (taken->count < most && (ptr = __ptr_ring_peek(ring))) {
		room -= tt_frame_truesize(ptr);
		if (unlikely(room < 0)) {
			taken->full = true;
			break;
		}
		taken->ptrs[taken->count++] = __ptr_ring_consume(ring);
	}
	if (taken->count)
		tt_wake_queue(port->tun_file, taken->count);
	spin_unlock(&ring->consumer_lock);
}

static void fill(struct tt_member *m, u32 index, struct sk_buff *skb, u32 port,
		 struct tt_freed *freed)
{
	struct tt_crossing *c = m->crossing;
	struct turbotap_cell *cell = &c->cells[index];
	struct tt_slot *slot = &c->slots[index];

	tt_frame_describe(cell, skb, c->header_bytes);
	cell->port = port;
	cell->generation = slot->generation + 1;
	WRITE_ONCE(slot->generation, cell->generation);
	tt_frame(skb)->member = m->number;
	skb = tt_slot_fill(slot, skb);
	if (unlikely(skb)) {
		tt_freed_add(freed, skb);
		napi_consume_skb(skb, 1);
	}
}

/* How many of the slots were filled; *more: the queue may have more frames. */
static unsigned int receive_chunk(struct tt_member *m, struct tt_port *port,
				  struct net_device *dev, const u32 *slots,
				  unsigned int want, u32 *lost,
				  struct taken *taken)
{
	struct tt_freed freed = { .crossing = m->crossing };
	unsigned int bytes = 0, done = 0, i;
	long held = 0;

	take(m, port, want, taken);
	for (i = 0; i < taken->count; i++) {
		void *ptr = taken->ptrs[i];
		struct sk_buff *skb;

		if (i + 1 < taken->count && !tun_is_xdp_frame(taken->ptrs[i + 1]))
			prefetch(((struct sk_buff *)taken->ptrs[i + 1])->data);
		bytes += tt_frame_length(ptr);
		skb = tt_frame_take(ptr);
		if (unlikely(!skb))
			continue;
		held += skb->truesize;
		fill(m, slots[done++], skb, port->number, &freed);
	}
	/* A frame may be sent, and subtracted, before this adds it: no harm. */
	atomic_long_add(held, &m->crossing->held[m->number]);
	tt_freed_flush(&freed);
	dev_sw_netstats_tx_add(dev, taken->count, bytes);
	*lost += taken->count - done;
	return done;
}

static long receive_some(struct tt_member *m, u32 number, const u32 *slots,
			 unsigned int want, u32 *lost, struct taken *taken)
{
	struct net_device *dev;
	struct tt_port *port;
	long ret;

	local_bh_disable();
	rcu_read_lock();
	port = tt_port_find(m->crossing, number);
	ret = -ENXIO;
	if (unlikely(!port))
		goto out;
	ret = -EOPNOTSUPP;
	if (unlikely(!port->ring))
		goto out;
	/* Of another device that the tun file is attached to by now. */
	dev = rcu_dereference(port->dev);
	ret = -EBADFD;
	if (unlikely(!dev))
		goto out;
	spin_lock(&m->fill_lock);
	ret = receive_chunk(m, port, dev, slots, want, lost, taken);
	spin_unlock(&m->fill_lock);
	if (unlikely(!taken->count && taken->full))
		ret = -ENOBUFS;
out:
	rcu_read_unlock();
	local_bh_enable();
	return ret;
}

long tt_receive(struct tt_member *m, u32 port, unsigned int count, u32 *lost)
{
	u32 slots[TT_CHUNK];
	struct taken taken;
	long ret, done = 0;
	unsigned int i, want;

	do {
		want = min_t(unsigned int, count - done, TT_CHUNK);
		for (i = 0; i < want; i++) {
			slots[i] = READ_ONCE(m->lists->receive[done + i]);
			if (unlikely(slots[i] - m->first >= m->count))
				return done ?: -EINVAL;
		}
		ret = receive_some(m, port, slots, want, lost, &taken);
		if (ret < 0)
			return done ?: ret;
		done += ret;
	} while (done < count && taken.count == want && ret == want &&
		 !need_resched());
	return done;
}
