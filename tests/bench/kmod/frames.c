// SPDX-License-Identifier: Apache-2.0
#include <linux/virtio_net.h>
#include <string.h>

#include "../bench.h"
#include "frames.h"

#define ETHERNET 14u
#define IP 20u
#define TCP 32u	  /* with a timestamp option, as Linux sends it */
#define MSS 1448u /* the rest of MTU 1500 */

static uint32_t sum_words(const uint8_t *bytes, uint32_t length, uint32_t sum)
{
	for (uint32_t i = 0; i < length; i++)
		sum += i % 2 ? bytes[i] : (uint32_t)bytes[i] << 8;
	return sum;
}

static uint32_t folded(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum + (sum >> 16)) & 0xffff;
}

static void store_be16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static uint32_t pseudo_header(const uint8_t *ip, uint32_t payload)
{
	return sum_words(ip + 12, 8, ip[9] + payload);
}

static void make_udp(uint8_t *udp, const uint8_t *ip, uint32_t bytes)
{
	static const uint8_t head[] = { 0x04, 0x00, 0, SINK_PORT, 0, 0, 0, 0 };

	memcpy(udp, head, sizeof(head));
	store_be16(udp + 4, bytes);
	store_be16(udp + 6, ~folded(sum_words(udp, bytes, pseudo_header(ip, bytes))) & 0xffff);
}

/* As TCP hands a GSO frame to a device: the checksum field holds the part that all packets share. */
static void make_tcp(uint8_t *tcp, const uint8_t *ip, uint32_t bytes)
{
	static const uint8_t head[TCP] = {
		0x04, 0x00, 0, SINK_PORT, 0, 0, 0, 1, 0, 0,  0, 1, TCP / 4 << 4, 0x10, /* acknowledges */
		0x01, 0xf5, 0, 0,	  0, 0, 1, 1, 8, 10, /* window; checksum; a time stamp follows */
	};

	memcpy(tcp, head, sizeof(head));
	store_be16(tcp + 16, folded(pseudo_header(ip, bytes)));
}

static void make_header(uint8_t *at)
{
	struct virtio_net_hdr header = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
		.hdr_len = ETHERNET + IP + TCP,
		.gso_size = MSS,
		.csum_start = ETHERNET + IP,
		.csum_offset = 16,
	};

	_Static_assert(sizeof(header) == BENCH_VNET_BYTES, "the legacy header");
	memcpy(at, &header, sizeof(header));
}

uint32_t frames_bytes(const struct frames *frames)
{
	return frames->size + (frames->segments ? BENCH_VNET_BYTES : 0);
}

void frames_make(uint8_t *bytes, const struct frames *frames)
{
	static const uint8_t head[] = {
		0x02, 0,  0, 0, 0,   2,	 0x02, 0, 0,  0,  0, 0x77, 0x08, 0x00, /* Ethernet */
		0x45, 0,  0, 0, 0,   0,	 0x40, 0, 64, 17, 0, 0,		       /* IPv4: UDP, don't fragment */
		198,  18, 0, 1, 198, 18, 0,    2,
	};
	uint8_t *eth = bytes + (frames->segments ? BENCH_VNET_BYTES : 0), *ip = eth + ETHERNET;
	uint32_t payload = frames->size - ETHERNET - IP;

	memset(eth, 0x55, frames->size);
	memcpy(eth, head, sizeof(head));
	if (frames->fate == DROPPED)
		eth[5] = 0x99;
	if (frames->segments)
		ip[9] = 6;
	store_be16(ip + 2, frames->size - ETHERNET);
	store_be16(ip + 10, ~folded(sum_words(ip, IP, 0)) & 0xffff);
	if (frames->segments) {
		make_header(bytes);
		make_tcp(ip + IP, ip, payload);
	} else {
		make_udp(ip + IP, ip, payload);
	}
}
