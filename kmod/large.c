// SPDX-License-Identifier: GPL-2.0
/*
 * Frames too long for a batch: GSO frames and jumbo frames.
 *
 * tun allocates pages for each of them. On a kernel that zeroes new pages
 * (init_on_alloc) that costs as much as a second copy. So copy the frame into
 * pages of the socket, which are reused (pages.c), and pass these to tun by
 * TUN_MSG_UBUF, as vhost-net passes the pages of a guest. tun checks such a
 * frame, and reports its errors, as usual.
 */
#include <linux/if_tun.h>
#include <linux/sizes.h>
#include <linux/skbuff.h>
#include <linux/uio.h>

#include "internal.h"

/*
 * Pages are reference-counted, so no completion callback is needed. With no
 * zero-copy flag in this ubuf_info, the stack treats the frame as an ordinary
 * one: it may keep it, and doesn't call this.
 */
static void ignore_completion(struct sk_buff *skb, struct ubuf_info *ubuf,
			      bool success)
{
}

TT_UBUF_INFO(no_ubuf, ignore_completion);

/*
 * Can tun be given pages for a frame of this length? Not if it must charge a
 * limited send buffer with the frame's memory, and not with an XDP program,
 * which needs the frame in one piece.
 */
static bool pages_allowed(const struct turbotap_sock *ts, size_t length)
{
	const struct sock *tun_sk = ts->tun_sock->sk;

	return length > PAGE_SIZE && !ts->large.refused &&
	       length <= PAGE_SIZE << ts->large.pool.order &&
	       READ_ONCE(tun_sk->sk_sndbuf) == INT_MAX &&
	       !sock_flag(tun_sk, SOCK_XDP);
}

/*
 * With IFF_NAPI_FRAGS tun makes each vector of the message a fragment of the
 * frame, which goes wrong with pages. But it first refuses a message with more
 * vectors than a frame can have fragments, with -EMSGSIZE, which it uses for
 * nothing else. So append empty vectors beyond that limit; without
 * IFF_NAPI_FRAGS tun never reaches them.
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

/* On a fault tun copies the frame itself: it fails too, and counts the drop. */
int tt_send_large(struct turbotap_sock *ts, struct iov_iter *from, int flags)
{
	size_t length = iov_iter_count(from);
	struct iov_iter iter = *from;
	struct tt_chunk *chunk;
	int err;

	if (!pages_allowed(ts, length))
		return -EOPNOTSUPP;
	chunk = tt_chunk_get(&ts->large.pool, length);
	if (!chunk)
		return -EOPNOTSUPP;
	/* As copy_page_from_iter() does: pages need no usercopy check. */
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
