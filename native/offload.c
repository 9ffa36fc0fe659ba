/* SPDX-License-Identifier: Apache-2.0 */
#include "offload.h"

/* RFC 1071, over bytes at any alignment; an odd last byte is padded with zero. */
static uint16_t checksum(const uint8_t *data, uint32_t length)
{
	uint64_t sum = 0;
	uint16_t word;

	for (; length >= 2; length -= 2, data += 2) {
		memcpy(&word, data, 2);
		sum += word;
	}
	if (length) {
		word = 0;
		memcpy(&word, data, 1);
		sum += word;
	}
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

int offload_complete(uint8_t *eth, uint32_t length)
{
	struct offload_header header = offload_of(eth);
	uint32_t at = (uint32_t)header.csum_start + header.csum_offset;
	uint16_t sum;

	if (header.gso_type)
		return -1;
	if (!(header.flags & OFFLOAD_NEEDS_CSUM))
		return 0;
	if (header.csum_start >= length || at + 2 > length)
		return -1;
	/* The field holds the pseudo-header's sum, so it takes part in its own checksum. */
	sum = checksum(eth + header.csum_start, length - header.csum_start);
	if (sum == 0)
		sum = 0xffff; /* UDP reads 0 as "no checksum" (RFC 768); for TCP the two are equal */
	memcpy(eth + at, &sum, 2);
	offload_clear(eth);
	return 0;
}
