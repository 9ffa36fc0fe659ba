/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames that can be told apart, the wire that they are seen on, and the two ways to move many by one call.
 *
 * Each frame carries a number, in its source address, and a pattern of it and of its length in every further
 * byte, so that a frame of the smallest size is recognised and not one byte of another can be wrong unseen.
 *
 * The wire is a packet socket on the tap device: the network stack's side. It is read in order, and each
 * frame must be exactly the one that is expected next: nothing lost, repeated, reordered or changed passes.
 */
#ifndef FRAMES_H
#define FRAMES_H

#include <sys/socket.h>
#include <sys/uio.h>

#include "tap.h"

#define FRAME_MIN 14
#define FRAME_TYPE 0x88b5 /* IEEE 802: local experimental */
#define FRAME_MAX_BURST 256

void frame_fill(void *frame, size_t length, unsigned int number);
void frame_check(const void *frame, size_t length, unsigned int number);
unsigned int frame_number(const void *frame);

int wire_open(int index);
void wire_send(int wire, size_t length, unsigned int number);
/* `count` frames, with consecutive numbers. */
void wire_send_many(int wire, size_t length, unsigned int first, unsigned int count);
void wire_expect(int wire, size_t length, unsigned int number);
void wire_expect_many(int wire, size_t length, unsigned int first, unsigned int count);
/* Nothing is there. Frames come in before a send returns, unless the device uses NAPI. */
void wire_expect_nothing(int wire);
/* Read whatever there is: how many frames. */
unsigned int wire_drain(int wire);

/* Buffers for a burst, each with room for a header and a frame. */
struct buffers {
	unsigned int count, header;
	size_t room;
	char *memory;
	struct iovec iov[FRAME_MAX_BURST];
	size_t lengths[FRAME_MAX_BURST]; /* what a receive found, header included */
};

struct buffers *buffers_new(const struct framing *framing, unsigned int count, size_t room);
/* Put frames of that length into all of them, numbered from `first`. */
void buffers_fill(struct buffers *b, size_t length, unsigned int first);
void buffer_fill(struct buffers *b, unsigned int i, size_t length, unsigned int number);
void buffer_check(const struct buffers *b, unsigned int i, size_t length, unsigned int number);
/* Set all iovecs to their buffers' full size again. */
void buffers_reset(struct buffers *b);

enum io {
	MMSG,
	BURST,
	IOS
};
extern const char *const io_names[IOS];

/* Send or receive `count` buffers from the i-th on: how many were moved, or -1 with errno. */
int move_out(enum io io, int sock, struct buffers *b, unsigned int first, unsigned int count, int flags);
int move_in(enum io io, int sock, struct buffers *b, unsigned int first, unsigned int count, int flags);

/* One frame, by send() and recv(): headers are added, and taken off. */
void tap_send(const struct tap *tap, size_t length, unsigned int number);
int try_tap_send(const struct tap *tap, size_t length, unsigned int number, int flags);
void tap_expect(const struct tap *tap, size_t length, unsigned int number);
void tap_expect_nothing(const struct tap *tap);
/* Traffic passes, one frame each way. */
void tap_check(const struct tap *tap, int wire, unsigned int number);

#endif
