/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel says about itself: its log, and the module's reference count. For the runner of cases, the
 * fuzzer and the fault injector.
 */
#ifndef KERNEL_H
#define KERNEL_H

#include <stdbool.h>

/* A reader of the log that begins at its present end; -1 when there is none. */
int kernel_log_open(void);

/*
 * Read what was logged since. Returns how many records, or with `alarming` how many of them tell of something
 * broken in the kernel; those are printed.
 */
unsigned int kernel_log_read(int log, bool alarming);

/* References to the module, or -1 when it isn't loaded. */
int module_references(void);

/* Wait until they have come down to `wanted`: files are released after close() returned. */
bool module_references_settle(int wanted);

/* Write a text to a file of /proc or /sys; false, with errno, if that can't be done. */
bool write_file(const char *path, const char *text);

#endif
