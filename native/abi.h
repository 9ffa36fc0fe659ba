/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every struct that two processes share, and the limits of an instance.
 *
 * Four kinds of segment:
 *   stats    counters and states: /ttfwd.<instance>.stats, which `ttfwd stats` maps by its name
 *   rings    run words, the N x N handoff rings, the forwarding table: a memfd
 *   frames   one worker's frame pool: a memfd for each worker
 *   capture  what one worker tells of its frames: a memfd for each worker
 *
 * stats and rings begin with a struct ttf_header and the supervisor's area. One area for each worker follows.
 * Areas are whole pages: a worker maps its own area writable, and everything else read-only but for the
 * forwarding table. So each word has one writer, and a process that goes astray spoils nothing but its own
 * words. The supervisor writes a worker's words when that worker is dead.
 *
 * Any change of a struct here changes TTF_ABI_VERSION. Field names follow the kernel's counters: rx counts
 * packets that enter the forwarder, tx packets that leave it.
 */
#ifndef TTF_ABI_H
#define TTF_ABI_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define TTF_ABI_VERSION 6u
#define TTF_MAGIC_STATS 0x5453444657465454ull /* "TTFWFDST" */
#define TTF_MAGIC_RINGS 0x4e52444657465454ull /* "TTFWFDRN" */

#define TTF_MAX_WORKERS 128
#define TTF_MAX_PORTS 64
#define TTF_MAX_BATCH 256
#define TTF_NAME_LEN 64

#define TTF_CACHE_LINE 64
#define TTF_LINE_PAIR 128    /* the adjacent-line prefetcher fetches two */
#define TTF_AREA_ALIGN 4096u /* a page: what one process may write begins and ends with one */

/* -------------------------------------------------------------------------------------- header */

struct ttf_header {
	uint64_t magic; /* stored last, with release; loaded first, with acquire */
	uint32_t abi_version;
	uint32_t header_bytes;
	uint64_t total_bytes;
	uint64_t epoch; /* one value per start of an instance, the same in all its segments */
	uint32_t workers;
	union {
		uint32_t ports;	     /* stats segment */
		uint32_t ring_slots; /* rings segment: of each ring */
	};
	uint64_t reserved[3];
};
static_assert(sizeof(struct ttf_header) == 64, "header is one line");

/* --------------------------------------------------------------------------------------- stats */

/* Why a packet was dropped: X(SUFFIX, name, meaning). docs/stats.md has the same names and meanings. */
#define TTF_DROPS(X)                                                                              \
	X(TX_FULL, "tx_full", "the output device was full, or refused the packet")                \
	X(RING_FULL, "ring_full", "the handoff ring to the worker of the output queue was full")  \
	X(NO_FRAME, "no_frame", "no free frame for a copy of it, or for a packet of a GSO frame") \
	X(OVERSIZE, "oversize", "longer than the output port's MTU, or than a frame can be")      \
	X(RUNT, "runt", "shorter than an Ethernet header")                                        \
	X(NO_PORT, "no_port", "no output port, or it was deleted meanwhile")                      \
	X(TX_ERROR, "tx_error", "the kernel refused to send it, with another error")              \
	X(LINK_DOWN, "link_down", "the output device is down, or has no carrier")                 \
	X(HAIRPIN, "hairpin", "its destination is on the port that it came from")                 \
	X(RX_ONLY, "rx_only", "received in mode rxonly or txonly")                                \
	X(OFFLOAD, "offload", "its offload header is malformed or unsupported")                   \
	X(SHUTDOWN, "shutdown", "no worker was left to forward it")                               \
	X(BAD_DESC, "bad_desc", "a descriptor in a handoff or packet ring made no sense")         \
	X(NO_WORKER, "no_worker", "no living worker has a queue of the output port")

enum ttf_drop {
#define TTF_DROP_NUMBER(suffix, name, meaning) TTF_DROP_##suffix,
	TTF_DROPS(TTF_DROP_NUMBER)
#undef TTF_DROP_NUMBER
	TTF_DROP_COUNT
};
#define TTF_DROP_SLOTS 16
static_assert(TTF_DROP_COUNT <= TTF_DROP_SLOTS, "drop reasons fit");

