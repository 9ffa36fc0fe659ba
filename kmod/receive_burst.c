// SPDX-License-Identifier: GPL-2.0
/*
 * A burst received: one frame into each iovec, and their lengths in a control
 * message.
 *
 * It takes from the queue what there is room for and no more, so that poll, a
 * detach, and readers of the tun fd see all that is left.
 *
 * Where tun would just copy the bytes and count them, because a frame is one
 * packet in one piece and has no VLAN tag beside it, that is done here, with
 * the queue's virtio_net_hdr, and the frames of a burst are counted and freed
 * together. All others go through tun.
 */
#include <linux/if_tun.h>
#include <linux/netdevice.h>
#include <linux/ptr_ring.h>
#include <linux/rcupdate.h>
#include <linux/skbuff.h>
#include <linux/socket.h>
#include <linux/uio.h>
#include <linux/virtio_net.h>
#include <net/compat.h>

#include "internal.h"

/* Frames that were taken from the queue together: turbotap_sock.rx_ptrs. */
struct taken {
	unsigned int count;
	struct net_device *dev;		/* held; NULL: all of them are tun's */
	/* Those that tun needn't see, [0, plain), when they are done with. */
	unsigned int plain;
	unsigned int plain_bytes;
};

/* Elsewhere the byte order of a queue's headers is a matter of its settings. */
#if defined(__LITTLE_ENDIAN) && !IS_ENABLED(CONFIG_TUN_VNET_CROSS_LE)
#define TT_LITTLE_ENDIAN_HEADERS true
#else
#define TT_LITTLE_ENDIAN_HEADERS false
#endif

static bool frame_is_plain(const struct turbotap_sock *ts, void *ptr)
{
	const struct sk_buff *skb = ptr;

	if (tun_is_xdp_frame(ptr) || skb_is_nonlinear(skb) ||
	    skb_vlan_tag_present(skb))
		return false;
	return !ts->vnet_hdr_size ||
	       (TT_LITTLE_ENDIAN_HEADERS && !skb_is_gso(skb));
}

/*
 * What the ring holds belongs to tun's device, which empties it before it
 * goes. So whoever takes an skb under RCU may hold its device.
 */
static void take(struct turbotap_sock *ts, unsigned int frames,
		 struct taken *taken)
{
	*taken = (struct taken){};
	rcu_read_lock();
	taken->count = ptr_ring_consume_batched(ts->ring, ts->rx_ptrs, frames);
	if (taken->count && ts->batches &&
	    frame_is_plain(ts, ts->rx_ptrs[0])) {
		taken->dev = ((struct sk_buff *)ts->rx_ptrs[0])->dev;
		dev_hold(taken->dev);
	}
	rcu_read_unlock();
}

/* As tun counts and frees them, but together. */
static void give_back(struct turbotap_sock *ts, struct taken *taken)
{
	unsigned int i;

	if (!taken->dev)
		return;
	local_bh_disable();
	dev_sw_netstats_tx_add(taken->dev, taken->plain, taken->plain_bytes);
	for (i = 0; i < taken->plain; i++)
		napi_consume_skb(ts->rx_ptrs[i], 1);
	local_bh_enable();
	dev_put(taken->dev);
}

/* The header as tun makes it, which leaves what is behind it as it was. */
static bool put_header(const struct sk_buff *skb, const struct iovec *to)
{
	struct virtio_net_hdr header;

	return !virtio_net_hdr_from_skb(skb, &header, true, true, 0) &&
	       !copy_to_user(to->iov_base, &header, sizeof(header));
}

static int copy_plain(struct turbotap_sock *ts, struct taken *taken,
		      struct sk_buff *skb, const struct iovec *to,
		      int *msg_flags)
{
	size_t header = ts->vnet_hdr_size;
	size_t length = min_t(size_t, skb->len, to->iov_len - header);

	ts->rx_ptrs[taken->plain++] = skb;
	taken->plain_bytes += skb->len;
	if (length < skb->len)
		*msg_flags |= MSG_TRUNC;
	if ((header && !put_header(skb, to)) ||
	    copy_to_user(to->iov_base + header, skb->data, length)) {
		atomic_long_inc(&ts->rx_faulted);
		return -EFAULT;
	}
	return header + skb->len;
}

/* The i-th of those taken. Its length, or -errno; it is done with. */
static int copy_frame(struct turbotap_sock *ts, struct taken *taken,
		      unsigned int i, const struct iovec *to, int *msg_flags)
{
	void *ptr = ts->rx_ptrs[i];
	struct iov_iter iter;

	if (taken->dev && to->iov_len >= ts->vnet_hdr_size &&
	    frame_is_plain(ts, ptr) &&
	    ((struct sk_buff *)ptr)->dev == taken->dev)
		return copy_plain(ts, taken, ptr, to, msg_flags);
	iov_iter_ubuf(&iter, ITER_DEST, to->iov_base, to->iov_len);
	return tt_recv_frame(ts, ptr, &iter, msg_flags);
}

/* Fill up to `frames` iovecs. How many, or the first one's error if none. */
static int recv_frames(struct turbotap_sock *ts, struct msghdr *m,
		       unsigned int frames)
{
	unsigned int done = 0, want, i;
	struct taken taken;
	int length = 0;

	do {
		want = min_t(unsigned int, frames - done, TT_MAX_BATCH);
		take(ts, want, &taken);
		for (i = 0; i < taken.count && length >= 0; i++) {
			struct iovec to = tt_segment(&m->msg_iter, done);

			length = copy_frame(ts, &taken, i, &to, &m->msg_flags);
			if (length >= 0)
				ts->rx_lengths[done++] = length;
		}
		/* Behind one that is lost, the others stay in the queue. */
		if (i < taken.count)
			ptr_ring_unconsume(ts->ring, ts->rx_ptrs + i,
					   taken.count - i, tun_ptr_free);
		give_back(ts, &taken);
		tt_wake_queue(ts->tun_file, i);
	} while (length >= 0 && taken.count == want && done < frames);

	if (done && length < 0)	/* told by the next call, as in recvmmsg() */
		WRITE_ONCE(ts->sk.sk_err, -length);
	if (done)
		return done;
	if (length < 0)
		return length;
	return tt_device_gone(ts) ? -EBADFD : -EAGAIN;
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

int tt_recv_burst(struct turbotap_sock *ts, struct msghdr *m, int flags)
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
