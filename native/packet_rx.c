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

#include "clock.h"
#include "ethernet.h"
#include "packet_big.h"
#include "packet_ring.h"
#include "packet_tx.h"
#include "prefetch.h"
#include "socket_batch.h"

#define RING_BYTES ((size_t)TTF_PACKET_SLOTS * TTF_PACKET_SLOT_BYTES)
#define MACS_BYTES (2 * TTF_ETH_ALEN) /* a VLAN tag comes behind the two addresses */
#define COMPARED_BYTES 64u
/* In the reserve of the first slot, a line of its own. */
#define CURSOR_AT TTF_CACHE_LINE
/* How long the reader waits at a slot while the kernel counts packets, before it looks for them elsewhere. */
#define PATIENCE_NS 100000000ull

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
	struct packet_big big;

	/* packet_watch() */
	uint32_t watched;	 /* where the reader was at the last look */
	uint64_t waits_since_ns; /* it waits there, and packets may be elsewhere; or 0 */
	bool unsearched;	 /* they were not looked for yet */
	bool sweeps;		 /* passing over slots that the kernel hasn't filled */
	bool stuck;		 /* the kernel fills this ring no more */
};

/*
 * What a slot says of its frame, read once. The ring outlives a worker that may have written anything to it:
 * nothing is used that packet_describe() hasn't bounded.
 */
struct packet_description {
	uint32_t status;
	uint32_t length;   /* of the whole frame */
	uint32_t in_slot;  /* bytes of it that are in the slot */
	const uint8_t *at; /* where they are; the offload header is in front of them */
	uint32_t vlan_tci, vlan_tpid;
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

/* Does a frame lie within its slot, and the offload header in front of it? */
static bool packet_bounded(const struct ttf_queue *queue, uint32_t at, uint32_t bytes)
{
	return at >= queue->header_bytes && at <= TTF_PACKET_SLOT_BYTES &&
	       bytes <= TTF_PACKET_SLOT_BYTES - at;
}

/* Read what a slot says. False if it makes no sense: then nothing of it may be used. */
static bool packet_describe(const struct ttf_queue *queue, const struct tpacket2_hdr *slot, uint32_t status,
			    struct packet_description *said)
{
	const uint32_t at = load_relaxed(&slot->tp_mac);

