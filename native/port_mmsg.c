/* SPDX-License-Identifier: Apache-2.0 */
/* Drivers `turbotap` (by mmsg) and `packet`: a system call a burst, on a socket, and a message a frame. */
#include <errno.h>
#include <linux/if_packet.h>
#include <string.h>

#include "flow.h"
#include "port_socket.h"

static_assert(CMSG_SPACE(sizeof(struct tpacket_auxdata)) <= sizeof(struct port_control), "auxdata fits");

static int receive(struct port_queue *queue, struct port_frame *frames, uint32_t count, uint64_t *calls,
		   int control)
{
	const uint32_t header = queue->header_bytes;
	struct port_scratch *scratch = queue->scratch;
	int got;

	socket_fill_rx(scratch, frames, count, header, control);
	++*calls;
	got = recvmmsg(queue->fd, scratch->rx_messages, count, MSG_DONTWAIT, NULL);
	if (got < 0)
		return -errno;
	for (int i = 0; i < got; i++)
		socket_received(&frames[i], scratch->rx_messages[i].msg_len, header,
				scratch->rx_messages[i].msg_hdr.msg_flags & MSG_TRUNC);
	return got;
}

static int mmsg_rx(struct port_queue *queue, struct port_frame *frames, uint32_t count, uint64_t *calls)
{
	return receive(queue, frames, count, calls, 0);
}

static int mmsg_tx(struct port_queue *queue, struct port_frame *frames, uint32_t count, uint64_t *calls)
{
	struct port_scratch *scratch = queue->scratch;
	int sent;

	socket_fill_tx(scratch, frames, count, queue->header_bytes);
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

		socket_offer_control(queue->scratch, (uint32_t)i,
				     1); /* for the next call; cmsg is found already */

		if (!cmsg || cmsg->cmsg_level != SOL_PACKET || cmsg->cmsg_type != PACKET_AUXDATA ||
		    frames[i].length == UINT32_MAX)
			continue;
		memcpy(&aux, CMSG_DATA(cmsg), sizeof(aux));
		if (aux.tp_status & TP_STATUS_VLAN_VALID)
			restore_vlan(&frames[i], &aux);
	}
	return got;
}

const struct port_driver port_driver_mmsg = { .rx = mmsg_rx, .tx = mmsg_tx };
const struct port_driver port_driver_packet = { .rx = packet_rx, .tx = mmsg_tx };