/* Burst sizes 1, 2-3, 4-7, ..., 128-255, 256: bucket i counts bursts of 2^i to 2^(i+1)-1 packets. */
#define TTF_BURST_BUCKETS 9

/*
 * Counters of one queue of a port, or of one worker for packets of no live port. One writer: the worker
 * that owns the queue. received + generated + copied = sent + dropped + handed over + lost.
 */
struct ttf_counters {
	uint64_t rx_packets;
	uint64_t rx_bytes;
	uint64_t rx_calls;	 /* system calls of rounds that received something */
	uint64_t rx_empty_calls; /* system calls of rounds that received nothing */
	uint64_t tx_packets;
	uint64_t tx_bytes;
	uint64_t tx_calls;
	uint64_t generated_packets; /* mode txonly */
	uint64_t copied_packets;    /* outputs beyond the first: copies for a flood, packets of a GSO frame */
	uint64_t kernel_drops; /* the kernel had no room in this queue (packet), no memory (the crossing) */
	uint64_t reserved[6];
	uint64_t drops[TTF_DROP_SLOTS];
	uint64_t rx_bursts[TTF_BURST_BUCKETS];
	uint64_t reserved2[7];
};
static_assert(sizeof(struct ttf_counters) == 384, "counters are whole lines");
static_assert(offsetof(struct ttf_counters, drops) == 128, "drops begin a line");

/* The states of a worker: X(SUFFIX, name, meaning). docs/stats.md has the same names and meanings. */
#define TTF_WORKER_STATES(X)                                                                 \
	X(NONE, "none", "no process was started yet")                                        \
	X(STARTING, "starting", "its process is starting and forwards nothing yet")          \
	X(READY, "ready", "it forwards packets")                                             \
	X(DRAINING, "draining", "it forwards what it still holds before the instance stops") \
	X(EXITED, "exited", "it ended after the drain")                                      \
	X(BACKOFF, "backoff", "it died too often: its next start is delayed")                \
	X(FAILED, "failed", "too many starts in a row failed: the next one is delayed")

enum ttf_worker_state {
#define TTF_WORKER_STATE_NUMBER(suffix, name, meaning) TTF_WORKER_##suffix,
	TTF_WORKER_STATES(TTF_WORKER_STATE_NUMBER)
#undef TTF_WORKER_STATE_NUMBER
	TTF_WORKER_STATE_COUNT
};

/* One worker, as the worker says. */
struct ttf_worker_stats {
	uint64_t heartbeat_ns; /* CLOCK_MONOTONIC_COARSE, written by the loop itself */
	uint64_t cpu_ns;       /* CPU time of all incarnations, published every slice */
	uint64_t busy_ns;      /* time in rounds that moved something */
	uint64_t running_ns;   /* time in the loop, sleeping included: busy % = busy / running */
	uint64_t rounds;
	uint64_t sleeps;
	uint64_t doorbells;	    /* eventfds rung for sleeping consumers */
	uint64_t pool_empty_rounds; /* rounds that could not receive: no frame was free */
	uint32_t pool_free_frames;
	uint32_t pool_frames;
	uint64_t reserved[7];
	struct ttf_counters orphans; /* drops of no live port */
};
static_assert(sizeof(struct ttf_worker_stats) == 512, "whole line pairs");
static_assert(offsetof(struct ttf_worker_stats, orphans) == 128, "orphans begin a line");

/* One worker, as the supervisor says. */
struct ttf_worker_status {
	uint32_t state; /* enum ttf_worker_state */
	uint32_t pid;
	uint32_t cpu;
	uint32_t restarts;
	uint64_t lost_in_crash; /* packets that a killed incarnation received, and neither sent nor dropped */
	uint64_t started_ns;
	uint64_t reaped_ns; /* CLOCK_MONOTONIC of the last death seen, 0 if none */
	uint64_t ready_ns;  /* CLOCK_MONOTONIC when it was last READY */
	uint64_t reserved[2];
	struct ttf_counters retired; /* sums of the queues of deleted ports */
};
static_assert(sizeof(struct ttf_worker_status) == 448, "whole lines");

