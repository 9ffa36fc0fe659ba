/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Declarations that the module's files share. Each file uses only those below
 * it in this list:
 *
 *	main.c		the device node and its ioctls
 *	socket.c	a socket's life, options and operations
 *	receive.c	recvmsg: one frame, or a burst
 *	send.c		sendmsg: one frame, or a burst
 *	large.c		sending one frame that is too long for a batch
 *	inject.c	the batch: collecting frames and injecting them
 *	pages.c		the memory of sent frames
 *	queue.c		a tun queue: is it one, and what kind?
 *	argument.c	structures that begin with their size
 *
 * main.c uses the family of crossing.c, too: see crossing.h.
 *
 * Words:
 *
 *	burst		the frames of one call
 *	burst message	a message that carries a burst, one iovec a frame
 *	batch		the frames that one TUN_MSG_PTR call injects
 *	inject		hand frames to the network stack, as the device's own
 *	framing		the bytes in front of each frame: a virtio_net_hdr,
 *			a tun_pi, or none
 *
 * Frames are sent and received by tun's own sendmsg and recvmsg, which handle
 * queues, framing, XDP, filters and statistics. receive.c names the exception.
 */
#ifndef TURBOTAP_INTERNAL_H
#define TURBOTAP_INTERNAL_H

#include <linux/atomic.h>
#include <linux/bvec.h>
#include <linux/mutex.h>
#include <linux/skbuff.h>
#include <linux/workqueue.h>
#include <net/sock.h>
#include <net/xdp.h>

#include "compat.h"
#include "uapi/turbotap.h"

#define TT_MAX_BURST	256	/* frames of a burst message */
#define TT_MAX_BATCH	64	/* frames of a batch */
#define TT_MAX_TAKEN	64	/* frames taken from the queue at once */
#define TT_MAX_FRAME	(65535 + ETH_HLEN + 2 * 4)	/* two VLAN tags */
#define TT_MAX_HEADERS	128	/* bytes of a framing that wasn't declared */
#define TT_CHUNKS	8
#define TT_LARGE_VECS	(MAX_SKB_FRAGS + 2)

/* Physically contiguous memory that holds several frames. */
struct tt_chunk {
	struct page *page;
	unsigned int bytes;
	unsigned int used;
	unsigned int frames;	/* of the batch being collected */
};

/* Protected by turbotap_sock.tx_lock. */
struct tt_pool {
	unsigned int order;	/* of its chunks */
	unsigned int current_chunk;
	struct tt_chunk chunks[TT_CHUNKS];
};

/* Protected by turbotap_sock.tx_lock. */
struct tt_batch {
	unsigned int count;
	unsigned int pad;	/* headroom in front of each frame, bytes */
	unsigned long since;	/* jiffies at its first frame */
	struct xdp_buff xdp[TT_MAX_BATCH];
	struct tt_pool pool;
};

/* Protected by turbotap_sock.tx_lock. */
struct tt_large {
	bool refused;		/* tun accepts no pages on this queue */
	struct bio_vec vecs[TT_LARGE_VECS];
	struct tt_pool pool;
};

/* Written under turbotap_sock.tx_lock; fdinfo reads without it. */
struct tt_tx_counters {
	unsigned long frames;
	unsigned long calls;
	unsigned long batched;
	unsigned long batches;
	unsigned long late_batches;
	unsigned long dropped;
};

struct turbotap_sock {
	struct sock sk;		/* first: sk_alloc() allocates the whole struct */

	/* Constant from attach to release. */
	struct file *tun_file;	/* held; keeps tun_sock and ring alive */
	struct socket *tun_sock;
	struct ptr_ring *ring;	/* frames that the device transmitted */
	bool framing_declared;	/* TURBOTAP_ATTACH_BATCH */
	unsigned int vnet_hdr_size;
	size_t max_message;

	bool burst;		/* TURBOTAP_BURST: messages are bursts */

