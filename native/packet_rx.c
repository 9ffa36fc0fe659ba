/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Driver `packet`: AF_PACKET. The kernel fills a receive ring, which this process reads without a system
 * call. Frames leave by a transmit ring (packet_tx.c), or by sendmmsg() if they are long or have an offload
 * request: a system call a burst in either case.
 *
 * A frame longer than a slot waits elsewhere: packet_queued.h.
 *
 * The socket outlives the worker, and the kernel goes on filling the ring without one: see packet_rx.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "packet_big.h"
#include "packet_queued.h"
#include "packet_rx.h"
#include "packet_slot.h"
#include "packet_tx.h"
#include "prefetch.h"
#include "socket_batch.h"

#define RING_BYTES ((size_t)TTF_PACKET_SLOTS * TTF_PACKET_SLOT_BYTES)

/* Clear the pending ENETDOWN; the kernel keeps it until it is read. */
static void packet_clear_error(int fd)
{
	int error;
	socklen_t bytes = sizeof(error);

	getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &bytes);
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
	error = ttf_packet_big_init(&rx->big);
	if (!error)
		error = packet_map(rx, config);
	if (error) {
		ttf_packet_big_exit(&rx->big);
		free(rx);
		return error;
	}
	rx->cursor = (struct packet_cursor *)(void *)(rx->slots + PACKET_CURSOR_AT);
	rx->next = load_relaxed(&rx->cursor->next) & (TTF_PACKET_SLOTS - 1);
	queue->state = rx;
	packet_clear_error(config->fd);
	ttf_packet_resume(queue);
	/* The predecessor may have left a wrong cursor. A queue that doesn't send is only emptied. */
	rx->unsearched = true;
	rx->sweeps = config->plain_fd < 0;
	return 0;
}

static void packet_close(struct ttf_queue *queue)
{
	struct packet_rx *rx = queue->state;

	if (rx->tx)
		ttf_packet_tx_close(rx->tx);
	munmap(rx->slots, RING_BYTES);
	ttf_packet_big_exit(&rx->big);
	free(rx);
	queue->state = NULL;
}

/* Copy a frame out of its slot. */
static void packet_copy(const struct ttf_queue *queue, const struct packet_description *said,
			struct ttf_frame *frame)
{
	const uint32_t header = queue->header_bytes, gap = packet_vlan_bytes(said);
	uint8_t *eth = frame->eth;

	if (gap) {
		memcpy(eth - header, said->at - header, header + PACKET_MACS_BYTES);
		memcpy(eth + PACKET_MACS_BYTES + gap, said->at + PACKET_MACS_BYTES,
		       said->length - PACKET_MACS_BYTES);
	} else {
		memcpy(eth - header, said->at - header, header + said->length);
	}
	frame->length = said->length + gap;
	packet_received(frame, said);
}

/* The kernel wrote these lines on another CPU. */
static void packet_prefetch(const struct tpacket2_hdr *slot)
{
	const uint8_t *line = (const uint8_t *)slot;

	prefetch_read(line);
	prefetch_read(line + 2 * TTF_CACHE_LINE);
	prefetch_read(line + 3 * TTF_CACHE_LINE);
}

/* The usual case: take a frame without a tag that is whole in its slot. False if the slot holds no such. */
static inline bool packet_take_plain(const struct ttf_queue *queue, const struct tpacket2_hdr *slot,
				     uint32_t status, struct ttf_frame *frame)
{
	const uint32_t unusual = TP_STATUS_COPY | TP_STATUS_VLAN_VALID, header = queue->header_bytes;
	const uint32_t at = load_relaxed(&slot->tp_mac), length = load_relaxed(&slot->tp_snaplen);

	if ((status & (TP_STATUS_USER | unusual)) != TP_STATUS_USER ||
	    length != load_relaxed(&slot->tp_len) || !packet_bounded(queue, at, length))
		return false;
	memcpy(frame->eth - header, (const uint8_t *)slot + at - header, header + length);
	frame->length = length;
	frame->offload = vnet_hdr_requests(frame->eth);
	return true;
}

