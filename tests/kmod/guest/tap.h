/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tap devices, their queues, and sockets for them. What must work ends the case when it doesn't; what a case
 * may want to see fail has a name that begins with try_, and returns -1 with errno.
 */
#ifndef TAP_H
#define TAP_H

#include <linux/if.h>
#include <linux/if_tun.h>
#include <stdbool.h>

#include "turbotap.h"

/* How frames look on a queue's fd, and how its socket was made. */
struct framing {
	const char *name;
	short tun_flags;	   /* of TUNSETIFF */
	unsigned int header;	   /* bytes in front of each frame */
	unsigned int attach_flags; /* of TURBOTAP_ATTACH */
	bool legacy;		   /* by TUNGETSOCKFD */
};

enum {
	PLAIN,	  /* no header, batches */
	VNET10,	  /* the shortest virtio_net_hdr, batches */
	VNET12,	  /* a longer one, batches */
	ALONE,	  /* no header, one by one */
	LEGACY,	  /* no header, the call of 2016 */
	PI,	  /* tun_pi, one by one */
	NAPI,	  /* IFF_NAPI, batches */
	FRAGS,	  /* IFF_NAPI_FRAGS, one by one: tun looks at the iovecs */
	FRAMINGS, /* how many there are */
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

/* Another queue of an IFF_MULTI_QUEUE device, or a device of that name; with no name the kernel chooses. */
int tun_open(const char *name, short flags);
int try_tun_open(const char *name, short flags, int open_mode);
const char *tun_name(int tun);

int control_open(void);
int try_attach(int tun, unsigned int flags, unsigned int vnet_hdr_size);
int try_attach_legacy(int tun);
int attach(int tun, unsigned int flags, unsigned int vnet_hdr_size);

int try_set_burst(int sock, int on);
void set_burst(int sock, int on);
void set_nonblocking(int fd, bool on);

/* A counter of the socket's fdinfo by its name there, as "tx-frames". */
unsigned long counter(int sock, const char *name);

void queue_attach(int tun);
void queue_detach(int tun);

/* A process of its own that sends an fd, and one that gets it. */
void fd_send(int unix_socket, int fd);
int fd_receive(int unix_socket);

#endif
