// SPDX-License-Identifier: Apache-2.0
/*
 * One direction of a fake device under test whose truth is known: frames that one veth receives leave by
 * another. On the way some are dropped, delayed, duplicated or displaced, as `dut.behaviour` says, and
 * `dut.book` has what was done.
 *
 * The receiving veth has one queue, so no two CPUs run this at a time, and plain counters are exact.
 *
 * An XDP program can't make a frame. But a redirect to all entries of a device map makes copies, and the map's
 * own program (fake_out) sees each before it leaves. There are three entries: two copies with the room of a
 * page each, and the original, which is dropped. That gives duplicates, and displaced frames too:
 *
 *   in:   5 is held (copied, and dropped)    6 passes    7 is the last to overtake 5: it is copied
 *   out:                                     6           7, and the second 7 gets the bytes of 5
 *
 * What is copied is marked by four bytes of metadata in front of the frame.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "fake_dut.h"

#define ENTRIES 3
#define DUPLICATE 1
#define CARRIER 2 /* of the held frame */
#define SPIN_LIMIT (1u << 20)

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, ENTRIES);
	__type(key, __u32);
	__type(value, struct bpf_devmap_val);
} out SEC(".maps");

struct fake_dut dut; /* .bss: user space maps it */

struct spin {
	__u64 until_ns, now_ns;
};

static int not_yet(__u32 index, void *context)
{
	struct spin *spin = context;

	(void)index;
	spin->now_ns = bpf_ktime_get_ns();
	return spin->now_ns >= spin->until_ns; /* 1 ends the loop */
}

static void count_time(__u64 *buckets, __u64 ns)
{
	if (ns >= FAKE_TIMES * FAKE_TIME_NS)
		ns = FAKE_TIMES * FAKE_TIME_NS - 1;
	buckets[ns / FAKE_TIME_NS]++;
}

/* Delay a frame that came at `came_ns`, by which of the two delays is its own. */
static void delay(__u64 came_ns)
{
	const struct fake_behaviour *wanted = &dut.behaviour;
	const int is_turn = dut.state.passed % wanted->delay_every == 0;
	struct spin spin = { came_ns + (is_turn ? wanted->delay_ns : wanted->else_delay_ns), 0 };

	bpf_loop(SPIN_LIMIT, (void *)(unsigned long)not_yet, &spin, 0);
	count_time(is_turn ? dut.book.delayed : dut.book.undelayed, bpf_ktime_get_ns() - spin.until_ns);
}

/* Virtual scheduling (ITU-T I.371): is this frame too early for the rate? Only those that keep it count. */
static int beyond_limit(void)
{
	const __u64 now_ns = bpf_ktime_get_ns();
	__u64 now;

	if (!dut.state.epoch_ns)
		dut.state.epoch_ns = now_ns;
	now = (now_ns - dut.state.epoch_ns) << 16;
	if (dut.state.next_due > now + dut.behaviour.limit_tolerance)
		return 1;
	if (dut.state.next_due < now)
		dut.state.next_due = now;
	dut.state.next_due += dut.behaviour.limit_interval;
	return 0;
}

/* Is this frame dropped? Each is counted in one place. */
static int dropped(void)
{
	const struct fake_behaviour *wanted = &dut.behaviour;
	const __u64 number = ++dut.book.received;

	if (wanted->die_after && number > wanted->die_after)
		dut.book.dropped_dead++;
	else if (number >= wanted->lose_from && number - wanted->lose_from < wanted->lose_count)
		dut.book.dropped_burst++;
	else if (wanted->drop_every && number % wanted->drop_every == 0)
		dut.book.dropped_every++;
	else if (wanted->limit_interval && beyond_limit())
		dut.book.dropped_limit++;
	else
		return 0;
	return 1;
}

static int is_turn(__u64 every, __u64 done, __u64 count)
{
	return every && done < count && dut.state.passed % every == 0;
}

/* Keep the frame's bytes, so that it can leave later. */
static int hold(struct xdp_md *ctx, __u64 length)
{
	if (length < 1 || length > FAKE_COPY_BYTES ||
	    bpf_xdp_load_bytes(ctx, 0, dut.state.held_bytes, (__u32)length))
		return XDP_ABORTED;
	dut.state.held_length = length;
	dut.state.overtaken = 0;
	dut.book.held = 1;
	return XDP_DROP;
}

static int copy(struct xdp_md *ctx, __u32 kind)
{
	__u32 *mark, *frame;

	if (bpf_xdp_adjust_meta(ctx, -(int)sizeof(*mark)))
		return XDP_ABORTED;
	mark = (void *)(long)ctx->data_meta;
	frame = (void *)(long)ctx->data;
	if (mark + 1 > frame)
		return XDP_ABORTED;
	*mark = kind;
	return (int)bpf_redirect_map(&out, 0, BPF_F_BROADCAST);
}

/* Take the mark off. 0: there is none. */
static __u32 unmarked(struct xdp_md *ctx)
{
	const __u32 *mark = (void *)(long)ctx->data_meta, *frame = (void *)(long)ctx->data;
	__u32 kind;

	if (mark + 1 > frame)
		return 0;
	kind = *mark;
	bpf_xdp_adjust_meta(ctx, sizeof(*mark));
	return kind;
}

SEC("xdp.frags") /* long frames come in pieces */
int fake_in(struct xdp_md *ctx)
{
	const struct fake_behaviour *wanted = &dut.behaviour;
	const __u64 came_ns = bpf_ktime_get_ns(), length = bpf_xdp_get_buff_len(ctx);

	/* A page that was marked here once keeps its mark, when BPF_PROG_TEST_RUN sends it again (live frames). */
	unmarked(ctx);
	if (dropped())
		return XDP_DROP;
	dut.state.passed++;
	if (wanted->delay_ns && wanted->delay_every)
		delay(came_ns);
	if (dut.book.held)
		dut.state.overtaken++;
	if (length <= FAKE_COPY_BYTES) {
		if (dut.book.held && dut.state.overtaken == wanted->displace_by)
			return copy(ctx, CARRIER);
		if (!dut.book.held &&
		    is_turn(wanted->displace_every, dut.book.displaced, wanted->displace_count))
			return hold(ctx, length);
		if (is_turn(wanted->duplicate_every, dut.book.duplicated, wanted->duplicate_count)) {
			dut.book.duplicated++;
			return copy(ctx, DUPLICATE);
		}
	}
	return (int)bpf_redirect_map(&out, 0, 0);
}

/* This copy becomes the frame that was held. */
static int release(struct xdp_md *ctx)
{
	const __u64 length = dut.state.held_length;

	if (length < 1 || length > FAKE_COPY_BYTES ||
	    bpf_xdp_adjust_tail(ctx, (int)length - (int)bpf_xdp_get_buff_len(ctx)) ||
	    bpf_xdp_store_bytes(ctx, 0, dut.state.held_bytes, (__u32)length))
		return XDP_ABORTED;
	dut.book.held = 0;
	dut.book.displaced++;
	return XDP_PASS;
}

SEC("xdp.frags/devmap")
int fake_out(struct xdp_md *ctx)
{
	const __u32 kind = unmarked(ctx);
	int verdict = XDP_PASS;

	if (kind) {
		const __u64 copy_number = ++dut.state.copies % ENTRIES;

		if (copy_number == 0) /* the original */
			verdict = XDP_DROP;
		else if (copy_number == 2 && kind == CARRIER)
			verdict = release(ctx);
	}
	if (verdict == XDP_PASS)
		dut.book.sent++;
	return verdict;
}

char fake_license[] SEC("license") = "Apache-2.0";
