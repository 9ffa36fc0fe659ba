// SPDX-License-Identifier: Apache-2.0
#include "packet_big.h"

#include <errno.h>
#include <stdlib.h>

#include "ethernet.h"
#include "gso.h"

#define IP_MAX_BYTES 65535u
#define IPV6_BYTES 40u
#define JUMBO_BYTES 8u
/*
 * A part is no longer than this with its Ethernet header. A device whose gso_max_size is 65,536, the default,
 * segments no longer frame.
 */
#define PART_MAX_BYTES 65535u

int ttf_packet_big_init(struct packet_big *big)
{
	*big = (struct packet_big){ .memory = malloc(TTF_FRAME_HEADROOM + PACKET_BIG_MAX_BYTES) };
	return big->memory ? 0 : -ENOMEM;
}

void ttf_packet_big_exit(struct packet_big *big)
{
	free(big->memory);
}

uint8_t *ttf_packet_big_eth(const struct packet_big *big)
{
	return big->memory + TTF_FRAME_HEADROOM;
}

/*
 * Remove a hop-by-hop header that is nothing but a jumbo payload option: the frame's front moves up to the
 * TCP header.
 */
static void big_remove_jumbo(struct ttf_frame *frame)
{
	struct vnet_hdr header = vnet_hdr_read(frame->eth);
	uint32_t ethertype, at = ttf_eth_payload(frame->eth, frame->length, &ethertype);
	uint8_t *ip = frame->eth + at, *option = ip + IPV6_BYTES;

	if (ethertype != ETHERTYPE_IPV6 || load_be16(ip + 4) || ip[6] != PROTO_HOPOPTS || option[1] ||
	    option[2] != 0xc2 || option[3] != 4)
		return;
	ip[6] = option[0];
	memmove(frame->eth + JUMBO_BYTES, frame->eth, at + IPV6_BYTES);
	frame->eth += JUMBO_BYTES;
	frame->length -= JUMBO_BYTES;
	header.csum_start -= (uint16_t)JUMBO_BYTES;
	header.hdr_len -= (uint16_t)JUMBO_BYTES;
	vnet_hdr_write(frame->eth, &header);
}

/* Can the length fields of its IP header express the frame's length? */
static bool big_expressible(const struct offload_request *request, uint32_t length)
{
	return length - request->network - (request->version == 6 ? IPV6_BYTES : 0) <= IP_MAX_BYTES;
}

void ttf_packet_big_split(struct packet_big *big, struct ttf_frame frame)
{
	struct offload_request *request = &big->request;

	big->next = 0;
	big->packets = big->each = 1;
	if (frame.length < FRAME_MALFORMED && frame.length > PACKET_BIG_BEYOND_BYTES && frame.offload) {
		big_remove_jumbo(&frame);
		if (ttf_vnet_hdr_parse(frame.eth, frame.length, request) == 0 &&
		    request->wants & (TTF_OFFLOAD_TSO4 | TTF_OFFLOAD_TSO6) &&
		    !big_expressible(request, frame.length) &&
		    request->headers + request->gso_size <= PART_MAX_BYTES) {
			big->packets = ttf_gso_packets(request, frame.length);
			big->each = (PART_MAX_BYTES - request->headers) / request->gso_size;
		}
	}
	if (big->packets == 1 && frame.length < FRAME_MALFORMED && frame.length > TTF_FRAME_MAX_BYTES)
		frame.length = FRAME_TRUNCATED;
	big->frame = frame;
}

/* The whole frame is the only part. */
static void big_take_whole(const struct packet_big *big, struct ttf_frame *frame)
{
	frame->length = big->frame.length;
	frame->offload = big->frame.offload;
	if (frame->length < FRAME_MALFORMED)
		memcpy(frame->eth - TTF_VNET_HDR_BYTES, big->frame.eth - TTF_VNET_HDR_BYTES,
		       frame->length + TTF_VNET_HDR_BYTES);
}

void ttf_packet_big_take(struct packet_big *big, struct ttf_frame *frame)
{
	const struct offload_request *request = &big->request;
	struct vnet_hdr header;

	if (big->packets == 1) {
		big_take_whole(big, frame);
		big->next = 1;
		return;
	}
	header = vnet_hdr_read(big->frame.eth);
	header.hdr_len = (uint16_t)request->headers;
	frame->offload = 1;
	frame->length =
		ttf_gso_part(request, big->frame.eth, big->frame.length, big->next, big->each, frame->eth);
	if (big->next)
		header.gso_type &= (uint8_t)~OFFLOAD_GSO_ECN; /* CWR is set in the first packet alone */
	if (frame->length - request->headers <= request->gso_size)
		header.gso_type = header.gso_size = 0; /* one packet is left */
	vnet_hdr_write(frame->eth, &header);
	big->next += big->each;
}
