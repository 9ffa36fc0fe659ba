/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TTF_PRIVILEGE_H
#define TTF_PRIVILEGE_H

#include <stdint.h>

/*
 * Give up, for good, what a worker doesn't need once everything is open: all capabilities, the right to
 * gain any by exec, and, for root, its user and group identity. 0 or -errno.
 */
int ttf_drop_privileges(uint32_t uid, uint32_t gid);

/* Have the kernel kill this process when its parent's thread ends. After ttf_drop_privileges(), which
 * clears it. 0 or -errno. */
int ttf_die_with_parent(void);

#endif
