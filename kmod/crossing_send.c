// SPDX-License-Identifier: GPL-2.0
/*
 * Sending: frames from slots to ports, by the entries of a call.
 *
 * To a tap: the stack receives the frame, as if tun had made it. The frames of
 * a chunk go up together. To a device: it transmits the frame. Where tun must
 * decide, the frame waits until BH is on again (crossing_tun.c); so a frame may
 * overtake others on a port in the moment when a program is attached there.
 */
#include <linux/etherdevice.h>
#include <linux/netdevice.h>
#include <linux/sched.h>

#include "crossing.h"

/* Frames of one device: its statistics are written once for many. */
struct counted {
	struct net_device *dev;
	unsigned int packets, bytes;
};

struct sending {
	struct tt_member *member;
	struct list_head frames;	/* that taps receive */
	struct sk_buff_head by_tun;
	struct counted counted;
	struct tt_freed freed;
	unsigned int bytes;		/* of this chunk */
	unsigned int done;
};

static void count_flush(struct counted *counted)
{
	struct pcpu_sw_netstats *stats;

	if (!counted->dev)
		return;
	stats = this_cpu_ptr(counted->dev->tstats);
	u64_stats_update_begin(&stats->syncp);
	u64_stats_add(&stats->rx_packets, counted->packets);
	u64_stats_add(&stats->rx_bytes, counted->bytes);
	u64_stats_update_end(&stats->syncp);
	*counted = (struct counted){};
}

static int to_stack(struct sending *s, struct sk_buff *skb,
		    struct net_device *dev)
{
	if (s->counted.dev != dev) {
		count_flush(&s->counted);
		s->counted.dev = dev;
	}
	s->counted.packets++;
	s->counted.bytes += skb->len;
	skb->protocol = eth_type_trans(skb, dev);
	list_add_tail(&skb->list, &s->frames);
	return 0;
}

/*
 * As a packet socket does it. Without a carrier the device's queue would drop
 * the frame in silence. Consumes the frame.
 */
static int to_wire(struct sk_buff *skb, struct net_device *dev)
{
	int ret = 0;

	if (!netif_carrier_ok(dev))
		ret = -EIO;
	else if (!is_skb_forwardable(dev, skb))
		ret = -EMSGSIZE;
	if (ret) {
		kfree_skb(skb);
		return ret;
	}
	skb->dev = dev;
	tt_frame_set_headers(skb);
	ret = dev_queue_xmit(skb);
	return ret > 0 ? net_xmit_errno(ret) : ret;
}

/* Consumes the frame: 0, or why it went nowhere. */
static int deliver(struct sending *s, struct sk_buff *skb,
		   const struct turbotap_send *send, unsigned int entry)
{
	struct tt_member *m = s->member;
	struct net_device *dev;
	struct tt_port *port;
	int err;

	port = tt_port_find(m->crossing, send->port);
	err = -ENXIO;
	if (unlikely(!port))
		goto drop;
	dev = rcu_dereference(port->dev);
	err = -EBADFD;
	if (unlikely(!dev))
		goto drop;
	err = -EIO;
	if (unlikely(!(READ_ONCE(dev->flags) & IFF_UP)))
		goto drop;
	if (send->rewrite) {
		err = -EPERM;
		if (send->rewrite > TURBOTAP_REWRITE_FREE &&
		    !(m->rights & TURBOTAP_RIGHT_REWRITE))
			goto drop;
		err = tt_frame_rewrite(skb, m->lists->headers[entry],
				       send->rewrite);
		if (unlikely(err))
			goto drop;
	}
	s->bytes += skb->len;
	*tt_frame(skb) = (struct tt_frame){};
	if (!port->tun_sock)
		return to_wire(skb, dev);
	if (likely(!tt_tun_decides(port, dev)))
		return to_stack(s, skb, dev);
	/* The port isn't ending: its own reference goes after a grace period. */
	refcount_inc(&port->users);
	tt_frame(skb)->port = port;
	tt_frame(skb)->entry = entry;
	__skb_queue_tail(&s->by_tun, skb);
	return 0;
drop:
	kfree_skb(skb);
	return err;
}

static int send_one(struct sending *s, const struct turbotap_send *send,
		    unsigned int entry)
{
	struct tt_crossing *c = s->member->crossing;
	struct sk_buff *skb;

	if (unlikely(send->flags & ~TURBOTAP_SEND_KEEP))
		return -EINVAL;
	skb = tt_slot_take(c, send->slot, send->generation);
	if (IS_ERR(skb))
		return PTR_ERR(skb);
	if (send->flags & TURBOTAP_SEND_KEEP) {
		struct sk_buff *original = skb;

		skb = skb_clone(skb, GFP_ATOMIC | __GFP_NOWARN);
		tt_slot_return(c, send->slot, original, &s->freed);
		if (!skb)
			return -ENOMEM;
	} else {
		tt_freed_add(&s->freed, skb);
	}
	if (send->port == TURBOTAP_RELEASE) {
		napi_consume_skb(skb, 1);
		return 0;
	}
	return deliver(s, skb, send, entry);
}

static void finish_by_tun(struct sending *s)
{
	struct turbotap_send *list = s->member->lists->send;
	struct sk_buff *skb;

	while ((skb = __skb_dequeue(&s->by_tun))) {
		struct tt_port *port = tt_frame(skb)->port;
		unsigned int entry = tt_frame(skb)->entry;
		int err = tt_tun_send(port, skb);

		tt_port_put(port);
		if (err) {
			WRITE_ONCE(list[entry].result, err);
			s->done--;
		}
		atomic_long_inc(&s->member->by_tun);
		cond_resched();
	}
}

/* From `first` on, as many of `count` entries as may be sent with BH off. */
static unsigned int send_chunk(struct sending *s, unsigned int first,
			       unsigned int count)
{
	struct turbotap_send *list = s->member->lists->send;
	unsigned int i;

	s->bytes = 0;
	local_bh_disable();
	rcu_read_lock();
	for (i = 0; i < count && i < TT_CHUNK && s->bytes < TT_CHUNK_BYTES;
	     i++) {
		struct turbotap_send *at = &list[first + i];
		const struct turbotap_send send = {
			.slot = READ_ONCE(at->slot),
			.generation = READ_ONCE(at->generation),
			.port = READ_ONCE(at->port),
			.rewrite = READ_ONCE(at->rewrite),
			.flags = READ_ONCE(at->flags),
		};
		int result = send_one(s, &send, first + i);

		WRITE_ONCE(at->result, result);
		s->done += !result;
	}
	count_flush(&s->counted);
	netif_receive_skb_list(&s->frames);
	INIT_LIST_HEAD(&s->frames);
	rcu_read_unlock();
	local_bh_enable();
	tt_freed_flush(&s->freed);
	return i;
}

unsigned int tt_send(struct tt_member *m, unsigned int count)
{
	struct sending s = {
		.member = m,
		.frames = LIST_HEAD_INIT(s.frames),
		.freed = { .crossing = m->crossing },
	};
	unsigned int at = 0;

	__skb_queue_head_init(&s.by_tun);
	while (at < count) {
		at += send_chunk(&s, at, count - at);
		finish_by_tun(&s);
		cond_resched();
	}
	return s.done;
}
