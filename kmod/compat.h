/* SPDX-License-Identifier: GPL-2.0 */
/* Differences between kernels. Kbuild looks for them and defines TT_HAVE_*. */
#ifndef TURBOTAP_COMPAT_H
#define TURBOTAP_COMPAT_H

#include <linux/if_tun.h>
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

/* With IFF_BACKPRESSURE a full ring stops the device: wake it after reading. */
#ifdef TT_HAVE_TUN_WAKE_QUEUE
#define tt_wake_queue(file, frames) tun_wake_queue(file, frames)
#else
static inline void tt_wake_queue(struct file *file, int frames)
{
}
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
