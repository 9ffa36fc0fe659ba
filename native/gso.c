/* SPDX-License-Identifier: Apache-2.0 */
#include "gso.h"

#include <arpa/inet.h>
#include <stdbool.h>

#include "checksum.h"
#include "ethernet.h"

enum {
	TCP_FIN = 0x01,
	TCP_PSH = 0x08,
	TCP_CWR = 0x80,
};

uint32_t ttf_gso_packets(const struct offload_request *request, uint32_t length)
{
	uint32_t payload = length - request->headers;

	return payload ? (payload + request->gso_size - 1) / request->gso_size : 1;
}

static void gso_ipv4(uint8_t *ip, uint32_t bytes, uint32_t header_bytes, uint32_t index)
{
	uint16_t sum = 0;

	store_be16(ip + 2, bytes);
	store_be16(ip + 4, load_be16(ip + 4) + index);
	memcpy(ip + 10, &sum, sizeof(sum));
	sum = (uint16_t)~checksum_fold(checksum_add(0, ip, header_bytes));
	memcpy(ip + 10, &sum, sizeof(sum));
}

static void gso_tcp(uint8_t *tcp, uint32_t skipped, bool first, bool last)
{
	uint32_t sequence;

	memcpy(&sequence, tcp + 4, sizeof(sequence));
	sequence = htonl(ntohl(sequence) + skipped);
	memcpy(tcp + 4, &sequence, sizeof(sequence));
	if (!last)
		tcp[13] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
	if (!first)
		tcp[13] &= (uint8_t)~TCP_CWR;
}

/*
 * The checksum field holds the sum of the pseudo-header, which includes the length: replace the GSO frame's
 * by the part's. Nothing else is computed again, as some of it is unknown here (the final destination in a
 * routing header, for example).
 */
static void gso_correct_pseudo_header(uint8_t *field, uint32_t whole, uint32_t bytes)
{
	uint16_t sum;

	memcpy(&sum, field, sizeof(sum));
	sum = checksum_fold((uint64_t)sum + (uint32_t)~htonl(whole) + htonl(bytes));
	memcpy(field, &sum, sizeof(sum));
}

uint32_t ttf_gso_part(const struct offload_request *request, const uint8_t *eth, uint32_t length,
		      uint32_t first, uint32_t count, uint8_t *part)
{
	const uint32_t skipped = first * request->gso_size;
	const uint32_t left = length - request->headers - skipped;
	const uint32_t payload = left < count * request->gso_size ? left : count * request->gso_size;
	const uint32_t bytes = request->headers + payload;
	uint8_t *ip = part + request->network, *transport = part + request->csum_start;

	memcpy(part, eth, request->headers);
	memcpy(part + request->headers, eth + request->headers + skipped, payload);
	if (request->version == 4)
		gso_ipv4(ip, bytes - request->network, request->csum_start - request->network, first);
	else
		store_be16(ip + 4, bytes - request->network - 40);
	if (request->wants & (TTF_OFFLOAD_TSO4 | TTF_OFFLOAD_TSO6))
		gso_tcp(transport, skipped, first == 0, payload == left);
	else
		store_be16(transport + 4, bytes - request->csum_start);
	gso_correct_pseudo_header(part + request->csum_at, length - request->csum_start,
				  bytes - request->csum_start);
	return bytes;
}

uint32_t ttf_gso_packet(const struct offload_request *request, const uint8_t *eth, uint32_t length,
			uint32_t index, uint8_t *packet)
{
	const uint32_t bytes = ttf_gso_part(request, eth, length, index, 1, packet);

	checksum_complete(packet, bytes, request->csum_start, request->csum_at);
	return bytes;
}
