/* SPDX-License-Identifier: Apache-2.0 */
/* Writes what changes from frame to frame: flow, stamp, checksums. In the kernel and in user space. */
#ifndef TTF_FRAME_WRITE_H
#define TTF_FRAME_WRITE_H

#include <linux/types.h>

#include <bpf/bpf_endian.h>

#include "frame.h"

static inline struct ttf_stamp frame_stamp(uint64_t number, uint64_t sent_ns, uint64_t late_ns)
{
	struct ttf_stamp stamp = {
		.seq = bpf_htonl((uint32_t)number),
		.late_ns = late_ns >> 32 ? 0xffffffff : bpf_htonl((uint32_t)late_ns),
		.sent_ns = bpf_cpu_to_be64(sent_ns),
	};

	return stamp;
}

/* Write what changes from frame to frame. The caller knows that the frame reaches as far as its stamp. */
static __attribute__((always_inline)) inline void frame_write(void *frame,
							      const volatile struct ttf_places *places,
							      const volatile struct ttf_template *template,
							      uint32_t flow, const struct ttf_stamp *stamp)
{
	uint8_t *at = frame;
	uint32_t address = bpf_htonl(frame_flow_address(template->address, flow));
	uint16_t port = bpf_htons(frame_flow_port(flow));
	uint16_t udp =
		frame_udp_checksum((uint64_t) template->udp_sum + address + port + frame_stamp_sum(stamp));

	__builtin_memcpy(at + places->address, &address, sizeof(address));
	__builtin_memcpy(at + places->port, &port, sizeof(port));
	if (places->ip_checksum) {
		uint16_t ip = frame_checksum((uint64_t) template->ip_sum + address);

		__builtin_memcpy(at + places->ip_checksum, &ip, sizeof(ip));
	}
	__builtin_memcpy(at + places->udp_checksum, &udp, sizeof(udp));
	__builtin_memcpy(at + places->stamp, stamp, sizeof(*stamp));
}

#endif
