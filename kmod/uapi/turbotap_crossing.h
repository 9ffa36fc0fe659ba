/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * A crossing: frames go from port to port without being copied.
 *
 * The kernel keeps each frame in a slot. User space sees its length, its
 * offload header and its first bytes in the slot's cell, which is mapped, and
 * says which port the frame goes to. Three kinds of descriptors:
 *
 *	node		TURBOTAP_DEVICE: makes crossings
 *	crossing	makes ports and members; for a supervisor
 *	member		receives, sends, copies out; for a worker
 *
 * Each structure begins with its size, as the caller knows it. A longer one is
 * refused with E2BIG if what this module doesn't know isn't zero. Reserved
 * fields must be 0.
 *
 * Lifetimes, errors and limits: kmod/README.md.
 */
#ifndef _UAPI_LINUX_TURBOTAP_CROSSING_H
#define _UAPI_LINUX_TURBOTAP_CROSSING_H

#include <linux/ioctl.h>
#include <linux/types.h>

#include "turbotap.h"

#define TURBOTAP_CROSSING_SLOTS		65536	/* of a crossing, at most */
#define TURBOTAP_CROSSING_PORTS		1024
#define TURBOTAP_CROSSING_MEMBERS	64
#define TURBOTAP_CROSSING_BYTES		0x40000000u /* that frames may occupy */
#define TURBOTAP_CROSSING_BATCH		256	/* entries of a call */
#define TURBOTAP_CELL_HEADERS		128

/* Flags of turbotap_crossing and turbotap_member */
#define TURBOTAP_CROSSING_CLOEXEC	0x1

/**
 * struct turbotap_crossing - make a crossing; returned as an fd
 * @size: sizeof(struct turbotap_crossing)
 * @flags: TURBOTAP_CROSSING_CLOEXEC
 * @slots: how many; 1 to TURBOTAP_CROSSING_SLOTS
 * @header_bytes: how many bytes of a frame its cell shows; 14 to
 *	TURBOTAP_CELL_HEADERS
 * @bytes: how many bytes of kernel memory all held frames may occupy; charged
 *	to the caller's memory cgroup at once; 1 to TURBOTAP_CROSSING_BYTES
 */
struct turbotap_crossing {
	__u32 size;
	__u32 flags;
	__u32 slots;
	__u32 header_bytes;
	__u64 bytes;
};

/**
 * struct turbotap_port_tap - make a port of a tun queue
 * @size: sizeof(struct turbotap_port_tap)
 * @tun_fd: an attached queue of a tap device, open for reading and writing
 * @vnet_hdr_size: with IFF_VNET_HDR: the value of TUNGETVNETHDRSZ; else 0.
 *	The queue has IFF_NO_PI. Used when a frame must go through tun.
 * @reserved: 0
 * @scratch: anything; the module overwrites it
 *
 * Returns a port: a number that is never used again.
 */
struct turbotap_port_tap {
	__u32 size;
	__s32 tun_fd;
	__u32 vnet_hdr_size;
	__u32 reserved;
	__u8 scratch[64];
};

/**
 * struct turbotap_port_device - make a port of a device: it only transmits
 * @size: sizeof(struct turbotap_port_device)
 * @ifindex: an Ethernet device in the caller's network namespace
 */
struct turbotap_port_device {
	__u32 size;
	__s32 ifindex;
};

/* Bits of turbotap_member.rights */
#define TURBOTAP_RIGHT_COPY	0x1	/* TURBOTAP_COPY_OUT */
#define TURBOTAP_RIGHT_REWRITE	0x2	/* more than TURBOTAP_REWRITE_FREE bytes */

/**
 * struct turbotap_member - make a member; returned as an fd
 * @size: sizeof(struct turbotap_member)
 * @flags: TURBOTAP_CROSSING_CLOEXEC
 * @slots: how many of the crossing's slots are this member's
 * @rights: TURBOTAP_RIGHT_*
 * @bytes: its share of the crossing's bytes
 * @first: out: the first of its slots; the others follow
 * @number: out: which of the members it is
 */
struct turbotap_member {
	__u32 size;
	__u32 flags;
	__u32 slots;
	__u32 rights;
	__u64 bytes;
	__u32 first;
	__u32 number;
};

/**
 * struct turbotap_held - which slots hold a frame
 * @size: sizeof(struct turbotap_held)
 * @first: the first slot; a multiple of 64
 * @count: of slots
 * @reserved: 0
 * @bitmap: address of (count + 63) / 64 words: bit i of word j is slot
 *	first + 64 * j + i
 */
struct turbotap_held {
	__u32 size;
	__u32 first;
	__u32 count;
	__u32 reserved;
	__u64 bitmap;
};

/* Bits of turbotap_cell.flags */
#define TURBOTAP_CELL_NO_VNET	0x1	/* vnet can't say what the frame requests */

/**
 * struct turbotap_cell - what user space is told of a frame; mapped, read-only
 * @length: of the frame in bytes, with its Ethernet header and VLAN tags
 * @generation: of the slot; goes with the slot number
 * @port: where it came from
 * @header_bytes: how many bytes of it are in @headers
 * @flags: TURBOTAP_CELL_*
 * @reserved: 0
 * @vnet: struct virtio_net_hdr: the offload that the frame requests. It ends
 *	where @headers begin, as in front of a frame that tun hands out
 * @headers: the first bytes of the frame
 */
struct turbotap_cell {
	__u32 length;
	__u32 generation;
	__u32 port;
	__u16 header_bytes;
	__u16 flags;
	__u8 reserved[38];
	__u8 vnet[10];
	__u8 headers[TURBOTAP_CELL_HEADERS];
};

