// SPDX-License-Identifier: GPL-2.0
/*
 * poll() of a member: have frames arrived in a queue that it listens to?
 *
 * A listener hangs in tun's wait queue, but only while somebody may sleep: from
 * a poll that found nothing until the member is woken. So frames that arrive
 * while the member is at work cost nothing. A frame that arrives meanwhile
 * wakes the member at once, or is counted until there are enough, or until a
 * timer that the first one starts.
 */
#include <linux/hrtimer.h>
#include <linux/if_tun.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <net/sock.h>

#include "crossing.h"

#define TT_MOST_FRAMES		1024
#define TT_MOST_MICROSECONDS	1000000

struct tt_listener {
	struct tt_member *member;
	struct tt_port *port;	/* it ends this listener before it ends */
	struct list_head of_port;	/* tt_crossing.lock */
	struct list_head of_member;	/* that, and listen_lock */
	u32 frames;
	u32 microseconds;

	/* In tun's wait queue, whose lock protects the next two. */
	struct wait_queue_entry entry;
	u32 arrived;
	struct hrtimer timer;
};

static wait_queue_head_t *queue_of(const struct tt_port *port)
{
	return sk_sleep(port->tun_sock->sk);
}

static enum hrtimer_restart timer_ended(struct hrtimer *timer)
{
	struct tt_listener *l = container_of(timer, struct tt_listener, timer);

	wake_up_interruptible_poll(&l->member->wait, EPOLLIN | EPOLLRDNORM);
	return HRTIMER_NORESTART;
}

static bool device_gone(const struct tt_port *port)
{
	return !rcu_access_pointer(port->dev) ||
	       READ_ONCE(port->tun_sock->sk->sk_shutdown) & RCV_SHUTDOWN;
}

/* Called by tun, with the lock of its wait queue: a frame, or the end. */
static int frame_arrived(struct wait_queue_entry *entry, unsigned int mode,
			 int flags, void *key)
{
	struct tt_listener *l = container_of(entry, struct tt_listener, entry);

	if (key && !(key_to_poll(key) & (EPOLLIN | EPOLLERR)))
		return 0;
	if (++l->arrived < l->frames && !device_gone(l->port)) {
		if (l->arrived == 1 && l->microseconds)
			hrtimer_start(&l->timer,
				      ns_to_ktime(l->microseconds * 1000ULL),
				      HRTIMER_MODE_REL_SOFT);
		return 0;
	}
	list_del_init(&entry->entry);
	wake_up_interruptible_poll(&l->member->wait, EPOLLIN | EPOLLRDNORM);
	return 0;
}

static void arm(struct tt_listener *l)
{
	wait_queue_head_t *queue = queue_of(l->port);
	unsigned long flags;

	spin_lock_irqsave(&queue->lock, flags);
	if (list_empty(&l->entry.entry)) {
		l->arrived = 0;
		__add_wait_queue(queue, &l->entry);
	}
	spin_unlock_irqrestore(&queue->lock, flags);
	smp_mb(); /* it listens before the ring is looked at once more */
}

static void disarm(struct tt_listener *l)
{
	wait_queue_head_t *queue = queue_of(l->port);
	unsigned long flags;

	if (list_empty_careful(&l->entry.entry) &&
	    !hrtimer_active(&l->timer))
		return;
	spin_lock_irqsave(&queue->lock, flags);
	list_del_init(&l->entry.entry);
	spin_unlock_irqrestore(&queue->lock, flags);
	hrtimer_cancel(&l->timer);
}

static void listener_end(struct tt_listener *l)
{
	mutex_lock(&l->member->listen_lock);
	list_del(&l->of_member);
	mutex_unlock(&l->member->listen_lock);
	list_del(&l->of_port);
	disarm(l);
	kfree(l);
}

static struct tt_listener *listener_new(struct tt_member *m,
					struct tt_port *port)
{
	struct tt_listener *l = kzalloc(sizeof(*l), GFP_KERNEL_ACCOUNT);

	if (!l)
		return NULL;
	l->member = m;
	l->port = port;
	init_waitqueue_func_entry(&l->entry, frame_arrived);
	INIT_LIST_HEAD(&l->entry.entry);
	tt_hrtimer_setup(&l->timer, timer_ended, CLOCK_MONOTONIC,
			 HRTIMER_MODE_REL_SOFT);
	list_add(&l->of_port, &port->listeners);
	return l;
}

static struct tt_listener *listener_find(struct tt_member *m,
					 const struct tt_port *port)
{
	struct tt_listener *l;

	list_for_each_entry(l, &m->listeners, of_member)
		if (l->port == port)
			return l;
	return NULL;
}

static long listen(struct tt_member *m, const struct turbotap_listen *listen)
{
	struct tt_port *port = tt_port_find(m->crossing, listen->port);
	struct tt_listener *l;

	if (!port)
		return -ENXIO;
	if (!port->tun_sock)
		return -EOPNOTSUPP;
	l = listener_find(m, port);
	if (!listen->frames) {
		if (l)
			listener_end(l);
		return l ? 0 : -ENOENT;
	}
	if (l)
		listener_end(l);
	l = listener_new(m, port);
	if (!l)
		return -ENOMEM;
	l->frames = listen->frames;
	l->microseconds = listen->microseconds;
	mutex_lock(&m->listen_lock);
	list_add(&l->of_member, &m->listeners);
	mutex_unlock(&m->listen_lock);
	/* Who polls already must poll once more to be armed. */
	wake_up_interruptible_poll(&m->wait, EPOLLIN | EPOLLRDNORM);
	return 0;
}

long tt_listen(struct tt_member *m, const struct turbotap_listen *what)
{
	bool timed = what->microseconds;
	long ret;

	/* Many frames without a time: the last few would wait for ever. */
	if (what->frames > TT_MOST_FRAMES ||
	    what->microseconds > TT_MOST_MICROSECONDS ||
	    (timed ? what->frames <= 1 : what->frames > 1))
		return -EINVAL;
	if (mutex_lock_killable(&m->crossing->lock))
		return -EINTR;
	ret = listen(m, what);
	mutex_unlock(&m->crossing->lock);
	return ret;
}

static __poll_t ready(struct tt_listener *l)
{
	__poll_t events = 0;

	if (!ptr_ring_empty(l->port->ring))
		events |= EPOLLIN | EPOLLRDNORM;
	if (device_gone(l->port))
		events |= EPOLLERR;
	return events;
}

__poll_t tt_listen_poll(struct tt_member *m, struct file *file,
			struct poll_table_struct *table)
{
	struct tt_listener *l;
	__poll_t events = 0;

	poll_wait(file, &m->wait, table);
	mutex_lock(&m->listen_lock);
	list_for_each_entry(l, &m->listeners, of_member)
		events |= ready(l);
	list_for_each_entry(l, &m->listeners, of_member) {
		if (events) {
			disarm(l);
		} else {
			arm(l);
			events = ready(l);
		}
	}
	mutex_unlock(&m->listen_lock);
	return events;
}

void tt_listen_end(struct tt_member *m)
{
	struct tt_listener *l, *next;

	list_for_each_entry_safe(l, next, &m->listeners, of_member)
		listener_end(l);
}

void tt_listen_forget(struct tt_port *port)
{
	struct tt_listener *l, *next;

	list_for_each_entry_safe(l, next, &port->listeners, of_port) {
		wake_up_interruptible_poll(&l->member->wait, EPOLLERR);
		listener_end(l);
	}
}
