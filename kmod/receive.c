// SPDX-License-Identifier: GPL-2.0
/*
 * recvmsg: one frame, or, with TURBOTAP_BURST, one frame into each iovec and
 * their lengths in a control message.
 *
 * A call takes only as many frames from the queue as it has room for. The
 * others stay there, for poll, a detach, and readers of the tun fd.
 *
 * A message of one frame is tun's recvmsg. In a burst, some frames are copied
 * directly: those for which tun would only make the virtio_net_hdr, copy the
 * bytes and count them. That saves a call of tun for each, and the frames are
 * counted and freed together. All others go through tun.
 *
 * Waiting is done here, on tun's wait queue, as tun ignores SO_RCVTIMEO.
 */
#include <linux/if_tun.h>
#include <linux/netdevice.h>
#include <linux/ptr_ring.h>
#include <linux/rcupdate.h>
#include <linux/sched/signal.h>
#include <linux/skbuff.h>
#include <linux/socket.h>
#include <linux/uio.h>
#include <linux/virtio_net.h>
#include <net/compat.h>

#include "internal.h"

#define TT_RECV_FLAGS	(MSG_DONTWAIT | MSG_TRUNC | MSG_WAITALL | \
			 MSG_NOSIGNAL | MSG_CMSG_COMPAT | MSG_CMSG_CLOEXEC | \
			 MSG_WAITFORONE)

/* Otherwise the byte order of a queue's headers depends on its settings. */
#if defined(__LITTLE_ENDIAN) && !IS_ENABLED(CONFIG_TUN_VNET_CROSS_LE)
#define TT_LITTLE_ENDIAN_HEADERS true
#else
#define TT_LITTLE_ENDIAN_HEADERS false
#endif

/* Frames taken from the queue together; turbotap_sock.rx_ptrs points to them. */
struct taken {
	unsigned int count;
	struct net_device *dev;		/* held; NULL: copy none directly */
	unsigned int copied;		/* frames copied directly, moved to */
	unsigned int copied_bytes;	/* the front of rx_ptrs */
};

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
 * Let tun copy a frame out: `ptr`, which was taken from its ring and which tun
 * frees, or, if that is NULL, the next one. Returns the frame's length, which
 * may be more than there was room for, or -errno.
 *
 * tun ignores a fault while it copies. The number of copied bytes reveals it.
 */
static int recv_by_tun(struct turbotap_sock *ts, void *ptr,
		       struct iov_iter *to, int *msg_flags)
{
	size_t room = iov_iter_count(to);
	struct msghdr msg = {
		.msg_control = ptr,
		.msg_iter = *to,
	};
	int whole = 0, length;

	/*
	 * Of an XDP frame tun returns only the number of copied bytes, and
	 * without any room it returns 0.
	 */
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
	int length = recv_by_tun(ts, NULL, &m->msg_iter, &m->msg_flags);

	if (length < 0)
		return length;
	atomic_long_inc(&ts->rx_frames);
	return flags & MSG_TRUNC ? length : min_t(size_t, length, size);
}

/* Is this frame one packet, in one piece, without a VLAN tag beside it? */
static bool can_copy_directly(const struct turbotap_sock *ts, void *ptr)
{
	const struct sk_buff *skb = ptr;

	if (tun_is_xdp_frame(ptr) || skb_is_nonlinear(skb) ||
	    skb_vlan_tag_present(skb))
		return false;
	return !ts->vnet_hdr_size ||
	       (TT_LITTLE_ENDIAN_HEADERS && !skb_is_gso(skb));
}

/*
 * Take up to `frames` frames from the queue. All frames in the ring belong to
 * tun's device, which empties the ring before it goes. So the device of an skb
 * that was taken under RCU may be held.
 */
static void take(struct turbotap_sock *ts, unsigned int frames,
		 struct taken *taken)
{
	*taken = (struct taken){};
	rcu_read_lock();
	taken->count = tt_ring_take(ts->tun_file, ts->ring, ts->rx_ptrs,
				    frames);
	if (taken->count && ts->framing_declared &&
	    can_copy_directly(ts, ts->rx_ptrs[0])) {
		taken->dev = ((struct sk_buff *)ts->rx_ptrs[0])->dev;
		dev_hold(taken->dev);
	}
	rcu_read_unlock();
}

