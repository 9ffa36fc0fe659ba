/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Driver `packet`: AF_PACKET. Frames come through a ring that the kernel fills and this process reads,
 * without a system call. They leave by another (packet_tx.c), or, if they are long or ask for something,
 * by sendmmsg(): either way a system call a burst.
 *
 * A frame that is longer than a slot (a segment, a jumbo frame) waits whole in the socket's own queue, and
 * its slot stands for it (PACKET_COPY_THRESH, TP_STATUS_COPY): recvmsg() gets it when its turn comes.
 *
 * The socket outlives the worker, and the kernel goes on filling the ring behind it. Where to go on is kept
 * in the ring itself, with what it takes to follow a reader that was killed in between: see resume().
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "atomic.h"
#include "ethernet.h"
#include "packet_tx.h"
#include "packet_slot.h"
#include "socket_batch.h"
#include "prefetch.h"

#define RING_BYTES ((size_t)TTF_PACKET_SLOTS * TTF_PACKET_SLOT_BYTES)
#define MACS_BYTES 12u /* a VLAN tag comes behind the two addresses */
#define COMPARED_BYTES 64u
/* In the reserve of the first slot, a line of its own. */
#define CURSOR_AT TTF_CACHE_LINE

/* For whoever reads after us. */
struct cursor {
	uint32_t next;	    /* the slot that comes next */
	uint32_t releasing; /* the one after it, while it is being given back; else the same */
};

static_assert(CURSOR_AT >= TPACKET2_HDRLEN, "behind what the kernel says of the frame");
static_assert(CURSOR_AT + sizeof(struct cursor) <= TPACKET2_HDRLEN + TTF_PACKET_RESERVE_BYTES,
	      "and in the reserve");
static_assert((TTF_PACKET_SLOTS & (TTF_PACKET_SLOTS - 1)) == 0, "slots are a power of two");
static_assert(RING_BYTES % TTF_PACKET_BLOCK_BYTES == 0, "and blocks are whole");

struct packet_ring {
	uint8_t *slots;
	struct cursor *cursor;
	struct packet_tx *sender; /* NULL where nothing is to be sent */
	uint32_t next;
	uint64_t drops; /* frames that the kernel had a slot for but no room */
};

static struct tpacket2_hdr *slot_at(const struct packet_ring *ring, uint32_t index)
{
	return packet_slot(ring->slots, TTF_PACKET_SLOTS, index);
}

static uint32_t after(uint32_t index)
{
	return (index + 1) & (TTF_PACKET_SLOTS - 1);
}

static void move_on(struct packet_ring *ring)
{
	ring->next = after(ring->next);
	store_release(&ring->cursor->next, ring->next);
}

static void release(struct packet_ring *ring, struct tpacket2_hdr *slot)
{
	/* The kernel takes the mark away when it fills the slot again. */
	slot->tp_padding[0] = 1;
	store_release(&ring->cursor->releasing, after(ring->next));
	store_release(&slot->tp_status, TP_STATUS_KERNEL);
	/* Behind it, never ahead: a slot that nobody gives back would be the end of the ring. */
	move_on(ring);
}

/* That a device went down stays with the socket until somebody is told. */
static void clear_error(int fd)
{
	int error;
	socklen_t bytes = sizeof(error);

	getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &bytes);
}

/* Is what waits in the socket's queue what this slot stands for? Both hold how the frame begins. */
static int stands_for_next(const struct ttf_queue *queue, const struct tpacket2_hdr *slot)
{
	uint8_t begins[TTF_VNET_HDR_BYTES + COMPARED_BYTES];
	const uint32_t bytes = queue->header_bytes + COMPARED_BYTES;

	return recv(queue->fd, begins, bytes, MSG_PEEK | MSG_DONTWAIT) == (ssize_t)bytes &&
	       !memcmp(begins + queue->header_bytes, (const uint8_t *)slot + slot->tp_mac, COMPARED_BYTES);
}

/*
 * Go on where somebody stopped who may have been killed: between giving a slot back and moving the cursor
 * (the kernel may have filled the slot again since), or between taking a frame from the socket's queue and
 * giving back its slot.
 */
static void resume(struct ttf_queue *queue)
{
	struct packet_ring *ring = queue->ring;
	struct tpacket2_hdr *slot = slot_at(ring, ring->next);
	uint32_t status = packet_slot_status(slot);

	if ((load_relaxed(&ring->cursor->releasing) & (TTF_PACKET_SLOTS - 1)) == after(ring->next) &&
	    (!(status & TP_STATUS_USER) || !slot->tp_padding[0])) {
		move_on(ring);
		slot = slot_at(ring, ring->next);
		status = packet_slot_status(slot);
	}
	clear_error(queue->fd);
	if (status & TP_STATUS_USER && status & TP_STATUS_COPY && !stands_for_next(queue, slot))
		release(ring, slot);
}

