/* SPDX-License-Identifier: GPL-2.0 */
/* What differs between kernels; Kbuild finds out which way it is. */
#ifndef TURBOTAP_COMPAT_H
#define TURBOTAP_COMPAT_H

#include <linux/if_tun.h>
#include <linux/skbuff.h>
#include <linux/uio.h>
#include <linux/virtio_net.h>
#include <net/xdp.h>

/*
 * What TUN_MSG_PTR reads at the start of a buffer: buffer length and header,
 * and on later kernels the header alone.
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
	/* Space for the longest virtio_net_hdr that tun may look for. */
	return memset(buffer, 0, 32);
}
#endif

/* With IFF_BACKPRESSURE the device stops when the ring is full. */
#ifdef TT_HAVE_TUN_WAKE_QUEUE
#define tt_wake_queue(file, frames) tun_wake_queue(file, frames)
#else
static inline void tt_wake_queue(struct file *file, int frames)
{
}
#endif

/* The iovec of an iterator that is no single buffer. */
#ifdef TT_HAVE_ITER_IOV
#define tt_iovec(iter) iter_iov(iter)
#else
#define tt_iovec(iter) ((iter)->iov)
#endif

/* What is told when the pages of a zero-copy frame are done with. */
#ifdef TT_HAVE_UBUF_OPS
#define TT_UBUF_INFO(name, done)						\
	static const struct ubuf_info_ops name##_ops = { .complete = done };	\
	static struct ubuf_info name = { .ops = &name##_ops }
#else
#define TT_UBUF_INFO(name, done)						\
	static struct ubuf_info name = { .callback = done }
#endif

/* Sockets had a sendpage operation of their own until 6.5. */
#ifdef TT_HAVE_SENDPAGE
#define TT_PROTO_OPS_SENDPAGE .sendpage = sock_no_sendpage,
#else
#define TT_PROTO_OPS_SENDPAGE
#endif

#endif
