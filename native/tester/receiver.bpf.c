/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The receiver, as an XDP program or one of tc at a device's ingress. It takes the tester's frames of its way, and
 * passes all others on untouched. It runs on whichever CPUs the device receives.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>

#include "tester/arrival.h"

#define LONGEST_HEAD_BYTES (TTF_TEMPLATE_HEADER_BYTES + sizeof(struct ttf_stamp))

const volatile struct ttf_receiver_config config = { .ip = 0 };

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, uint32_t);
	__type(value, struct ttf_receiver);
} receiver SEC(".maps");

/* User space sets the number of CPUs before it loads this. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, uint32_t);
	__type(value, struct ttf_received);
} received SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, TTF_WINDOW_WORDS);
	__type(key, uint32_t);
	__type(value, uint64_t);
} window SEC(".maps");

/* Set the bit of a number; was it set already? */
static __always_inline bool seen(uint64_t number)
{
	uint32_t index = (uint32_t)(number >> 6) & (TTF_WINDOW_WORDS - 1);
	uint64_t *word = bpf_map_lookup_elem(&window, &index), bit = 1ull << (number & 63);

	return word && __sync_fetch_and_or(word, bit) & bit;
}

/* Count a frame. False: it isn't ours. */
static __always_inline bool receive(const void *data, const void *end)
{
	uint64_t now = bpf_ktime_get_ns(), number;
	const struct ttf_stamp *stamp = arrival_find_stamp(&config, data, end);
	uint32_t zero = 0, cpu = bpf_get_smp_processor_id();
	struct ttf_receiver *all = bpf_map_lookup_elem(&receiver, &zero);
	struct ttf_received *mine = bpf_map_lookup_elem(&received, &cpu);

	if (!all || !mine)
		return false;
	if (!stamp) {
		mine->foreign++;
		return false;
	}
	if (!arrival_number(all, mine, stamp, &number))
		return true;
	if (seen(number))
		mine->duplicates++;
	else
		arrival_count(all, mine, stamp, number, now);
	return true;
}

SEC("xdp") int receive_xdp(struct xdp_md *ctx)
{
	return receive((void *)(long)ctx->data, (void *)(long)ctx->data_end) ? XDP_DROP : XDP_PASS;
}

SEC("tc") int receive_tc(struct __sk_buff *skb)
{
	uint32_t wanted = skb->len < LONGEST_HEAD_BYTES ? skb->len : LONGEST_HEAD_BYTES;

	/* A sender of AF_PACKET leaves all but the Ethernet header in other pages. */
	if (skb->data_end - skb->data < wanted)
		bpf_skb_pull_data(skb, wanted);
	return receive((void *)(long)skb->data, (void *)(long)skb->data_end) ? TC_ACT_SHOT : TC_ACT_UNSPEC;
}

char LICENSE[] SEC("license") = "Apache-2.0";