	atomic_long_t rx_frames;
	atomic_long_t rx_calls;
	atomic_long_t rx_faulted;
	struct mutex rx_lock;	/* protects the next two */
	void *rx_ptrs[TT_MAX_TAKEN];
	u32 rx_lengths[TT_MAX_BURST];

	/*
	 * Held while a call copies its frames and injects them, so that frames
	 * keep their order.
	 */
	struct mutex tx_lock;
	struct tt_tx_counters tx;
	struct tt_batch batch;
	struct tt_large large;
	struct delayed_work late;	/* injects a batch that was left waiting */
};

static inline struct turbotap_sock *tt_sk(const struct socket *sock)
{
	return container_of(sock->sk, struct turbotap_sock, sk);
}

/* Attach a socket to the tun queue tun_fd: a new fd, or -errno. */
int tt_socket_open(int tun_fd, u32 flags, u32 vnet_hdr_size);

/* crossing.c: make a crossing: a new fd, or -errno. */
int tt_crossing_init(void);
void tt_crossing_exit(void);
long tt_crossing_open(void __user *argument);

/* argument.c: 0, or -EFAULT, -EINVAL (too short), -E2BIG. */
int tt_argument_size(const void __user *from, size_t least);
int tt_argument(void *to, size_t known, size_t least, const void __user *from);

int tt_recvmsg(struct socket *sock, struct msghdr *m, size_t size, int flags);
int tt_sendmsg(struct socket *sock, struct msghdr *m, size_t size);

/*
 * inject.c. The caller holds tx_lock, except for tt_batch_init() and
 * tt_batch_exit().
 */
void tt_batch_init(struct turbotap_sock *ts);
void tt_batch_exit(struct turbotap_sock *ts);

/*
 * Copy a frame into the batch, and inject the batch if that fills it.
 * -EOPNOTSUPP: the frame can't be batched. Call tt_batch_flush(), then send it
 * by itself.
 */
int tt_batch_add(struct turbotap_sock *ts, struct iov_iter *from);

/*
 * Inject the batch. An error means that the device is gone: the frames are
 * dropped and counted in tx.dropped. tt_batch_flush_own() leaves the last `own`
 * frames out of that count, since its caller reports the error to their sender.
 */
int tt_batch_flush(struct turbotap_sock *ts);
int tt_batch_flush_own(struct turbotap_sock *ts, unsigned int own);

/*
 * large.c. tt_send_large() requires tx_lock. It copies a frame into pages of
 * the socket and sends those. -EOPNOTSUPP: tun must copy the frame itself.
 */
void tt_large_init(struct turbotap_sock *ts);
int tt_send_large(struct turbotap_sock *ts, struct iov_iter *from, int flags);

/* pages.c. The caller holds tx_lock. */
struct tt_chunk *tt_chunk_get(struct tt_pool *pool, unsigned int bytes);
void tt_chunks_hold(struct tt_pool *pool);
void tt_chunks_unhold(struct tt_pool *pool);
void tt_chunks_settle(struct tt_pool *pool);
void tt_chunks_free(struct tt_pool *pool);

/* queue.c. What tt_queue_get() returns is the caller's; or ERR_PTR. */
struct file *tt_queue_get(int tun_fd);
int tt_queue_check(struct file *tun_file, struct socket *tun_sock,
		   bool framing_declared, u32 vnet_hdr_size);

/* The iovecs of a message. In a burst message each is one frame. */
static inline unsigned int tt_iovec_count(const struct iov_iter *iter)
{
	return iter_is_iovec(iter) ? iter->nr_segs : 1;
}

static inline struct iovec tt_iovec(const struct iov_iter *iter, unsigned int i)
{
	if (iter_is_iovec(iter))
		return tt_iovecs(iter)[i];
	return (struct iovec){
		.iov_base = iter->ubuf + iter->iov_offset,
		.iov_len = iov_iter_count(iter),
	};
}

#endif
