/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Declarations that the files of the crossing share. Each file uses only those
 * below it in this list, and queue.c:
 *
 *	crossing.c		a crossing: its fd, life and calls
 *	crossing_member.c	a member: its fd, life and calls
 *	crossing_listen.c	poll() of a member
 *	crossing_receive.c	frames from a queue into slots
 *	crossing_send.c		frames from slots to ports
 *	crossing_copy.c		frames from slots to user memory
 *	crossing_tun.c		frames to a tap by tun's own sendmsg
 *	crossing_slot.c		slots, and what they hold
 *	crossing_port.c		ports, and the devices behind them
 *	crossing_frame.c	a frame: scrubbed, described, rewritten
 *	crossing_memory.c	memory: charged, mapped
 *
 * Locks, outer ones first. Only the last two are taken on a frame's way:
 *
 *	tt_crossing.lock	mutex: ports, members and listeners come and go
 *	RTNL			taken by tun in the search for a file's device
 *	ports_lock		mutex: tt_port.dev changes
 *	tt_member.listen_lock	mutex: poll() of a member; in tt_crossing.lock
 *	tt_member.fill_lock	spinlock: the member's slots are filled
 *	consumer_lock of a ring	spinlock: frames are taken from the queue
 *
 * A slot's frame changes hands by xchg() and cmpxchg(). A port is found under
 * RCU; who must sleep with it takes a reference.
 */
#ifndef TURBOTAP_CROSSING_INTERNAL_H
#define TURBOTAP_CROSSING_INTERNAL_H

#include <linux/bitmap.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/netdevice.h>
#include <linux/ptr_ring.h>
#include <linux/rcupdate.h>
#include <linux/refcount.h>
#include <linux/skbuff.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/wait.h>

#include "compat.h"
#include "uapi/turbotap_crossing.h"

#define TT_CHUNK	64		/* frames while BH is off */
#define TT_CHUNK_BYTES	(512 * 1024)	/* bytes of them */

struct tt_slot {
	struct sk_buff *skb;	/* by xchg() only */
	u32 generation;		/* of the frame; written under fill_lock */
};

struct tt_crossing {
	refcount_t users;	/* its fd, and its members */
	struct sock *charge;	/* whom its memory is charged to */
	u32 slot_count;
	u32 header_bytes;
	u64 bytes;
	struct tt_slot *slots;
	struct turbotap_cell *cells;

	struct mutex lock;	/* protects the rest */
	u64 bytes_given;	/* to members */
	unsigned long *slots_given;
	DECLARE_BITMAP(members, TURBOTAP_CROSSING_MEMBERS);
	u32 last_generation;	/* of ports */
	struct tt_port __rcu *ports[TURBOTAP_CROSSING_PORTS];

	/* Truesize of held frames, by the member that received them. */
	atomic_long_t held[TURBOTAP_CROSSING_MEMBERS];
};

/* All that it may ever hold, but for its members' lists. */
static inline size_t tt_crossing_bytes(const struct tt_crossing *c)
{
	return c->bytes + c->slot_count *
		(sizeof(struct tt_slot) + sizeof(struct turbotap_cell));
}

struct tt_port {
	u32 number;		/* in the crossing, what user space calls it */
	struct net_device __rcu *dev;	/* NULL: it's gone; ports_lock */
	netdevice_tracker tracker;
	struct list_head node;	/* of all ports; ports_lock */
	struct list_head listeners;	/* tt_crossing.lock */
	refcount_t users;
	struct rcu_head rcu;

	/* Of a tap, else NULL. */
	struct file *tun_file;	/* held; keeps the next two alive */
	struct socket *tun_sock;
	struct ptr_ring *ring;
	u32 vnet_hdr_size;
};

struct tt_member {
	struct tt_crossing *crossing;
	u32 number;
	u32 rights;
	u32 first, count;	/* its slots */
	u64 bytes;
	struct turbotap_lists *lists;	/* user space writes it at any time */
	spinlock_t fill_lock;
	struct mutex listen_lock;	/* protects the next */
	struct list_head listeners;
	wait_queue_head_t wait;

	/* For fdinfo. */
	atomic_long_t calls;
	atomic_long_t received;
	atomic_long_t lost;
	atomic_long_t sent;
	atomic_long_t refused;
	atomic_long_t by_tun;
	atomic_long_t copied;
};

/* While the module holds a frame: in skb->cb. */
struct tt_frame {
	u16 member;		/* who received it; tt_crossing.held */
	u16 entry;		/* of the send that it waits for */
	struct tt_port *port;	/* referenced, with `entry` */
};

static inline struct tt_frame *tt_frame(struct sk_buff *skb)
{
	BUILD_BUG_ON(sizeof(struct tt_frame) > sizeof(skb->cb));
	return (struct tt_frame *)skb->cb;
}

