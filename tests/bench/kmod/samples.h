/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the time goes, by kernel function: this process, sampled by the CPU clock, as `perf record -e
 * cpu-clock` does it. perf itself takes minutes to start in an emulated guest.
 *
 * Code that runs with interrupts off is billed to where they are turned on again.
 */
#ifndef TTF_BENCH_SAMPLES_H
#define TTF_BENCH_SAMPLES_H

#include <stdint.h>

void samples_open(void);
void samples_start(void);
void samples_stop(void);

/* How often each function was found running, as lines of JSON that begin with `prefix`; then forget them. */
void samples_print(const char *prefix);

#endif
