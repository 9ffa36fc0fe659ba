// SPDX-License-Identifier: GPL-2.0
/* The definitions of the tracepoints that events.h declares. */
#define CREATE_TRACE_POINTS
#include "events.h"
