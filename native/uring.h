/* SPDX-License-Identifier: Apache-2.0 */
/* What Python asks of io_uring: whether driver `uring` (uring.c) would get a ring. */
#ifndef TTF_URING_H
#define TTF_URING_H

/* Make a ring as a queue would, and unmake it. 0 or -errno: -ENOSYS, -EPERM, -ENOMEM, ... */
int ttf_uring_probe(void);

#endif
