/* SPDX-License-Identifier: Apache-2.0 */
/* CRC32c (RFC 3720, appendix B.4), the checksum of SCTP (RFC 9260, appendix A): four bits at a time. */
#ifndef TTF_CRC32C_H
#define TTF_CRC32C_H

#include <stdint.h>

static inline uint32_t crc32c_add(uint32_t crc, const uint8_t *data, uint32_t length)
{
	static const uint32_t table[16] = {
		0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3,
		0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
		0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
	};

	for (uint32_t i = 0; i < length; i++) {
		crc ^= data[i];
		crc = crc >> 4 ^ table[crc & 15];
		crc = crc >> 4 ^ table[crc & 15];
	}
	return crc;
}

/* Complete the checksum of an SCTP packet, which begins at `start`. Its field, `at`, counts as zero. */
static inline void crc32c_complete(uint8_t *packet, uint32_t length, uint32_t start, uint32_t at)
{
	static const uint8_t zero[4] = { 0 };
	uint32_t crc = crc32c_add(UINT32_MAX, packet + start, at - start);

	crc = crc32c_add(crc, zero, sizeof(zero));
	crc = ~crc32c_add(crc, packet + at + sizeof(zero), length - at - (uint32_t)sizeof(zero));
	for (uint32_t i = 0; i < sizeof(zero); i++)
		packet[at + i] = (uint8_t)(crc >> 8 * i);
}

#endif
