/* SPDX-License-Identifier: Apache-2.0 */
/* The list of drivers, and the configuration of a port on one worker. */
#ifndef TTF_PORT_CONFIG_H
#define TTF_PORT_CONFIG_H

#include <stdint.h>

/*
 * X(SUFFIX, name): TTF_DRIVER_SUFFIX is its number, ttf_driver_name its functions (driver.h). A new driver
 * has a file of its own and a line here.
 */
#define TTF_DRIVERS(X)                    \
	X(TAP, tap)                       \
	X(TURBOTAP_MMSG, turbotap_mmsg)   \
	X(PACKET, packet)                 \
	X(TURBOTAP_BURST, turbotap_burst) \
	X(URING, uring)                   \
	X(TURBOTAP_ZEROCOPY, turbotap_zerocopy)

enum ttf_driver {
#define TTF_DRIVER_NUMBER(suffix, name) TTF_DRIVER_##suffix,
	TTF_DRIVERS(TTF_DRIVER_NUMBER)
#undef TTF_DRIVER_NUMBER
};

struct ttf_urings;

struct ttf_port_config {
	uint32_t port_id;
	uint32_t generation;
	uint32_t queues;
	uint32_t mtu;
	int32_t peer;		   /* -1: none */
	int32_t fd;		   /* this worker's queue, borrowed; -1: the port has none here */
	int32_t plain_fd;	   /* driver packet: a socket with a transmit ring, borrowed; -1: none */
	uint32_t driver;	   /* enum ttf_driver */
	uint32_t header_bytes;	   /* of the offload header on the wire: 0 or TTF_VNET_HDR_BYTES */
	uint32_t offloads;	   /* TTF_OFFLOAD_ bits that the port takes; 0 without a header */
	uint32_t crossing_port;	   /* its number in the crossing, by which this worker sends; 0: none */
	struct ttf_urings *urings; /* driver uring: those of this process (uring.h) */
};

#endif
