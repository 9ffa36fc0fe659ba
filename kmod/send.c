// SPDX-License-Identifier: GPL-2.0
/*
 * sendmsg: one frame, or, with TURBOTAP_BURST, one frame from each iovec.
 *
 * Frames are injected in the order of the calls. Only the data of the caller's
 * message reaches tun, never its control data, which tun would take for a
 * kernel pointer.
 */
#include <linux/if_ether.h>
#include <linux/socket.h>
#include <linux/uio.h>

#include "internal.h"

#define TT_SEND_FLAGS	(MSG_DONTWAIT | MSG_MORE | MSG_NOSIGNAL | MSG_EOR | \
			 MSG_CMSG_COMPAT | MSG_BATCH)

static int send_check(const struct msghdr *m)
{
	if (m->msg_flags & ~TT_SEND_FLAGS)
		return -EOPNOTSUPP;
	/* tun reads iovecs: no fixed buffers, no pages of a pipe. */
	if (!user_backed_iter(&m->msg_iter) || m->msg_ubuf)
		return -EOPNOTSUPP;
	if (m->msg_controllen)
		return -EINVAL;
	if (m->msg_name)
		return -EISCONN;
	return 0;
}

/* MSG_MORE isn't passed on: with it, tun would hold the frame back. */
static int send_alone(struct turbotap_sock *ts, struct iov_iter *from,
		      int flags)
{
	struct msghdr msg = {
		.msg_iter = *from,
		.msg_flags = flags & MSG_DONTWAIT,
	};
	int ret;

	ret = ts->tun_sock->ops->sendmsg(ts->tun_sock, &msg,
					 iov_iter_count(from));
	*from = msg.msg_iter;
	if (ret < 0)
		return ret;
	ts->tx.frames++;
	return 0;
}

/*
 * Send one frame. It is batched if `more` frames of the call follow, or if a
 * batch is waiting: a batch of one frame saves nothing.
 */
static int send_frame(struct turbotap_sock *ts, struct iov_iter *from,
		      int flags, bool more)
{
	int err;

	if (iov_iter_count(from) > ts->max_message)
		return -EMSGSIZE;
	if (more || ts->batch.count) {
		err = tt_batch_add(ts, from);
		if (err != -EOPNOTSUPP)
			return err;
		tt_batch_flush(ts);
	}
	err = tt_send_large(ts, from, flags);
	return err == -EOPNOTSUPP ? send_alone(ts, from, flags) : err;
}

static int send_message(struct turbotap_sock *ts, struct msghdr *m, size_t size)
{
	bool more = m->msg_flags & MSG_BATCH;
	int err = send_frame(ts, &m->msg_iter, m->msg_flags, more);

	if (err)
		tt_batch_flush(ts);
	else if (!more)
		err = tt_batch_flush_own(ts, 1);
	return err ?: size;
}

/*
 * Send one frame from each iovec: how many were sent, or -errno if none was. No
 * frame is left waiting when this returns.
 */
static int send_burst(struct turbotap_sock *ts, struct msghdr *m)
{
	unsigned int iovecs = tt_iovec_count(&m->msg_iter);
	unsigned int i, frames = min_t(unsigned int, iovecs, TT_MAX_BURST);
	struct tt_tx_counters before;
	unsigned int sent;
	int flush_err, err = 0;

	tt_batch_flush(ts);	/* of an earlier sendmmsg() */
	before = ts->tx;
	for (i = 0; i < frames && !err; i++) {
		struct iovec from = tt_iovec(&m->msg_iter, i);
		struct iov_iter frame;

		iov_iter_ubuf(&frame, ITER_SOURCE, from.iov_base, from.iov_len);
		err = send_frame(ts, &frame, m->msg_flags, frames > 1);
	}
	flush_err = tt_batch_flush(ts);
	sent = ts->tx.frames - before.frames;
	/* This call's frames that were dropped are reported as not sent. */
	ts->tx.dropped = before.dropped;
	/* sendmmsg() stops at a message with data left over. */
	if (sent == iovecs)
		iov_iter_truncate(&m->msg_iter, 0);
	return sent ?: err ?: flush_err;
}

int tt_sendmsg(struct socket *sock, struct msghdr *m, size_t size)
{
	struct turbotap_sock *ts = tt_sk(sock);
	int ret = send_check(m);

	if (ret)
		return ret;
	if (mutex_lock_interruptible(&ts->tx_lock))
		return -EINTR;
	ts->tx.calls++;
	ret = READ_ONCE(ts->burst) ? send_burst(ts, m) :
				     send_message(ts, m, size);
	mutex_unlock(&ts->tx_lock);
	return ret;
}
