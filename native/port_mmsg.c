/* SPDX-License-Identifier: Apache-2.0 */
/* Drivers `turbotap` and `packet`: a system call a burst, on a socket. */
#include <errno.h>
#include <linux/if_packet.h>
#include <string.h>

#include "flow.h"
#include "offload.h"
#include "port.h"

static_assert(CMSG_SPACE(sizeof(struct tpacket_auxdata)) <= sizeof(struct port_control), "auxdata fits");

void port_scratch_init(struct port_scratch *scratch)
{
	/* Never any control data on the way out: tun's own sendmsg takes it for a kernel pointer. */
	for (uint32_t i = 0; i < TTF_MAX_BATCH; i++) {
		scratch->rx_messages[i].msg_hdr =
			(struct msghdr){ .msg_iov = &scratch->rx_vectors[i], .msg_iovlen = 1 };
		scratch->tx_messages[i].msg_hdr =
			(struct msghdr){ .msg_iov = &scratch->tx_vectors[i], .msg_iovlen = 1 };
	}
	scratch->rx_filled = 0;
}

/* The kernel tells how much control data there was in the field that said how much there may be. */
static inline void offer_control(struct port_scratch *scratch, uint32_t i, int control)
{
	struct msghdr *header = &scratch->rx_messages[i].msg_hdr;

	header->msg_control = control ? scratch->controls[i].bytes : NULL;
	header->msg_controllen = control ? sizeof(scratch->controls[i].bytes) : 0;
}

static void fill_rx(struct port_scratch *scratch, const struct port_frame *frames, uint32_t count,
		    uint32_t header_bytes, int control)
{
	for (uint32_t i = 0; i < count; i++) {
		scratch->rx_vectors[i] = (struct iovec){ .iov_base = frames[i].eth - header_bytes,
							 .iov_len = TTF_FRAME_MAX_BYTES + header_bytes };
		offer_control(scratch, i, control);
	}
	scratch->rx_filled = count;
	scratch->rx_header_bytes = header_bytes;
	scratch->rx_control = (uint32_t)control;
}

static int receive(struct port_queue *queue, struct port_frame *frames, uint32_t count, uint64_t *calls,
		   int control)
{
	const uint32_t header = queue->header_bytes;
	struct port_scratch *scratch = queue->scratch;
	int got;

	if (scratch->rx_filled < count || scratch->rx_header_bytes != header ||
	    scratch->rx_control != (uint32_t)control)
		fill_rx(scratch, frames, count, header, control);
	++*calls;
	got = recvmmsg(queue->fd, scratch->rx_messages, count, MSG_DONTWAIT, NULL);
	if (got < 0)
		return -errno;
	for (int i = 0; i < got; i++) {
		uint32_t length = scratch->rx_messages[i].msg_len;

		if (scratch->rx_messages[i].msg_hdr.msg_flags & MSG_TRUNC)
			frames[i].length = UINT32_MAX;
		else
			frames[i].length = length > header ? length - header : 0;
		frames[i].offload = header && offload_asks(frames[i].eth);
	}
	return got;
}

static int mmsg_rx(struct port_queue *queue, struct port_frame *frames, uint32_t count, uint64_t *calls)
{
	return receive(queue, frames, count, calls, 0);
}

static int mmsg_tx(struct port_queue *queue, const struct port_frame *frames, uint32_t count, uint64_t *calls)
{
	const uint32_t header = queue->header_bytes;
	struct port_scratch *scratch = queue->scratch;
	int sent;

	for (uint32_t i = 0; i < count; i++)
		scratch->tx_vectors[i] = (struct iovec){ .iov_base = frames[i].eth - header,
							 .iov_len = frames[i].length + header };
	++*calls;
	sent = sendmmsg(queue->fd, scratch->tx_messages, count, MSG_DONTWAIT);
	return sent < 0 ? -errno : sent;
}

/*
 * The kernel takes the outer VLAN tag out of a frame before packet sockets see it
 * (__netif_receive_skb_core()) and tells it as auxiliary data: put it back where it was.
 */
static void restore_vlan(struct port_frame *frame, const struct tpacket_auxdata *aux)
{
	uint32_t tpid = aux->tp_status & TP_STATUS_VLAN_TPID_VALID ? aux->tp_vlan_tpid : 0x8100;
	uint8_t *tag = frame->eth + 12;

	if (frame->length < TTF_ETH_HLEN)
		return; /* a runt, and dropped as one */
	if (frame->length > TTF_FRAME_MAX_BYTES - TTF_VLAN_HLEN) {
		frame->length = UINT32_MAX;
		return;
	}
	memmove(tag + TTF_VLAN_HLEN, tag, frame->length - 12);
	tag[0] = (uint8_t)(tpid >> 8);
	tag[1] = (uint8_t)tpid;
	tag[2] = (uint8_t)(aux->tp_vlan_tci >> 8);
	tag[3] = (uint8_t)aux->tp_vlan_tci;
	frame->length += TTF_VLAN_HLEN;
	if (!frame->offload)
		return;
	struct offload_header offload = offload_of(frame->eth);

	if (offload.flags & OFFLOAD_NEEDS_CSUM)
		offload.csum_start += TTF_VLAN_HLEN;
	if (offload.gso_type)
		offload.hdr_len += TTF_VLAN_HLEN;
	memcpy(frame->eth - TTF_VNET_HDR_BYTES, &offload, sizeof(offload));
}

static int packet_rx(struct port_queue *queue, struct port_frame *frames, uint32_t count, uint64_t *calls)
{
	int got = receive(queue, frames, count, calls, 1);

	for (int i = 0; i < got; i++) {
		const struct cmsghdr *cmsg = CMSG_FIRSTHDR(&queue->scratch->rx_messages[i].msg_hdr);
		struct tpacket_auxdata aux;

		offer_control(queue->scratch, (uint32_t)i, 1); /* for the next call; cmsg is found already */

		if (!cmsg || cmsg->cmsg_level != SOL_PACKET || cmsg->cmsg_type != PACKET_AUXDATA ||
		    frames[i].length == UINT32_MAX)
			continue;
		memcpy(&aux, CMSG_DATA(cmsg), sizeof(aux));
		if (aux.tp_status & TP_STATUS_VLAN_VALID)
			restore_vlan(&frames[i], &aux);
	}
	return got;
}

const struct port_driver port_driver_mmsg = { mmsg_rx, mmsg_tx };
const struct port_driver port_driver_packet = { packet_rx, mmsg_tx };
