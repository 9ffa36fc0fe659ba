/* SPDX-License-Identifier: Apache-2.0 */
#include "tester/window.h"

uint64_t ttf_window_take(uint64_t *words, uint64_t from, uint64_t to)
{
	uint64_t count = 0;

	while (from < to) {
		uint64_t *word = &words[(from >> 6) & (TTF_WINDOW_WORDS - 1)];
		uint64_t bits = 64 - (from & 63); /* to the end of this word */
		uint64_t mask;

		if (bits > to - from)
			bits = to - from;
		mask = (bits == 64 ? ~0ull : (1ull << bits) - 1) << (from & 63);
		count += (uint64_t)__builtin_popcountll(*word & mask);
		/* Bits beyond `to` may be set meanwhile. */
		__atomic_fetch_and(word, ~mask, __ATOMIC_RELAXED);
		from += bits;
	}
	return count;
}
