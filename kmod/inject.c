// SPDX-License-Identifier: GPL-2.0
/*
 * The batch: up to TT_MAX_BATCH frames that one call injects, by tun's
 * TUN_MSG_PTR, which vhost-net uses too.
 *
 * TUN_MSG_PTR checks less than tun's ordinary sendmsg. It reports no error of a
 * single frame, doesn't check that the device is up, and charges no send
 * buffer. So a batch takes only frames that would pass those checks. The others
 * are sent one by one, and tun reports their errors.
 *
 * Frames wait for one to two jiffies at most: a timer injects a batch that no
 * call has injected by then.
 */
#include <linux/etherdevice.h>
#include <linux/if_tun.h>
#include <linux/ip.h>
#include <linux/poll.h>
#include <linux/sizes.h>
#include <linux/skbuff.h>
#include <linux/virtio_byteorder.h>

#include "events.h"
#include "internal.h"

#define TT_LATE_JIFFIES	1

/* The least memory that a frame needs besides its bytes. */
#define TT_OVERHEAD	(SKB_DATA_ALIGN(sizeof(struct skb_shared_info)) + \
			 NET_SKB_PAD + NET_IP_ALIGN)

static bool device_takes_frames(const struct turbotap_sock *ts)
{
	return vfs_poll(ts->tun_file, NULL) & EPOLLOUT;
}

/*
 * Is tun sure to accept this header? One that it might refuse must take the
 * ordinary sendmsg, which reports the error. Two kinds are safe:
 *
 *	no offload
 *	a checksum within the frame, which starts behind an Ethernet and an IPv4
 *	header; only on kernels where all headers are little-endian, with and
 *	without TUNSETVNETLE
 */
static bool header_is_safe(const struct virtio_net_hdr *header, size_t length)
{
	unsigned int start, end;

	if (header->gso_type != VIRTIO_NET_HDR_GSO_NONE)
		return false;
	if (!(header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM))
		return !header->hdr_len;
	if (!virtio_legacy_is_little_endian() ||
	    IS_ENABLED(CONFIG_TUN_VNET_CROSS_LE))
		return false;
	start = __virtio16_to_cpu(true, header->csum_start);
	end = start + __virtio16_to_cpu(true, header->csum_offset) + 2;
	return start >= ETH_HLEN + sizeof(struct iphdr) && end <= length &&
	       __virtio16_to_cpu(true, header->hdr_len) <= length;
}

/*
 * Begin a batch. -EOPNOTSUPP if frames must go one by one: tun charges a send
 * buffer that has a limit, and reports a device that is down.
 */
static int batch_begin(struct turbotap_sock *ts)
{
	const struct sock *tun_sk = ts->tun_sock->sk;
	struct tt_batch *batch = &ts->batch;

	if (!ts->framing_declared || READ_ONCE(tun_sk->sk_sndbuf) != INT_MAX ||
	    !device_takes_frames(ts))
		return -EOPNOTSUPP;
	batch->pad = NET_SKB_PAD + NET_IP_ALIGN;
	if (sock_flag(tun_sk, SOCK_XDP))
		batch->pad += XDP_PACKET_HEADROOM;
	batch->since = jiffies;
	if (!delayed_work_pending(&ts->late))
		schedule_delayed_work(&ts->late, TT_LATE_JIFFIES);
	return 0;
}

/* Copy the header in front of a frame, and move `from` on to the frame. */
static int copy_header(const struct turbotap_sock *ts,
		       struct virtio_net_hdr *header, size_t length,
		       struct iov_iter *from)
{
	struct iov_iter iter = *from;

	if (!ts->vnet_hdr_size) {
		memset(header, 0, sizeof(*header));
		return 0;
	}
	if (!copy_from_iter_full(header, sizeof(*header), &iter))
		return -EFAULT;
	if (!header_is_safe(header, length))
		return -EOPNOTSUPP;
	iov_iter_advance(from, ts->vnet_hdr_size);
	return 0;
}

/* A chunk with room for a frame. Injects the batch if it fills all chunks. */
static struct tt_chunk *chunk_for(struct turbotap_sock *ts, unsigned int bytes)
{
	struct tt_chunk *chunk = tt_chunk_get(&ts->batch.pool, bytes);

	if (chunk || !ts->batch.count)
		return chunk;
	if (tt_batch_flush(ts) || batch_begin(ts))
		return NULL;
	return tt_chunk_get(&ts->batch.pool, bytes);
}

