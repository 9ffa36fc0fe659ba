/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tap devices, their queues, and sockets for them. A function whose name begins with try_ returns -1 with
 * errno on failure. All others end the case on failure.
 */
#ifndef TAP_H
#define TAP_H

#include <linux/if.h>
#include <linux/if_tun.h>
#include <stdbool.h>

#include "turbotap.h"

/* The framing of a queue, and how its socket is attached. */
struct framing {
	const char *name;
	short tun_flags;	   /* for TUNSETIFF */
	unsigned int header;	   /* bytes in front of each frame */
	unsigned int attach_flags; /* for TURBOTAP_ATTACH */
	bool legacy;		   /* attach by TUNGETSOCKFD */
};

enum {
	PLAIN,	/* no header, batches */
	VNET10, /* the shortest virtio_net_hdr, batches */
	VNET12, /* a longer one, batches */
	ALONE,	/* no header, one by one */
	LEGACY, /* no header, one by one, attached by TUNGETSOCKFD */
	PI,	/* tun_pi, one by one */
	NAPI,	/* IFF_NAPI, batches */
	FRAGS,	/* IFF_NAPI_FRAGS, one by one: tun makes fragments of the iovecs */
	FRAMINGS,
};

extern const struct framing framings[FRAMINGS];

struct tap {
	const struct framing *framing;
	char name[IFNAMSIZ];
	int index; /* of the net device */
	int tun;
	int sock;
};

/* A new tap device, up, with one queue and a non-blocking socket for it. */
struct tap tap_open(unsigned int framing);

/* A new queue of an IFF_MULTI_QUEUE device, or a new device. NULL: the kernel chooses the name. */
int tun_open(const char *name, short flags);
int try_tun_open(const char *name, short flags, int open_mode);
const char *tun_name(int tun);

int control_open(void);
int try_attach(int tun, unsigned int flags, unsigned int vnet_hdr_size);
int try_attach_legacy(int tun);
int attach(int tun, unsigned int flags, unsigned int vnet_hdr_size);

int try_set_burst(int sock, int on);
void set_burst(int sock, bool on);
void set_nonblocking(int fd, bool on);

/* The value of a counter in the socket's fdinfo; the name is for example "tx-frames". */
unsigned long counter(int sock, const char *name);

void queue_attach(int tun);
void queue_detach(int tun);

/* Send an fd over a Unix socket (SCM_RIGHTS), and receive it. */
void fd_send(int unix_socket, int fd);
int fd_receive(int unix_socket);

#endif
