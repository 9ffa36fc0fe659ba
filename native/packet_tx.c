/* SPDX-License-Identifier: Apache-2.0 */
#include "packet_tx.h"

#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "atomic.h"
#include "ethernet.h"
#include "vnet_hdr.h"
#include "packet_slot.h"

#define RING_BYTES ((size_t)TTF_PACKET_TX_SLOTS * TTF_PACKET_SLOT_BYTES)
/* Where the kernel looks for the frame, or rather for its offload header (tpacket_parse_header()). */
#define DATA_AT (TPACKET2_HDRLEN - sizeof(struct sockaddr_ll))
#define ROOM_BYTES (TTF_PACKET_SLOT_BYTES - DATA_AT - TTF_VNET_HDR_BYTES)
#define UNSENT (TP_STATUS_SEND_REQUEST | TP_STATUS_WRONG_FORMAT)

static_assert((TTF_PACKET_TX_SLOTS & (TTF_PACKET_TX_SLOTS - 1)) == 0, "slots are a power of two");
static_assert(RING_BYTES % TTF_PACKET_BLOCK_BYTES == 0, "and blocks are whole");

struct packet_tx {
	uint8_t *slots;
	int fd;
	int ifindex;
	uint32_t mtu;
	uint32_t next; /* the slot that the kernel looks at next */
	int known;     /* if that is known */
};

static struct tpacket2_hdr *slot_at(const struct packet_tx *sender, uint32_t index)
{
	return packet_slot(sender->slots, TTF_PACKET_TX_SLOTS, index);
}

static int flush(const struct packet_tx *sender, uint64_t *calls)
{
	++*calls;
	return send(sender->fd, NULL, 0, MSG_DONTWAIT) < 0 ? -errno : 0;
}

/*
 * The kernel doesn't say where in the ring it is, and whoever wrote before us may have been killed anywhere.
 * But it sends nothing from a slot that makes no sense, shorter than an offload header: it marks it, and
 * stays there. Not found while that slot's frame is still with the device, or while that is down.
 */
static void find_next(struct packet_tx *sender, uint64_t *calls)
{
	for (uint32_t i = 0; i < TTF_PACKET_TX_SLOTS; i++) {
		struct tpacket2_hdr *slot = slot_at(sender, i);

		if (packet_slot_status(slot) == TP_STATUS_SENDING)
			continue;
		slot->tp_len = 0;
		store_release(&slot->tp_status, TP_STATUS_SEND_REQUEST);
	}
	flush(sender, calls);
	for (uint32_t i = 0; i < TTF_PACKET_TX_SLOTS; i++) {
		struct tpacket2_hdr *slot = slot_at(sender, i);
		uint32_t status = packet_slot_status(slot);

		if (status & TP_STATUS_WRONG_FORMAT) {
			sender->next = i;
			sender->known = 1;
		}
		if (status & UNSENT)
			store_release(&slot->tp_status, TP_STATUS_AVAILABLE);
	}
}

struct packet_tx *ttf_packet_tx_open(int fd)
{
	struct packet_tx *sender = calloc(1, sizeof(*sender));
	struct sockaddr_ll bound;
	socklen_t bytes = sizeof(bound);
	uint64_t calls = 0;

	if (!sender)
		return NULL;
	sender->fd = fd;
	sender->slots = MAP_FAILED;
	if (getsockname(fd, (struct sockaddr *)&bound, &bytes) == 0)
		sender->slots = mmap(NULL, RING_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (sender->slots == MAP_FAILED) {
		free(sender);
		return NULL;
	}
	sender->ifindex = bound.sll_ifindex;
	ttf_packet_tx_refresh(sender);
	find_next(sender, &calls);
	return sender;
}

void ttf_packet_tx_close(struct packet_tx *sender)
{
	munmap(sender->slots, RING_BYTES);
	free(sender);
}

void ttf_packet_tx_refresh(struct packet_tx *sender)
{
	struct ifreq request = { .ifr_ifindex = sender->ifindex };

	sender->mtu = 0;
	if (ioctl(sender->fd, SIOCGIFNAME, &request) == 0 && ioctl(sender->fd, SIOCGIFMTU, &request) == 0)
		sender->mtu = (uint32_t)request.ifr_mtu;
}

int ttf_packet_tx_ready(struct packet_tx *sender, uint64_t *calls)
{
	if (!sender->known)
		find_next(sender, calls);
	return sender->known && packet_slot_status(slot_at(sender, sender->next)) == TP_STATUS_AVAILABLE;
}

int ttf_packet_tx_takes(const struct packet_tx *sender, const struct ttf_frame *frame)
{
	/* With offload headers the kernel doesn't look at the MTU here; where it does, it says so. */
	return !frame->offload && frame->length >= TTF_ETH_HLEN && frame->length <= ROOM_BYTES &&
	       !ttf_eth_oversize(frame->eth, frame->length, sender->mtu);
}

static void fill(struct tpacket2_hdr *slot, const struct ttf_frame *frame)
{
	/* All of the frame counts as headers: those are copied, and the rest is lent by the page to the
	 * receiver, which, if it is a veth, would allocate pages to copy it into. */
	const struct vnet_hdr header = { .hdr_len = (uint16_t)frame->length };
	uint8_t *data = (uint8_t *)slot + DATA_AT;

	memcpy(data, &header, sizeof(header));
	memcpy(data + sizeof(header), frame->eth, frame->length);
	slot->tp_len = frame->length + (uint32_t)sizeof(header);
	store_release(&slot->tp_status, TP_STATUS_SEND_REQUEST);
}

int ttf_packet_tx_send(struct packet_tx *sender, const struct ttf_frame *frames, uint32_t count,
		       uint64_t *calls)
{
	uint32_t n = 0, sent;
	int error;

	while (n < count && ttf_packet_tx_takes(sender, &frames[n])) {
		struct tpacket2_hdr *slot = slot_at(sender, sender->next + n);

		if (packet_slot_status(slot) != TP_STATUS_AVAILABLE)
			break;
		fill(slot, &frames[n++]);
	}
	error = flush(sender, calls);
	/* Whatever it says of: an error is that of one frame, and those before it are sent. */
	for (sent = n; sent; sent--) {
		struct tpacket2_hdr *slot = slot_at(sender, sender->next + sent - 1);

		if (!(packet_slot_status(slot) & UNSENT))
			break;
		store_release(&slot->tp_status, TP_STATUS_AVAILABLE);
	}
	sender->next += sent;
	if (!sent && !error)
		sender->known = 0;
	return sent ? (int)sent : error;
}
