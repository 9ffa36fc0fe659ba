/* SPDX-License-Identifier: Apache-2.0 */
/* A worker gives up its privileges, and dies with the supervisor. */
#ifndef TTF_PRIVILEGE_H
#define TTF_PRIVILEGE_H

#include <stdint.h>

/*
 * Give up for good: all capabilities, the right to gain any by exec, and, for root, user and group. A worker
 * needs none of them once everything is open. 0 or -errno.
 */
int ttf_drop_privileges(uint32_t uid, uint32_t gid);

/*
 * The kernel kills this process when its parent's thread ends. Call it after ttf_drop_privileges(), which
 * clears it. 0 or -errno.
 */
int ttf_die_with_parent(void);

#endif
