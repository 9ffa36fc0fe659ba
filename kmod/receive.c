// SPDX-License-Identifier: GPL-2.0
/*
 * recvmsg: one frame, or, with TURBOTAP_BURST, one frame into each iovec.
 *
 * A burst takes from the queue what it has room for and no more, so that poll,
 * a detach, and readers of the tun fd see all that is left. tun itself copies
 * each frame out. Waiting is ours, on tun's own wait queue: tun knows no
 * SO_RCVTIMEO.
 */
#include <linux/if_tun.h>
#include <linux/ptr_ring.h>
#include <linux/sched/signal.h>
#include <linux/skbuff.h>
#include <linux/socket.h>
#include <linux/uio.h>
#include <net/compat.h>

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

static bool device_gone(const struct turbotap_sock *ts)
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
		if (device_gone(ts))
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
static int recv_frame(struct turbotap_sock *ts, void *ptr,
		      struct iov_iter *to, int *msg_flags)
{
	size_t room = iov_iter_count(to);
	struct msghdr msg = {
		.msg_control = ptr,
		.msg_iter = *to,
	};
	int whole = 0, length;

	/* Of an XDP frame tun says how much of it was copied. */
	if (ptr && tun_is_xdp_frame(ptr))
		whole = tun_ptr_to_xdp(ptr)->len + ts->vnet_hdr_size;
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
	int length = recv_frame(ts, NULL, &m->msg_iter, &m->msg_flags);

	if (length < 0)
		return length;
	tt_wake_queue(ts->tun_file, 1);
	atomic_long_inc(&ts->rx_frames);
	return flags & MSG_TRUNC ? length : min_t(size_t, length, size);
}

/* How many lengths does the caller's control buffer take? */
static unsigned int room_for_lengths(const struct msghdr *m, int flags)
{
	size_t header = flags & MSG_CMSG_COMPAT ?
		sizeof(struct compat_cmsghdr) : sizeof(struct cmsghdr);

	if (!m->msg_control || m->msg_controllen < header)
		return 0;
	return min_t(size_t, (m->msg_controllen - header) / sizeof(u32),
		     TT_MAX_BURST);
}

/* Fill up to `frames` iovecs. Returns how many; the first one's error if none. */
static int recv_frames(struct turbotap_sock *ts, struct msghdr *m,
		       unsigned int frames)
{
	unsigned int done = 0, got, want, i;
	int length = 0;

	do {
		want = min_t(unsigned int, frames - done, TT_MAX_BATCH);
		got = ptr_ring_consume_batched(ts->ring, ts->rx_ptrs, want);
		for (i = 0; i < got; i++) {
			struct iov_iter to;

			tt_segment(&m->msg_iter, done, ITER_DEST, &to);
			length = recv_frame(ts, ts->rx_ptrs[i], &to,
					    &m->msg_flags);
			if (length < 0)
				goto failed;
			ts->rx_lengths[done++] = length;
		}
		tt_wake_queue(ts->tun_file, got);
	} while (got == want && done < frames);

	if (!done)
		return device_gone(ts) ? -EBADFD : -EAGAIN;
	return done;

failed:
	/* That frame is lost. Those behind it stay first in the queue. */
	ptr_ring_unconsume(ts->ring, ts->rx_ptrs + i + 1, got - i - 1,
			   tun_ptr_free);
	tt_wake_queue(ts->tun_file, i + 1);
	if (!done)
		return length;
	/* Told by the next call, as recvmmsg() does it. */
	WRITE_ONCE(ts->sk.sk_err, -length);
	return done;
}

static int recv_burst(struct turbotap_sock *ts, struct msghdr *m, int flags)
{
	unsigned int frames = min(tt_segments(&m->msg_iter),
				  room_for_lengths(m, flags));
	int done, err;

	if (!frames)
		return -EINVAL;
	if (mutex_lock_interruptible(&ts->rx_lock))
		return -EINTR;
	done = recv_frames(ts, m, frames);
	if (done > 0) {
		err = put_cmsg(m, SOL_TURBOTAP, TURBOTAP_LENGTHS,
			       done * sizeof(u32), ts->rx_lengths);
		atomic_long_add(done, err ? &ts->rx_faulted : &ts->rx_frames);
		done = err ?: done;
	}
	mutex_unlock(&ts->rx_lock);
	return done;
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
		ret = READ_ONCE(ts->burst) ? recv_burst(ts, m, flags) :
					     recv_message(ts, m, size, flags);
	} while (ret == -EAGAIN && timeo &&
		 !(ret = wait_for_frame(ts, &timeo)));
	return ret;
}
