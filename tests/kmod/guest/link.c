/* SPDX-License-Identifier: Apache-2.0 */
/* ioctls, rtnetlink and bpf() for net devices; see link.h. */
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "harness.h"
#include "kernel.h"
#include "link.h"

#define HIGH_FD 512 /* above every other fd of a test */
#define ATTEMPTS 8

static int try_request(unsigned long call, struct ifreq *request)
{
	int fd = (int)DO(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
	int result = ioctl(fd, call, request), error = errno;

	close(fd);
	errno = error;
	return result;
}

static struct ifreq request_for(const char *name)
{
	struct ifreq request = { 0 };

	snprintf(request.ifr_name, IFNAMSIZ, "%s", name);
	return request;
}

int try_link_set_up(const char *name, bool up)
{
	struct ifreq request = request_for(name);

	request.ifr_flags = up ? IFF_UP : 0;
	return try_request(SIOCSIFFLAGS, &request);
}

void link_up(const char *name)
{
	DO(try_link_set_up(name, true));
}

void link_down(const char *name)
{
	DO(try_link_set_up(name, false));
}

void link_set_mtu(const char *name, int mtu)
{
	struct ifreq request = request_for(name);

	request.ifr_mtu = mtu;
	DO(try_request(SIOCSIFMTU, &request));
}

void link_set_queue_length(const char *name, int frames)
{
	struct ifreq request = request_for(name);

	request.ifr_qlen = frames;
	DO(try_request(SIOCSIFTXQLEN, &request));
}

struct link_message {
	struct nlmsghdr header;
	struct ifinfomsg info;
	struct rtattr attribute;
	int value;
};

/*
 * A netlink socket with a high fd. Threads of the fuzzer use fds that other threads have closed. With the
 * lowest free fd, this socket could get such a number, and another thread could read its answer.
 */
static int open_netlink(void)
{
	int high = -1;

	for (int attempt = 0; high < 0 && attempt < ATTEMPTS; attempt++) {
		int fd = (int)DO(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));

		high = fcntl(fd, F_DUPFD_CLOEXEC, HIGH_FD);
		close(fd);
	}
	if (high < 0)
		FAIL("no netlink socket");
	return high;
}

/* Send a request and receive the first message of the answer. */
static void ask(struct link_message *message, int flags, void *reply, size_t room)
{
	int fd = open_netlink();
	ssize_t length;

	message->header.nlmsg_flags = (__u16)(NLM_F_REQUEST | flags);
	DO(send(fd, message, message->header.nlmsg_len, 0));
	do
		length = recv(fd, reply, room, 0);
	while (length < 0 && errno == EINTR);
	close(fd);
	if (length < (ssize_t)(sizeof(struct nlmsghdr) + sizeof(int)))
		FAIL("rtnetlink gave no answer");
}

static int exchange(struct link_message *message)
{
	struct {
		struct nlmsghdr header;
		struct nlmsgerr error;
		char rest[512];
	} reply;

	ask(message, NLM_F_ACK, &reply, sizeof(reply));
	if (reply.header.nlmsg_type != NLMSG_ERROR)
		FAIL("rtnetlink answered something else");
	errno = -reply.error.error;
	return reply.error.error ? -1 : 0;
}

int link_index(const char *name)
{
	struct {
		struct nlmsghdr header;
		struct ifinfomsg info;
		char rest[16384];
	} reply;
	union {
		struct link_message message;
		char room[sizeof(struct link_message) + IFNAMSIZ];
	} request = { .message = { .header = { .nlmsg_type = RTM_GETLINK } } };
	struct rtattr *attribute = &request.message.attribute;

	attribute->rta_type = IFLA_IFNAME;
	attribute->rta_len = (unsigned short)RTA_LENGTH(strlen(name) + 1);
	strcpy(RTA_DATA(attribute), name);
	request.message.header.nlmsg_len =
		NLMSG_LENGTH(sizeof(struct ifinfomsg)) + RTA_ALIGN(attribute->rta_len);
	ask(&request.message, 0, &reply, sizeof(reply));
	return reply.header.nlmsg_type == RTM_NEWLINK ? reply.info.ifi_index : 0;
}

int try_link_delete(int index)
{
	struct link_message message = {
		.header = { .nlmsg_len = NLMSG_LENGTH(sizeof(struct ifinfomsg)), .nlmsg_type = RTM_DELLINK },
		.info = { .ifi_index = index },
	};

	return exchange(&message);
}

void link_delete(int index)
{
	DO(try_link_delete(index));
}

int try_link_move(int index, int net_namespace)
{
	struct link_message message = {
		.header = { .nlmsg_len = sizeof(message), .nlmsg_type = RTM_SETLINK },
		.info = { .ifi_index = index },
		.attribute = { .rta_len = RTA_LENGTH(sizeof(int)), .rta_type = IFLA_NET_NS_FD },
		.value = net_namespace,
	};

	return exchange(&message);
}

void link_move(int index, int net_namespace)
{
	DO(try_link_move(index, net_namespace));
}

int namespace_new(void)
{
	int here = (int)DO(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)), there;

	DO(unshare(CLONE_NEWNET));
	write_file("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
	there = (int)DO(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
	DO(setns(here, CLONE_NEWNET));
	close(here);
	return there;
}

struct link_counters link_counters(const char *name)
{
	FILE *file = fopen("/proc/thread-self/net/dev", "re");
	struct link_counters c;
	char line[512], found[32];
	bool there = false;

	if (!file)
		FAIL("/proc/thread-self/net/dev: %s", strerror(errno));
	while (!there && fgets(line, sizeof(line), file))
		there = sscanf(line, " %31[^:]: %lu %lu %lu %lu %*u %*u %*u %*u %lu %lu %lu %lu", found,
			       &c.rx_bytes, &c.rx_packets, &c.rx_errors, &c.rx_dropped, &c.tx_bytes,
			       &c.tx_packets, &c.tx_errors, &c.tx_dropped) == 9 &&
			!strcmp(found, name);
	fclose(file);
	if (!there)
		FAIL("no device %s", name);
	return c;
}

static int bpf(enum bpf_cmd command, union bpf_attr *attributes)
{
	return (int)syscall(SYS_bpf, command, attributes, sizeof(*attributes));
}

int try_xdp_attach(int index, enum xdp_action action)
{
	const struct bpf_insn program[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = (int)action },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr load = {
		.prog_type = BPF_PROG_TYPE_XDP,
		.insns = (uintptr_t)program,
		.insn_cnt = sizeof(program) / sizeof(program[0]),
		.license = (uintptr_t) "GPL",
	};
	union bpf_attr link = { 0 };

	int loaded = bpf(BPF_PROG_LOAD, &load), fd, error;

	if (loaded < 0)
		return -1;
	link.link_create.prog_fd = (__u32)loaded;
	link.link_create.target_ifindex = (__u32)index;
	link.link_create.attach_type = BPF_XDP;
	fd = bpf(BPF_LINK_CREATE, &link);
	error = errno;
	close(loaded); /* the link holds it */
	errno = error;
	return fd;
}

int xdp_attach(int index, enum xdp_action action)
{
	int link = try_xdp_attach(index, action);

	if (link < 0 && errno == ENOSYS)
		case_missing("bpf()");
	return (int)DO(link);
}
