/* SPDX-License-Identifier: Apache-2.0 */
/* Net devices of the case's namespace, by ioctl and rtnetlink: settings, counters, XDP programs. */
#ifndef LINK_H
#define LINK_H

#include <linux/bpf.h>
#include <stdbool.h>

void link_up(const char *name);
void link_down(const char *name);
void link_set_mtu(const char *name, int mtu);
void link_set_queue_length(const char *name, int frames);
void link_delete(int index);
void link_move(int index, int net_namespace);

/* The index of a device, or 0 if there is none. Like if_nametoindex(), but it doesn't load a module. */
int link_index(const char *name);

/* -1 with errno on failure. */
int try_link_set_up(const char *name, bool up);
int try_link_delete(int index);
int try_link_move(int index, int net_namespace);

/* An fd of a new network namespace. The caller stays in its own. */
int namespace_new(void);

/* Names as in /proc/net/dev, from the device's side: rx counts the frames that were sent on the socket. */
struct link_counters {
	unsigned long rx_bytes, rx_packets, rx_errors, rx_dropped;
	unsigned long tx_bytes, tx_packets, tx_errors, tx_dropped;
};
struct link_counters link_counters(const char *name);

/* Attach a program that returns `action` for every frame. It stays until the returned fd is closed. */
int xdp_attach(int index, enum xdp_action action);
int try_xdp_attach(int index, enum xdp_action action);

#endif
