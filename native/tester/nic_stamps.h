/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hardware timestamps of received frames, for devices that have them (`ethtool -T`): those that can stamp every
 * frame, by a clock that can be read (/dev/ptpN).
 */
#ifndef TTF_NIC_STAMPS_H
#define TTF_NIC_STAMPS_H

#include <stdbool.h>
#include <stdint.h>

struct ttf_nic_stamps {
	int32_t clock_fd; /* -1: none */
	/* How the device stamped before. It stamps for all programs of the host. */
	int32_t was_flags, was_tx_type, was_rx_filter;
	bool changed;
};

/*
 * Have a device of this thread's network namespace stamp what it receives. `fd`: any socket. 1; 0 if it can't, or
 * its clock isn't readable here; -errno.
 */
int ttf_nic_stamps_enable(struct ttf_nic_stamps *stamps, int fd, const char *device);

/* Let it stamp as before, and close its clock. */
void ttf_nic_stamps_restore(struct ttf_nic_stamps *stamps, int fd, const char *device);

/* The clock, as clock_gettime() takes it. */
static inline int32_t nic_stamps_clock_id(const struct ttf_nic_stamps *stamps)
{
	return (int32_t)((~(uint32_t)stamps->clock_fd << 3) | 3u); /* FD_TO_CLOCKID, clock_getres(2) */
}

#endif