enum ttf_port_state {
	TTF_PORT_FREE,
	TTF_PORT_UP,
	TTF_PORT_DELETING
};

/* The device's own counters, with the kernel's names and point of view. The supervisor reads them. */
struct ttf_device_counters {
	uint64_t updated_ns; /* CLOCK_MONOTONIC when they were read */
	uint64_t rx_packets;
	uint64_t rx_bytes;
	uint64_t rx_dropped;
	uint64_t rx_errors;
	uint64_t tx_packets;
	uint64_t tx_bytes;
	uint64_t tx_dropped;
	uint64_t tx_errors;
	uint64_t reserved[7];
};
static_assert(sizeof(struct ttf_device_counters) == 128, "two lines");

/* What a sender may leave to a port: the kernel's TUN_F_ bits (linux/if_tun.h). */
#define TTF_OFFLOAD_CSUM 0x1u	 /* completing checksums */
#define TTF_OFFLOAD_TSO4 0x2u	 /* segmenting GSO frames: TCP over IPv4 */
#define TTF_OFFLOAD_TSO6 0x4u	 /* TCP over IPv6 */
#define TTF_OFFLOAD_TSO_ECN 0x8u /* TCP with CWR set */
#define TTF_OFFLOAD_USO4 0x20u	 /* UDP over IPv4 */
#define TTF_OFFLOAD_USO6 0x40u	 /* UDP over IPv6 */

enum ttf_link {
	TTF_LINK_UNKNOWN,
	TTF_LINK_UP,
	TTF_LINK_NO_CARRIER, /* set up, but the other end isn't there */
	TTF_LINK_DOWN,
	TTF_LINK_GONE /* the port's device was deleted, or moved where the port can't follow */
};

/* One port, written by the supervisor alone. What its device may change while it lives has a revision. */
struct ttf_port_stats {
	uint32_t state;	     /* enum ttf_port_state */
	uint32_t generation; /* odd while this struct is written; a reader that sees a change retries */
	uint32_t queues;
	uint32_t mtu;
	uint32_t ifindex;
	int32_t peer; /* port id of the peer, -1 if none */
	uint8_t mac[8];
	char name[16];
	char driver[16];
	char netns[TTF_NAME_LEN]; /* where the device is now */
	char note[128];		  /* why the driver was chosen */
	struct ttf_device_counters device;
	char io[8];	   /* how the driver moves bursts; empty if it has one way only */
	uint32_t offloads; /* TTF_OFFLOAD_ bits */
	uint32_t revision; /* like generation: of mtu, ifindex, mac, netns, offloads, and of these two: */
	char device_name[16];
	uint32_t link; /* enum ttf_link */
	uint32_t reserved32;
	uint64_t reserved[11];
};
static_assert(sizeof(struct ttf_port_stats) == 512, "whole lines");

/* The handoff ring from one worker to another: the producer's half, in the producer's area. */
struct ttf_ring_out_stats {
	uint64_t pushed;  /* low 32 bits follow the ring's tail */
	uint64_t dropped; /* because the ring was full */
};

/* The consumer's half, in the consumer's area. */
struct ttf_ring_in_stats {
	uint64_t popped; /* low 32 bits follow the ring's head */
	uint64_t bad;	 /* popped, and dropped for wrong bounds: `bad_desc` in the consumer's orphans */
};

enum ttf_instance_state {
	TTF_INSTANCE_BOOT = 1,
	TTF_INSTANCE_RUNNING,
	TTF_INSTANCE_DRAINING,
	TTF_INSTANCE_STOPPED
};