static int map_rings(struct ttf_queue *queue, struct packet_ring *ring)
{
	if (queue->plain_fd >= 0) {
		ring->sender = ttf_packet_tx_open(queue->plain_fd);
		if (!ring->sender)
			return -errno;
	}
	ring->slots = mmap(NULL, RING_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, queue->fd, 0);
	if (ring->slots == MAP_FAILED) {
		int error = -errno;

		if (ring->sender)
			ttf_packet_tx_close(ring->sender);
		return error;
	}
	return 0;
}

static int packet_open(struct ttf_queue *queue)
{
	struct packet_ring *ring = calloc(1, sizeof(*ring));
	int error;

	if (!ring)
		return -ENOMEM;
	error = map_rings(queue, ring);
	if (error) {
		free(ring);
		return error;
	}
	ring->cursor = (struct cursor *)(void *)(ring->slots + CURSOR_AT);
	ring->next = load_relaxed(&ring->cursor->next) & (TTF_PACKET_SLOTS - 1);
	queue->ring = ring;
	resume(queue);
	return 0;
}

static void packet_close(struct ttf_queue *queue)
{
	if (queue->ring->sender)
		ttf_packet_tx_close(queue->ring->sender);
	munmap(queue->ring->slots, RING_BYTES);
	free(queue->ring);
	queue->ring = NULL;
}

static uint32_t vlan_bytes(const struct tpacket2_hdr *slot)
{
	return slot->tp_status & TP_STATUS_VLAN_VALID && slot->tp_snaplen >= TTF_ETH_HLEN ? TTF_VLAN_HLEN : 0;
}

/*
 * The kernel takes the outer VLAN tag out of a frame before packet sockets see it
 * (__netif_receive_skb_core()) and tells it beside the frame: put it into the gap that was left for it.
 */
static void restore_vlan(struct ttf_frame *frame, const struct tpacket2_hdr *slot)
{
	uint32_t tpid = slot->tp_status & TP_STATUS_VLAN_TPID_VALID ? slot->tp_vlan_tpid : 0x8100;
	uint8_t *tag = frame->eth + MACS_BYTES;

	tag[0] = (uint8_t)(tpid >> 8);
	tag[1] = (uint8_t)tpid;
	tag[2] = (uint8_t)(slot->tp_vlan_tci >> 8);
	tag[3] = (uint8_t)slot->tp_vlan_tci;
	if (!frame->offload)
		return;
	struct vnet_hdr offload = vnet_hdr_read(frame->eth);

	if (offload.flags & OFFLOAD_NEEDS_CSUM)
		offload.csum_start += TTF_VLAN_HLEN;
	if (offload.gso_type)
		offload.hdr_len += TTF_VLAN_HLEN;
	memcpy(frame->eth - TTF_VNET_HDR_BYTES, &offload, sizeof(offload));
}

/* A frame that lies in its slot. */
static void copy_frame(const struct ttf_queue *queue, const struct tpacket2_hdr *slot,
		       struct ttf_frame *frame)
{
	const uint32_t header = queue->header_bytes, gap = vlan_bytes(slot);
	const uint8_t *from = (const uint8_t *)slot + slot->tp_mac;
	uint8_t *eth = frame->eth;

	if (gap) {
		memcpy(eth - header, from - header, header + MACS_BYTES);
		memcpy(eth + MACS_BYTES + gap, from + MACS_BYTES, slot->tp_snaplen - MACS_BYTES);
	} else {
		memcpy(eth - header, from - header, header + slot->tp_snaplen);
	}
	frame->length = slot->tp_snaplen + gap;
}

/* A frame that waits whole in the socket's queue: 1, 0 if there is none, or -errno. */
static int receive_frame(const struct ttf_queue *queue, const struct tpacket2_hdr *slot,
			 struct ttf_frame *frame)
{
	const uint32_t header = queue->header_bytes, gap = vlan_bytes(slot);
	uint8_t *rest = frame->eth + MACS_BYTES + gap;
	struct iovec parts[] = {
		{ .iov_base = frame->eth - header, .iov_len = header + MACS_BYTES },
		{ .iov_base = rest, .iov_len = TTF_FRAME_MAX_BYTES - MACS_BYTES - gap },
	};
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };
	ssize_t got = recvmsg(queue->fd, &message, MSG_DONTWAIT);

	if (got < 0)
		return errno == EAGAIN ? 0 : -errno;
	frame->length = message.msg_flags & MSG_TRUNC ? FRAME_TRUNCATED : (uint32_t)got - header + gap;
	return 1;
}

