// SPDX-License-Identifier: GPL-2.0
/*
 * recvmsg: one frame, or, with TURBOTAP_BURST, a burst of them.
 *
 * Waiting is ours, on tun's own wait queue: tun knows no SO_RCVTIMEO.
 */
#include <linux/if_tun.h>
#include <linux/ptr_ring.h>
#include <linux/sched/signal.h>
#include <linux/skbuff.h>
#include <linux/socket.h>
#include <linux/uio.h>

#include "internal.h"

#define TT_RECV_FLAGS	(MSG_DONTWAIT | MSG_TRUNC | MSG_WAITALL | \
			 MSG_NOSIGNAL | MSG_CMSG_COMPAT | MSG_CMSG_CLOEXEC | \
			 MSG_WAITFORONE)

static int recv_check(const struct msghdr *m, int flags)
{
	if (flags & ~TT_RECV_FLAGS)
		return -EOPNOTSUPP;
	if (!user_backed_iter(&m->msg_iter))
		return -EOPNOTSUPP;
	return 0;
}

bool tt_device_gone(const struct turbotap_sock *ts)
{
	return READ_ONCE(ts->tun_sock->sk->sk_shutdown) & RCV_SHUTDOWN;
}

/* Wait for a frame: 0, or the reason why there is none. */
static int wait_for_frame(struct turbotap_sock *ts, long *timeo)
{
	wait_queue_head_t *queue = sk_sleep(ts->tun_sock->sk);
	DEFINE_WAIT_FUNC(wait, woken_wake_function);
	int err = 0;

	add_wait_queue(queue, &wait);
	while (ptr_ring_empty(ts->ring)) {
		if (tt_device_gone(ts))
			err = -EBADFD;
		else if (!*timeo)
			err = -EAGAIN;
		else if (signal_pending(current))
			err = sock_intr_errno(*timeo);
		if (err)
			break;
		*timeo = wait_woken(&wait, TASK_INTERRUPTIBLE, *timeo);
	}
	remove_wait_queue(queue, &wait);
	return err;
}

/*
 * Have tun copy a frame out: ptr, taken from its ring and no longer ours, or
 * the next one. Returns the frame's length, which may be more than there was
 * room for, or -errno.
 *
 * tun ignores a fault while it copies. What it didn't copy gives it away.
 */
int tt_recv_frame(struct turbotap_sock *ts, void *ptr, struct iov_iter *to,
		  int *msg_flags)
{
	size_t room = iov_iter_count(to);
	struct msghdr msg = {
		.msg_control = ptr,
		.msg_iter = *to,
	};
	int whole = 0, length;

	/* tun says how much it copied of an XDP frame, and 0 of no room. */
	if (ptr && tun_is_xdp_frame(ptr))
		whole = tun_ptr_to_xdp(ptr)->len + ts->vnet_hdr_size;
	else if (ptr)
		whole = ((struct sk_buff *)ptr)->len;
	length = ts->tun_sock->ops->recvmsg(ts->tun_sock, &msg, room,
					    MSG_DONTWAIT | MSG_TRUNC);
	if (length >= 0) {
		size_t copied = room - iov_iter_count(&msg.msg_iter);

		length = max(length, whole);
		if (copied < min_t(size_t, length, room))
			length = -EFAULT;
		else if (length > room)
			*msg_flags |= MSG_TRUNC;
		*to = msg.msg_iter;
	}
	if (length < 0 && (ptr || length != -EAGAIN))
		atomic_long_inc(&ts->rx_faulted);
	return length;
}

static int recv_message(struct turbotap_sock *ts, struct msghdr *m, size_t size,
			int flags)
{
	int length = tt_recv_frame(ts, NULL, &m->msg_iter, &m->msg_flags);

	if (length == -EAGAIN)
		return length;
	tt_wake_queue(ts->tun_file, 1);
	if (length < 0)
		return length;
	atomic_long_inc(&ts->rx_frames);
	return flags & MSG_TRUNC ? length : min_t(size_t, length, size);
}

int tt_recvmsg(struct socket *sock, struct msghdr *m, size_t size, int flags)
{
	struct turbotap_sock *ts = tt_sk(sock);
	long timeo = sock_rcvtimeo(sock->sk, flags & MSG_DONTWAIT);
	int ret = recv_check(m, flags) ?: sock_error(sock->sk);

	if (ret)
		return ret;
	atomic_long_inc(&ts->rx_calls);
	do {
		ret = READ_ONCE(ts->burst) ? tt_recv_burst(ts, m, flags) :
					     recv_message(ts, m, size, flags);
	} while (ret == -EAGAIN && timeo &&
		 !(ret = wait_for_frame(ts, &timeo)));
	return ret;
}