/* Count and free the frames copied directly, as tun does, but all at once. */
static void finish_copied(struct turbotap_sock *ts, struct taken *taken)
{
	unsigned int i;

	if (!taken->dev)
		return;
	local_bh_disable();
	dev_sw_netstats_tx_add(taken->dev, taken->copied, taken->copied_bytes);
	for (i = 0; i < taken->copied; i++)
		napi_consume_skb(ts->rx_ptrs[i], 1);
	local_bh_enable();
	dev_put(taken->dev);
}

/* As tun does, write only the bytes of a virtio_net_hdr, if more are declared. */
static bool put_header(const struct sk_buff *skb, const struct iovec *to)
{
	struct virtio_net_hdr header;

	return !virtio_net_hdr_from_skb(skb, &header, true, true, 0) &&
	       !copy_to_user(to->iov_base, &header, sizeof(header));
}

static int copy_directly(struct turbotap_sock *ts, struct taken *taken,
			 struct sk_buff *skb, const struct iovec *to,
			 int *msg_flags)
{
	size_t header = ts->vnet_hdr_size;
	size_t length = min_t(size_t, skb->len, to->iov_len - header);

	ts->rx_ptrs[taken->copied++] = skb;
	taken->copied_bytes += skb->len;
	if (length < skb->len)
		*msg_flags |= MSG_TRUNC;
	if ((header && !put_header(skb, to)) ||
	    copy_to_user(to->iov_base + header, skb->data, length)) {
		atomic_long_inc(&ts->rx_faulted);
		return -EFAULT;
	}
	return header + skb->len;
}

/* Copy out the i-th taken frame. Returns its length or -errno; it is consumed. */
static int copy_frame(struct turbotap_sock *ts, struct taken *taken,
		      unsigned int i, const struct iovec *to, int *msg_flags)
{
	void *ptr = ts->rx_ptrs[i];
	struct iov_iter iter;

	if (taken->dev && to->iov_len >= ts->vnet_hdr_size &&
	    can_copy_directly(ts, ptr) &&
	    ((struct sk_buff *)ptr)->dev == taken->dev)
		return copy_directly(ts, taken, ptr, to, msg_flags);
	iov_iter_ubuf(&iter, ITER_DEST, to->iov_base, to->iov_len);
	return recv_by_tun(ts, ptr, &iter, msg_flags);
}

/* Fill up to `frames` iovecs: how many, or -errno if none. */
static int recv_frames(struct turbotap_sock *ts, struct msghdr *m,
		       unsigned int frames)
{
	unsigned int done = 0, want, i;
	struct taken taken;
	int length = 0;

	do {
		want = min_t(unsigned int, frames - done, TT_MAX_TAKEN);
		take(ts, want, &taken);
		for (i = 0; i < taken.count && length >= 0; i++) {
			struct iovec to = tt_iovec(&m->msg_iter, done);

			length = copy_frame(ts, &taken, i, &to, &m->msg_flags);
			if (length >= 0)
				ts->rx_lengths[done++] = length;
		}
		/* The frames behind a lost one go back to the queue. */
		if (i < taken.count)
			ptr_ring_unconsume(ts->ring, ts->rx_ptrs + i,
					   taken.count - i, tun_ptr_free);
		finish_copied(ts, &taken);
	} while (length >= 0 && taken.count == want && done < frames);

	/* As in recvmmsg(), the next call returns the error. */
	if (done && length < 0)
		WRITE_ONCE(ts->sk.sk_err, -length);
	if (done)
		return done;
	if (length < 0)
		return length;
	return device_gone(ts) ? -EBADFD : -EAGAIN;
}

/* The number of lengths that the caller's control buffer has room for. */
static unsigned int room_for_lengths(const struct msghdr *m, int flags)
{
	size_t header = flags & MSG_CMSG_COMPAT ?
		sizeof(struct compat_cmsghdr) : sizeof(struct cmsghdr);

	if (!m->msg_control || m->msg_controllen < header)
		return 0;
	return min_t(size_t, (m->msg_controllen - header) / sizeof(u32),
		     TT_MAX_BURST);
}

static int recv_burst(struct turbotap_sock *ts, struct msghdr *m, int flags)
{
	unsigned int frames = min(tt_iovec_count(&m->msg_iter),
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
