/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Internet checksum (RFC 1071) over bytes at any alignment. Sums are kept in native byte order: a
 * one's complement sum is the same in either order, its bytes swapped.
 */
#ifndef TTF_CHECKSUM_H
#define TTF_CHECKSUM_H

#include <stdint.h>
#include <string.h>

/* Add bytes to a sum, at most 2^32 of them; an odd last byte is padded with zero. */
static inline uint64_t checksum_add(uint64_t sum, const uint8_t *data, uint32_t length)
{
	uint64_t words;

	/* 2^32 is 1 modulo 2^16 - 1, so the halves can be added as they are. */
	for (; length >= sizeof(words); length -= sizeof(words), data += sizeof(words)) {
		memcpy(&words, data, sizeof(words));
		sum += (words & 0xffffffff) + (words >> 32);
	}
	words = 0;
	memcpy(&words, data, length);
	return sum + (words & 0xffffffff) + (words >> 32);
}

static inline uint16_t checksum_fold(uint64_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* Complete a checksum of the bytes from `start` on. Its field, `at`, holds the sum of the pseudo-header. */
static inline void checksum_complete(uint8_t *packet, uint32_t length, uint32_t start, uint32_t at)
{
	uint16_t sum = (uint16_t)~checksum_fold(checksum_add(0, packet + start, length - start));

	if (sum == 0)
		sum = 0xffff; /* UDP reads 0 as "no checksum" (RFC 768); for TCP the two are equal */
	memcpy(packet + at, &sum, sizeof(sum));
}

#endif