#define TURBOTAP_RELEASE	0xffffffffu	/* turbotap_send.port: drop it */
#define TURBOTAP_REWRITE_FREE	12		/* bytes: the MAC addresses */

/* Bits of turbotap_send.flags */
#define TURBOTAP_SEND_KEEP	0x1	/* send a clone; the frame stays */

/**
 * struct turbotap_send - what is to become of a frame
 * @slot: where it is; any member's
 * @generation: of its cell
 * @port: where it goes, or TURBOTAP_RELEASE
 * @rewrite: how many bytes at the beginning of the frame are replaced by those
 *	of turbotap_lists.headers
 * @flags: TURBOTAP_SEND_*
 * @result: out: 0 or -errno
 */
struct turbotap_send {
	__u32 slot;
	__u32 generation;
	__u32 port;
	__u16 rewrite;
	__u16 flags;
	__s32 result;
};

/**
 * struct turbotap_lists - the arguments of TURBOTAP_CROSS; mapped
 * @send_count: entries of @send; at most TURBOTAP_CROSSING_BATCH
 * @receive_count: entries of @receive; at most TURBOTAP_CROSSING_BATCH
 * @receive_port: the queue that frames are taken from
 * @sent: out: entries of @send whose result is 0
 * @lost: out: frames taken from the queue and lost, as there was no memory
 * @received: out: frames that are in the first slots of @receive
 * @calls: out: how many calls this member has made; it wraps. Written last, and
 *	also by a call whose caller is killed meanwhile: another holder of it
 *	then learns what became of the frames
 * @reserved: 0
 * @receive: the slots to fill, all of the member's own, each once
 * @send: see there
 * @headers: with turbotap_send.rewrite: what to write
 */
struct turbotap_lists {
	__u32 send_count;
	__u32 receive_count;
	__u32 receive_port;
	__u32 sent;
	__u32 lost;
	__u32 received;
	__u32 calls;
	__u32 reserved[9];
	__u32 receive[TURBOTAP_CROSSING_BATCH];
	struct turbotap_send send[TURBOTAP_CROSSING_BATCH];
	__u8 headers[TURBOTAP_CROSSING_BATCH][TURBOTAP_CELL_HEADERS];
};

/* Bits of turbotap_copy.flags */
#define TURBOTAP_COPY_RELEASE	0x1	/* drop the frame when it was copied */

/**
 * struct turbotap_copy - copy a frame, or a part of it, to user memory
 * @slot: where it is; any member's
 * @generation: of its cell
 * @buffer: address
 * @offset: in the frame, bytes
 * @length: of the buffer, bytes
 * @flags: TURBOTAP_COPY_*
 * @result: out: the number of bytes copied, or -errno
 *
 * Meanwhile the frame isn't in its slot: a send of it gives ENOENT.
 */
struct turbotap_copy {
	__u32 slot;
	__u32 generation;
	__u64 buffer;
	__u32 offset;
	__u32 length;
	__u32 flags;
	__s32 result;
};

/**
 * struct turbotap_copies - the argument of TURBOTAP_COPY_OUT
 * @size: sizeof(struct turbotap_copies)
 * @count: 1 to TURBOTAP_CROSSING_BATCH
 * @list: address of struct turbotap_copy[count]
 *
 * Returns how many were handled; each has its result.
 */
struct turbotap_copies {
	__u32 size;
	__u32 count;
	__u64 list;
};

/**
 * struct turbotap_listen - let poll() of the member report a port's frames
 * @size: sizeof(struct turbotap_listen)
 * @port: a tun queue
 * @frames: wake up when so many have arrived; 0: don't listen any more
 * @microseconds: ... or so long after the first; 0 with one frame
 *
 * poll() is EPOLLIN when a frame waits in a queue that is listened to, and
 * EPOLLERR when the device of one is gone. Not for EPOLLET.
 */
struct turbotap_listen {
	__u32 size;
	__u32 port;
	__u32 frames;
	__u32 microseconds;
};

/* On the node */
#define TURBOTAP_CREATE		_IOW(TURBOTAP_IOC_MAGIC, 16, struct turbotap_crossing)

/* On a crossing */
#define TURBOTAP_PORT_TAP	_IOWR(TURBOTAP_IOC_MAGIC, 17, struct turbotap_port_tap)
#define TURBOTAP_PORT_DEVICE	_IOW(TURBOTAP_IOC_MAGIC, 18, struct turbotap_port_device)
#define TURBOTAP_PORT_DELETE	_IO(TURBOTAP_IOC_MAGIC, 19)	/* a port */
#define TURBOTAP_JOIN		_IOWR(TURBOTAP_IOC_MAGIC, 20, struct turbotap_member)
#define TURBOTAP_HELD		_IOWR(TURBOTAP_IOC_MAGIC, 21, struct turbotap_held)

/* On a member. TURBOTAP_CROSS takes 0, returns the number of received frames */
#define TURBOTAP_CROSS		_IO(TURBOTAP_IOC_MAGIC, 32)
#define TURBOTAP_COPY_OUT	_IOW(TURBOTAP_IOC_MAGIC, 33, struct turbotap_copies)
#define TURBOTAP_LISTEN		_IOW(TURBOTAP_IOC_MAGIC, 34, struct turbotap_listen)

/* Offsets of mmap(), always MAP_SHARED */
#define TURBOTAP_MAP_CELLS	0x00000000UL	/* crossing, member: read-only */
#define TURBOTAP_MAP_LISTS	0x40000000UL	/* member */

#endif /* _UAPI_LINUX_TURBOTAP_CROSSING_H */
