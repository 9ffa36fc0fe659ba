// SPDX-License-Identifier: GPL-2.0
/*
 * Frames too long for a batch: TCP segments that are still to be cut, jumbo
 * frames.
 *
 * For each of them tun would allocate pages, which a kernel that zeroes what it
 * allocates (init_on_alloc) pays for as for a second copy. It needn't when it
 * is given pages instead, as vhost-net gives it a guest's, by TUN_MSG_UBUF.
 * Ours hold a copy of the frame, and are used again (pages.c). That is tun's
 * ordinary entry otherwise, with all of its checks and errors.
 */
#include <linux/if_tun.h>
#include <linux/sizes.h>
#include <linux/skbuff.h>
#include <linux/uio.h>

#include "internal.h"

/*
 * Frames hold page references as any others do, so nobody need be told when
 * one is freed: without a flag the stack takes it for an ordinary frame, which
 * it may keep for as long as it likes, and looks at this no more.
 */
static void nobody_waits(struct sk_buff *skb, struct ubuf_info *ubuf,
			 bool success)
{
}

TT_UBUF_INFO(no_ubuf, nobody_waits);

/*
 * A send buffer with a limit is tun's to charge with all that a frame takes,
 * and an XDP program wants a frame in one piece.
 */
static bool is_ours(const struct turbotap_sock *ts, size_t length)
{
	const struct sock *tun_sk = ts->tun_sock->sk;

	return length > PAGE_SIZE && !ts->large.refused &&
	       length <= PAGE_SIZE << ts->large.pool.order &&
	       READ_ONCE(tun_sk->sk_sndbuf) == INT_MAX &&
	       !sock_flag(tun_sk, SOCK_XDP);
}

/*
 * With IFF_NAPI_FRAGS tun makes a frame's fragments of the caller's iovecs, and
 * gets that wrong when it is given pages. More segments than a frame may have
 * fragments it refuses then, before it looks at one. Hence the empty ones here,
 * which nobody else gets to. -EMSGSIZE isn't used for anything else.
 */
static int send_chunk(struct turbotap_sock *ts, const struct tt_chunk *chunk,
		      size_t length, int flags)
{
	struct tun_msg_ctl ctl = {
		.type = TUN_MSG_UBUF,
		.ptr = &no_ubuf,
	};
	struct msghdr msg = {
		.msg_control = &ctl,
		.msg_controllen = sizeof(ctl),
		.msg_flags = flags & MSG_DONTWAIT,
	};
	int ret;

	ts->large.vecs[0] = (struct bio_vec){
		.bv_page = chunk->page,
		.bv_len = length,
		.bv_offset = chunk->used,
	};
	iov_iter_bvec(&msg.msg_iter, ITER_SOURCE, ts->large.vecs, TT_LARGE_VECS,
		      length);
	ret = ts->tun_sock->ops->sendmsg(ts->tun_sock, &msg, length);
	if (ret == -EMSGSIZE) {
		ts->large.refused = true;
		return -EOPNOTSUPP;
	}
	return min(ret, 0);
}

/* Bad memory is left to tun, which counts the frame as dropped. */
int tt_send_large(struct turbotap_sock *ts, struct iov_iter *from, int flags)
{
	size_t length = iov_iter_count(from);
	struct iov_iter iter = *from;
	struct tt_chunk *chunk;
	int err;

	if (!is_ours(ts, length))
		return -EOPNOTSUPP;
	chunk = tt_chunk_get(&ts->large.pool, length);
	if (!chunk)
		return -EOPNOTSUPP;
	/* As copy_page_from_iter(): no slab object to check the bounds of. */
	if (_copy_from_iter(page_address(chunk->page) + chunk->used, length,
			    &iter) != length)
		return -EOPNOTSUPP;
	err = send_chunk(ts, chunk, length, flags);
	if (err)
		return err;
	*from = iter;
	chunk->used += min_t(size_t, SKB_DATA_ALIGN(length),
			     chunk->bytes - chunk->used);
	ts->tx.frames++;
	return 0;
}

void tt_large_init(struct turbotap_sock *ts)
{
	ts->large.pool.order = get_order(SZ_64K);
}
