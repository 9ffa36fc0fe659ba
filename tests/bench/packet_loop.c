// SPDX-License-Identifier: Apache-2.0
/*
 * The bare loop that driver `packet` is compared with. It moves a burst from one AF_PACKET device to the
 * other, then a burst back.
 *
 *   packet_loop -n NETNS -a DEVICE -b DEVICE -c CPU [-r v2|v3|mmsg] [-s copied|lent|mmsg] [-i]
 *
 * -r: receive from a ring of slots (TPACKET_V2, as ttfwd does), from a ring of blocks (TPACKET_V3), or by
 * recvmmsg().
 * -s: send by a ring or by sendmmsg(). "copied": each offload header makes the kernel copy the whole frame
 * (as ttfwd does). "lent": the kernel attaches the ring's pages, its default. -i: sleep in poll() after an
 * empty round.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "loop.h"

#define SOCKET_BYTES (16 << 20) /* ttfwd's */
#define SLOTS 2048u		/* ttfwd's */
#define SLOT_BYTES 2048u
#define RING_BYTES (SLOTS * SLOT_BYTES)
#define BLOCK_BYTES 65536u
#define BLOCKS (RING_BYTES / BLOCK_BYTES)
#define BLOCK_TIMEOUT_MS 1 /* the kernel's minimum */
#define TX_SLOTS 128u	   /* ttfwd's */
#define TX_BYTES (TX_SLOTS * SLOT_BYTES)
#define TX_DATA (TPACKET2_HDRLEN - sizeof(struct sockaddr_ll))

enum how {
	SLOTWISE,
	BLOCKWISE,
	MESSAGES
};

enum how_out {
	COPIED,
	LENT,
	MESSAGES_OUT
};

struct port {
	int fd;
	uint8_t *ring;
	uint32_t next;		       /* slot, or block */
	uint32_t left;		       /* frames of the block */
	const struct tpacket3_hdr *at; /* the first of them */
	int sender;
	uint8_t *tx_ring;
	uint32_t tx_next;
};

static enum how how = SLOTWISE;
static enum how_out how_out = COPIED;
static uint8_t buffers[BENCH_BATCH][BENCH_BUFFER] __attribute__((aligned(64)));
static struct mmsghdr messages[BENCH_BATCH];
static struct iovec vectors[BENCH_BATCH];

static void set(int fd, int level, int name, int value)
{
	check(setsockopt(fd, level, name, &value, sizeof(value)), "setsockopt");
}

static void add_ring(struct port *port)
{
	struct tpacket_req3 request = { .tp_block_size = BLOCK_BYTES,
					.tp_block_nr = BLOCKS,
					.tp_frame_size = SLOT_BYTES,
					.tp_frame_nr = SLOTS,
					.tp_retire_blk_tov = BLOCK_TIMEOUT_MS };
	/* The older version has only the first four fields. */
	socklen_t size = how == BLOCKWISE ? sizeof(request) : sizeof(struct tpacket_req);

	set(port->fd, SOL_PACKET, PACKET_VERSION, how == BLOCKWISE ? TPACKET_V3 : TPACKET_V2);
	check(setsockopt(port->fd, SOL_PACKET, PACKET_RX_RING, &request, size), "PACKET_RX_RING");
	port->ring = mmap(NULL, RING_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, port->fd, 0);
	if (port->ring == MAP_FAILED)
		die("mmap");
}

