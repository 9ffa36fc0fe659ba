/* SPDX-License-Identifier: Apache-2.0 */
#include "crossing_calls.h"

#include <errno.h>
#include <sys/ioctl.h>

int ttf_call_cross(int member)
{
	int count = ioctl(member, TURBOTAP_CROSS, 0);

	return count < 0 ? -errno : count;
}

int ttf_call_copy_out(int member, struct turbotap_copy *list, uint32_t count)
{
	const struct turbotap_copies copies = { .size = sizeof(copies),
						.count = count,
						.list = (uintptr_t)list };
	int done = ioctl(member, TURBOTAP_COPY_OUT, &copies);

	return done < 0 ? -errno : done;
}

int ttf_call_listen(int member, uint32_t port, uint32_t frames, uint32_t microseconds)
{
	const struct turbotap_listen listen = {
		.size = sizeof(listen), .port = port, .frames = frames, .microseconds = microseconds
	};

	return ioctl(member, TURBOTAP_LISTEN, &listen) < 0 ? -errno : 0;
}
