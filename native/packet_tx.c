/* SPDX-License-Identifier: Apache-2.0 */
#include "packet_tx.h"

#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "ethernet.h"
#include "packet_ring.h"
#include "vnet_hdr.h"

#define RING_BYTES ((size_t)TTF_PACKET_TX_SLOTS * TTF_PACKET_SLOT_BYTES)
/* Where the kernel expects the offload header, with the frame behind it (tpacket_parse_header()). */
#define DATA_AT (TPACKET2_HDRLEN - sizeof(struct sockaddr_ll))
#define ROOM_BYTES (TTF_PACKET_SLOT_BYTES - DATA_AT - TTF_VNET_HDR_BYTES)
#define UNSENT (TP_STATUS_SEND_REQUEST | TP_STATUS_WRONG_FORMAT)

struct packet_tx {
	uint8_t *slots;
	int fd;
	int ifindex;
	uint32_t next; /* the slot that the kernel looks at next, if known */
	bool known;
};

static struct tpacket2_hdr *packet_tx_slot(const struct packet_tx *tx, uint32_t index)
{
	return packet_slot(tx->slots, TTF_PACKET_TX_SLOTS, index);
}

static int packet_tx_flush(const struct packet_tx *tx, uint64_t *calls)
{
	++*calls;
	return send(tx->fd, NULL, 0, MSG_DONTWAIT) < 0 ? -errno : 0;
}

/*
 * The kernel doesn't tell its position in the ring, and the previous worker may have been killed anywhere.
 * But the kernel marks a malformed slot (shorter than an offload header) WRONG_FORMAT and does not advance;
 * that reveals its position. Not found while the device still holds that slot's frame, or is down.
 */
static void packet_tx_find_next(struct packet_tx *tx, uint64_t *calls)
{
	for (uint32_t i = 0; i < TTF_PACKET_TX_SLOTS; i++) {
		struct tpacket2_hdr *slot = packet_tx_slot(tx, i);

		if (packet_slot_status(slot) == TP_STATUS_SENDING)
			continue;
		slot->tp_len = 0;
		store_release(&slot->tp_status, TP_STATUS_SEND_REQUEST);
	}
	packet_tx_flush(tx, calls);
	for (uint32_t i = 0; i < TTF_PACKET_TX_SLOTS; i++) {
		struct tpacket2_hdr *slot = packet_tx_slot(tx, i);
		uint32_t status = packet_slot_status(slot);

		if (status & TP_STATUS_WRONG_FORMAT) {
			tx->next = i;
			tx->known = true;
		}
		if (status & UNSENT)
			store_release(&slot->tp_status, TP_STATUS_AVAILABLE);
	}
}

struct packet_tx *ttf_packet_tx_open(int fd)
{
	struct packet_tx *tx = calloc(1, sizeof(*tx));
	struct sockaddr_ll bound;
	socklen_t bytes = sizeof(bound);
	uint64_t calls = 0;

	if (!tx)
		return NULL;
	tx->fd = fd;
	tx->slots = MAP_FAILED;
	if (getsockname(fd, (struct sockaddr *)&bound, &bytes) == 0)
		tx->slots = mmap(NULL, RING_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (tx->slots == MAP_FAILED) {
		free(tx);
		return NULL;
	}
	tx->ifindex = bound.sll_ifindex;
	packet_tx_find_next(tx, &calls);
	return tx;
}

void ttf_packet_tx_close(struct packet_tx *tx)
{
	munmap(tx->slots, RING_BYTES);
	free(tx);
}

bool ttf_packet_tx_ready(struct packet_tx *tx, uint64_t *calls)
{
	if (!tx->known)
		packet_tx_find_next(tx, calls);
	return tx->known && packet_slot_status(packet_tx_slot(tx, tx->next)) == TP_STATUS_AVAILABLE;
}

bool ttf_packet_tx_has_carrier(const struct packet_tx *tx)
{
	struct ifreq request = { .ifr_ifindex = tx->ifindex };

	return ioctl(tx->fd, SIOCGIFNAME, &request) < 0 || ioctl(tx->fd, SIOCGIFFLAGS, &request) < 0 ||
	       request.ifr_flags & IFF_RUNNING;
}

/*
 * sendmmsg() counts VLAN tags towards the MTU: it allows the bytes of one tag more, and only if that one is
 * of type 0x8100 (packet_snd()). It checks no GSO frame.
 */
static bool packet_tx_mmsg_may_refuse(const struct ttf_frame *frame)
{
	uint32_t ethertype, tags = ttf_eth_payload(frame->eth, frame->length, &ethertype) - TTF_ETH_HLEN;

	return (tags > TTF_VLAN_HLEN || (tags && load_be16(frame->eth + 12) != ETHERTYPE_VLAN)) &&
	       !(frame->offload && vnet_hdr_read(frame->eth).gso_type);
}

static bool packet_tx_fits(const struct ttf_frame *frame)
{
	return frame->length >= TTF_ETH_HLEN && frame->length <= ROOM_BYTES;
}

bool ttf_packet_tx_takes(const struct ttf_frame *frame)
{
	return packet_tx_fits(frame) && (!frame->offload || packet_tx_mmsg_may_refuse(frame));
}

bool ttf_packet_tx_alone_takes(const struct ttf_frame *frame)
{
	return packet_tx_fits(frame) && packet_tx_mmsg_may_refuse(frame);
}

static void packet_tx_fill(struct tpacket2_hdr *slot, const struct ttf_frame *frame)
{
	/*
	 * hdr_len covers the frame, so the kernel copies it instead of attaching ring pages. A veth would
	 * allocate pages and copy those again.
	 */
	struct vnet_hdr header = { 0 };
	uint8_t *data = (uint8_t *)slot + DATA_AT;

	if (frame->offload)
		header = vnet_hdr_read(frame->eth);
	header.hdr_len = (uint16_t)frame->length;

	memcpy(data, &header, sizeof(header));
	memcpy(data + sizeof(header), frame->eth, frame->length);
	slot->tp_len = frame->length + (uint32_t)sizeof(header);
	store_release(&slot->tp_status, TP_STATUS_SEND_REQUEST);
}

int ttf_packet_tx_send(struct packet_tx *tx, const struct ttf_frame *frames, uint32_t count, uint64_t *calls)
{
	uint32_t n = 0, sent;
	int error;

	while (n < count && ttf_packet_tx_takes(&frames[n])) {
		struct tpacket2_hdr *slot = packet_tx_slot(tx, tx->next + n);

		if (packet_slot_status(slot) != TP_STATUS_AVAILABLE)
			break;
		packet_tx_fill(slot, &frames[n++]);
	}
	error = packet_tx_flush(tx, calls);
	/* An error concerns one frame: earlier ones were sent. Take back that one and those behind it. */
	for (sent = n; sent; sent--) {
		struct tpacket2_hdr *slot = packet_tx_slot(tx, tx->next + sent - 1);

		if (!(packet_slot_status(slot) & UNSENT))
			break;
		store_release(&slot->tp_status, TP_STATUS_AVAILABLE);
	}
	tx->next += sent;
	if (!sent && !error)
		tx->known = false;
	return sent ? (int)sent : error;
}
