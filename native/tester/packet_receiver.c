/* SPDX-License-Identifier: Apache-2.0 */
#include "tester/packet_receiver.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <linux/net_tstamp.h>
#include <net/if.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "atomic.h"
#include "clock.h"
#include "tester/arrival.h"
#include "tester/payload.h"

#define RING_BYTES ((size_t)TTF_PACKET_RECEIVER_BLOCKS * TTF_PACKET_RECEIVER_BLOCK_BYTES)
#define FRAME_BYTES 2048 /* TPACKET_V3 packs frames; this only has to divide a block */
#define RETIRE_MS 10	 /* a block is handed over when it is full, or after that long */
#define CLOCK_EVERY_NS 100000000ull

static int set_option(int fd, int level, int option, const void *value, socklen_t bytes)
{
	return setsockopt(fd, level, option, value, bytes) ? -errno : 0;
}

static bool has_nic_stamps(const struct ttf_packet_receiver *receiver)
{
	return receiver->nic.clock_fd >= 0;
}

/* Have frames stamped when the NIC or the kernel gets them, not when the ring does. */
static int ask_for_stamps(struct ttf_packet_receiver *receiver)
{
	const int nic = ttf_nic_stamps_enable(&receiver->nic, receiver->fd, receiver->device);
	const int shown = nic ? SOF_TIMESTAMPING_RAW_HARDWARE : SOF_TIMESTAMPING_SOFTWARE;
	const int stamps = shown | (nic ? SOF_TIMESTAMPING_RX_HARDWARE : SOF_TIMESTAMPING_RX_SOFTWARE);
	int error = nic < 0 ? nic : 0;

	if (!error)
		error = set_option(receiver->fd, SOL_SOCKET, SO_TIMESTAMPING, &stamps, sizeof(stamps));
	if (!error)
		error = set_option(receiver->fd, SOL_PACKET, PACKET_TIMESTAMP, &shown, sizeof(shown));
	receiver->clock = (struct ttf_stamp_clock){
		.id = nic > 0 ? nic_stamps_clock_id(&receiver->nic) : CLOCK_REALTIME,
		.drifts = nic > 0,
	};
	return error ? error : ttf_stamp_clock_read(&receiver->clock);
}

static int make_ring(struct ttf_packet_receiver *receiver)
{
	const int version = TPACKET_V3;
	const struct tpacket_req3 wanted = {
		.tp_block_size = TTF_PACKET_RECEIVER_BLOCK_BYTES,
		.tp_block_nr = TTF_PACKET_RECEIVER_BLOCKS,
		.tp_frame_size = FRAME_BYTES,
		.tp_frame_nr = RING_BYTES / FRAME_BYTES,
		.tp_retire_blk_tov = RETIRE_MS,
	};
	int error = set_option(receiver->fd, SOL_PACKET, PACKET_VERSION, &version, sizeof(version));

	if (!error)
		error = set_option(receiver->fd, SOL_PACKET, PACKET_RX_RING, &wanted, sizeof(wanted));
	if (error)
		return error;
	receiver->ring =
		mmap(NULL, RING_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, receiver->fd, 0);
	if (receiver->ring != MAP_FAILED)
		return 0;
	receiver->ring = NULL;
	return -errno;
}

/* Every frame that the device receives, whatever its addresses; none that it sends. */
static int bind_socket(const struct ttf_packet_receiver *receiver)
{
	const int index = (int)if_nametoindex(receiver->device), one = 1;
	const struct packet_mreq promiscuous = { .mr_ifindex = index, .mr_type = PACKET_MR_PROMISC };
	const struct sockaddr_ll address = { .sll_family = AF_PACKET,
					     .sll_protocol = htons(ETH_P_ALL),
					     .sll_ifindex = index };
	int error = index ? 0 : -ENODEV;

	if (!error)
		error = set_option(receiver->fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one));
	if (!error)
		error = set_option(receiver->fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promiscuous,
				   sizeof(promiscuous));
	if (!error && bind(receiver->fd, (const struct sockaddr *)&address, sizeof(address)))
		error = -errno;
	return error;
}

int ttf_packet_receiver_open(struct ttf_packet_receiver *receiver)
{
	int error;

	receiver->nic.clock_fd = -1;
	receiver->opened_ns = clock_precise_ns();
	receiver->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (receiver->fd < 0)
		return -errno;
	receiver->window = calloc(TTF_WINDOW_WORDS, sizeof(*receiver->window));
	error = receiver->window ? ask_for_stamps(receiver) : -ENOMEM;
	if (!error)
		error = make_ring(receiver);
	if (!error)
		error = bind_socket(receiver);
	if (error)
		ttf_packet_receiver_close(receiver);
	return error;
}

void ttf_packet_receiver_close(struct ttf_packet_receiver *receiver)
{
	ttf_nic_stamps_restore(&receiver->nic, receiver->fd, receiver->device);
	if (receiver->ring)
		munmap(receiver->ring, RING_BYTES);
	close(receiver->fd);
	free(receiver->window);
	receiver->ring = NULL;
	receiver->window = NULL;
}

/* What the kernel had no room for since the last call. */
static void count_dropped(struct ttf_packet_receiver *receiver)
{
	struct tpacket_stats_v3 stats;
	socklen_t bytes = sizeof(stats);

	if (getsockopt(receiver->fd, SOL_PACKET, PACKET_STATISTICS, &stats, &bytes) == 0)
		receiver->dropped += stats.tp_drops;
}