int tt_batch_add(struct turbotap_sock *ts, struct iov_iter *from)
{
	size_t length = iov_iter_count(from);
	struct tt_batch *batch = &ts->batch;
	struct tt_chunk *chunk;
	struct xdp_buff *xdp;
	size_t bytes;
	void *buffer;
	int err;

	if (length > ts->vnet_hdr_size + PAGE_SIZE - TT_OVERHEAD)
		return -EOPNOTSUPP;
	if (!batch->count) {
		err = batch_begin(ts);
		if (err)
			return err;
	}
	if (length < ts->vnet_hdr_size + ETH_HLEN)
		return -EINVAL;
	length -= ts->vnet_hdr_size;
	bytes = SKB_DATA_ALIGN(batch->pad + length) +
		SKB_DATA_ALIGN(sizeof(struct skb_shared_info));
	if (bytes > PAGE_SIZE)
		return -EOPNOTSUPP;
	chunk = chunk_for(ts, bytes);
	if (!chunk)
		return -EOPNOTSUPP;
	buffer = page_address(chunk->page) + chunk->used;
	err = copy_header(ts, tt_buffer_init(buffer, bytes), length,
			  from);
	if (err)
		return err;
	/* As copy_page_from_iter() does: pages need no usercopy check. */
	if (_copy_from_iter(buffer + batch->pad, length, from) != length)
		return -EFAULT;

	xdp = &batch->xdp[batch->count++];
	xdp_init_buff(xdp, bytes, NULL);
	xdp_prepare_buff(xdp, buffer, batch->pad, length, true);
	chunk->used += bytes;
	chunk->frames++;
	return batch->count == TT_MAX_BATCH ? tt_batch_flush_own(ts, 1) : 0;
}

static int batch_inject(struct turbotap_sock *ts)
{
	struct tun_msg_ctl ctl = {
		.type = TUN_MSG_PTR,
		.num = ts->batch.count,
		.ptr = ts->batch.xdp,
	};
	struct msghdr msg = {
		.msg_control = &ctl,
		.msg_controllen = sizeof(ctl),
	};
	int err;

	/* On success the stack owns all references, on error none. */
	tt_chunks_hold(&ts->batch.pool);
	err = ts->tun_sock->ops->sendmsg(ts->tun_sock, &msg, 0);
	if (err < 0)
		tt_chunks_unhold(&ts->batch.pool);
	return min(err, 0);
}

static void batch_end(struct turbotap_sock *ts, int err)
{
	unsigned int count = ts->batch.count;

	if (err) {
		trace_turbotap_drop(&ts->sk, count, err);
		ts->tx.dropped += count;
	} else {
		trace_turbotap_flush(&ts->sk, count);
		ts->tx.frames += count;
		ts->tx.batched += count;
		ts->tx.batches++;
	}
	ts->batch.count = 0;
	tt_chunks_settle(&ts->batch.pool);
}

int tt_batch_flush(struct turbotap_sock *ts)
{
	int err;

	if (!ts->batch.count)
		return 0;
	err = batch_inject(ts);
	batch_end(ts, err);
	return err;
}

int tt_batch_flush_own(struct turbotap_sock *ts, unsigned int own)
{
	int err = tt_batch_flush(ts);

	if (err)
		ts->tx.dropped -= own;
	return err;
}

/* Inject a batch that was left waiting, unless the device has gone down. */
static void flush_late(struct turbotap_sock *ts)
{
	if (!ts->batch.count)
		return;
	trace_turbotap_late_flush(&ts->sk, ts->batch.count);
	ts->tx.late_batches++;
	batch_end(ts, device_takes_frames(ts) ? batch_inject(ts) : -EIO);
}

static void late_work(struct work_struct *work)
{
	struct turbotap_sock *ts = container_of(to_delayed_work(work),
						struct turbotap_sock, late);

	/*
	 * Don't wait for the lock: a page fault of its holder may last as long
	 * as user space likes. Leave a batch younger than one jiffy: its call
	 * may still be under way.
	 */
	if (mutex_trylock(&ts->tx_lock)) {
		if (time_after(jiffies, ts->batch.since))
			flush_late(ts);
		if (!ts->batch.count) {
			mutex_unlock(&ts->tx_lock);
			return;
		}
		mutex_unlock(&ts->tx_lock);
	}
	schedule_delayed_work(&ts->late, TT_LATE_JIFFIES);
}

void tt_batch_init(struct turbotap_sock *ts)
{
	ts->batch.pool.order = get_order(SZ_32K);
	INIT_DELAYED_WORK(&ts->late, late_work);
}

/* No call may be under way: the last fd must be closed. */
void tt_batch_exit(struct turbotap_sock *ts)
{
	cancel_delayed_work_sync(&ts->late);
	mutex_lock(&ts->tx_lock);
	flush_late(ts);
	tt_chunks_free(&ts->batch.pool);
	tt_chunks_free(&ts->large.pool);
	mutex_unlock(&ts->tx_lock);
}
