/* SPDX-License-Identifier: Apache-2.0 */
#include "noise.h"

#include "clock.h"

void ttf_noise_listen(uint64_t duration_ns, uint64_t gap_ns, struct ttf_noise *noise)
{
	const uint64_t began = clock_precise_ns();
	uint64_t then = began, now = began, gap;
	struct ttf_noise heard = { 0 };

	while (now - began < duration_ns) {
		now = clock_precise_ns();
		heard.reads++;
		gap = now - then;
		then = now;
		if (gap > heard.longest_ns)
			heard.longest_ns = gap;
		if (gap > gap_ns) {
			heard.gaps++;
			heard.gaps_ns += gap;
		}
	}
	heard.duration_ns = now - began;
	*noise = heard;
}
