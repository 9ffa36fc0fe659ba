/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The io_urings of a worker's process. They are made before it shuts itself in (sandbox.h), because it can't
 * make any later, and an io_uring can't be sent from one process to another. Each is restricted to what
 * driver `uring` does: it reads and writes registered queues, and polls them.
 */
#ifndef TTF_URING_H
#define TTF_URING_H

struct ttf_urings;

/* NULL with errno if there is no memory for them, or the kernel permits none. Only this thread can use them.
 */
struct ttf_urings *ttf_urings_new(void);
void ttf_urings_free(struct ttf_urings *urings);

/* Would driver `uring` get an io_uring? Make one, and close it. 0 or -errno. */
int ttf_uring_probe(void);

#endif
