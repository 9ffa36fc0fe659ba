/* SPDX-License-Identifier: GPL-2.0 */
/* Differences between kernels. Kbuild looks for them and defines TT_HAVE_*. */
#ifndef TURBOTAP_COMPAT_H
#define TURBOTAP_COMPAT_H

#include <linux/hrtimer.h>
#include <linux/if_tun.h>
#include <linux/mm.h>
#include <linux/netdevice.h>
#include <linux/ptr_ring.h>
#include <linux/skbuff.h>
#include <linux/uio.h>
#include <linux/virtio_net.h>
#include <net/xdp.h>

/*
 * Prepare the start of a TUN_MSG_PTR buffer, and return the place of its
 * virtio_net_hdr. Older kernels also read the buffer's length there.
 */
#ifdef TT_HAVE_TUN_XDP_HDR
static inline struct virtio_net_hdr *tt_buffer_init(void *buffer, int bytes)
{
	struct tun_xdp_hdr *hdr = buffer;

	hdr->buflen = bytes;
	return &hdr->gso;
}
#else
static inline struct virtio_net_hdr *tt_buffer_init(void *buffer, int bytes)
{
	/* Room for the longest virtio_net_hdr that tun may read. */
	return memset(buffer, 0, 32);
}
#endif

/*
 * With IFF_BACKPRESSURE a full ring stops the device: wake it after reading,
 * under the ring's consumer_lock. tun's own recvmsg does that itself, unless it
 * is given a frame that was taken before.
 */
#ifdef TT_HAVE_TUN_WAKE_QUEUE
#define tt_wake_queue(file, frames) tun_wake_queue(file, frames)
#else
static inline void tt_wake_queue(struct file *file, int frames)
{
}
#endif

/* Take up to `most` frames from a queue's ring: how many. */
static inline unsigned int tt_ring_take(struct file *file,
					struct ptr_ring *ring, void **ptrs,
					unsigned int most)
{
	unsigned int count = 0;

	spin_lock(&ring->consumer_lock);
	count = __ptr_ring_consume_batched(ring, ptrs, most);
	if (count)
		tt_wake_queue(file, count);
	spin_unlock(&ring->consumer_lock);
	return count;
}

/* Until 6.3 a mapping's flags were plain. */
#ifndef TT_HAVE_VM_FLAGS_SET
static inline void vm_flags_set(struct vm_area_struct *vma, vm_flags_t flags)
{
	vma->vm_flags |= flags;
}

static inline void vm_flags_clear(struct vm_area_struct *vma, vm_flags_t flags)
{
	vma->vm_flags &= ~flags;
}
#endif

/* Until 6.13 a timer's function was set by hand. */
#ifdef TT_HAVE_HRTIMER_SETUP
#define tt_hrtimer_setup hrtimer_setup
#else
static inline void tt_hrtimer_setup(struct hrtimer *timer,
				    enum hrtimer_restart (*called)(struct hrtimer *),
				    clockid_t clock, enum hrtimer_mode mode)
{
	hrtimer_init(timer, clock, mode);
	timer->function = called;
}
#endif

/* Until 6.5 segmentation was declared elsewhere. */
#ifdef TT_HAVE_GSO_H
#include <net/gso.h>
#endif

/* The iovecs of an iterator for which iter_is_iovec() is true. */
#ifdef TT_HAVE_ITER_IOV
#define tt_iovecs(iter) iter_iov(iter)
#else
#define tt_iovecs(iter) ((iter)->iov)
#endif

/* The completion callback of a zero-copy frame, called when its pages are free. */
#ifdef TT_HAVE_UBUF_OPS
#define TT_UBUF_INFO(name, done)						\
	static const struct ubuf_info_ops name##_ops = { .complete = done };	\
	static struct ubuf_info name = { .ops = &name##_ops }
#else
#define TT_UBUF_INFO(name, done)						\
	static struct ubuf_info name = { .callback = done }
#endif

/* Until 6.5 sockets had a sendpage operation. */
#ifdef TT_HAVE_SENDPAGE
#define TT_PROTO_OPS_SENDPAGE .sendpage = sock_no_sendpage,
#else
#define TT_PROTO_OPS_SENDPAGE
#endif

#endif
