/* SPDX-License-Identifier: Apache-2.0 */
#include "pktgen.h"

#include <stdlib.h>
#include <string.h>

#include "checksum.h"
#include "ethernet.h"

#define IPV4_HLEN 20u
#define FIRST_PORT 49152u
#define DISCARD_PORT 9u
#define SECOND_NS 1000000000ull
#define CATCH_UP_NS 10000000ull

static void pktgen_make_frame(uint8_t *eth, const struct ttf_pktgen_config *config, uint32_t flow)
{
	uint8_t *ip = eth + TTF_ETH_HLEN;
	uint8_t *udp = ip + IPV4_HLEN;
	uint16_t sum;

	memcpy(eth, config->dst_mac, TTF_ETH_ALEN);
	memcpy(eth + TTF_ETH_ALEN, config->src_mac, TTF_ETH_ALEN);
	store_be16(eth + 2 * TTF_ETH_ALEN, ETHERTYPE_IPV4);
	ip[0] = 0x45;
	store_be16(ip + 2, config->size - TTF_ETH_HLEN);
	ip[6] = 0x40; /* don't fragment */
	ip[8] = 64;   /* TTL */
	ip[9] = PROTO_UDP;
	memcpy(ip + 12, config->src_ip, 4);
	memcpy(ip + 16, config->dst_ip, 4);
	sum = (uint16_t)~checksum_fold(checksum_add(0, ip, IPV4_HLEN));
	memcpy(ip + 10, &sum, sizeof(sum));
	/* Without a UDP checksum (RFC 768 allows 0 over IPv4): the payload is zero and nobody reads it. */
	store_be16(udp, FIRST_PORT + flow);
	store_be16(udp + 2, DISCARD_PORT);
	store_be16(udp + 4, config->size - TTF_ETH_HLEN - IPV4_HLEN);
}

struct pktgen *ttf_pktgen_new(const struct ttf_pktgen_config *config)
{
	struct pktgen *generator = calloc(1, sizeof(*generator));

	if (!generator)
		return NULL;
	generator->config = *config;
	generator->stride =
		TTF_FRAME_HEADROOM + (config->size + TTF_CACHE_LINE - 1) / TTF_CACHE_LINE * TTF_CACHE_LINE;
	generator->frames = calloc(config->flows, generator->stride);
	if (!generator->frames) {
		free(generator);
		return NULL;
	}
	for (uint32_t flow = 0; flow < config->flows; flow++)
		pktgen_make_frame(generator->frames + (size_t)flow * generator->stride + TTF_FRAME_HEADROOM,
				  config, flow);
	return generator;
}

void ttf_pktgen_free(struct pktgen *generator)
{
	if (!generator)
		return;
	free(generator->frames);
	free(generator);
}

uint32_t ttf_pktgen_due(struct pktgen *generator, uint64_t now_ns, uint32_t max)
{
	uint64_t rate = generator->config.rate;
	uint64_t due;

	if (!rate)
		return max;
	if (!generator->due_ns)
		generator->due_ns = now_ns;
	if (now_ns < generator->due_ns)
		return 0;
	due = 1 + (now_ns - generator->due_ns) * rate / SECOND_NS;
	if (due > max)
		due = max;
	generator->due_ns += due * SECOND_NS / rate;
	if (generator->due_ns + CATCH_UP_NS < now_ns)
		generator->due_ns = now_ns - CATCH_UP_NS;
	return (uint32_t)due;
}

void ttf_pktgen_fill(struct pktgen *generator, struct ttf_frame *frames, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		uint32_t flow = generator->next_flow;

		generator->next_flow = flow + 1 == generator->config.flows ? 0 : flow + 1;
		frames[i].eth = generator->frames + (size_t)flow * generator->stride + TTF_FRAME_HEADROOM;
		frames[i].length = generator->config.size;
		frames[i].offload = 0; /* the header in front is zero */
	}
}
