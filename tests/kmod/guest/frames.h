/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbered frames, the wire that they arrive on, and the two ways to move many by one call.
 *
 * The source address of a frame holds its number, so even the shortest frames differ. All bytes behind the
 * header are a pattern of the number and the length, so a check finds every wrong byte.
 *
 * The wire is a packet socket on the tap device: the network stack's side. A check of the wire reads the next
 * frame and compares all of it, so it finds every lost, repeated, reordered or changed frame.
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
/* A wire whose frames have a virtio_net_hdr: its offload requests are left to the device. */
int offload_wire_open(int index);
void wire_send(int wire, size_t length, unsigned int number);
/* Send `count` frames, with consecutive numbers. */
void wire_send_many(int wire, size_t length, unsigned int first, unsigned int count);
void wire_expect(int wire, size_t length, unsigned int number);
void wire_expect_many(int wire, size_t length, unsigned int first, unsigned int count);
/* No frame waits. A frame arrives before its send returns, except with NAPI. */
void wire_expect_nothing(int wire);
/* Read all frames that wait: how many. */
unsigned int wire_drain(int wire);

/* Buffers for a burst, each with room for a header and a frame. */
struct buffers {
	unsigned int count, header;
	size_t room;
	char *memory;
	struct iovec iov[FRAME_MAX_BURST];
	size_t lengths[FRAME_MAX_BURST]; /* of received frames, with their headers */
};

struct buffers *buffers_new(const struct framing *framing, unsigned int count, size_t room);
/* Fill all buffers with frames of this length, numbered from `first` on. */
void buffers_fill(struct buffers *b, size_t length, unsigned int first);
void buffer_fill(struct buffers *b, unsigned int i, size_t length, unsigned int number);
void buffer_check(const struct buffers *b, unsigned int i, size_t length, unsigned int number);
/* Let all iovecs have their buffers' full size again. */
void buffers_reset(struct buffers *b);

/* The two ways to move many frames by one call. */
enum way {
	MMSG,  /* sendmmsg(), recvmmsg() */
	BURST, /* sendmsg(), recvmsg() of a burst message */
	WAYS
};
extern const char *const way_names[WAYS];

/* Send or receive `count` buffers, from number `first` on: how many were moved, or -1 with errno. */
int move_out(enum way way, int sock, struct buffers *b, unsigned int first, unsigned int count, int flags);
int move_in(enum way way, int sock, struct buffers *b, unsigned int first, unsigned int count, int flags);

/* Send and receive one frame, by send() and recv(); these add and remove its header. */
void tap_send(const struct tap *tap, size_t length, unsigned int number);
int try_tap_send(const struct tap *tap, size_t length, unsigned int number, int flags);
void tap_expect(const struct tap *tap, size_t length, unsigned int number);
void tap_expect_nothing(const struct tap *tap);
/* Check that frames pass, one in each direction. */
void tap_check(const struct tap *tap, int wire, unsigned int number);

#endif
