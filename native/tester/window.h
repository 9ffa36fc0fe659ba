/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The receiver's bitmap as user space reads it: a ring of 2^27 bits. Number n has bit n mod 2^27.
 */
#ifndef TTF_WINDOW_H
#define TTF_WINDOW_H

#include <stdint.h>

#include "receiver.h"

/*
 * Count the set bits of the numbers from `from` on, below `to`, and clear them. Only numbers below
 * ttf_receiver.floor, or after the receiver is detached: the receiver writes the bits of all others.
 */
uint64_t ttf_window_take(uint64_t *words, uint64_t from, uint64_t to);

#endif