struct ttf_instance_stats {
	char name[TTF_NAME_LEN];
	char mode[16];
	char steering[16];
	char rx_mode[16];
	uint32_t state; /* enum ttf_instance_state */
	uint32_t pid;	/* of the supervisor */
	uint64_t started_ns;
	uint64_t started_unix_ns;
	uint64_t heartbeat_ns; /* of the supervisor */
	uint32_t batch;
	uint32_t ring_slots;
	uint64_t boot_ns;	/* from exec until every worker was READY */
	uint64_t pid_namespace; /* inode of the one in which `pid` is the supervisor */
	uint64_t damaged; /* how often counters were found damaged: if ever, the accounting is not exact */
	uint64_t reserved[10];
};
static_assert(sizeof(struct ttf_instance_stats) == 256, "whole lines");

/*
 * The stats segment, with W and P from its header; offsets come from the functions in layout.h:
 *
 *   the supervisor's area: header, instance, status[W], ports[P]
 *   each worker's area:    ttf_worker_stats, queues[P], its half of the rings to [W] and of those from [W]
 */

/* --------------------------------------------------------------------------------------- rings */

enum ttf_run_state {
	TTF_RUN_STATE_RUN,   /* receive, forward, consume */
	TTF_RUN_STATE_DRAIN, /* empty the queues, then consume only */
	TTF_RUN_STATE_STOP   /* drop by name what the kernel's queues still hold, and return */
};

/* The head of the rings segment. */
struct ttf_rings {
	struct ttf_header header;
	uint32_t start;	 /* constant: every index of every ring at creation */
	uint32_t frames; /* constant: of each worker's pool */
	uint64_t reserved[7];
	uint64_t live[TTF_MAX_WORKERS / 64]; /* bit w: worker w lives. Flows follow the living */
	uint64_t reserved2[14];
};
static_assert(sizeof(struct ttf_rings) == 256, "two line pairs");
static_assert(offsetof(struct ttf_rings, live) == 128, "the mask has a line pair of its own");

/* What the supervisor tells a worker. */
struct ttf_run_words {
	uint32_t run_state; /* enum ttf_run_state */
	uint32_t attention; /* changes when a message waits in the worker channel */
	uint32_t living;    /* changes when the mask of living workers has changed */
	uint32_t
		capture; /* 0: none. Bytes to keep of a frame; above TTF_CAPTURE_SHIFT: 1 << enum ttf_event */
	uint32_t reserved[28];
};
static_assert(sizeof(struct ttf_run_words) == TTF_LINE_PAIR, "a line pair");

/* What a worker tells the others. */
struct ttf_worker_words {
	uint32_t sleeping;	 /* the worker sleeps or is about to: ring its doorbell */
	uint32_t run_state_seen; /* enum ttf_run_state: the last one that the loop has finished with */
	uint32_t reserved[30];
};
static_assert(sizeof(struct ttf_worker_words) == TTF_LINE_PAIR, "a line pair");

#define TTF_DESC_FLOOD 0x1u   /* to every port that the consumer owns for flood_key */
#define TTF_DESC_OFFLOAD 0x2u /* the offload header requests something; without this flag it is undefined */

/* A handoff ring carries these: a frame of the producer's pool. */
struct ttf_desc {
	uint32_t frame_id; /* index in the producer's pool */
	uint32_t length;   /* bytes from the Ethernet header on */
	uint8_t in_port;
	uint8_t out_port;
	uint16_t flags;
	/* The low bits of the ports' generations: a port id may have become another port's meanwhile. */
	uint16_t in_generation;
	union {
		uint16_t out_generation;
		uint16_t flood_key; /* TTF_DESC_FLOOD: the steering key */
	};
};
static_assert(sizeof(struct ttf_desc) == 16, "a descriptor is 16 bytes");

/* A handoff ring's indices run freely through 2^32. The producer's, in its area, as are the descriptors. */
struct ttf_ring_producer {
	uint32_t tail;	    /* published up to here */
	uint32_t reclaimed; /* its frames are free again up to here */
	uint32_t reserved[30];
};
static_assert(sizeof(struct ttf_ring_producer) == TTF_LINE_PAIR, "a line pair");

