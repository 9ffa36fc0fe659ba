/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The generator: an XDP program that BPF_PROG_TEST_RUN calls over and over, each time with a frame of its own
 * (BPF_F_TEST_XDP_LIVE_FRAMES). As long as no frame is due, the program drops what it is given. When one is due it
 * writes the frame and hands it to the device.
 *
 * The kernel gives the same frames again and again, with the bytes that the last receiver left in them. So each
 * header is written whole. The padding behind the stamp is as user space made it.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>

#include "tester/frame_write.h"
#include "tester/schedule.h"

#define CLOCK_READS 32 /* while the next frame isn't due: a call costs more than to read the clock again */

const volatile struct ttf_generator_config config = { .ways = 0 };

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, uint32_t);
	__type(value, struct ttf_generator);
} generator SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, TTF_MAX_SECONDS);
	__type(key, uint32_t);
	__type(value, struct ttf_mark);
} marks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, TTF_MAX_WAYS);
	__type(key, uint32_t);
	__type(value, uint32_t);
} devices SEC(".maps");

static __always_inline void mark(const struct ttf_generator *run, uint32_t second)
{
	struct ttf_mark *at = bpf_map_lookup_elem(&marks, &second);

	if (!at)
		return;
	at->number[0] = run->ways[0].frames;
	at->number[1] = run->ways[1].frames;
}

/* The header in one piece: whole words, and a last one that ends where the stamp begins. */
static __always_inline void write_header(uint8_t *data, const volatile struct ttf_template *template,
					 uint32_t end)
{
#pragma unroll
	for (uint32_t at = 0; at + 8 <= TTF_TEMPLATE_HEADER_BYTES; at += 8)
		if (at + 8 <= end)
			*(uint64_t *)(data + at) = *(const volatile uint64_t *)(template->header + at);
	*(uint64_t *)(data + end - 8) = *(const volatile uint64_t *)(template->header + end - 8);
}

/* Wait for a while. Returns the time: at `due` or later, or the frame isn't due yet. */
static __always_inline uint64_t wait_for(uint64_t due)
{
	uint64_t now = bpf_ktime_get_ns();

	for (int reads = 0; now < due && reads < CLOCK_READS; reads++)
		now = bpf_ktime_get_ns();
	return now;
}

/*
 * The next frame, which is of this way. All that doesn't depend on the time is done before the wait: it makes
 * neither the frame late nor its stamp old. Inlined once for each way: places are constants to the verifier then,
 * so it knows the bounds of all writes.
 */
static __always_inline int next_frame(struct xdp_md *ctx, struct ttf_generator *run, const uint32_t way)
{
	const volatile struct ttf_places *places = &config.places[way];
	struct ttf_sent *sent = &run->ways[way];
	uint32_t size = config.order[sent->order_at & (TTF_MAX_ORDER - 1)], second;
	const volatile struct ttf_template *template =
		&config.templates[way * TTF_MAX_SIZES + (size & (TTF_MAX_SIZES - 1))];
	int surplus = (int)config.frame_bytes - template->frame_bytes;
	uint32_t flow = frame_flow(sent->frames, config.flows, config.random, config.seed);
	uint64_t now, due = schedule_due_ns(run);
	struct ttf_stamp stamp;
	uint8_t *data;

	if (surplus && bpf_xdp_adjust_tail(ctx, -surplus))
		return XDP_ABORTED;
	data = (void *)(long)ctx->data;
	if (data + places->stamp + sizeof(stamp) > (uint8_t *)(long)ctx->data_end)
		return XDP_ABORTED;
	write_header(data, template, places->stamp);

	now = wait_for(due);
	if (now < due)
		return XDP_DROP;
	due = schedule_catch_up(run, config.ways, due, now);
	if (run->slot >= run->slots)
		return XDP_DROP;
	stamp = frame_stamp(sent->frames, now, now - due);
	frame_write(data, places, template, flow, &stamp);

	if (schedule_needs_mark(run, due, &second))
		mark(run, second);
	schedule_advance(run);
	sent->frames++;
	if (++sent->order_at == config.order_length)
		sent->order_at = 0;
	histogram_add(&sent->lateness, now - due);
	return config.to_stack ? XDP_PASS : (int)bpf_redirect_map(&devices, way, 0);
}

SEC("xdp") int generate(struct xdp_md *ctx)
{
	uint32_t zero = 0;
	struct ttf_generator *run = bpf_map_lookup_elem(&generator, &zero);

	if (!run)
		return XDP_ABORTED;
	if (!*(volatile uint64_t *)&run->start_ns) {
		run->turns++;
		return XDP_DROP;
	}
	if (run->slot >= run->slots)
		return XDP_DROP;
	if (config.ways > 1 && run->slot & 1) {
		int verdict = next_frame(ctx, run, 1);

		barrier(); /* or the compiler makes one call of both, with a way that the verifier doesn't know */
		return verdict;
	}
	return next_frame(ctx, run, 0);
}

static __always_inline bool is_for(const uint8_t *destination, const volatile struct ttf_template *template)
{
	for (int i = 0; i < 6; i++)
		if (destination[i] != template->header[i])
			return false;
	return true;
}

/*
 * With `to_stack`, frames arrive here: at the loopback of the namespace that the run is in. They are told by their
 * destination, which no other frame has there.
 */
SEC("tc") int select_device(struct __sk_buff *skb)
{
	const uint8_t *destination = (void *)(long)skb->data, *data_end = (void *)(long)skb->data_end;

	if (destination + 6 > data_end)
		return TC_ACT_UNSPEC;
	for (uint32_t way = 0; way < TTF_MAX_WAYS; way++)
		if (way < config.ways && is_for(destination, &config.templates[way * TTF_MAX_SIZES]))
			return (int)bpf_redirect(config.ifindex[way], 0);
	return TC_ACT_UNSPEC;
}

char LICENSE[] SEC("license") = "Apache-2.0";
