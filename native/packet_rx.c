/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Driver `packet`: AF_PACKET. The kernel fills a receive ring, which this process reads without a system
 * call. Frames leave by a transmit ring (packet_tx.c), or by sendmmsg() if they are long or have an offload
 * request: a system call a burst in either case.
 *
 * A frame longer than a slot (a GSO frame, a jumbo frame) waits whole in the socket's own queue, and its slot
 * stands for it (PACKET_COPY_THRESH, TP_STATUS_COPY): when its turn comes, recvmsg() gets it.
 *
 * The socket outlives the worker, and the kernel goes on filling the ring without one. So the reader's
 * position is kept in the ring itself, with enough beside it to resume after a reader that was killed between
 * two steps: see packet_resume().
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "ethernet.h"
#include "packet_ring.h"
#include "packet_tx.h"
#include "prefetch.h"
#include "socket_batch.h"

#define RING_BYTES ((size_t)TTF_PACKET_SLOTS * TTF_PACKET_SLOT_BYTES)
#define MACS_BYTES (2 * TTF_ETH_ALEN) /* a VLAN tag comes behind the two addresses */
#define COMPARED_BYTES 64u
/* In the reserve of the first slot, a line of its own. */
#define CURSOR_AT TTF_CACHE_LINE

/* The reader's position, for the next incarnation. */
struct packet_cursor {
	uint32_t next;	    /* the slot to be read next */
	uint32_t releasing; /* the one after it, while it is being given back; else the same */
};

static_assert(CURSOR_AT >= TPACKET2_HDRLEN, "the cursor lies behind the kernel's header");
static_assert(CURSOR_AT + sizeof(struct packet_cursor) <= TPACKET2_HDRLEN + TTF_PACKET_RESERVE_BYTES,
	      "the cursor lies in the reserve");

/* The state of a queue. */
struct packet_rx {
	uint8_t *slots;
	struct packet_cursor *cursor;
	struct packet_tx *tx; /* NULL if the queue doesn't send */
	uint32_t next;
	uint64_t drops; /* frames that the kernel had a slot for, but no room in the socket's queue */
};

static struct tpacket2_hdr *packet_slot_at(const struct packet_rx *rx, uint32_t index)
{
	return packet_slot(rx->slots, TTF_PACKET_SLOTS, index);
}

static uint32_t packet_after(uint32_t index)
{
	return (index + 1) & (TTF_PACKET_SLOTS - 1);
}

static void packet_advance(struct packet_rx *rx)
{
	rx->next = packet_after(rx->next);
	store_release(&rx->cursor->next, rx->next);
}

static void packet_release(struct packet_rx *rx, struct tpacket2_hdr *slot)
{
	/* The kernel clears this mark when it fills the slot again. */
	slot->tp_padding[0] = 1;
	store_release(&rx->cursor->releasing, packet_after(rx->next));
	store_release(&slot->tp_status, TP_STATUS_KERNEL);
	/* The cursor moves after the release, never before: a slot that is never released stops the ring. */
	packet_advance(rx);
}

/* Clear the pending ENETDOWN; the kernel keeps it until it is read. */
static void packet_clear_error(int fd)
{
	int error;
	socklen_t bytes = sizeof(error);

	getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &bytes);
}

/* Does the next queued frame belong to this slot? Compare their first 64 bytes. */
static bool packet_slot_stands_for_queued(const struct ttf_queue *queue, const struct tpacket2_hdr *slot)
{
	uint8_t begins[TTF_VNET_HDR_BYTES + COMPARED_BYTES];
	const uint32_t bytes = queue->header_bytes + COMPARED_BYTES;

	return recv(queue->fd, begins, bytes, MSG_PEEK | MSG_DONTWAIT) == (ssize_t)bytes &&
	       !memcmp(begins + queue->header_bytes, (const uint8_t *)slot + slot->tp_mac, COMPARED_BYTES);
}

/*
 * Resume after a predecessor that may have been killed: between releasing a slot and moving the cursor (the
 * kernel may have filled the slot again since), or between taking a frame from the socket's queue and
 * releasing its slot.
 */
