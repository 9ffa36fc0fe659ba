/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * turbotap: a socket for every queue of a tap device.
 *
 * Open TURBOTAP_DEVICE and call TURBOTAP_ATTACH with the fd of an attached
 * tun/tap queue: it returns a socket. The device receives the frames that are
 * sent on the socket, and the socket receives the frames that the device
 * transmits. Their framing is that of the tun fd. The socket is a datagram
 * socket: one message is one frame, so recvmmsg() and sendmmsg() move a burst
 * with one system call.
 *
 * With the socket option TURBOTAP_BURST, below, one message is a burst. Without
 * a socket, and without a copy: turbotap_crossing.h.
 * Lifetimes, errors and limits: kmod/README.md.
 */
#ifndef _UAPI_LINUX_TURBOTAP_H
#define _UAPI_LINUX_TURBOTAP_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define TURBOTAP_DEVICE		"/dev/net/turbotap"
#define TURBOTAP_ABI_VERSION	2

/*
 * The call of the turbotap module of 2016: takes a pointer to a tun fd,
 * returns a socket. On a tun fd the same number is TUNSETSTEERINGEBPF, so call
 * it on TURBOTAP_DEVICE only. New programs use TURBOTAP_ATTACH.
 */
#define TUNGETSOCKFD		_IOR('T', 224, int)

#define TURBOTAP_IOC_MAGIC	0xBD

/* Bits of turbotap_info.features */
#define TURBOTAP_FEATURE_BATCH	0x1	/* TURBOTAP_ATTACH_BATCH */
#define TURBOTAP_FEATURE_BURST	0x2	/* SOL_TURBOTAP, TURBOTAP_BURST */
#define TURBOTAP_FEATURE_CROSSING 0x4	/* turbotap_crossing.h */

/**
 * struct turbotap_info - version, features and limits of the module
 * @size: in: size of the caller's buffer in bytes, at least 8;
 *	out: size of this structure in the module. The module zeroes the rest
 *	of a longer buffer.
 * @abi_version: TURBOTAP_ABI_VERSION; grows when a structure does, and with new
 *	calls
 * @features: TURBOTAP_FEATURE_*
 * @max_burst: maximum number of frames in a burst message
 * @max_batch: maximum number of frames that are injected into the network
 *	stack together
 * @max_frame: maximum length of a sent frame in bytes, without the header of
 *	the queue's framing (virtio_net_hdr, tun_pi)
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
 * Declares the queue's framing: IFF_TAP | IFF_NO_PI, and a virtio_net_hdr of
 * vnet_hdr_size bytes in front of each frame (0: IFF_VNET_HDR is off). With this
 * flag frames are injected in batches, without it one by one.
 */
#define TURBOTAP_ATTACH_BATCH		0x4

/**
 * struct turbotap_attach - make a socket for a tun queue; returned as an fd
 * @size: size of the caller's structure in bytes
 * @tun_fd: an attached queue of a tun/tap device, open for reading and writing
 * @flags: TURBOTAP_ATTACH_*
 * @vnet_hdr_size: with TURBOTAP_ATTACH_BATCH and IFF_VNET_HDR: the value of
 *	TUNGETVNETHDRSZ; else 0
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
 * Socket option TURBOTAP_BURST, an int, 0 or 1. With 1 a message is a burst:
 *
 *   sendmsg()	sends one frame from each iovec, in order. It stops at the first
 *		frame that fails, and returns the number of frames before it, or
 *		the error if there are none.
 *   recvmsg()	receives one frame into each iovec, in order, and returns the
 *		number of frames. It waits for the first one only. One control
 *		message (SOL_TURBOTAP, TURBOTAP_LENGTHS) holds the lengths of
 *		the frames; for n frames, msg_control needs
 *		CMSG_SPACE(n * sizeof(__u32)) bytes. A frame longer than its
 *		iovec is truncated: its length is that of the whole frame, and
 *		MSG_TRUNC is set in msg_flags.
 *
 * At most max_burst iovecs of a message are used.
 */
#define SOL_TURBOTAP		0x7474
#define TURBOTAP_BURST		1
#define TURBOTAP_LENGTHS	1

#endif /* _UAPI_LINUX_TURBOTAP_H */
