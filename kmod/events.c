// SPDX-License-Identifier: GPL-2.0
/* Where the tracepoints' code goes. */
#define CREATE_TRACE_POINTS
#include "events.h"