struct virtio_net_hdr;

/* crossing_member.c */
long tt_member_join(struct tt_crossing *c, struct turbotap_member __user *to,
		    struct turbotap_member *join);
void tt_crossing_put(struct tt_crossing *c);

/* crossing_listen.c. tt_listen_end() and _forget(): tt_crossing.lock is held. */
long tt_listen(struct tt_member *m, const struct turbotap_listen *listen);
__poll_t tt_listen_poll(struct tt_member *m, struct file *file,
			struct poll_table_struct *table);
void tt_listen_end(struct tt_member *m);
void tt_listen_forget(struct tt_port *port);

/*
 * crossing_receive.c: fill up to `count` slots: how many, or -errno if there
 * are none. *lost grows by the frames that were lost.
 */
long tt_receive(struct tt_member *m, u32 port, unsigned int count, u32 *lost);

/* crossing_send.c: how many of `count` entries succeeded; each has its result. */
unsigned int tt_send(struct tt_member *m, unsigned int count);

/* crossing_copy.c */
long tt_copy_out(struct tt_member *m, const struct turbotap_copies *copies);

/*
 * crossing_tun.c. Must a frame for this tap go through tun? The caller holds
 * the RCU lock. tt_tun_send() sleeps, and consumes the frame.
 */
bool tt_tun_decides(const struct tt_port *port, const struct net_device *dev);
int tt_tun_send(struct tt_port *port, struct sk_buff *skb);

/* crossing_slot.c */

/* What frames that left their slots free: flushed once for many. */
struct tt_freed {
	struct tt_crossing *crossing;
	unsigned int member;
	long bytes;
};

void tt_freed_add(struct tt_freed *freed, struct sk_buff *skb);
void tt_freed_flush(struct tt_freed *freed);
/* Fill a slot; the frame that was there, or NULL. */
struct sk_buff *tt_slot_fill(struct tt_slot *slot, struct sk_buff *skb);
/* Take the frame of a handle: ERR_PTR(-EINVAL, -ESTALE, -ENOENT). */
struct sk_buff *tt_slot_take(struct tt_crossing *c, u32 slot, u32 generation);
/* Put a frame back that was just taken; it's dropped if its place is gone. */
void tt_slot_return(struct tt_crossing *c, u32 slot, struct sk_buff *skb,
		    struct tt_freed *freed);
/* Drop all frames of these slots. */
void tt_slots_empty(struct tt_crossing *c, u32 first, u32 count);

/* crossing_port.c */
int tt_ports_init(void);
void tt_ports_exit(void);
long tt_port_tap(struct tt_crossing *c, struct turbotap_port_tap __user *from,
		 const struct turbotap_port_tap *tap);
long tt_port_device(struct tt_crossing *c,
		    const struct turbotap_port_device *device);
/* Take a port out of its crossing, under its lock; then put it, without. */
struct tt_port *tt_port_remove(struct tt_crossing *c, u32 number);
void tt_port_end(struct tt_port *port);
void tt_ports_end(struct tt_crossing *c);
/* NULL: there is none. Under the RCU lock, or tt_crossing.lock. */
struct tt_port *tt_port_find(struct tt_crossing *c, u32 number);
void tt_port_put(struct tt_port *port);

/*
 * crossing_frame.c
 *
 * tt_frame_take() makes a frame of what was in a queue, or frees that and
 * returns NULL: there was no memory. tt_frame_rewrite() writes `bytes` bytes;
 * on error the frame is as useless as before, and still the caller's.
 */
struct sk_buff *tt_frame_take(void *ptr);
unsigned int tt_frame_length(void *ptr);
unsigned int tt_frame_truesize(void *ptr);
void tt_frame_describe(struct turbotap_cell *cell, const struct sk_buff *skb,
		       unsigned int header_bytes);
/* False: a virtio_net_hdr can't say what the frame requests. */
bool tt_frame_vnet(const struct sk_buff *skb, struct virtio_net_hdr *vnet);
int tt_frame_rewrite(struct sk_buff *skb, const void *headers,
		     unsigned int bytes);
void tt_frame_set_headers(struct sk_buff *skb);

/* crossing_memory.c */
struct sock *tt_charge_open(void);
void tt_charge_close(struct sock *charge, size_t bytes);
int tt_charge(struct sock *charge, size_t bytes);
void tt_uncharge(struct sock *charge, size_t bytes);
int tt_map(struct vm_area_struct *vma, void *memory, bool writable);

/* Short copies: a call costs more than the few words. */
static __always_inline void tt_copy_words(void *to, const void *from,
					  unsigned int bytes)
{
	for (; bytes >= 8; bytes -= 8, to += 8, from += 8)
		*(u64 *)to = *(const u64 *)from;
	for (; bytes; bytes--, to++, from++)
		*(u8 *)to = *(const u8 *)from;
}

#endif
