/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where any frame has room for a stamp: at the start of what UDP or TCP carries.
 *
 * For frames that the tester didn't make (a capture), or that a device under test may have changed: tags,
 * addresses and protocols are read from the frame.
 */
#ifndef TTF_PAYLOAD_H
#define TTF_PAYLOAD_H

#include <stdbool.h>
#include <stdint.h>

/* Offsets in a frame. */
struct ttf_payload {
	uint32_t stamp;
	uint32_t checksum; /* UDP's or TCP's; 0: the frame has none */
	uint32_t sum;	   /* of what that covers, the stamp and itself left out */
	bool is_udp;
};

/* False if the frame has no room: it is no UDP or TCP, is a fragment, is malformed, or carries too little. */
bool ttf_payload_find(const uint8_t *frame, uint32_t length, struct ttf_payload *found);

/* The same, of a frame whose checksum won't be written: `sum` is left out. */
bool ttf_payload_find_stamp(const uint8_t *frame, uint32_t length, uint32_t *stamp);

#endif
