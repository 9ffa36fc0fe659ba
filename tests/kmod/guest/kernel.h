/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's log, the module's reference count, and files of /proc and /sys. */
#ifndef KERNEL_H
#define KERNEL_H

#include <stdbool.h>

/* An fd that reads the log from its present end on; -1 if that can't be opened. */
int kernel_log_open(void);

/*
 * Read and print the records that were logged since the last call: how many. With `alarming`, only those that
 * report a fault of the kernel. Records about a clock that stood still aren't counted.
 */
unsigned int kernel_log_read(int log, bool alarming);

/* The number of references to the module, or -1 if it isn't loaded. */
int module_references(void);

/* Wait until the module has `wanted` references; false after 5 s. Files are released after close(). */
bool module_references_settle(int wanted);

/* Write a text to a file of /proc or /sys; false with errno on failure. */
bool write_file(const char *path, const char *text);

#endif