/* The consumer's, in its area. */
struct ttf_ring_consumer {
	uint32_t head;	  /* completed up to here */
	uint32_t claimed; /* taken, not yet completed; a crash loses head..claimed */
	uint32_t reserved[30];
};
static_assert(sizeof(struct ttf_ring_consumer) == TTF_LINE_PAIR, "a line pair");

/* Forwarding table: buckets of four, one line each. */
struct ttf_fdb_entry {
	uint64_t key;	  /* MAC (48 bits) << 16 | port id << 8 | valid; 0 is empty */
	uint64_t seen_ns; /* CLOCK_MONOTONIC_COARSE */
};
#define TTF_FDB_WAYS 4
#define TTF_FDB_BUCKETS 16384u
struct ttf_fdb {
	uint64_t ageing_ns;
	uint64_t reserved[7];
	struct ttf_fdb_entry entries[TTF_FDB_BUCKETS][TTF_FDB_WAYS];
};
static_assert(sizeof(struct ttf_fdb_entry) * TTF_FDB_WAYS == TTF_CACHE_LINE, "a bucket is a line");

/* An entry of turbotap_lists.send: what the frame counts as, when the call has sent it. */
struct ttf_crossing_entry {
	uint32_t bytes;
	uint32_t out_port; /* TTF_NOWHERE: it is released, and was counted before */
};
#define TTF_NOWHERE UINT32_MAX

/* A counter, as the number of its word in the worker's area of the stats segment, and what it becomes. */
struct ttf_change {
	uint64_t word;
	uint64_t value;
};

/* Of one call: two words of each port that frames are sent to, one for each that is refused, three received. */
#define TTF_MAX_CHANGES (2u * TTF_MAX_PORTS + TTF_MAX_BATCH + 3u)

/* A worker's calls of the crossing. After its death the supervisor counts what it didn't (crossing_tally.h). */
struct ttf_crossing_notes {
	uint32_t calls;	  /* whose changes are noted; turbotap_lists.calls are those that were made */
	uint32_t changed; /* changes of the last one of these */
	uint32_t in_port; /* of the call that is made next */
	uint32_t reserved[29];
	struct ttf_crossing_entry entries[TTF_MAX_BATCH];
	struct ttf_change changes[TTF_MAX_CHANGES];
};
static_assert(offsetof(struct ttf_crossing_notes, entries) == TTF_LINE_PAIR, "the numbers have a line pair");

/*
 * The rings segment, with W and the slots of a ring from its header:
 *
 *   the supervisor's area:  ttf_rings, ttf_run_words[W]
 *   everybody's:            the forwarding table
 *   each worker's area:     ttf_worker_words, producers[W] of its rings to others, consumers[W] of those to
 *                           it, the descriptors of its rings to others [W][slots], ttf_crossing_notes
 */

/* -------------------------------------------------------------------------------------- frames */

/*
 * A frame: [pad][virtio_net_hdr][Ethernet ...]. The offload header ends where the Ethernet header begins, on
 * another cache line. It is valid only if a flag beside the frame says so (TTF_DESC_OFFLOAD, struct
 * ttf_frame): most frames have no offload, and a line that nobody reads doesn't travel between cores.
 *
 * The largest frame is a GSO frame of 64 KiB. Memory that is never touched is never resident. The stride is
 * an odd number of line pairs, so that the first lines of successive frames fall into different cache sets.
 */
#define TTF_FRAME_HEADROOM 64u
#define TTF_VNET_HDR_BYTES 10u
#define TTF_FRAME_STRIDE (535u * TTF_LINE_PAIR) /* 68,480 */
#define TTF_FRAME_MAX_BYTES (TTF_FRAME_STRIDE - TTF_FRAME_HEADROOM - TTF_CACHE_LINE)
static_assert(TTF_FRAME_MAX_BYTES >= 65535u + 14u + 8u, "the largest GSO frame with two VLAN tags fits");