static void open_device(struct port *port, const char *name)
{
	struct sockaddr_ll address = { .sll_family = AF_PACKET,
				       .sll_protocol = htons(ETH_P_ALL),
				       .sll_ifindex = (int)if_nametoindex(name) };
	struct packet_mreq promiscuous = { .mr_ifindex = address.sll_ifindex, .mr_type = PACKET_MR_PROMISC };

	port->fd = check(socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket");
	set(port->fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1);
	set(port->fd, SOL_SOCKET, SO_RCVBUFFORCE, SOCKET_BYTES);
	if (how != MESSAGES)
		add_ring(port);
	check(setsockopt(port->fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promiscuous, sizeof(promiscuous)),
	      name);
	check(bind(port->fd, (struct sockaddr *)&address, sizeof(address)), name);
}

static void add_tx_ring(struct port *port)
{
	struct tpacket_req request = { .tp_block_size = BLOCK_BYTES,
				       .tp_block_nr = TX_BYTES / BLOCK_BYTES,
				       .tp_frame_size = SLOT_BYTES,
				       .tp_frame_nr = TX_SLOTS };

	set(port->sender, SOL_PACKET, PACKET_VERSION, TPACKET_V2);
	check(setsockopt(port->sender, SOL_PACKET, PACKET_TX_RING, &request, sizeof(request)),
	      "PACKET_TX_RING");
	port->tx_ring = mmap(NULL, TX_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, port->sender, 0);
	if (port->tx_ring == MAP_FAILED)
		die("mmap");
}

static void open_sender(struct port *port, const char *name)
{
	struct sockaddr_ll address = { .sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(name) };

	port->sender = check(socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket");
	if (how_out == COPIED)
		set(port->sender, SOL_PACKET, PACKET_VNET_HDR, 1);
	set(port->sender, SOL_PACKET, PACKET_QDISC_BYPASS, 1);
	set(port->sender, SOL_SOCKET, SO_SNDBUFFORCE, SOCKET_BYTES);
	if (how_out != MESSAGES_OUT)
		add_tx_ring(port);
	check(bind(port->sender, (struct sockaddr *)&address, sizeof(address)), name);
}

static void take(uint32_t i, const void *slot, size_t mac, size_t bytes)
{
	memcpy(vectors[i].iov_base, (const uint8_t *)slot + mac, bytes);
	vectors[i].iov_len = bytes;
}

static uint32_t receive_slots(struct port *port)
{
	uint32_t n = 0;

	for (; n < BENCH_BATCH; n++) {
		struct tpacket2_hdr *slot = (void *)(port->ring + (size_t)port->next * SLOT_BYTES);

		if (!(__atomic_load_n(&slot->tp_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER))
			break;
		take(n, slot, slot->tp_mac, slot->tp_snaplen);
		__atomic_store_n(&slot->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
		port->next = (port->next + 1) % SLOTS;
	}
	return n;
}

static uint32_t receive_blocks(struct port *port)
{
	uint32_t n = 0;

	while (n < BENCH_BATCH) {
		uint8_t *memory = port->ring + (size_t)port->next * BLOCK_BYTES;
		struct tpacket_hdr_v1 *block = &((struct tpacket_block_desc *)(void *)memory)->hdr.bh1;

		if (!(__atomic_load_n(&block->block_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER))
			break;
		if (!port->at) {
			port->left = block->num_pkts;
			port->at = (const void *)(memory + block->offset_to_first_pkt);
		}
		for (; port->left && n < BENCH_BATCH; port->left--, n++) {
			take(n, port->at, port->at->tp_mac, port->at->tp_snaplen);
			port->at = (const void *)((const uint8_t *)port->at + port->at->tp_next_offset);
		}
		if (port->left)
			break;
		port->at = NULL;
		__atomic_store_n(&block->block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
		port->next = (port->next + 1) % BLOCKS;
	}
	return n;
}

static uint32_t receive_messages(const struct port *port)
{
	int count;

	for (uint32_t i = 0; i < BENCH_BATCH; i++)
		vectors[i].iov_len = BENCH_BUFFER;
	count = recvmmsg(port->fd, messages, BENCH_BATCH, MSG_DONTWAIT, NULL);
	for (int i = 0; i < count; i++)
		vectors[i].iov_len = messages[i].msg_len;
	return count > 0 ? (uint32_t)count : 0;
}

static void send_messages(const struct port *port, uint32_t count)
{
	uint32_t done = 0;

	while (done < count) {
		int sent = sendmmsg(port->sender, messages + done, count - done, MSG_DONTWAIT);

		/* A refused frame isn't delivered, so it isn't counted. */
		done += sent > 0 ? (uint32_t)sent : 1;
	}
}

static void send_slots(struct port *port, uint32_t count)
{
	uint32_t n = 0;

	for (; n < count; n++) {
		struct tpacket2_hdr *slot = (void *)(port->tx_ring + (size_t)port->tx_next * SLOT_BYTES);
		uint8_t *data = (uint8_t *)slot + TX_DATA;
		uint32_t bytes = (uint32_t)vectors[n].iov_len;

		if (__atomic_load_n(&slot->tp_status, __ATOMIC_ACQUIRE) != TP_STATUS_AVAILABLE)
			break;
		slot->tp_len = bytes;
		if (how_out == COPIED) {
			/* hdr_len makes the kernel copy it. */
			const uint16_t header[BENCH_VNET_BYTES / 2] = { 0, (uint16_t)bytes };

			memcpy(data, header, sizeof(header));
			data += sizeof(header);
			slot->tp_len += (uint32_t)sizeof(header);
		}
		memcpy(data, vectors[n].iov_base, bytes);
		__atomic_store_n(&slot->tp_status, TP_STATUS_SEND_REQUEST, __ATOMIC_RELEASE);
		port->tx_next = (port->tx_next + 1) % TX_SLOTS;
	}
	check((int)send(port->sender, NULL, 0, MSG_DONTWAIT), "send");
}

static uint32_t move_burst(struct port *from, struct port *to)
{
	uint32_t count = how == SLOTWISE  ? receive_slots(from) :
			 how == BLOCKWISE ? receive_blocks(from) :
					    receive_messages(from);

	if (count && how_out == MESSAGES_OUT)
		send_messages(to, count);
	else if (count)
		send_slots(to, count);
	return count;
}

static enum how how_named(const char *name)
{
	return !strcmp(name, "v3") ? BLOCKWISE : !strcmp(name, "mmsg") ? MESSAGES : SLOTWISE;
}

static enum how_out how_out_named(const char *name)
{
	return !strcmp(name, "lent") ? LENT : !strcmp(name, "mmsg") ? MESSAGES_OUT : COPIED;
}

int main(int argc, char **argv)
{
	struct port ports[2] = { { .fd = -1 }, { .fd = -1 } };
	struct loop loop = { 0 };
	struct pollfd polls[2];
	int option;

	while ((option = getopt(argc, argv, LOOP_OPTIONS "r:s:")) != -1) {
		if (option == 'r')
			how = how_named(optarg);
		else if (option == 's')
			how_out = how_out_named(optarg);
		else if (!loop_option(&loop, option))
			return 2;
	}
	if (!loop_enter(&loop))
		return 2;
	for (uint32_t i = 0; i < BENCH_BATCH; i++) {
		vectors[i].iov_base = buffers[i];
		messages[i].msg_hdr.msg_iov = &vectors[i];
		messages[i].msg_hdr.msg_iovlen = 1;
	}
	for (int i = 0; i < 2; i++) {
		open_device(&ports[i], loop.devices[i]);
		open_sender(&ports[i], loop.devices[i]);
		polls[i] = (struct pollfd){ .fd = ports[i].fd, .events = POLLIN };
	}
	say_ready();
	for (;;) {
		uint32_t moved = move_burst(&ports[0], &ports[1]);

		moved += move_burst(&ports[1], &ports[0]);
		if (!moved && loop.sleeps)
			poll(polls, 2, -1);
	}
}
