// SPDX-License-Identifier: GPL-2.0
/*
 * A frame to a tap by tun's own sendmsg, and so by a copy: where an XDP program
 * must see it, where tun's NAPI instance is to coalesce it, or where the send
 * buffer has a limit. tun reports its errors.
 *
 * A queue without a virtio_net_hdr can't be told what a frame requests. So that
 * is done here: the checksum is completed, a GSO frame is segmented.
 */
#include <linux/mm.h>
#include <linux/net.h>
#include <linux/slab.h>
#include <linux/uio.h>
#include <linux/virtio_net.h>
#include <net/sock.h>

#include "crossing.h"
#include "internal.h"

bool tt_tun_decides(const struct tt_port *port, const struct net_device *dev)
{
	const struct sock *tun_sk = port->tun_sock->sk;

	/* Only IFF_NAPI gives a tap NAPI instances. */
	return sock_flag(tun_sk, SOCK_XDP) || !list_empty(&dev->napi_list) ||
	       READ_ONCE(tun_sk->sk_sndbuf) != INT_MAX;
}

static int send_bytes(struct tt_port *port, const void *header, void *bytes,
		      unsigned int length)
{
	struct kvec parts[2] = {
		{ .iov_base = (void *)header, .iov_len = port->vnet_hdr_size },
		{ .iov_base = bytes, .iov_len = length },
	};
	struct msghdr msg = { .msg_flags = MSG_DONTWAIT };
	struct kvec *first = header ? parts : parts + 1;
	size_t size = length + (header ? port->vnet_hdr_size : 0);
	int ret;

	iov_iter_kvec(&msg.msg_iter, ITER_SOURCE, first, header ? 2 : 1, size);
	ret = port->tun_sock->ops->sendmsg(port->tun_sock, &msg, size);
	return min(ret, 0);
}

/* tun reads one piece of memory. A frame in pieces is copied together first. */
static int send_frame(struct tt_port *port, const void *header,
		      struct sk_buff *skb)
{
	void *bytes;
	int err;

	if (!skb_is_nonlinear(skb))
		return send_bytes(port, header, skb->data, skb->len);
	bytes = kvmalloc(skb->len, GFP_KERNEL | __GFP_NOWARN);
	if (!bytes)
		return -ENOMEM;
	err = skb_copy_bits(skb, 0, bytes, skb->len);
	if (!err)
		err = send_bytes(port, header, bytes, skb->len);
	kvfree(bytes);
	return err;
}

static int send_described(struct tt_port *port, struct sk_buff *skb)
{
	u8 header[TT_MAX_HEADERS] = {};

	/* tt_queue_check() has bounded it. */
	if (WARN_ON_ONCE(port->vnet_hdr_size > sizeof(header)))
		return -EINVAL;
	if (!tt_frame_vnet(skb, (struct virtio_net_hdr *)header))
		return -EOPNOTSUPP;
	return send_frame(port, header, skb);
}

/* The first segment's error, if one fails. Frees the segments. */
static int send_segments(struct tt_port *port, struct sk_buff *segments)
{
	struct sk_buff *skb, *next;
	int err = 0;

	skb_list_walk_safe(segments, skb, next) {
		skb_mark_not_on_list(skb);
		err = err ?: send_frame(port, NULL, skb);
		consume_skb(skb);
	}
	return err;
}

static int send_plain(struct tt_port *port, struct sk_buff *skb)
{
	struct sk_buff *segments;

	if (skb_is_gso(skb)) {
		memset(skb->cb, 0, sizeof(skb->cb));
		tt_frame_set_headers(skb);
		segments = skb_gso_segment(skb, 0);
		if (IS_ERR(segments))
			return PTR_ERR(segments);
		if (segments)
			return send_segments(port, segments);
	}
	if (skb->ip_summed == CHECKSUM_PARTIAL && skb_checksum_help(skb))
		return -EINVAL;
	return send_frame(port, NULL, skb);
}

int tt_tun_send(struct tt_port *port, struct sk_buff *skb)
{
	int err = port->vnet_hdr_size ? send_described(port, skb) :
					send_plain(port, skb);

	consume_skb(skb);
	return err;
}
