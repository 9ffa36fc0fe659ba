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
#define SINK_PORT 9		  /* discard */
#define HEADERS 42u
#define FILL_BURST 64u
#define RECEIVE_BYTES (256 << 20)

static int control_fd, packet_fd, udp_fd;

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

static int make_tap(const char *name, uint32_t mtu, uint32_t packets)
{
	int fd = check(open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC), "/dev/net/tun");
	struct ifreq request = request_for(name);

	request.ifr_flags = IFF_TAP | IFF_NO_PI;
	check(ioctl(fd, TUNSETIFF, &request), name);
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

/* Locally administered, and the same in each run: the frames carry it. */
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

static int open_packet_socket(const char *device)
{
	int fd = check(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), "AF_PACKET"), one = 1;
	struct sockaddr_ll address = { .sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(device) };

	check(setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof(one)), "PACKET_QDISC_BYPASS");
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

struct taps load_taps(uint32_t size, uint32_t packets)
{
	struct taps taps = { .source = "source0", .sink = "sink0" };
	uint32_t mtu = size > 1514 ? size - 14 : 1500;

	check(unshare(CLONE_NEWNET), "unshare");
	/* Nothing but our frames: IPv6 would add its own. */
	write_setting("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
	control_fd = check(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket");
	taps.source_fd = make_tap(taps.source, mtu, packets);
	taps.sink_fd = make_tap(taps.sink, mtu, packets);
	set_mac(taps.source, 1);
	set_mac(taps.sink, 2);
	link_up(taps.source);
	link_up(taps.sink);
	set_address(taps.sink);
	packet_fd = open_packet_socket(taps.source);
	udp_fd = open_udp_socket();
	return taps;
}

static uint32_t sum_words(const uint8_t *bytes, uint32_t length, uint32_t sum)
{
	for (uint32_t i = 0; i < length; i++)
		sum += i % 2 ? bytes[i] : (uint32_t)bytes[i] << 8;
	return sum;
}

static void store_be16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static void store_checksum(uint8_t *at, uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	store_be16(at, ~(sum + (sum >> 16)) & 0xffff);
}

void load_frame(uint8_t *eth, uint32_t size, enum fate fate)
{
	static const uint8_t head[] = {
		0x02, 0,  0, 0, 0,   2,	 0x02, 0, 0,	0,    0, 0x77,	    0x08, 0x00, /* Ethernet */
		0x45, 0,  0, 0, 0,   0,	 0x40, 0, 64,	17,   0, 0, /* IPv4: UDP, don't fragment */
		198,  18, 0, 1, 198, 18, 0,    2, 0x04, 0x00, 0, SINK_PORT,
	};
	uint8_t *ip = eth + 14, *udp = ip + 20;
	uint32_t udp_bytes = size - 34;

	memset(eth, 0x55, size);
	memcpy(eth, head, sizeof(head));
	if (fate == DROPPED)
		eth[5] = 0x99;
	store_be16(ip + 2, size - 14);
	store_checksum(ip + 10, sum_words(ip, 20, 0));
	store_be16(udp + 4, udp_bytes);
	store_be16(udp + 6, 0);
	/* The pseudo header: addresses, protocol, length. */
	store_checksum(udp + 6, sum_words(udp, udp_bytes, sum_words(ip + 12, 8, 17 + udp_bytes)));
}

void load_fill(uint32_t size, uint32_t packets, enum fate fate)
{
	static uint8_t frame[LARGE_BUFFER];
	struct iovec vector = { frame, size };
	struct mmsghdr messages[FILL_BURST];

	load_frame(frame, size, fate);
	for (uint32_t i = 0; i < FILL_BURST; i++)
		messages[i].msg_hdr = (struct msghdr){ .msg_iov = &vector, .msg_iovlen = 1 };
	for (uint32_t done = 0; done < packets;) {
		uint32_t burst = packets - done < FILL_BURST ? packets - done : FILL_BURST;

		done += (uint32_t)check(sendmmsg(packet_fd, messages, burst, 0), "sendmmsg to the source");
	}
}

uint64_t load_received(const struct taps *taps)
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
		if (strcmp(name, taps->sink) || sscanf(colon + 1, "%llu %llu", &bytes, &packets) != 2)
			continue;
		fclose(file);
		return packets;
	}
	errno = ENODEV;
	die(taps->sink);
	return 0;
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
