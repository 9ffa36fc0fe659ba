// SPDX-License-Identifier: GPL-2.0
/*
 * A frame: taken from a tap's queue, described to user space, rewritten.
 *
 * A frame that the module holds refers to nothing but its own memory: no
 * device, socket, route, conntrack entry, namespace. Its data begins with its
 * Ethernet header, and its VLAN tag is in the data.
 */
#include <linux/etherdevice.h>
#include <linux/if_tun.h>
#include <linux/if_vlan.h>
#include <linux/virtio_byteorder.h>
#include <linux/virtio_net.h>
#include <net/xdp.h>

#include "crossing.h"

/*
 * What may leave a device for another namespace, and no more: as between the
 * ends of a veth. tun has orphaned the frame already; that isn't relied upon.
 */
static struct sk_buff *frame_detach(struct sk_buff *skb)
{
	skb = skb_share_check(skb, GFP_ATOMIC);
	if (unlikely(!skb))
		return NULL;
	if (unlikely(skb_orphan_frags_rx(skb, GFP_ATOMIC)))
		goto drop;
	skb_orphan(skb);
	if (skb_vlan_tag_present(skb)) {
		skb = __vlan_hwaccel_push_inside(skb);
		if (!skb)
			return NULL;
	}
	if (unlikely(!pskb_may_pull(skb, ETH_HLEN)))
		goto drop;
	skb_scrub_packet(skb, true);
	skb_reset_redirect(skb);
	skb->priority = 0;
	skb->dev = NULL;
	/* Of another device: a queue that this one may not have. */
	skb_set_queue_mapping(skb, 0);
	if (unlikely(skb->ip_summed == CHECKSUM_COMPLETE))
		skb->ip_summed = CHECKSUM_NONE;
	return skb;
drop:
	kfree_skb(skb);
	return NULL;
}

/* A copy: the memory of an XDP frame is a driver's, which would wait for it. */
static struct sk_buff *frame_of_xdp(struct xdp_frame *frame)
{
	struct sk_buff *skb = alloc_skb(NET_SKB_PAD + NET_IP_ALIGN + frame->len,
					GFP_ATOMIC | __GFP_NOWARN);

	if (skb) {
		skb_reserve(skb, NET_SKB_PAD + NET_IP_ALIGN);
		skb_put_data(skb, frame->data, frame->len);
	}
	xdp_return_frame(frame);
	return skb ? frame_detach(skb) : NULL;
}

struct sk_buff *tt_frame_take(void *ptr)
{
	return likely(!tun_is_xdp_frame(ptr)) ?
		frame_detach(ptr) : frame_of_xdp(tun_ptr_to_xdp(ptr));
}

unsigned int tt_frame_length(void *ptr)
{
	return likely(!tun_is_xdp_frame(ptr)) ?
		((struct sk_buff *)ptr)->len : tun_ptr_to_xdp(ptr)->len;
}

/* What it will occupy, or nearly so for an XDP frame. */
unsigned int tt_frame_truesize(void *ptr)
{
	return likely(!tun_is_xdp_frame(ptr)) ?
		((struct sk_buff *)ptr)->truesize :
		SKB_TRUESIZE(tun_ptr_to_xdp(ptr)->len);
}

/* A virtio_net_hdr has no word for the offloads of a tunnel. */
bool tt_frame_vnet(const struct sk_buff *skb, struct virtio_net_hdr *vnet)
{
	if (skb_is_gso(skb) && skb->encapsulation)
		return false;
	return !virtio_net_hdr_from_skb(skb, vnet,
					virtio_legacy_is_little_endian(), true,
					0);
}

void tt_frame_describe(struct turbotap_cell *cell, const struct sk_buff *skb,
		       unsigned int header_bytes)
{
	unsigned int bytes = min(skb->len, header_bytes);

	cell->length = skb->len;
	cell->header_bytes = bytes;
	cell->flags = 0;
	memset(cell->vnet, 0, sizeof(cell->vnet));
	if (skb_is_gso(skb) || skb->ip_summed != CHECKSUM_NONE) {
		struct virtio_net_hdr vnet;

		if (tt_frame_vnet(skb, &vnet))
			memcpy(cell->vnet, &vnet, sizeof(vnet));
		else
			cell->flags = TURBOTAP_CELL_NO_VNET;
	}
	if (likely(bytes <= skb_headlen(skb)))
		tt_copy_words(cell->headers, skb->data, bytes);
	else
		skb_copy_bits(skb, 0, cell->headers, bytes);
}

/*
 * User space wrote more than the addresses: forget what the kernel knows of the
 * frame, and apply what it requests as tun applies it to a frame from user
 * space. -EINVAL: the headers don't fit the request any more.
 */
static int frame_doubt(struct sk_buff *skb, const struct virtio_net_hdr *vnet)
{
	if (skb_unclone(skb, GFP_ATOMIC))
		return -ENOMEM;
	skb_clear_hash(skb);
	skb->encapsulation = 0;
	skb->csum_level = 0;
	skb->ip_summed = CHECKSUM_NONE;
	skb_gso_reset(skb);
	skb->protocol = 0;
	skb->network_header = 0;
	skb->transport_header = (typeof(skb->transport_header))~0U;
	return virtio_net_hdr_to_skb(skb, vnet,
				     virtio_legacy_is_little_endian());
}

int tt_frame_rewrite(struct sk_buff *skb, const void *headers,
		     unsigned int bytes)
{
	bool doubt = bytes > TURBOTAP_REWRITE_FREE;
	struct virtio_net_hdr vnet;

	if (bytes > TURBOTAP_CELL_HEADERS || bytes > skb->len)
		return -EINVAL;
	if (doubt && !tt_frame_vnet(skb, &vnet))
		return -EOPNOTSUPP;
	if (skb_ensure_writable(skb, bytes))
		return -ENOMEM;
	tt_copy_words(skb->data, headers, bytes);
	return doubt ? frame_doubt(skb, &vnet) : 0;
}

/* For a frame that is to be transmitted or segmented: find its headers. */
void tt_frame_set_headers(struct sk_buff *skb)
{
	int depth = ETH_HLEN;

	skb_reset_mac_header(skb);
	skb->protocol = eth_hdr(skb)->h_proto;
	if (eth_type_vlan(skb->protocol) &&
	    !__vlan_get_protocol(skb, skb->protocol, &depth))
		depth = ETH_HLEN;
	skb_set_network_header(skb, depth);
	skb->mac_len = ETH_HLEN;
	skb_probe_transport_header(skb);
}
