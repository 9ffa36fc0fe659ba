/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a receiver makes of a frame: finds its stamp, says which number it has, and counts it. The receivers in
 * the kernel and in user space share this; the bitmap is theirs.
 */
#ifndef TTF_ARRIVAL_H
#define TTF_ARRIVAL_H

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>
#include <stdbool.h>
#include <stddef.h>

#include <bpf/bpf_endian.h>

#include "receiver.h"

#define ARRIVAL_INLINE static __attribute__((always_inline)) inline
#define ARRIVAL_MAX_TAGS 2
#define ARRIVAL_RACES 8 /* with other CPUs, before a frame's order is left open */

ARRIVAL_INLINE bool arrival_is_our_way4(const volatile struct ttf_receiver_config *config,
					const struct iphdr *ip)
{
	const uint32_t net = bpf_htonl(0xffff0000);

	return ip->ihl == 5 && ip->protocol == IPPROTO_UDP && ((ip->saddr ^ config->source4) & net) == 0 &&
	       ((ip->daddr ^ config->sink4) & net) == 0;
}

ARRIVAL_INLINE bool arrival_is_our_way6(const volatile struct ttf_receiver_config *config,
					const struct ipv6hdr *ip)
{
	return ip->nexthdr == IPPROTO_UDP && *(const uint64_t *)&ip->saddr == config->source6 &&
	       *(const uint64_t *)&ip->daddr == config->sink6;
}

/* The stamp of a frame of this way; NULL for any other frame. */
ARRIVAL_INLINE const struct ttf_stamp *arrival_find_stamp(const volatile struct ttf_receiver_config *config,
							  const void *data, const void *end)
{
	const struct ethhdr *eth = data;
	const struct udphdr *udp;
	const void *at = eth + 1;
	uint16_t type;

	if (at > end)
		return NULL;
	type = eth->h_proto;
	for (int tags = 0; tags < ARRIVAL_MAX_TAGS; tags++) {
		const uint16_t *tag = at;

		if (type != bpf_htons(ETH_P_8021Q) && type != bpf_htons(ETH_P_8021AD))
			break;
		if ((const void *)(tag + 2) > end)
			return NULL;
		type = tag[1];
		at = tag + 2;
	}
	if (config->ip == 4) {
		const struct iphdr *ip = at;

		if (type != bpf_htons(ETH_P_IP) || (const void *)(ip + 1) > end ||
		    !arrival_is_our_way4(config, ip))
			return NULL;
		udp = (const void *)(ip + 1);
	} else {
		const struct ipv6hdr *ip = at;

		if (type != bpf_htons(ETH_P_IPV6) || (const void *)(ip + 1) > end ||
		    !arrival_is_our_way6(config, ip))
			return NULL;
		udp = (const void *)(ip + 1);
	}
	at = udp + 1;
	if ((const void *)((const struct ttf_stamp *)at + 1) > end)
		return NULL;
	if (udp->source != bpf_htons(TTF_STAMP_PORT) && udp->dest != bpf_htons(TTF_STAMP_PORT))
		return NULL;
	return at;
}

/* A new number raises NextExp, or its frame is reordered. */
ARRIVAL_INLINE void arrival_note_order(struct ttf_receiver *all, struct ttf_received *mine, uint64_t number)
{
	uint64_t next = *(volatile uint64_t *)&all->next;

	for (int races = 0; races < ARRIVAL_RACES && next <= number; races++) {
		uint64_t was = __sync_val_compare_and_swap(&all->next, next, number + 1);

		if (was == next)
			return;
		next = was;
	}
	if (next <= number)
		return;
	mine->reordered++;
	if (next - 1 - number > mine->reordered_extent)
		mine->reordered_extent = next - 1 - number;
}

ARRIVAL_INLINE void arrival_note_gap(struct ttf_receiver *all, uint64_t now)
{
	uint64_t last = *(volatile uint64_t *)&all->last_ns;

	if (now <= last)
		return;
	*(volatile uint64_t *)&all->last_ns = now;
	if (last && now - last > all->longest_gap_ns)
		all->longest_gap_ns = now - last;
}

ARRIVAL_INLINE void arrival_note_variation(struct ttf_received *mine, uint64_t number, uint64_t path_ns)
{
	uint64_t previous_ns = mine->previous_path_ns;
	uint64_t difference_ns = path_ns > previous_ns ? path_ns - previous_ns : previous_ns - path_ns;

	if (mine->previous) {
		mine->jitter += difference_ns - ((mine->jitter + (1 << (TTF_JITTER_FRACTION_LOG2 - 1))) >>
						 TTF_JITTER_FRACTION_LOG2);
		if (mine->previous == number)
			histogram_add(&mine->ipdv, difference_ns);
	}
	mine->previous = number + 1;
	mine->previous_path_ns = path_ns;
}

/* A frame's number. False: it isn't of this trial, and counted as that. */
ARRIVAL_INLINE bool arrival_number(struct ttf_receiver *all, struct ttf_received *mine,
				   const struct ttf_stamp *stamp, uint64_t *number)
{
	uint64_t found = *(volatile uint64_t *)&all->next;

	found += (int64_t)(int32_t)(bpf_ntohl(stamp->seq) - (uint32_t)found);
	if (!all->start_ns || bpf_be64_to_cpu(stamp->sent_ns) < all->start_ns ||
	    (int64_t)found < (int64_t)all->floor) {
		mine->stale++;
		return false;
	}
	if (found - all->floor >= 1ull << TTF_WINDOW_LOG2) {
		mine->beyond++;
		return false;
	}
	*number = found;
	return true;
}

/* Count a frame that comes for the first time. */
ARRIVAL_INLINE void arrival_count(struct ttf_receiver *all, struct ttf_received *mine,
				  const struct ttf_stamp *stamp, uint64_t number, uint64_t now)
{
	uint64_t sent = bpf_be64_to_cpu(stamp->sent_ns);
	uint64_t path = now > sent ? now - sent : 0; /* another CPU's clock may be a few ns behind */

	mine->frames++;
	histogram_add(&mine->path, path);
	histogram_add(&mine->response, path + bpf_ntohl(stamp->late_ns));
	arrival_note_order(all, mine, number);
	arrival_note_gap(all, now);
	arrival_note_variation(mine, number, path);
}

#endif
