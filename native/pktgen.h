/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mode txonly: UDP over IPv4 frames of one size, over a number of flows, at a rate.
 *
 * The frames are made once; the loop sends the same memory again and again.
 */
#ifndef TTF_PKTGEN_H
#define TTF_PKTGEN_H

#include "driver.h"

#define TTF_PKTGEN_MIN_BYTES 60u
#define TTF_PKTGEN_MAX_BYTES 9014u /* MTU 9000 */
#define TTF_PKTGEN_MAX_FLOWS 1024u

struct ttf_pktgen_config {
	uint32_t size;	/* bytes of the frame, from the Ethernet header on, without FCS */
	uint32_t flows; /* they differ in the UDP source port, from 49152 on */
	uint64_t rate;	/* packets per second of this queue; 0: without a limit */
	uint8_t src_mac[6];
	uint8_t dst_mac[6];
	uint8_t src_ip[4];
	uint8_t dst_ip[4];
};

struct pktgen {
	struct ttf_pktgen_config config;
	uint8_t *frames; /* flows x stride bytes */
	uint32_t stride;
	uint32_t next_flow;
	uint64_t due_ns; /* when the next packet is due; if that is past, it leaves at once */
};

/* The configuration is within its limits. NULL: no memory. */
struct pktgen *ttf_pktgen_new(const struct ttf_pktgen_config *config);
void ttf_pktgen_free(struct pktgen *generator);

/* The number of packets that are due, at most max. After a delay it catches up with 10 ms. */
uint32_t ttf_pktgen_due(struct pktgen *generator, uint64_t now_ns, uint32_t max);

/* Point frames[0..count) at the frames of the next flows. */
void ttf_pktgen_fill(struct pktgen *generator, struct ttf_frame *frames, uint32_t count);

#endif
