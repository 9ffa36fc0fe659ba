/* SPDX-License-Identifier: Apache-2.0 */
/* Devices beside the taps, made by ip and tc in this process's namespace. */
#ifndef TTF_BENCH_VETH_H
#define TTF_BENCH_VETH_H

/* Run a line of sh. The program ends unless it succeeds. */
void shell(const char *line);

/* Make a veth and its other end, both up. */
void veth_make(const char *one, const char *other);

#endif