/* The frames segment holds frames and nothing else: all of it is its worker's to write. */

/* ------------------------------------------------------------------------------------- capture */

/* What happens to a frame: X(SUFFIX, name, meaning). The first fills the rest of a chunk. docs/control.md has the same names and meanings. */
#define TTF_EVENTS(X)                                                                        \
	X(PAD, "", "")                                                                       \
	X(RX, "rx", "received from the port")                                                \
	X(FLOOD, "flood", "goes to every other port")                                        \
	X(COPY, "copy", "a frame was made from another: a copy, or a packet of a GSO frame") \
	X(HANDED, "handed", "handed over to the worker of the output queue")                 \
	X(TX, "tx", "sent by the port")                                                      \
	X(DROP, "drop", "dropped in the port's name")

enum ttf_event {
#define TTF_EVENT_NUMBER(suffix, name, meaning) TTF_EVENT_##suffix,
	TTF_EVENTS(TTF_EVENT_NUMBER)
#undef TTF_EVENT_NUMBER
	TTF_EVENT_COUNT
};
#define TTF_CAPTURE_SHIFT 24u /* of struct ttf_run_words.capture */
static_assert(TTF_FRAME_MAX_BYTES < 1u << TTF_CAPTURE_SHIFT, "a whole frame can be asked for");

/* A frame's name while it lives: the worker in whose pool or slots it is, and where there. */
struct ttf_frame_name {
	uint32_t index; /* frame id; with TTF_NAME_SLOT, a slot of the crossing; TTF_NOWHERE: it has none */
	uint32_t worker;
};
#define TTF_NAME_SLOT 0x80000000u

/* One event of a frame. The bytes of it that are kept follow. */
struct ttf_captured {
	uint32_t bytes;	     /* of this record, what is kept included: a multiple of 8 */
	uint8_t event;	     /* enum ttf_event. Of TTF_EVENT_PAD there are these two words only */
	uint8_t port;	     /* TTF_NO_PORT: none that lives */
	uint8_t reason;	     /* TTF_EVENT_DROP: enum ttf_drop */
	uint8_t worker;	     /* TTF_EVENT_HANDED: it goes there */
	uint64_t number;     /* of the record: grows by one */
	uint64_t time_ns;    /* CLOCK_MONOTONIC: once for each burst */
	uint32_t generation; /* of the port */
	uint32_t length;     /* of the frame. 0: it was not one that can be read */
	uint32_t kept;
	uint8_t offload;		      /* the next field is valid */
	uint8_t vnet_hdr[TTF_VNET_HDR_BYTES]; /* struct virtio_net_hdr */
	uint8_t reserved;
	struct ttf_frame_name name;
	struct ttf_frame_name origin; /* TTF_EVENT_COPY: what it was made from */
};
static_assert(sizeof(struct ttf_captured) == 64, "one line");
#define TTF_NO_PORT UINT8_MAX

/*
 * A ring of records, written by its worker alone, which waits for nobody. Positions are bytes, and run freely
 * through 2^64. No record crosses the end of a chunk, so that a reader that comes too late finds a beginning.
 * The magic of the segment isn't needed: only the supervisor hands it out.
 */
#define TTF_CAPTURE_CHUNK (1u << 20)
#define TTF_CAPTURE_BYTES (8u * TTF_CAPTURE_CHUNK)
struct ttf_capture {
	uint64_t head;	   /* records are whole up to here */
	uint64_t reserved; /* what lies TTF_CAPTURE_BYTES before this, or more, is overwritten */
	uint64_t records;  /* how many were written up to head */
	uint32_t writing;  /* records are written behind head */
	uint32_t seen;	   /* ttf_run_words.capture, as of the last round */
	uint8_t unused[TTF_AREA_ALIGN - 32];
	uint8_t ring[TTF_CAPTURE_BYTES];
};
static_assert(offsetof(struct ttf_capture, ring) == TTF_AREA_ALIGN, "the ring begins with a page");

#endif