	*said = (struct packet_description){
		.status = status,
		.length = load_relaxed(&slot->tp_len),
		.in_slot = load_relaxed(&slot->tp_snaplen),
		.at = (const uint8_t *)slot + at,
		.vlan_tci = load_relaxed(&slot->tp_vlan_tci),
		.vlan_tpid = status & TP_STATUS_VLAN_TPID_VALID ? load_relaxed(&slot->tp_vlan_tpid) :
								  ETHERTYPE_VLAN,
	};
	return status & TP_STATUS_USER && said->in_slot <= said->length &&
	       packet_bounded(queue, at, said->in_slot);
}

/* Does the next queued frame belong to this slot? Compare their first 64 bytes. */
static bool packet_slot_stands_for_queued(const struct ttf_queue *queue,
					  const struct packet_description *said)
{
	uint8_t begins[TTF_VNET_HDR_BYTES + COMPARED_BYTES];
	const uint32_t bytes = queue->header_bytes + COMPARED_BYTES;

	return said->in_slot >= COMPARED_BYTES &&
	       recv(queue->fd, begins, bytes, MSG_PEEK | MSG_DONTWAIT) == (ssize_t)bytes &&
	       !memcmp(begins + queue->header_bytes, said->at, COMPARED_BYTES);
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
	struct packet_description said;

	if ((load_relaxed(&rx->cursor->releasing) & (TTF_PACKET_SLOTS - 1)) == packet_after(rx->next) &&
	    (!(status & TP_STATUS_USER) || !slot->tp_padding[0])) {
		packet_advance(rx);
		slot = packet_slot_at(rx, rx->next);
		status = packet_slot_status(slot);
	}
	packet_clear_error(queue->fd);
	if (status & TP_STATUS_USER && status & TP_STATUS_COPY &&
	    packet_describe(queue, slot, status, &said) && !packet_slot_stands_for_queued(queue, &said))
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
	error = ttf_packet_big_init(&rx->big);
	if (!error)
		error = packet_map(rx, config);
	if (error) {
		ttf_packet_big_exit(&rx->big);
		free(rx);
		return error;
	}
	rx->cursor = (struct packet_cursor *)(void *)(rx->slots + CURSOR_AT);
	rx->next = load_relaxed(&rx->cursor->next) & (TTF_PACKET_SLOTS - 1);
	queue->state = rx;
	packet_resume(queue);
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

static uint32_t packet_vlan_bytes(const struct packet_description *said)
{
	return said->status & TP_STATUS_VLAN_VALID && said->length >= TTF_ETH_HLEN ? TTF_VLAN_HLEN : 0;
}

/*
 * The kernel removes the outer VLAN tag before packet sockets see a frame (__netif_receive_skb_core()), and
 * gives it beside the frame: put it back, into the gap that was left for it.
 */
static void packet_restore_vlan(struct ttf_frame *frame, const struct packet_description *said)
{
	uint8_t *tag = frame->eth + MACS_BYTES;

	store_be16(tag, said->vlan_tpid);
	store_be16(tag + 2, said->vlan_tci);
	if (!frame->offload)
		return;
	struct vnet_hdr offload = vnet_hdr_read(frame->eth);

	if (offload.flags & OFFLOAD_NEEDS_CSUM)
		offload.csum_start += TTF_VLAN_HLEN;
	if (offload.gso_type)
		offload.hdr_len += TTF_VLAN_HLEN;
	vnet_hdr_write(frame->eth, &offload);
}

/* A frame and its offload header are in memory: complete both. */
static void packet_received(struct ttf_frame *frame, const struct packet_description *said)
{
	frame->offload = vnet_hdr_requests(frame->eth);
	if (packet_vlan_bytes(said))
		packet_restore_vlan(frame, said);
}

/* Copy a frame out of its slot. */
static void packet_copy(const struct ttf_queue *queue, const struct packet_description *said,
			struct ttf_frame *frame)
{
	const uint32_t header = queue->header_bytes, gap = packet_vlan_bytes(said);
	uint8_t *eth = frame->eth;

	if (gap) {
		memcpy(eth - header, said->at - header, header + MACS_BYTES);
		memcpy(eth + MACS_BYTES + gap, said->at + MACS_BYTES, said->length - MACS_BYTES);
	} else {
		memcpy(eth - header, said->at - header, header + said->length);
	}
	frame->length = said->length + gap;
	packet_received(frame, said);
}

/* Does a frame, received with a gap for its tag, begin like its slot? */
static bool packet_begins_like_slot(const struct ttf_frame *frame, const struct packet_description *said)
{
	const uint32_t gap = packet_vlan_bytes(said);
	const uint32_t bytes = said->in_slot < COMPARED_BYTES ? said->in_slot : COMPARED_BYTES;

	return bytes >= MACS_BYTES && !memcmp(frame->eth, said->at, MACS_BYTES) &&
	       !memcmp(frame->eth + MACS_BYTES + gap, said->at + MACS_BYTES, bytes - MACS_BYTES);
}

/*
 * Receive the next frame of the socket's own queue, `room` bytes at most. Returns 0 or -errno. A frame that
 * isn't what the slot says belongs to another slot: it becomes FRAME_MALFORMED.
 */
static int packet_receive_queued(const struct ttf_queue *queue, const struct packet_description *said,
				 struct ttf_frame *frame, uint32_t room)
{
	const uint32_t header = queue->header_bytes, gap = packet_vlan_bytes(said);
	uint8_t *rest = frame->eth + MACS_BYTES + gap;
	struct iovec parts[] = {
		{ .iov_base = frame->eth - header, .iov_len = header + MACS_BYTES },
		{ .iov_base = rest, .iov_len = room - MACS_BYTES - gap },
	};
	struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };
	ssize_t got = recvmsg(queue->fd, &message, MSG_DONTWAIT | MSG_TRUNC);

	if (got < 0)
		return -errno;
	if ((size_t)got != (size_t)header + said->length || !packet_begins_like_slot(frame, said)) {
		frame->length = FRAME_MALFORMED;
	} else if (message.msg_flags & MSG_TRUNC) {
		frame->length = FRAME_TRUNCATED;
	} else {
		frame->length = said->length + gap;
		packet_received(frame, said);
	}
	return 0;
}

/* Take the parts that wait of a frame that was split. */
static uint32_t packet_take_parts(struct packet_rx *rx, struct ttf_frame *frames, uint32_t count)
{
	uint32_t n = 0;

	while (n < count && packet_big_waits(&rx->big))
		ttf_packet_big_take(&rx->big, &frames[n++]);
	return n;
}

/*
 * The slot stands for a frame of the socket's queue. Returns how many frames it became, or -errno. *done: the
 * slot can be given back.
 */
static int packet_take_queued(struct ttf_queue *queue, const struct packet_description *said,
			      struct ttf_frame *frames, uint32_t room, bool *done)
{
	struct packet_rx *rx = queue->state;
	struct ttf_frame whole = { .eth = ttf_packet_big_eth(&rx->big) };
	const bool big = said->length > PACKET_BIG_BEYOND_BYTES;
	struct ttf_frame *into = big ? &whole : frames;
	int error =
		packet_receive_queued(queue, said, into, big ? PACKET_BIG_MAX_BYTES : TTF_FRAME_MAX_BYTES);

