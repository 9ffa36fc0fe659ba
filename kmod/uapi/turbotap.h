/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * turbotap: a socket for every queue of a tap device.
 *
 * Open TURBOTAP_DEVICE, hand it the fd of an attached tun/tap queue with
 * TURBOTAP_ATTACH, and get a socket in return. What is sent on it is received
 * by the device, what the device transmits is received from it, framed as the
 * tun fd frames it. The socket is a datagram socket: one message is one frame,
 * so that recvmmsg() and sendmmsg() move a burst with one system call.
 *
 * With the socket option TURBOTAP_BURST one message is a burst: see below.
 * Lifetimes, errors and limits: kmod/README.md.
 */
#ifndef _UAPI_LINUX_TURBOTAP_H
#define _UAPI_LINUX_TURBOTAP_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define TURBOTAP_DEVICE		"/dev/net/turbotap"
#define TURBOTAP_ABI_VERSION	1

/*
 * The call of the turbotap module of 2016: takes a pointer to a tun fd,
 * returns a socket. On a tun fd the same number is TUNSETSTEERINGEBPF, so
 * mind which fd it goes to. New programs use TURBOTAP_ATTACH.
 */
#define TUNGETSOCKFD		_IOR('T', 224, int)

#define TURBOTAP_IOC_MAGIC	0xBD

/* Bits of turbotap_info.features */
#define TURBOTAP_FEATURE_BATCH	0x1	/* TURBOTAP_ATTACH_BATCH */
#define TURBOTAP_FEATURE_BURST	0x2	/* SOL_TURBOTAP, TURBOTAP_BURST */

/**
 * struct turbotap_info - what this module is
 * @size: in: bytes that the caller has room for, at least 8;
 *	out: bytes that this module knows. What it doesn't know is zeroed.
 * @abi_version: TURBOTAP_ABI_VERSION; grows when a structure does
 * @features: TURBOTAP_FEATURE_*
 * @max_burst: most frames of a burst message
 * @max_batch: most frames of one injection into the network stack
 * @max_frame: longest frame that can be sent, headers of the queue's framing
 *	(virtio_net_hdr, tun_pi) not counted
 * @reserved: 0
 */
struct turbotap_info {
	__u32 size;
	__u32 abi_version;
	__u64 features;
	__u32 max_burst;
	__u32 max_batch;
	__u32 max_frame;
	__u32 reserved;
};

/* Bits of turbotap_attach.flags */
#define TURBOTAP_ATTACH_CLOEXEC		0x1
#define TURBOTAP_ATTACH_NONBLOCK	0x2
/*
 * The queue is IFF_TAP | IFF_NO_PI and its frames begin with a virtio_net_hdr
 * of vnet_hdr_size bytes (0: IFF_VNET_HDR is off). With this declared, frames
 * are injected a batch at a time; without, one by one.
 */
#define TURBOTAP_ATTACH_BATCH		0x4

/**
 * struct turbotap_attach - make a socket for a tun queue; returned as an fd
 * @size: bytes of this structure as the caller knows it
 * @tun_fd: an attached queue of a tun/tap device, open for reading and writing
 * @flags: TURBOTAP_ATTACH_*
 * @vnet_hdr_size: with TURBOTAP_ATTACH_BATCH: what TUNGETVNETHDRSZ says if
 *	the queue has IFF_VNET_HDR, else 0
 */
struct turbotap_attach {
	__u32 size;
	__s32 tun_fd;
	__u32 flags;
	__u32 vnet_hdr_size;
};

#define TURBOTAP_GET_INFO	_IOWR(TURBOTAP_IOC_MAGIC, 0, struct turbotap_info)
#define TURBOTAP_ATTACH		_IOW(TURBOTAP_IOC_MAGIC, 1, struct turbotap_attach)

/*
 * Socket option TURBOTAP_BURST, an int, 0 or 1: with 1,
 *
 *   sendmsg()	takes one frame from each iovec, in order, and returns how many
 *		frames it took: all, or those before the first that failed. An
 *		error is returned if the first one failed.
 *   recvmsg()	puts one frame into each iovec, in order, and returns how many
 *		it put there. It waits for the first one only. msg_control must
 *		have room for CMSG_SPACE(n * sizeof(__u32)) bytes: one control
 *		message (SOL_TURBOTAP, TURBOTAP_LENGTHS) gives the frames'
 *		lengths. A length beyond its iovec's tells a frame that was cut
 *		there, and sets MSG_TRUNC in msg_flags.
 *
 * At most max_burst iovecs of a message are used.
 */
#define SOL_TURBOTAP		0x7474
#define TURBOTAP_BURST		1
#define TURBOTAP_LENGTHS	1

#endif /* _UAPI_LINUX_TURBOTAP_H */
