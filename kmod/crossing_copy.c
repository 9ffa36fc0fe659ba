// SPDX-License-Identifier: GPL-2.0
/*
 * Copying frames to user memory, for ports that aren't in the crossing.
 *
 * User space may stall a copy, by its page faults, as long as it likes. So the
 * frame is out of its slot meanwhile: no other call waits for it.
 */
#include <linux/sched/signal.h>
#include <linux/uaccess.h>
#include <linux/uio.h>

#include "crossing.h"

static long copy_frame(struct sk_buff *skb, const struct turbotap_copy *copy)
{
	struct iov_iter to;
	unsigned int length;

	if (copy->offset > skb->len)
		return -EINVAL;
	length = min(copy->length, skb->len - copy->offset);
	iov_iter_ubuf(&to, ITER_DEST, u64_to_user_ptr(copy->buffer), length);
	return skb_copy_datagram_iter(skb, copy->offset, &to, length) ?: length;
}

static long copy_one(struct tt_member *m, const struct turbotap_copy *copy)
{
	struct tt_freed freed = { .crossing = m->crossing };
	struct sk_buff *skb;
	long ret;

	if (copy->flags & ~TURBOTAP_COPY_RELEASE)
		return -EINVAL;
	if (!access_ok(u64_to_user_ptr(copy->buffer), copy->length))
		return -EFAULT;
	skb = tt_slot_take(m->crossing, copy->slot, copy->generation);
	if (IS_ERR(skb))
		return PTR_ERR(skb);
	ret = copy_frame(skb, copy);
	if (ret >= 0 && copy->flags & TURBOTAP_COPY_RELEASE) {
		tt_freed_add(&freed, skb);
		consume_skb(skb);
	} else {
		tt_slot_return(m->crossing, copy->slot, skb, &freed);
	}
	tt_freed_flush(&freed);
	return ret;
}

long tt_copy_out(struct tt_member *m, const struct turbotap_copies *copies)
{
	struct turbotap_copy __user *list = u64_to_user_ptr(copies->list);
	struct turbotap_copy copy;
	long i, result;

	if (!(m->rights & TURBOTAP_RIGHT_COPY))
		return -EPERM;
	if (!copies->count || copies->count > TURBOTAP_CROSSING_BATCH)
		return -EINVAL;
	for (i = 0; i < copies->count; i++) {
		if (fatal_signal_pending(current))
			break;
		if (copy_from_user(&copy, &list[i], sizeof(copy)))
			return i ?: -EFAULT;
		result = copy_one(m, &copy);
		if (result >= 0)
			atomic_long_inc(&m->copied);
		if (put_user((s32)result, &list[i].result))
			return i ?: -EFAULT;
		cond_resched();
	}
	return i;
}
