/* SPDX-License-Identifier: Apache-2.0 */
/* What the errors mean by which the kernel refuses a frame. */
#ifndef TTF_EGRESS_ERROR_H
#define TTF_EGRESS_ERROR_H

#include <errno.h>
#include <stdbool.h>

#include "abi.h"

/*
 * The name of an error that met the first unsent frame. *alone: it concerns that frame only. The kernel has
 * dropped a frame that it says ENOBUFS or ENOMEM of, so there is nothing to try again.
 */
static inline uint32_t egress_drop_reason(int error, bool *alone)
{
	*alone = false;
	switch (error) {
	case EAGAIN:
	case EINTR:
		return TTF_DROP_TX_FULL;
	case ENOBUFS:
	case ENOMEM:
		*alone = true;
		return TTF_DROP_TX_FULL;
	case EIO: /* tun: not IFF_UP */
	case ENETDOWN:
	case ENXIO:
	case ENODEV:
	case EBADFD: /* tun: the device is gone */
		return TTF_DROP_LINK_DOWN;
	case EMSGSIZE:
		*alone = true;
		return TTF_DROP_OVERSIZE;
	default:
		*alone = true;
		return TTF_DROP_TX_ERROR;
	}
}

#endif