/* Take the next slot's frame, or drop it. As ttf_packet_queued_take(). */
static int packet_take(struct ttf_queue *queue, const struct tpacket2_hdr *slot, uint32_t status,
		       struct ttf_frame *frames, uint32_t room, uint64_t *calls, bool *done)
{
	struct packet_rx *rx = queue->state;
	struct packet_description said;

	*done = true;
	if (!packet_describe(queue, slot, status, &said)) {
		frames->length = FRAME_MALFORMED;
		return 1;
	}
	if (status & TP_STATUS_COPY) {
		++*calls;
		return ttf_packet_queued_take(queue, &said, frames, room, done);
	}
	if (said.in_slot < said.length) {
		rx->drops++;
		return 0;
	}
	packet_copy(queue, &said, frames);
	return 1;
}

static int packet_driver_rx(struct ttf_queue *queue, struct ttf_frame *frames, uint32_t count,
			    uint64_t *calls)
{
	struct packet_rx *rx = queue->state;
	uint32_t n = packet_big_take_all(&rx->big, frames, count), bytes = 0, empty = 0;
	int error = -EAGAIN;

	while (n < count && bytes < TTF_BURST_BYTES) {
		struct tpacket2_hdr *slot = packet_slot_at(rx, rx->next);
		uint32_t status = packet_slot_status(slot);
		bool done;
		int got;

		if (status == TP_STATUS_KERNEL) {
			if (!rx->sweeps || !ttf_packet_sweep(rx))
				break;
			continue;
		}
		packet_prefetch(packet_slot_at(rx, rx->next + PREFETCH_AHEAD));
		if (packet_take_plain(queue, slot, status, &frames[n])) {
			bytes += frames[n++].length;
			packet_release(rx, slot);
			continue;
		}
		got = packet_take(queue, slot, status, frames + n, count - n, calls, &done);
		if (done)
			packet_release(rx, slot);
		if (got < 0) {
			error = got;
			break;
		}
		/* A slot whose frame the kernel dropped yields none: pass over no more than there are. */
		if (!got && ++empty == TTF_PACKET_SLOTS)
			break;
		for (int i = 0; i < got; i++)
			bytes += frame_counted_bytes(&frames[n++]);
	}
	if (!n && error == -EAGAIN && rx->stuck)
		error = -ENOTRECOVERABLE;
	return n ? (int)n : error;
}

/* Send one run of frames: those that the ring takes, or those up to the next one that it takes. */
static int packet_send_run(struct ttf_queue *queue, struct ttf_frame *frames, uint32_t count, uint64_t *calls)
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

static int packet_driver_tx(struct ttf_queue *queue, struct ttf_frame *frames, uint32_t count,
			    uint64_t *calls)
{
	const struct packet_rx *rx = queue->state;
	int sent = packet_send_run(queue, frames, count, calls);

	/* The kernel says ENOBUFS of a full queue, of a frame that the device doesn't take, and of this: */
	if (sent == -ENOBUFS && !ttf_packet_tx_has_carrier(rx->tx))
		return -ENETDOWN;
	/* The frame isn't too long for the device. The ring would have taken it, but was unavailable. */
	if (sent == -EMSGSIZE && ttf_packet_tx_alone_takes(frames))
		return -ENOBUFS;
	return sent;
}

static uint64_t packet_drops(struct ttf_queue *queue)
{
	struct packet_rx *rx = queue->state;
	struct tpacket_stats stats = { 0 };
	socklen_t bytes = sizeof(stats);
	uint64_t drops = rx->drops;

	rx->drops = 0;
	/* Reading the kernel's counters resets them. tp_packets includes tp_drops. */
	getsockopt(queue->fd, SOL_PACKET, PACKET_STATISTICS, &stats, &bytes);
	drops += stats.tp_drops;
	ttf_packet_watch(rx, stats.tp_packets > stats.tp_drops, stats.tp_drops);
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
