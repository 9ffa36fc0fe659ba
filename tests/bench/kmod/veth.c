// SPDX-License-Identifier: Apache-2.0
#include "veth.h"

#include "../bench.h"

void shell(const char *line)
{
	if (!system(line))
		return;
	fprintf(stderr, "failed: %s\n", line);
	exit(1);
}

void veth_make(const char *one, const char *other)
{
	char line[256];

	snprintf(line, sizeof(line),
		 "ip link add %s type veth peer name %s && ip link set %s up && ip link set %s up", one,
		 other, one, other);
	shell(line);
}
