// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>

#include "../bench.h"
#include "load.h"

#define SINK_ADDRESS "198.18.0.2" /* RFC 2544's addresses */
#define FILL_BURST 64u
#define RECEIVE_BYTES (256 << 20)

static int control_fd, udp_fd;
static uint8_t frame[SEGMENT_BUFFER];
static struct iovec vector = { .iov_base = frame };
static struct mmsghdr messages[FILL_BURST];

static void write_setting(const char *path, const char *value)
{
	int fd = check(open(path, O_WRONLY | O_CLOEXEC), path);

	check((int)write(fd, value, strlen(value)), path);
	close(fd);
}

static struct ifreq request_for(const char *name)
{
	struct ifreq request = { 0 };

	strncpy(request.ifr_name, name, sizeof(request.ifr_name) - 1);
	return request;
}

static int make_tap(const char *name, uint32_t mtu, uint32_t packets, bool segments)
{
	int fd = check(open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC), "/dev/net/tun");
	struct ifreq request = request_for(name);

	request.ifr_flags = IFF_TAP | IFF_NO_PI | (segments ? IFF_VNET_HDR : 0);
	check(ioctl(fd, TUNSETIFF, &request), name);
	if (segments)
		check(ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6), "TUNSETOFFLOAD");
	request = request_for(name);
	request.ifr_qlen = (int)packets;
	check(ioctl(control_fd, SIOCSIFTXQLEN, &request), "SIOCSIFTXQLEN");
	request = request_for(name);
	request.ifr_mtu = (int)mtu;
	check(ioctl(control_fd, SIOCSIFMTU, &request), "SIOCSIFMTU");
	return fd;
}

static void link_up(const char *name)
{
	struct ifreq request = request_for(name);

	check(ioctl(control_fd, SIOCGIFFLAGS, &request), name);
	request.ifr_flags |= IFF_UP;
	check(ioctl(control_fd, SIOCSIFFLAGS, &request), name);
}

/* Locally administered, and constant, as the frames contain it. */
static void set_mac(const char *name, uint8_t last)
{
	struct ifreq request = request_for(name);

	request.ifr_hwaddr.sa_family = 1; /* ARPHRD_ETHER */
	memcpy(request.ifr_hwaddr.sa_data, (uint8_t[]){ 0x02, 0, 0, 0, 0, last }, 6);
	check(ioctl(control_fd, SIOCSIFHWADDR, &request), "SIOCSIFHWADDR");
}

static void set_address(const char *name)
{
	struct ifreq request = request_for(name);
	struct sockaddr_in address = { .sin_family = AF_INET };

	inet_pton(AF_INET, SINK_ADDRESS, &address.sin_addr);
	memcpy(&request.ifr_addr, &address, sizeof(address));
	check(ioctl(control_fd, SIOCSIFADDR, &request), "SIOCSIFADDR");
	inet_pton(AF_INET, "255.255.255.0", &address.sin_addr);
	memcpy(&request.ifr_netmask, &address, sizeof(address));
	check(ioctl(control_fd, SIOCSIFNETMASK, &request), "SIOCSIFNETMASK");
}

int load_socket(const char *device, bool vnet)
{
	int fd = check(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), "AF_PACKET"), one = 1, header = vnet;
	struct sockaddr_ll address = { .sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(device) };

	check(setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one)), "PACKET_QDISC_BYPASS");
	check(setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &header, sizeof(header)), "PACKET_VNET_HDR");
	check(bind(fd, (struct sockaddr *)&address, sizeof(address)), device);
	return fd;
}

static int open_udp_socket(void)
{
	int fd = check(socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "AF_INET");
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(SINK_PORT) };
	int bytes = RECEIVE_BYTES;

	check(setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)), "SO_RCVBUFFORCE");
	check(bind(fd, (struct sockaddr *)&address, sizeof(address)), "bind");
	return fd;
}

/* The messages to send; all are the same. */
static void prepare(const struct frames *frames)
{
	frames_make(frame, frames);
	vector.iov_len = frames_bytes(frames);
	for (uint32_t i = 0; i < FILL_BURST; i++)
		messages[i].msg_hdr = (struct msghdr){ .msg_iov = &vector, .msg_iovlen = 1 };
}

struct taps load_taps(const struct frames *frames, uint32_t packets)
{
	struct taps taps = { .source = "source0",
			     .sink = "sink0",
			     .vnet_bytes = frames->segments ? BENCH_VNET_BYTES : 0 };
	uint32_t mtu = frames->size > 1514 && !frames->segments ? frames->size - 14 : 1500;

	check(unshare(CLONE_NEWNET), "unshare");
	/* Only our frames: IPv6 would add its own. */
	write_setting("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
	control_fd = check(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket");
	taps.source_fd = make_tap(taps.source, mtu, packets, frames->segments);
	taps.sink_fd = make_tap(taps.sink, mtu, packets, frames->segments);
	set_mac(taps.source, 1);
	set_mac(taps.sink, 2);
	link_up(taps.source);
	link_up(taps.sink);
	set_address(taps.sink);
	udp_fd = open_udp_socket();
	prepare(frames);
	return taps;
}

void load_fill(int packet_fd, uint32_t packets)
{
	for (uint32_t done = 0; done < packets;) {
		uint32_t burst = packets - done < FILL_BURST ? packets - done : FILL_BURST;

		done += (uint32_t)check(sendmmsg(packet_fd, messages, burst, 0), "sendmmsg to the source");
	}
}

struct received load_received(const char *device)
{
	FILE *file = fopen("/proc/thread-self/net/dev", "re");
	char line[512];

	if (!file)
		die("/proc/thread-self/net/dev");
	while (fgets(line, sizeof(line), file)) {
		char *name = line + strspn(line, " "), *colon = strchr(name, ':');
		unsigned long long bytes, packets;

		if (!colon)
			continue;
		*colon = 0;
		if (strcmp(name, device) || sscanf(colon + 1, "%llu %llu", &bytes, &packets) != 2)
			continue;
		fclose(file);
		return (struct received){ packets, bytes };
	}
	errno = ENODEV;
	die(device);
	return (struct received){ 0 };
}

uint32_t load_delivered(void)
{
	uint32_t count = 0;
	uint8_t bytes[16];

	while (recv(udp_fd, bytes, sizeof(bytes), MSG_TRUNC) >= 0)
		count++;
	if (errno != EAGAIN)
		die("recv");
	return count;
}
