// SPDX-License-Identifier: Apache-2.0
/*
 * The bare loop that driver `packet` is measured against: recvmmsg() a burst from one AF_PACKET socket,
 * sendmmsg() it from the other, and back.
 *
 *   packet_loop -n NETNS -a DEVICE -b DEVICE -c CPU [-v] [-x] [-i]
 *
 * -v: PACKET_VNET_HDR, -x: PACKET_AUXDATA, as ttfwd has them. -i: sleep in poll() when a round found nothing.
 */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>

#include "bench.h"

#define SOCKET_BYTES (16 << 20) /* ttfwd's */

static uint8_t buffers[BENCH_BATCH][BENCH_BUFFER] __attribute__((aligned(64)));
static _Alignas(struct cmsghdr) uint8_t controls[BENCH_BATCH][64];
static struct mmsghdr messages[BENCH_BATCH];
static struct iovec vectors[BENCH_BATCH];

static void set(int fd, int level, int name, int value)
{
	check(setsockopt(fd, level, name, &value, sizeof(value)), "setsockopt");
}

static int open_device(const char *name, int vnet, int auxdata)
{
	int fd = check(socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket");
	struct sockaddr_ll address = { .sll_family = AF_PACKET,
				       .sll_protocol = htons(ETH_P_ALL),
				       .sll_ifindex = (int)if_nametoindex(name) };
	struct packet_mreq promiscuous = { .mr_ifindex = address.sll_ifindex, .mr_type = PACKET_MR_PROMISC };

	if (vnet)
		set(fd, SOL_PACKET, PACKET_VNET_HDR, 1);
	if (auxdata)
		set(fd, SOL_PACKET, PACKET_AUXDATA, 1);
	set(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1);
	set(fd, SOL_PACKET, PACKET_QDISC_BYPASS, 1);
	set(fd, SOL_SOCKET, SO_RCVBUFFORCE, SOCKET_BYTES);
	set(fd, SOL_SOCKET, SO_SNDBUFFORCE, SOCKET_BYTES);
	check(setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promiscuous, sizeof(promiscuous)), name);
	check(bind(fd, (struct sockaddr *)&address, sizeof(address)), name);
	return fd;
}

static int move_burst(int from, int to, int auxdata)
{
	int count, done = 0;

	for (uint32_t i = 0; i < BENCH_BATCH; i++) {
		vectors[i].iov_len = BENCH_BUFFER;
		messages[i].msg_hdr.msg_control = auxdata ? controls[i] : NULL;
		messages[i].msg_hdr.msg_controllen = auxdata ? sizeof(controls[i]) : 0;
	}
	count = recvmmsg(from, messages, BENCH_BATCH, MSG_DONTWAIT, NULL);
	for (int i = 0; i < count; i++) {
		vectors[i].iov_len = messages[i].msg_len;
		messages[i].msg_hdr.msg_control = NULL;
		messages[i].msg_hdr.msg_controllen = 0;
	}
	while (done < count) {
		int sent = sendmmsg(to, messages + done, (unsigned int)(count - done), MSG_DONTWAIT);

		done += sent > 0 ? sent : 1; /* one that is refused isn't delivered, and so not counted */
	}
	return count;
}

int main(int argc, char **argv)
{
	const char *names[2] = { NULL, NULL }, *namespace = NULL;
	int vnet = 0, auxdata = 0, cpu = 0, sleeps = 0, option;
	struct pollfd polls[2];

	while ((option = getopt(argc, argv, "n:a:b:c:vxi")) != -1) {
		switch (option) {
		case 'n':
			namespace
			= optarg;
			break;
		case 'a':
			names[0] = optarg;
			break;
		case 'b':
			names[1] = optarg;
			break;
		case 'c':
			cpu = atoi(optarg);
			break;
		case 'v':
			vnet = 1;
			break;
		case 'x':
			auxdata = 1;
			break;
		case 'i':
			sleeps = 1;
			break;
		default:
			return 2;
		}
	}
	if (!namespace || !names[0] || !names[1])
		return 2;
	pin(cpu);
	enter_namespace(namespace);
	for (uint32_t i = 0; i < BENCH_BATCH; i++) {
		vectors[i].iov_base = buffers[i];
		messages[i].msg_hdr.msg_iov = &vectors[i];
		messages[i].msg_hdr.msg_iovlen = 1;
	}
	for (int port = 0; port < 2; port++)
		polls[port] =
			(struct pollfd){ .fd = open_device(names[port], vnet, auxdata), .events = POLLIN };
	say_ready();
	for (;;) {
		int moved = move_burst(polls[0].fd, polls[1].fd, auxdata) > 0;

		moved |= move_burst(polls[1].fd, polls[0].fd, auxdata) > 0;
		if (!moved && sleeps)
			poll(polls, 2, -1);
	}
}
