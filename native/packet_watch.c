/* SPDX-License-Identifier: Apache-2.0 */
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
#include "clock.h"
#include "packet_rx.h"

/* How long the reader waits at a slot while the kernel counts packets, before it looks for them elsewhere. */
#define PATIENCE_NS 100000000ull

/* The next slot that the kernel has filled, behind the reader's position; that position if there is none. */
static uint32_t packet_next_filled(const struct packet_rx *rx)
{
	uint32_t at = packet_after(rx->next);

	while (at != rx->next && packet_slot_status(packet_slot_at(rx, at)) == TP_STATUS_KERNEL)
		at = packet_after(at);
	return at;
}

bool ttf_packet_sweep(struct packet_rx *rx)
{
	const uint32_t next = packet_next_filled(rx);

	rx->sweeps = next != rx->next;
	rx->next = next;
	store_release(&rx->cursor->next, next);
	return rx->sweeps;
}

void ttf_packet_watch(struct packet_rx *rx, bool filled, bool dropped)
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
