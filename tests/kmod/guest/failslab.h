/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of failslab share; see failslab.c. */
#ifndef FAILSLAB_H
#define FAILSLAB_H

#include <stdbool.h>

#define MOST_ALLOCATIONS 300 /* of one call; with more, the rounds would never end */

/* Let the n-th allocation of this thread from now on fail, once. */
void inject(unsigned int n);
/* Has the allocation failed? After this call none will. */
bool injected(void);
unsigned int open_descriptors(void);

/* failslab_crossing.c: a part of it. */
void crossing_rounds(unsigned int which);
#define CROSSING_PARTS 6

#endif
