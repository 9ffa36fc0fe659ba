// SPDX-License-Identifier: GPL-2.0
/*
 * Slots. Each holds a frame or none, and the pointer to it changes hands by
 * xchg() alone: who gets it out owns the frame. So it doesn't matter who
 * else sends, fills or empties the same slot meanwhile.
 *
 * A handle is a slot and the generation of its frame. The generation is
 * written before the frame is put in, and compared after one was taken out:
 * then it is the frame's own, or already that of a next one.
 */
#include "crossing.h"

void tt_freed_flush(struct tt_freed *freed)
{
	if (freed->bytes)
		atomic_long_sub(freed->bytes,
				&freed->crossing->held[freed->member]);
	freed->bytes = 0;
}

/* The frame isn't held any more: before anything changes its truesize. */
void tt_freed_add(struct tt_freed *freed, struct sk_buff *skb)
{
	unsigned int member = tt_frame(skb)->member;

	if (unlikely(freed->member != member)) {
		tt_freed_flush(freed);
		freed->member = member;
	}
	freed->bytes += skb->truesize;
}

struct sk_buff *tt_slot_fill(struct tt_slot *slot, struct sk_buff *skb)
{
	return xchg(&slot->skb, skb);
}

struct sk_buff *tt_slot_take(struct tt_crossing *c, u32 index, u32 generation)
{
	struct tt_slot *slot;
	struct sk_buff *skb;

	if (unlikely(index >= c->slot_count))
		return ERR_PTR(-EINVAL);
	slot = &c->slots[index];
	if (unlikely(READ_ONCE(slot->generation) != generation))
		return ERR_PTR(-ESTALE);
	skb = xchg(&slot->skb, NULL);
	if (unlikely(!skb))
		return ERR_PTR(-ENOENT);
	if (unlikely(READ_ONCE(slot->generation) != generation)) {
		struct tt_freed freed = { .crossing = c };

		tt_slot_return(c, index, skb, &freed);
		tt_freed_flush(&freed);
		return ERR_PTR(-ESTALE);
	}
	return skb;
}

/*
 * The slot may have been filled again: then the frame would be dropped there,
 * too. Or its member may have left, and emptied its slots before this frame
 * came back: it clears slots_given first, so one of both sees the other.
 */
void tt_slot_return(struct tt_crossing *c, u32 index, struct sk_buff *skb,
		    struct tt_freed *freed)
{
	struct tt_slot *slot = &c->slots[index];

	if (!cmpxchg(&slot->skb, NULL, skb)) {
		smp_mb(); /* the slot is filled before its owner is looked at */
		if (likely(test_bit(index, c->slots_given)))
			return;
		skb = xchg(&slot->skb, NULL);
		if (!skb)
			return;
	}
	tt_freed_add(freed, skb);
	consume_skb(skb);
}

void tt_slots_empty(struct tt_crossing *c, u32 first, u32 count)
{
	struct tt_freed freed = { .crossing = c };
	struct sk_buff *skb;
	u32 i;

	for (i = first; i < first + count; i++) {
		skb = xchg(&c->slots[i].skb, NULL);
		if (skb) {
			tt_freed_add(&freed, skb);
			consume_skb(skb);
		}
		if (i % 1024 == 1023)
			cond_resched();
	}
	tt_freed_flush(&freed);
}
