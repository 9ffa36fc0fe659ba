/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The C11 memory model over plain integers.
 *
 * Shared structs hold plain fixed-width integers, so that cffi can read the same declarations. Every access
 * that another process can see uses these macros. Beside each store_release() stands the function with the
 * load_acquire() that it pairs with.
 */
#ifndef TTF_ATOMIC_H
#define TTF_ATOMIC_H

#define load_relaxed(p) __atomic_load_n((p), __ATOMIC_RELAXED)
#define load_acquire(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define store_relaxed(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define store_release(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define fence_seq_cst() __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define cas_relaxed(p, expected, desired) \
	__atomic_compare_exchange_n((p), (expected), (desired), 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED)

/*
 * Add to a counter that has one writer. The release store costs nothing on x86. It orders counters: those of
 * a killed process never show a packet as sent and not as received.
 */
#define count_add(p, n) store_release((p), load_relaxed(p) + (uint64_t)(n))

#endif