static void packet_resume(struct ttf_queue *queue)
{
	struct packet_rx *rx = queue->state;
	struct tpacket2_hdr *slot = packet_slot_at(rx, rx->next);
	uint32_t status = packet_slot_status(slot);

	if ((load_relaxed(&rx->cursor->releasing) & (TTF_PACKET_SLOTS - 1)) == packet_after(rx->next) &&
	    (!(status & TP_STATUS_USER) || !slot->tp_padding[0])) {
		packet_advance(rx);
		slot = packet_slot_at(rx, rx->next);
		status = packet_slot_status(slot);
	}
	packet_clear_error(queue->fd);
	if (status & TP_STATUS_USER && status & TP_STATUS_COPY && !packet_slot_stands_for_queued(queue, slot))
		packet_release(rx, slot);
}

static int packet_map(struct packet_rx *rx, const struct ttf_port_config *config)
{
	if (config->plain_fd >= 0) {
		rx->tx = ttf_packet_tx_open(config->plain_fd);
		if (!rx->tx)
			return -errno;
	}
	rx->slots = mmap(NULL, RING_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, config->fd, 0);
	if (rx->slots == MAP_FAILED) {
		int error = -errno;

		if (rx->tx)
			ttf_packet_tx_close(rx->tx);
		return error;
	}
	return 0;
}

static int packet_open(struct ttf_queue *queue, const struct ttf_port_config *config)
{
	struct packet_rx *rx = calloc(1, sizeof(*rx));
	int error;

	if (!rx)
		return -ENOMEM;
	error = packet_map(rx, config);
	if (error) {
		free(rx);
		return error;
	}
	rx->cursor = (struct packet_cursor *)(void *)(rx->slots + CURSOR_AT);
	rx->next = load_relaxed(&rx->cursor->next) & (TTF_PACKET_SLOTS - 1);
	queue->state = rx;
	packet_resume(queue);
	return 0;
}

static void packet_close(struct ttf_queue *queue)
{
	struct packet_rx *rx = queue->state;

	if (rx->tx)
		ttf_packet_tx_close(rx->tx);
	munmap(rx->slots, RING_BYTES);
	free(rx);
	queue->state = NULL;
}

static uint32_t packet_vlan_bytes(const struct tpacket2_hdr *slot)
{
	return slot->tp_status & TP_STATUS_VLAN_VALID && slot->tp_snaplen >= TTF_ETH_HLEN ? TTF_VLAN_HLEN : 0;
}

/*
 * The kernel removes the outer VLAN tag before packet sockets see a frame (__netif_receive_skb_core()), and
 * gives it beside the frame: put it back, into the gap that was left for it.
 */
static void packet_restore_vlan(struct ttf_frame *frame, const struct tpacket2_hdr *slot)
{
	uint8_t *tag = frame->eth + MACS_BYTES;

	store_be16(tag, slot->tp_status & TP_STATUS_VLAN_TPID_VALID ? slot->tp_vlan_tpid : ETHERTYPE_VLAN);
	store_be16(tag + 2, slot->tp_vlan_tci);
	if (!frame->offload)
		return;
	struct vnet_hdr offload = vnet_hdr_read(frame->eth);

	if (offload.flags & OFFLOAD_NEEDS_CSUM)
		offload.csum_start += TTF_VLAN_HLEN;
	if (offload.gso_type)
		offload.hdr_len += TTF_VLAN_HLEN;
	memcpy(frame->eth - TTF_VNET_HDR_BYTES, &offload, sizeof(offload));
}

