/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Segmentation in software: the packets that a GSO frame stands for, with complete checksums, as the kernel
 * would make them (inet_gso_segment(), tcp_gso_segment(), __udp_gso_segment()). For ports whose device can't
 * do it. Reads the GSO frame, and writes packets only.
 *
 *   IPv4     total length; the identification counts up; header checksum
 *   IPv6     payload length; extension headers are repeated
 *   TCP      sequence number; FIN and PSH on the last packet only, CWR on the first only; checksum
 *   UDP      length; checksum
 */
#ifndef TTF_GSO_H
#define TTF_GSO_H

#include "vnet_hdr.h"

/* The number of packets in a GSO frame of `length` bytes: 1 or more. */
uint32_t ttf_gso_packets(const struct offload_request *request, uint32_t length);

/*
 * Write `count` packets of a GSO frame, from packet `first` on, as one frame. It is like the GSO frame, but
 * shorter: its checksum field holds the sum of the pseudo-header. `part` has room for the headers and count *
 * gso_size bytes. Returns the part's length.
 */
uint32_t ttf_gso_part(const struct offload_request *request, const uint8_t *eth, uint32_t length,
		      uint32_t first, uint32_t count, uint8_t *part);

/* Write packet `index`, complete, to `packet`, which has room for `length` bytes. Returns the packet's
 * length. */
uint32_t ttf_gso_packet(const struct offload_request *request, const uint8_t *eth, uint32_t length,
			uint32_t index, uint8_t *packet);

#endif
