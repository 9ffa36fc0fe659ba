// SPDX-License-Identifier: Apache-2.0
/*
 * Offers load: sends UDP frames into the kernel's side of a device, until TOTAL are sent (0: until killed).
 *
 *   generate -n NETNS -d DEVICE -s SIZE -c CPU [-t TOTAL] [-f FLOW,FLOW...] [-r RATE] [-b BURST] [-w]
 *   generate -n NETNS -d DEVICE -s SIZE -c CPU [-t TOTAL] [-f FLOW] -k
 *
 * Without -k, frames are sent by sendmmsg() on an AF_PACKET socket that bypasses the queueing discipline:
 * BURST frames at a time, RATE frames a second (0: unlimited). -w: wait until the device exists and is up.
 *
 * With -k, the kernel generates the frames, faster than any forwarder: BPF_PROG_TEST_RUN runs an XDP program
 * with BPF_F_TEST_XDP_LIVE_FRAMES, which redirects each frame to the device. That is a tap, or a veth whose
 * peer receives by NAPI (GRO on). A call costs tens of ms, so one call has a large repeat, and a signal ends
 * it. A tap with several queues gets the frames in queue CPU modulo queues.
 *
 * The frames go to a MAC address that no device has, so the sink's stack drops them at once.
 */
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "bench.h"

#define MAX_BURST 256u
#define MAX_FLOWS 64u
#define MAX_SIZE 1514u
#define SECOND_NS 1000000000ull
#define MAX_LAG_NS 10000000ull

static uint8_t frames[MAX_FLOWS][BENCH_BUFFER];
static struct mmsghdr messages[MAX_BURST];
static struct iovec vectors[MAX_BURST];

static void store_be16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static void make_frame(uint8_t *eth, uint32_t size, uint32_t flow)
{
	static const uint8_t head[] = {
		0x02, 0,  0, 0, 0,   0x99, 0x02, 0, 0,	0,  0, 0x01, 0x08, 0x00, /* Ethernet */
		0x45, 0,  0, 0, 0,   0,	   0x40, 0, 64, 17, 0, 0, /* IPv4: UDP, don't fragment */
		198,  18, 0, 1, 198, 18,   0,	 2,		  /* RFC 2544's addresses */
	};
	uint8_t *ip = eth + 14;
	uint32_t sum = 0;

	memcpy(eth, head, sizeof(head));
	store_be16(ip + 2, size - 14);
	for (int i = 0; i < 20; i += 2)
		sum += (uint32_t)ip[i] << 8 | ip[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	store_be16(ip + 10, ~(sum + (sum >> 16)) & 0xffff);
	store_be16(ip + 20, 1024 + flow);
	store_be16(ip + 22, 9); /* discard */
	store_be16(ip + 24, size - 34);
}

static int ready(int fd, const char *device)
{
	struct ifreq request = { 0 };

	strncpy(request.ifr_name, device, sizeof(request.ifr_name) - 1);
	return ioctl(fd, SIOCGIFFLAGS, &request) == 0 && request.ifr_flags & IFF_UP &&
	       request.ifr_flags & IFF_RUNNING;
}

static void send_burst(int fd, uint32_t burst)
{
	uint32_t done = 0;

	while (done < burst) {
		int sent = sendmmsg(fd, messages + done, burst - done, 0);

		done += sent > 0 ? (uint32_t)sent : 1; /* the device refused a frame, and counted it */
	}
}

static void generate_by_socket(const char *device, int wait, uint64_t rate, uint32_t burst, uint64_t total)
{
	int fd = check(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), "socket"), one = 1, bytes = 16 << 20;
	struct sockaddr_ll address = { .sll_family = AF_PACKET };
	uint64_t due, sent = 0;

	while (wait && !ready(fd, device))
		usleep(200);
	address.sll_ifindex = (int)if_nametoindex(device);
	check(setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one)), "PACKET_QDISC_BYPASS");
	check(setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)), "SO_SNDBUFFORCE");
	check(bind(fd, (struct sockaddr *)&address, sizeof(address)), device);
	prctl(PR_SET_TIMERSLACK, 1UL);
	say_ready();
	for (due = now_ns(); !total || sent < total; sent += burst) {
		send_burst(fd, burst);
		if (!rate)
			continue;
		due += burst * SECOND_NS / rate;
		if (due + MAX_LAG_NS < now_ns())
			due = now_ns();
		struct timespec until = { (time_t)(due / SECOND_NS), (long)(due % SECOND_NS) };

		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
	}
}

static void generate_in_kernel(const char *device, uint32_t size, uint64_t total)
{
	const struct bpf_insn program[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 1, .imm = (int)if_nametoindex(device) },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 2, .imm = 0 },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_redirect },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr load = { .prog_type = BPF_PROG_TYPE_XDP,
				.insns = (uintptr_t)program,
				.insn_cnt = sizeof(program) / sizeof(program[0]),
				.license = (uintptr_t) "Apache-2.0" };
	union bpf_attr run = { .test = { .data_in = (uintptr_t)frames[0],
					 .data_size_in = size,
					 .repeat = total ? (uint32_t)total : 1u << 31,
					 .flags = BPF_F_TEST_XDP_LIVE_FRAMES } };
	long fd = syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof(load));

	check((int)fd, "BPF_PROG_LOAD");
	run.test.prog_fd = (uint32_t)fd;
	say_ready();
	while (syscall(SYS_bpf, BPF_PROG_TEST_RUN, &run, sizeof(run)) == 0 || errno == EINTR)
		if (total)
			return;
	die("BPF_PROG_TEST_RUN");
}

static uint32_t make_flows(char *list, uint32_t size)
{
	uint32_t count = 0;

	for (char *flow = strtok(list, ","); flow && count < MAX_FLOWS; flow = strtok(NULL, ","))
		make_frame(frames[count++], size, (uint32_t)atoi(flow));
	return count;
}

int main(int argc, char **argv)
{
	char one_flow[] = "0", *flows = one_flow;
	const char *device = NULL, *namespace = NULL;
	int cpu = 0, in_kernel = 0, wait = 0, option;
	uint64_t rate = 0, total = 0;
	uint32_t size = 60, burst = 64, count;

	while ((option = getopt(argc, argv, "n:d:s:c:f:r:b:t:kw")) != -1) {
		switch (option) {
		case 'n':
			namespace
			= optarg;
			break;
		case 'd':
			device = optarg;
			break;
		case 's':
			size = (uint32_t)atoi(optarg);
			break;
		case 'c':
			cpu = atoi(optarg);
			break;
		case 'f':
			flows = optarg;
			break;
		case 'r':
			rate = strtoull(optarg, NULL, 10);
			break;
		case 'b':
			burst = (uint32_t)atoi(optarg);
			break;
		case 't':
			total = strtoull(optarg, NULL, 10);
			break;
		case 'k':
			in_kernel = 1;
			break;
		case 'w':
			wait = 1;
			break;
		default:
			return 2;
		}
	}
	if (!namespace || !device || size < 60 || size > MAX_SIZE || burst < 1 || burst > MAX_BURST)
		return 2;
	count = make_flows(flows, size);
	if (!count)
		return 2;
	for (uint32_t i = 0; i < MAX_BURST; i++) {
		vectors[i] = (struct iovec){ .iov_base = frames[i % count], .iov_len = size };
		messages[i].msg_hdr = (struct msghdr){ .msg_iov = &vectors[i], .msg_iovlen = 1 };
	}
	pin(cpu);
	enter_namespace(namespace);
	if (in_kernel)
		generate_in_kernel(device, size, total);
	else
		generate_by_socket(device, wait, rate, burst, total);
	return 0;
}