/* The kernel wrote these lines on another CPU. */
static void prefetch_slot(const struct tpacket2_hdr *slot)
{
	const uint8_t *line = (const uint8_t *)slot;

	prefetch_read(line);
	prefetch_read(line + 2 * TTF_CACHE_LINE);
	prefetch_read(line + 3 * TTF_CACHE_LINE);
}

static int packet_rx(struct ttf_queue *queue, struct ttf_frame *frames, uint32_t count, uint64_t *calls)
{
	struct packet_ring *ring = queue->ring;
	uint32_t n = 0, bytes = 0;
	int error = -EAGAIN;

	while (n < count && bytes < TTF_BURST_BYTES) {
		struct tpacket2_hdr *slot = slot_at(ring, ring->next);
		uint32_t status = packet_slot_status(slot);
		struct ttf_frame *frame = &frames[n];
		int got = 1;

		if (!(status & TP_STATUS_USER))
			break;
		prefetch_slot(slot_at(ring, ring->next + PREFETCH_AHEAD));
		if (status & TP_STATUS_COPY) {
			++*calls;
			got = receive_frame(queue, slot, frame);
			if (got < 0) {
				error = got;
				break;
			}
		} else if (slot->tp_snaplen < slot->tp_len) {
			ring->drops++;
			got = 0;
		} else {
			copy_frame(queue, slot, frame);
		}
		if (got) {
			frame->offload = vnet_hdr_requests(frame->eth);
			if (vlan_bytes(slot) && frame->length != FRAME_TRUNCATED)
				restore_vlan(frame, slot);
			bytes += slot->tp_len;
			n++;
		}
		release(ring, slot);
	}
	return n ? (int)n : error;
}

static int packet_tx(struct ttf_queue *queue, struct ttf_frame *frames, uint32_t count, uint64_t *calls)
{
	struct packet_tx *sender = queue->ring->sender;
	int ready = ttf_packet_tx_ready(sender, calls);
	uint32_t others = 0;

	if (ready && ttf_packet_tx_takes(sender, &frames[0])) {
		int sent = ttf_packet_tx_send(sender, frames, count, calls);

		if (sent)
			return sent;
		ready = 0;
	}
	while (others < count && !(ready && ttf_packet_tx_takes(sender, &frames[others])))
		others++;
	return ttf_socket_batch_send(queue->scratch, queue->fd, queue->header_bytes, frames, others, calls);
}

static uint64_t packet_drops(struct ttf_queue *queue)
{
	struct tpacket_stats stats;
	socklen_t bytes = sizeof(stats);
	uint64_t drops = queue->ring->drops;

	queue->ring->drops = 0;
	/* The kernel's counter starts again at each reading. */
	if (getsockopt(queue->fd, SOL_PACKET, PACKET_STATISTICS, &stats, &bytes) == 0)
		drops += stats.tp_drops;
	/* Left there, poll() would never sleep again, and the first burst after the device is back fail. */
	clear_error(queue->fd);
	if (queue->ring->sender)
		ttf_packet_tx_refresh(queue->ring->sender);
	return drops;
}

const struct ttf_driver_ops ttf_driver_packet = {
	.rx = packet_rx, .tx = packet_tx, .open = packet_open, .close = packet_close, .drops = packet_drops
};

int ttf_packet_discard(int fd, uint32_t limit, struct ttf_discarded *discarded)
{
	struct ttf_queue queue = { .fd = fd, .plain_fd = -1, .header_bytes = TTF_VNET_HDR_BYTES };
	uint8_t *memory = malloc(TTF_FRAME_STRIDE);
	struct ttf_frame frame;
	uint64_t calls = 0;
	int error;

	*discarded = (struct ttf_discarded){ 0 };
	if (!memory)
		return -ENOMEM;
	frame = (struct ttf_frame){ .eth = memory + TTF_FRAME_HEADROOM };
	error = packet_open(&queue);
	if (!error) {
		while (discarded->packets < limit && packet_rx(&queue, &frame, 1, &calls) > 0) {
			discarded->packets++;
			discarded->bytes += frame.length == FRAME_TRUNCATED ? 0 : frame.length;
		}
		discarded->kernel_drops = packet_drops(&queue);
		packet_close(&queue);
	}
	free(memory);
	return error;
}
