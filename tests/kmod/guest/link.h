/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `ip link` does, without it: net devices of the case's namespace, by ioctl and rtnetlink; their
 * counters; and an XDP program on one.
 */
#ifndef LINK_H
#define LINK_H

#include <linux/bpf.h>

void link_up(const char *name);
void link_down(const char *name);
void link_set_mtu(const char *name, int mtu);
void link_set_queue_length(const char *name, int frames);
void link_delete(int index);
void link_move(int index, int net_namespace);

/* The index of a device, 0 when there is none: as if_nametoindex(), but without a module being looked for. */
int link_index(const char *name);

/* -1 with errno when it can't be done; for those who delete what may not be there. */
int try_link_set_up(const char *name, int up);
int try_link_delete(int index);

/* An fd of a new network namespace; the caller stays where he is. */
int namespace_new(void);

/* As /proc/net/dev names them, from the device's side: rx is what came in by a send on the socket. */
struct link_counters {
	unsigned long rx_bytes, rx_packets, rx_errors, rx_dropped;
	unsigned long tx_bytes, tx_packets, tx_errors, tx_dropped;
};
struct link_counters link_counters(const char *name);

/* Attach a program that returns `action` for every frame. The fd that is returned keeps it there. */
int xdp_attach(int index, enum xdp_action action);

#endif
