/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TTF_URING_H
#define TTF_URING_H

/* Would driver `uring` get an io_uring? Make one as a queue would, and close it. 0 or -errno. */
int ttf_uring_probe(void);

#endif