	if (error == -EAGAIN) {
		frames->length = FRAME_MALFORMED; /* the frame that the slot stands for is nowhere */
		return 1;
	}
	if (error) {
		*done = false;
		return error;
	}
	if (into->length == FRAME_MALFORMED) {
		/* Drop it, and look at the next one of the queue: the slot's own may be behind it. */
		frames->length = FRAME_MALFORMED;
		*done = false;
		return 1;
	}
	if (!big)
		return 1;
	ttf_packet_big_split(&rx->big, whole);
	return (int)packet_take_parts(rx, frames, room);
}

/* The kernel wrote these lines on another CPU. */
static void packet_prefetch(const struct tpacket2_hdr *slot)
{
	const uint8_t *line = (const uint8_t *)slot;

	prefetch_read(line);
	prefetch_read(line + 2 * TTF_CACHE_LINE);
	prefetch_read(line + 3 * TTF_CACHE_LINE);
}

/* The next slot that the kernel has filled, behind the reader's position; that position if there is none. */
static uint32_t packet_next_filled(const struct packet_rx *rx)
{
	uint32_t at = packet_after(rx->next);

	while (at != rx->next && packet_slot_status(packet_slot_at(rx, at)) == TP_STATUS_KERNEL)
		at = packet_after(at);
	return at;
}

/* Go on at the next filled slot. False if there is none. */
static bool packet_sweep(struct packet_rx *rx)
{
	const uint32_t next = packet_next_filled(rx);

	rx->sweeps = next != rx->next;
	rx->next = next;
	store_release(&rx->cursor->next, next);
	return rx->sweeps;
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

/* Take the next slot's frame, or drop it. As packet_take_queued(). */
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
		return packet_take_queued(queue, &said, frames, room, done);
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
	uint32_t n = packet_take_parts(rx, frames, count), bytes = 0, empty = 0;
	int error = -EAGAIN;

	while (n < count && bytes < TTF_BURST_BYTES) {
		struct tpacket2_hdr *slot = packet_slot_at(rx, rx->next);
		uint32_t status = packet_slot_status(slot);
		bool done;
		int got;

		if (status == TP_STATUS_KERNEL) {
			if (!rx->sweeps || !packet_sweep(rx))
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

/*
 * Does the ring bring what the kernel receives? Two faults stop it for good. Each shows by packets that the
 * kernel counts while the reader waits at a slot that stays the kernel's.
 *
 * A worker that died wrote a wrong cursor, or wrong states of slots: then others are filled, and the reader
 * takes them. It doesn't do so at once, as two CPUs fill two slots in any order.
 *
 * On kernels without a correction, a packet whose offload header can't be written takes its slot with it
 * (tpacket_rcv()). Then the kernel drops all packets, and nothing but a new ring helps.
 */
static void packet_watch(struct packet_rx *rx, bool filled, bool dropped)
{
	const uint64_t now = clock_coarse_ns();

	if (rx->next != rx->watched || packet_slot_status(packet_slot_at(rx, rx->next)) != TP_STATUS_KERNEL) {
		rx->watched = rx->next;
		rx->waits_since_ns = 0;
		rx->stuck = false;
		return;
	}
	rx->unsearched |= filled || dropped;
	if (!rx->waits_since_ns) {
		if (rx->unsearched)
			rx->waits_since_ns = now;
		return;
	}
	if (!rx->unsearched || now - rx->waits_since_ns < PATIENCE_NS)
		return;
	rx->unsearched = false;
	rx->sweeps = packet_next_filled(rx) != rx->next;
	rx->stuck = !rx->sweeps && dropped;
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
	packet_watch(rx, stats.tp_packets > stats.tp_drops, stats.tp_drops);
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
