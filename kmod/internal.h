/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the module's parts share.
 *
 *	main.c		the device node and its ioctls
 *	socket.c	a socket's life, options and operations
 *	receive.c	recvmsg: a frame
 *	receive_burst.c	recvmsg: a burst of them
 *	send.c		sendmsg: a frame, or a burst of them
 *	inject.c	frames that wait to be injected together
 *	large.c		frames too long for that
 *	pages.c		the memory that frames lie in
 *
 * tun keeps doing what it does: every frame passes through its own sendmsg and
 * recvmsg, which know about queues, framing, XDP, filters and statistics.
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
#define TT_MAX_BATCH	64	/* frames of one TUN_MSG_PTR */
#define TT_MAX_FRAME	(65535 + ETH_HLEN + 2 * 4)	/* two VLAN tags */
#define TT_MAX_HEADERS	128	/* of a framing that wasn't declared */
#define TT_CHUNKS	8
#define TT_LARGE_VECS	(MAX_SKB_FRAGS + 2)

/* Physically contiguous memory that several frames lie in. */
struct tt_chunk {
	struct page *page;
	unsigned int bytes;
	unsigned int used;
	unsigned int frames;	/* of the batch that isn't injected yet */
};

/* Under turbotap_sock.tx_lock. */
struct tt_pool {
	unsigned int order;	/* of its chunks */
	unsigned int current_chunk;
	struct tt_chunk chunks[TT_CHUNKS];
};

/* Under turbotap_sock.tx_lock. */
struct tt_batch {
	unsigned int count;
	unsigned int pad;	/* in front of each frame */
	unsigned long since;	/* jiffies when the first frame came */
	struct xdp_buff xdp[TT_MAX_BATCH];
	struct tt_pool pool;
};

/* Under turbotap_sock.tx_lock. */
struct tt_large {
	bool refused;		/* by tun: it copies them itself */
	struct bio_vec vecs[TT_LARGE_VECS];
	struct tt_pool pool;
};

/* Read by fdinfo without a lock. */
struct tt_tx_counters {
	unsigned long frames;
	unsigned long calls;
	unsigned long batched;
	unsigned long batches;
	unsigned long late_batches;
	unsigned long dropped;
};

struct turbotap_sock {
	struct sock sk;		/* first: sk_alloc() makes the whole */

	/* Constant from attach to release. */
	struct file *tun_file;	/* held; keeps tun_sock and ring alive */
	struct socket *tun_sock;
	struct ptr_ring *ring;	/* what the device transmitted */
	bool batches;		/* TURBOTAP_ATTACH_BATCH */
	unsigned int vnet_hdr_size;
	size_t max_message;

	int burst;		/* TURBOTAP_BURST */

	atomic_long_t rx_frames;
	atomic_long_t rx_calls;
	atomic_long_t rx_faulted;
	struct mutex rx_lock;	/* of a burst being received */
	void *rx_ptrs[TT_MAX_BATCH];
	u32 rx_lengths[TT_MAX_BURST];

	/*
	 * Held from a frame's copy to its injection, so that no frame
	 * overtakes another.
	 */
	struct mutex tx_lock;
	struct tt_tx_counters tx;
	struct tt_batch batch;
	struct tt_large large;
	struct delayed_work late;	/* injects what no call came for */
};

static inline struct turbotap_sock *tt_sk(const struct socket *sock)
{
	return container_of(sock->sk, struct turbotap_sock, sk);
}

/* main.c calls; takes nothing but the fd, gives a new one or -errno. */
int tt_socket_open(int tun_fd, u32 flags, u32 vnet_hdr_size);

int tt_recvmsg(struct socket *sock, struct msghdr *m, size_t size, int flags);
int tt_recv_burst(struct turbotap_sock *ts, struct msghdr *m, int flags);
int tt_recv_frame(struct turbotap_sock *ts, void *ptr, struct iov_iter *to,
		  int *msg_flags);
bool tt_device_gone(const struct turbotap_sock *ts);
int tt_sendmsg(struct socket *sock, struct msghdr *m, size_t size);

/* inject.c; all under tx_lock but for tt_batch_init() and tt_batch_exit(). */
void tt_batch_init(struct turbotap_sock *ts);
void tt_batch_exit(struct turbotap_sock *ts);

/*
 * Copy a frame into the batch, and inject the batch when it is full.
 * -EOPNOTSUPP when this frame must go by itself, after tt_batch_flush().
 */
int tt_batch_add(struct turbotap_sock *ts, struct iov_iter *from);

/*
 * Inject what waits. An error means that the device is gone: the frames are
 * dropped, and counted in tx.dropped; but not the last `own` of them, whose
 * sender is told by that error.
 */
int tt_batch_flush(struct turbotap_sock *ts);
int tt_batch_flush_own(struct turbotap_sock *ts, unsigned int own);

/*
 * large.c; both under tx_lock but for tt_large_init(). Give a frame to tun in
 * memory of ours; -EOPNOTSUPP when tun must take it from the caller's.
 */
void tt_large_init(struct turbotap_sock *ts);
int tt_send_large(struct turbotap_sock *ts, struct iov_iter *from, int flags);

/* pages.c; all under tx_lock. */
struct tt_chunk *tt_chunk_get(struct tt_pool *pool, unsigned int bytes);
void tt_chunks_hold(struct tt_pool *pool);
void tt_chunks_unhold(struct tt_pool *pool);
void tt_chunks_settle(struct tt_pool *pool);
void tt_chunks_free(struct tt_pool *pool);

/* The user buffers of a message: in burst mode each is a frame. */
static inline unsigned int tt_segments(const struct iov_iter *iter)
{
	return iter_is_iovec(iter) ? iter->nr_segs : 1;
}

static inline struct iovec tt_segment(const struct iov_iter *iter,
				      unsigned int i)
{
	if (iter_is_iovec(iter))
		return tt_iovec(iter)[i];
	return (struct iovec){
		.iov_base = iter->ubuf + iter->iov_offset,
		.iov_len = iov_iter_count(iter),
	};
}

#endif