void ttf_packet_receiver_reset(struct ttf_packet_receiver *receiver)
{
	memset(&receiver->all, 0, sizeof(receiver->all));
	memset(&receiver->received, 0, sizeof(receiver->received));
	memset(receiver->window, 0, TTF_WINDOW_WORDS * sizeof(*receiver->window));
	count_dropped(receiver);
	receiver->without_nic_stamp = receiver->dropped = 0;
	receiver->clock.uncertainty_ns = receiver->clock.step_ns = 0;
	if (!receiver->clock.drifts)
		receiver->clock.readings = 0; /* it may have been set between two trials */
	receiver->stop = 0;
}

static bool find_any_stamp(const struct ttf_packet_receiver *receiver, const uint8_t *frame, uint32_t bytes,
			   uint64_t now_ns, struct ttf_stamp *stamp)
{
	uint32_t at;
	uint64_t sent_ns;

	if (!ttf_payload_find_stamp(frame, bytes, &at))
		return false;
	memcpy(stamp, frame + at, sizeof(*stamp));
	sent_ns = bpf_be64_to_cpu(stamp->sent_ns);
	return sent_ns >= receiver->opened_ns && sent_ns <= now_ns;
}

static bool find_our_stamp(const struct ttf_packet_receiver *receiver, const uint8_t *frame, uint32_t bytes,
			   struct ttf_stamp *stamp)
{
	const struct ttf_stamp *found = arrival_find_stamp(&receiver->config, frame, frame + bytes);

	if (!found)
		return false;
	memcpy(stamp, found, sizeof(*stamp));
	return true;
}

static bool seen(const struct ttf_packet_receiver *receiver, uint64_t number)
{
	uint64_t *word = &receiver->window[(number >> 6) & (TTF_WINDOW_WORDS - 1)];
	const uint64_t bit = 1ull << (number & 63);

	/* ttf_window_take() clears other bits meanwhile */
	return __atomic_fetch_or(word, bit, __ATOMIC_RELAXED) & bit;
}

/* When a frame came, by the clock of its stamp. */
static uint64_t arrived_ns(struct ttf_packet_receiver *receiver, const struct tpacket3_hdr *frame)
{
	if (has_nic_stamps(receiver) && !(frame->tp_status & TP_STATUS_TS_RAW_HARDWARE))
		receiver->without_nic_stamp++;
	return stamp_clock_monotonic(&receiver->clock,
				     (uint64_t)frame->tp_sec * 1000000000u + frame->tp_nsec);
}

static void receive_frame(struct ttf_packet_receiver *receiver, const struct tpacket3_hdr *frame)
{
	const uint8_t *bytes = (const uint8_t *)frame + frame->tp_mac;
	const uint64_t now_ns = arrived_ns(receiver, frame);
	struct ttf_stamp stamp;
	uint64_t number;

	if (receiver->any ? !find_any_stamp(receiver, bytes, frame->tp_snaplen, now_ns, &stamp) :
			    !find_our_stamp(receiver, bytes, frame->tp_snaplen, &stamp))
		receiver->received.foreign++;
	else if (!arrival_number(&receiver->all, &receiver->received, &stamp, &number))
		return;
	else if (seen(receiver, number))
		receiver->received.duplicates++;
	else
		arrival_count(&receiver->all, &receiver->received, &stamp, number, now_ns);
}

static void receive_block(struct ttf_packet_receiver *receiver, struct tpacket_block_desc *block)
{
	const uint8_t *at = (const uint8_t *)block + block->hdr.bh1.offset_to_first_pkt;

	for (uint32_t left = block->hdr.bh1.num_pkts; left; left--) {
		const struct tpacket3_hdr *frame = (const void *)at;

		receive_frame(receiver, frame);
		at += frame->tp_next_offset;
	}
	store_release(&block->hdr.bh1.block_status, TP_STATUS_KERNEL);
}

static struct tpacket_block_desc *next_block(const struct ttf_packet_receiver *receiver)
{
	return (void *)(receiver->ring + (size_t)receiver->next_block * TTF_PACKET_RECEIVER_BLOCK_BYTES);
}

/* Wait a moment for the next block. 0 or -errno. */
static int wait_for_block(const struct ttf_packet_receiver *receiver)
{
	struct pollfd poller = { .fd = receiver->fd, .events = POLLIN };
	int error;
	socklen_t bytes = sizeof(error);

	if (poll(&poller, 1, RETIRE_MS) < 0 && errno != EINTR)
		return -errno;
	if (!(poller.revents & POLLERR))
		return 0;
	if (getsockopt(receiver->fd, SOL_SOCKET, SO_ERROR, &error, &bytes))
		return -errno;
	return -error;
}

int ttf_packet_receive(struct ttf_packet_receiver *receiver)
{
	uint64_t clock_due_ns = 0;
	int error = 0;

	while (!error && !load_relaxed(&receiver->stop)) {
		struct tpacket_block_desc *block = next_block(receiver);
		const uint64_t now_ns = clock_precise_ns();

		if (now_ns >= clock_due_ns) {
			error = ttf_stamp_clock_read(&receiver->clock);
			clock_due_ns = now_ns + CLOCK_EVERY_NS;
		}
		if (!(load_acquire(&block->hdr.bh1.block_status) & TP_STATUS_USER)) {
			error = error ? error : wait_for_block(receiver);
			continue;
		}
		receive_block(receiver, block);
		receiver->next_block = (receiver->next_block + 1) % TTF_PACKET_RECEIVER_BLOCKS;
	}
	count_dropped(receiver);
	/* A step after the last frame counts as well: what came shortly before may have been stamped behind it. */
	return error ? error : ttf_stamp_clock_read(&receiver->clock);
}
