/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Delta debugging: leave out each half of the list, then each quarter, and so on, and keep a shorter list if
 * it still fails. See Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002. This
 * is the part of it that tests complements.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

static struct calls without(const struct calls *calls, unsigned int from, unsigned int count)
{
	struct calls rest = { malloc((calls->count + 1) * sizeof(struct call)), 0 };

	memcpy(rest.list, calls->list, from * sizeof(struct call));
	memcpy(rest.list + from, calls->list + from + count,
	       (calls->count - from - count) * sizeof(struct call));
	rest.count = calls->count - count;
	return rest;
}

struct calls calls_shrink(const struct calls *calls, bool (*fails)(const struct calls *), unsigned int budget)
{
	struct calls least = without(calls, 0, 0);
	unsigned int part = (least.count + 1) / 2;

	while (part && budget) {
		bool smaller = false;

		for (unsigned int from = 0; from < least.count && budget; budget--) {
			unsigned int count = part < least.count - from ? part : least.count - from;
			struct calls candidate = without(&least, from, count);

			if (fails(&candidate)) {
				free(least.list);
				least = candidate;
				smaller = true;
			} else {
				free(candidate.list);
				from += count;
			}
		}
		if (part > least.count)
			part = (least.count + 1) / 2;
		else if (!smaller || part > 1)
			part /= 2;
	}
	return least;
}