/* Copy a frame out of its slot. */
static void packet_copy(const struct ttf_queue *queue, const struct tpacket2_hdr *slot,
			struct ttf_frame *frame)
{
	const uint32_t header = queue->header_bytes, gap = packet_vlan_bytes(slot);
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

/* Receive the next frame of the socket's own queue: 1, 0 if there is none, or -errno. */
static int packet_receive_queued(const struct ttf_queue *queue, const struct tpacket2_hdr *slot,
				 struct ttf_frame *frame)
{
	const uint32_t header = queue->header_bytes, gap = packet_vlan_bytes(slot);
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
static void packet_prefetch(const struct tpacket2_hdr *slot)
{
	const uint8_t *line = (const uint8_t *)slot;

	prefetch_read(line);
	prefetch_read(line + 2 * TTF_CACHE_LINE);
	prefetch_read(line + 3 * TTF_CACHE_LINE);
}

static int packet_driver_rx(struct ttf_queue *queue, struct ttf_frame *frames, uint32_t count,
			    uint64_t *calls)
{
	struct packet_rx *rx = queue->state;
	uint32_t n = 0, bytes = 0;
	int error = -EAGAIN;

	while (n < count && bytes < TTF_BURST_BYTES) {
		struct tpacket2_hdr *slot = packet_slot_at(rx, rx->next);
		uint32_t status = packet_slot_status(slot);
		struct ttf_frame *frame = &frames[n];
		int got = 1;

		if (!(status & TP_STATUS_USER))
			break;
		packet_prefetch(packet_slot_at(rx, rx->next + PREFETCH_AHEAD));
		if (status & TP_STATUS_COPY) {
			++*calls;
			got = packet_receive_queued(queue, slot, frame);
			if (got < 0) {
				error = got;
				break;
			}
		} else if (slot->tp_snaplen < slot->tp_len) {
			rx->drops++;
			got = 0;
		} else {
			packet_copy(queue, slot, frame);
		}
		if (got) {
			frame->offload = vnet_hdr_requests(frame->eth);
			if (packet_vlan_bytes(slot) && frame->length != FRAME_TRUNCATED)
				packet_restore_vlan(frame, slot);
			bytes += slot->tp_len;
			n++;
		}
		packet_release(rx, slot);
	}
	return n ? (int)n : error;
}

/* One run of frames: those that the ring takes, or those up to the next one that it takes. */
static int packet_driver_tx(struct ttf_queue *queue, struct ttf_frame *frames, uint32_t count,
			    uint64_t *calls)
{
	struct packet_rx *rx = queue->state;
	bool ready = ttf_packet_tx_ready(rx->tx, calls);
	uint32_t others = 0;

	if (ready && ttf_packet_tx_takes(&frames[0])) {
		int sent = ttf_packet_tx_send(rx->tx, frames, count, calls);

		if (sent)
			return sent;
		ready = false;
	}
	while (others < count && !(ready && ttf_packet_tx_takes(&frames[others])))
		others++;
	return ttf_socket_batch_send(queue->batch, queue->fd, queue->header_bytes, frames, others, calls);
}

static uint64_t packet_drops(struct ttf_queue *queue)
{
	struct packet_rx *rx = queue->state;
	struct tpacket_stats stats;
	socklen_t bytes = sizeof(stats);
	uint64_t drops = rx->drops;

	rx->drops = 0;
	/* Reading the kernel's counter resets it. */
	if (getsockopt(queue->fd, SOL_PACKET, PACKET_STATISTICS, &stats, &bytes) == 0)
		drops += stats.tp_drops;
	/* A pending error would end every poll(), and fail the first burst after the device is up again. */
	packet_clear_error(queue->fd);
	return drops;
}

const struct ttf_driver_ops ttf_driver_packet = { .rx = packet_driver_rx,
						  .tx = packet_driver_tx,
						  .drops = packet_drops,
						  .open = packet_open,
						  .close = packet_close,
						  .needs_header = true };

int ttf_packet_discard(int fd, uint32_t limit, struct ttf_discarded *discarded)
{
	const struct ttf_port_config config = { .fd = fd, .plain_fd = -1 };
	struct ttf_queue queue = { .fd = fd, .header_bytes = TTF_VNET_HDR_BYTES };
	uint8_t *memory = malloc(TTF_FRAME_STRIDE);
	struct ttf_frame frame;
	uint64_t calls = 0;
	int error;

	*discarded = (struct ttf_discarded){ 0 };
	if (!memory)
		return -ENOMEM;
	frame = (struct ttf_frame){ .eth = memory + TTF_FRAME_HEADROOM };
	error = packet_open(&queue, &config);
	if (!error) {
		while (discarded->packets < limit && packet_driver_rx(&queue, &frame, 1, &calls) > 0) {
			discarded->packets++;
			discarded->bytes += frame.length == FRAME_TRUNCATED ? 0 : frame.length;
		}
		discarded->kernel_drops = packet_drops(&queue);
		packet_close(&queue);
	}
	free(memory);
	return error;
}
