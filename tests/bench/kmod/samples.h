/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Samples this process by the CPU clock and counts its kernel functions, as `perf record -e cpu-clock` does.
 * perf itself takes minutes to start in an emulated guest.
 *
 * Time with interrupts off counts for the function that turns them on again.
 */
#ifndef TTF_BENCH_SAMPLES_H
#define TTF_BENCH_SAMPLES_H

#include <stdint.h>

void samples_open(void);
void samples_start(void);
void samples_stop(void);

/* Print each function's count as lines of JSON that begin with `prefix`, and reset the counts. */
void samples_print(const char *prefix);

#endif
