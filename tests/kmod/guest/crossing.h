/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Crossings, their ports and members; see kmod/uapi/turbotap_crossing.h. A function whose name begins with
 * try_ returns -1 with errno on failure. All others end the case on failure.
 */
#ifndef CROSSING_H
#define CROSSING_H

#include "tap.h"
#include "turbotap_crossing.h"

#define CROSSING_SLOTS 512
#define CROSSING_ROOM (64u << 20) /* bytes */

struct member {
	int fd;
	unsigned int first, count, number;
	struct turbotap_lists *lists;
	const struct turbotap_cell *cells; /* of all slots of the crossing */
};

int create_crossing(int control, unsigned int slots, unsigned int header_bytes, unsigned long bytes);
int try_crossing(unsigned int slots, unsigned int header_bytes, unsigned long bytes);
/* CROSSING_SLOTS slots, all header bytes, CROSSING_ROOM. */
int crossing_new(void);

int try_port_tap(int crossing, int tun, unsigned int vnet_hdr_size);
int try_port_device(int crossing, int index);
int try_port_delete(int crossing, unsigned int port);
unsigned int port_of(int crossing, const struct tap *tap);
unsigned int port_of_device(int crossing, int index);
void port_delete(int crossing, unsigned int port);

int try_join(int crossing, struct turbotap_member *join);
struct member member_new(int crossing, unsigned int slots, unsigned long bytes, unsigned int rights);
/* Map what a member's fd shows, also one that was received from another process. */
struct member member_map(int fd, unsigned int first, unsigned int count, unsigned int number);
/* Its mappings and its fd: the member leaves. */
void member_close(struct member *m);

/* Receive into the member's slots, from its `at`-th on: how many frames. */
int try_receive(const struct member *m, unsigned int port, unsigned int at, unsigned int count);
/* Receive exactly so many; some may take a while to come. */
void receive(const struct member *m, unsigned int port, unsigned int at, unsigned int count);
/* Fill in the i-th entry: the frame that is in a slot now. */
void entry_set(const struct member *m, unsigned int i, unsigned int slot, unsigned int port,
	       unsigned int flags);
/* Send so many entries: how many succeeded. */
unsigned int try_cross(const struct member *m, unsigned int entries);
/* Send the frames of so many slots, from the member's `at`-th on, to a port: all must succeed. */
void send_slots(const struct member *m, unsigned int at, unsigned int count, unsigned int port);
/* Send one frame: 0 or the errno of the entry. */
int send_one(const struct member *m, unsigned int slot, unsigned int port, unsigned int flags);
int send_rewritten(const struct member *m, unsigned int slot, unsigned int port, const void *bytes,
		   unsigned int count);
/* Copy a frame of `length` bytes out, to `buffer`: its result. */
int copy_out(const struct member *m, unsigned int slot, void *buffer, unsigned int length,
	     unsigned int flags);

bool slot_holds(int crossing, unsigned int slot);
unsigned int slots_held(int crossing);
unsigned long held_bytes(int crossing);

#endif
