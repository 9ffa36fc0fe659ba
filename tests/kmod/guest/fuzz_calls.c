/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The calls of the fuzzer, and the objects that they use.
 *
 * Threads share slots that hold tun fds and sockets. A thread may close a descriptor, or put another one into
 * its slot, while others use it. Each thread also has its own socket, on which no other thread sends, so that
 * the frames it accepted can be compared with its counters. All threads change the device of that socket. No
 * call waits for long: receives have a timeout, and the send buffers have room.
 */
#include <fcntl.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

#include "frames.h"
#include "fuzz.h"
#include "fuzz_world.h"
#include "harness.h"
#include "link.h"
#include "tap.h"

#define SLOTS 4
#define DEVICES 3 /* of all threads; in device_name() those of single threads follow */
#define FRAMES 32
#define PROGRAMS 2
#define ROOM 62000

static _Atomic int tuns[SLOTS], socks[SLOTS];
static int pair[2], pipe_ends[2], epoll, wire;
static _Atomic int programs[PROGRAMS];
static int home, elsewhere; /* network namespaces */

static struct own {
	_Atomic int tun;
	int sock;
	unsigned long accepted;
} owns[FUZZ_THREADS];

static _Thread_local unsigned int self;
static _Thread_local unsigned char *memory; /* a thread's frames; the page behind isn't mapped */

unsigned int take(uint32_t *argument, unsigned int below)
{
	unsigned int value = *argument % below;

	*argument /= below;
	return value;
}

static int slot_get(_Atomic int *slots, uint32_t *argument)
{
	return slots[take(argument, SLOTS)];
}

/* Put a descriptor into a slot and close the old one. False, and no change, if fd is negative. */
static bool slot_put(_Atomic int *slots, uint32_t *argument, int fd)
{
	_Atomic int *slot = &slots[take(argument, SLOTS)];
	int old;

	if (fd < 0)
		return false;
	old = atomic_exchange(slot, fd);
	if (old >= 0)
		close(old);
	return true;
}

static const char *device_name(unsigned int device)
{
	static _Thread_local char name[16];

	snprintf(name, sizeof(name), device < DEVICES ? "fuzz%u" : "own%u",
		 device < DEVICES ? device : device - DEVICES);
	return name;
}

const char *take_device(uint32_t *argument)
{
	return device_name(take(argument, DEVICES + FUZZ_THREADS));
}

/* Of another thread's own device, too, where it may be closed at any time. */
int tun_of(uint32_t *argument)
{
	unsigned int which = take(argument, 2 * FUZZ_THREADS);

	return which < FUZZ_THREADS ? owns[which].tun : slot_get(tuns, argument);
}

unsigned int thread_self(void)
{
	return self;
}

void *memory_for(uint32_t *argument)
{
	unsigned int which = take(argument, 32);
	void *late = which < 4 ? stall_memory(take(argument, 48)) : NULL;

	return late ? late : memory + take(argument, 90);
}

static bool do_open(uint32_t argument)
{
	static const short flags[] = {
		IFF_TAP | IFF_NO_PI | IFF_MULTI_QUEUE,
		IFF_TAP | IFF_NO_PI | IFF_MULTI_QUEUE | IFF_VNET_HDR,
		IFF_TAP | IFF_MULTI_QUEUE,
		IFF_TUN | IFF_NO_PI,
		IFF_TAP | IFF_NO_PI | IFF_NAPI,
		IFF_TAP | IFF_NO_PI | IFF_NAPI | IFF_NAPI_FRAGS,
	};
	const char *name = device_name(take(&argument, DEVICES));
	int tun = try_tun_open(name, flags[take(&argument, 6)], O_RDWR);

	if (tun < 0) /* the device has other flags, in most cases these */
		tun = try_tun_open(name, flags[0], O_RDWR);
	if (tun >= 0)
		try_link_set_up(name, true);
	return slot_put(tuns, &argument, tun);
}

static int give_timeout(int sock)
{
	struct timeval timeout = { .tv_usec = 1000 };

	if (sock >= 0)
		setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	return sock;
}

static bool do_attach(uint32_t argument)
{
	int tun = slot_get(tuns, &argument);
	unsigned int flags = take(&argument, 16);
	unsigned int header = take(&argument, 4) ? 0 : 10 + take(&argument, 3);

	if (take(&argument, 2))
		flags &= 7;
	return slot_put(socks, &argument, give_timeout(try_attach(tun, flags, header)));
}

static bool do_attach_legacy(uint32_t argument)
{
	int tun = slot_get(tuns, &argument);

	return slot_put(socks, &argument, give_timeout(try_attach_legacy(tun)));
}

/* Frames to send, or buffers to receive into. Unless `good`, some of them are bad. */
static unsigned int frames_make(struct iovec *iov, uint32_t *argument, bool good)
{
	static const size_t lengths[] = { 14, 60, 60, 60, 590, 1514, 3500, 3900, 9014, 61000, 13, 0 };
	unsigned int count = 1 + take(argument, FRAMES), bad = take(argument, 4 * FRAMES);
	unsigned int which = take(argument, 12);

	for (unsigned int i = 0; i < count; i++) {
		iov[i].iov_base = good ? memory + take(argument, 90) : memory_for(argument);
		iov[i].iov_len = lengths[good ? which % 10 : (which + i) % 12];
	}
	if (!good && bad < count)
		iov[bad].iov_base = memory + ROOM - (which & 1 ? 20 : 0);
	return count;
}

static const int send_flags[] = { 0, MSG_DONTWAIT, MSG_BATCH, MSG_MORE, MSG_BATCH | MSG_DONTWAIT, MSG_OOB };

static bool do_send(uint32_t argument)
{
	int sock = slot_get(socks, &argument), flags = send_flags[take(&argument, 6)];
	struct iovec iov[FRAMES];

	frames_make(iov, &argument, false);
	return send(sock, iov[0].iov_base, iov[0].iov_len, flags) >= 0;
}

static bool do_write(uint32_t argument)
{
	int fd = take(&argument, 2) ? slot_get(socks, &argument) : slot_get(tuns, &argument);
	struct iovec iov[FRAMES];
	unsigned int count = frames_make(iov, &argument, false);

	return writev(fd, iov, (int)count) >= 0;
}

static int send_message(int sock, struct iovec *iov, unsigned int count, int flags)
{
	struct msghdr message = { .msg_iov = iov, .msg_iovlen = count };

	return (int)sendmsg(sock, &message, flags);
}

static int send_messages(int sock, struct iovec *iov, unsigned int count, int flags, bool last_is_bad)
{
	struct mmsghdr messages[FRAMES] = { 0 };

	for (unsigned int i = 0; i < count; i++)
		messages[i].msg_hdr = (struct msghdr){ .msg_iov = &iov[i], .msg_iovlen = 1 };
	if (last_is_bad)
		messages[count - 1].msg_hdr.msg_iov = (void *)8;
	return sendmmsg(sock, messages, count, flags);
}

static bool do_sendmsg(uint32_t argument)
{
	int sock = slot_get(socks, &argument), flags = send_flags[take(&argument, 6)];
	struct iovec iov[FRAMES];
	unsigned int count = frames_make(iov, &argument, false);

	return send_message(sock, iov, count, flags) >= 0;
}

static bool do_sendmmsg(uint32_t argument)
{
	int sock = slot_get(socks, &argument), flags = send_flags[take(&argument, 2)];
	bool last_is_bad = !take(&argument, 4);
	struct iovec iov[FRAMES];
	unsigned int count = frames_make(iov, &argument, false);

	return send_messages(sock, iov, count, flags, last_is_bad) >= 0;
}

static bool do_send_control(uint32_t argument)
{
	int sock = slot_get(socks, &argument);
	struct iovec iov = { memory, 60 };
	struct msghdr message = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = memory,
		.msg_controllen = 1 + take(&argument, 40),
	};

	return sendmsg(sock, &message, 0) >= 0;
}

static const int recv_flags[] = {
	0, MSG_DONTWAIT, MSG_TRUNC, MSG_DONTWAIT | MSG_TRUNC, MSG_WAITALL, MSG_PEEK
};

static bool do_recv(uint32_t argument)
{
	int sock = slot_get(socks, &argument), flags = recv_flags[take(&argument, 6)];
	struct iovec iov[FRAMES];

	frames_make(iov, &argument, false);
	return recv(sock, iov[0].iov_base, iov[0].iov_len, flags) >= 0;
}

static bool do_recvmsg(uint32_t argument)
{
	int sock = slot_get(socks, &argument), flags = recv_flags[take(&argument, 6)];
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(FRAMES * 4)];
	} control;
	size_t room = take(&argument, 3) ? sizeof(control) : take(&argument, 40);
	struct iovec iov[FRAMES];
	struct msghdr message = {
		.msg_iov = iov,
		.msg_iovlen = frames_make(iov, &argument, false),
		.msg_control = take(&argument, 16) ? (void *)&control : (void *)8,
		.msg_controllen = room,
	};

	return recvmsg(sock, &message, flags) >= 0;
}

static bool do_recvmmsg(uint32_t argument)
{
	int sock = slot_get(socks, &argument);
	int flags = recv_flags[take(&argument, 4)] | (take(&argument, 2) ? MSG_WAITFORONE : 0);
	struct mmsghdr messages[FRAMES] = { 0 };
	struct iovec iov[FRAMES];
	unsigned int count = frames_make(iov, &argument, false);

	for (unsigned int i = 0; i < count; i++)
		messages[i].msg_hdr = (struct msghdr){ .msg_iov = &iov[i], .msg_iovlen = 1 };
	return recvmmsg(sock, messages, count, flags, NULL) >= 0;
}

static bool do_read_tun(uint32_t argument)
{
	int tun = slot_get(tuns, &argument);
	struct pollfd ready = { .fd = tun, .events = POLLIN };

	/* Another thread may read the frame first, and a blocking read would wait for ever. */
	fcntl(tun, F_SETFL, O_NONBLOCK);
	return poll(&ready, 1, 0) >= 0 && read(tun, memory, 1514) > 0;
}

static bool do_poll(uint32_t argument)
{
	struct pollfd ready[SLOTS];

	for (unsigned int i = 0; i < SLOTS; i++)
		ready[i] = (struct pollfd){ .fd = socks[i], .events = POLLIN | POLLOUT };
	return poll(ready, SLOTS, (int)take(&argument, 2)) > 0;
}

static bool do_epoll(uint32_t argument)
{
	static const int operations[] = { EPOLL_CTL_ADD, EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLL_CTL_DEL };
	int sock = slot_get(socks, &argument);
	struct epoll_event event = { .events = EPOLLIN | (take(&argument, 2) ? EPOLLET : 0) };
	struct epoll_event events[4];
	bool worked = epoll_ctl(epoll, operations[take(&argument, 4)], sock, &event) == 0;

	epoll_wait(epoll, events, 4, 0);
	return worked;
}

/* Calls that the socket must refuse. */
static bool do_refused(uint32_t argument)
{
	int sock = slot_get(socks, &argument);
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t length = sizeof(address);

	switch (take(&argument, 8)) {
	case 0:
		return shutdown(sock, (int)take(&argument, 3)) == 0;
	case 1:
		return bind(sock, (struct sockaddr *)&address, length) == 0;
	case 2:
		return connect(sock, (struct sockaddr *)&address, length) == 0;
	case 3:
		return listen(sock, 1) == 0;
	case 4:
		return accept(sock, NULL, NULL) >= 0;
	case 5:
		return getsockname(sock, (struct sockaddr *)&address, &length) == 0;
	case 6:
		return sendto(sock, memory, 60, 0, (struct sockaddr *)&address, length) >= 0;
	default:
		return ioctl(sock, argument, memory) == 0;
	}
}

static bool do_sockopt(uint32_t argument)
{
	int sock = slot_get(socks, &argument), option = (int)take(&argument, 90), value = (int)argument;

	if (option == SO_RCVTIMEO || option == SO_SNDTIMEO || option == 66 || option == 67)
		return false; /* a call might wait for ever */
	return setsockopt(sock, SOL_SOCKET, option, &value, sizeof(value)) == 0;
}

static bool do_burst(uint32_t argument)
{
	int sock = slot_get(socks, &argument);

	return try_set_burst(sock, (int)take(&argument, 2)) == 0;
}

static bool do_dup(uint32_t argument)
{
	int sock = slot_get(socks, &argument);

	return slot_put(socks, &argument, fcntl(sock, F_DUPFD_CLOEXEC, 0));
}

static bool close_slot(_Atomic int *slots, uint32_t argument)
{
	int fd = atomic_exchange(&slots[take(&argument, SLOTS)], -1);

	return fd >= 0 && close(fd) == 0;
}

static bool do_close(uint32_t argument)
{
	return close_slot(socks, argument);
}

static bool do_close_tun(uint32_t argument)
{
	return close_slot(tuns, argument);
}

/* Send a socket by SCM_RIGHTS, or receive one. Some stay in flight. */
static bool do_rights(uint32_t argument)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { .header = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
	struct iovec byte = { memory, 1 };
	struct msghdr message = {
		.msg_iov = &byte,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	int sock = slot_get(socks, &argument);

	if (take(&argument, 2)) {
		memcpy(CMSG_DATA(&control.header), &sock, sizeof(sock));
		return sendmsg(pair[0], &message, MSG_DONTWAIT) == 1;
	}
	if (recvmsg(pair[1], &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) != 1 || !message.msg_controllen)
		return false;
	memcpy(&sock, CMSG_DATA(&control.header), sizeof(sock));
	return slot_put(socks, &argument, sock);
}

static bool do_queue(uint32_t argument)
{
	struct ifreq request = { .ifr_flags = take(&argument, 3) ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE };

	return ioctl(slot_get(tuns, &argument), TUNSETQUEUE, &request) == 0;
}

static bool do_tun_option(uint32_t argument)
{
	int tun = slot_get(tuns, &argument), value;

	switch (take(&argument, 3)) {
	case 0: /* high enough that no send must wait */
		value = take(&argument, 2) ? 0x7fffffff : 1 << 24;
		return ioctl(tun, TUNSETSNDBUF, &value) == 0;
	case 1:
		value = 10 + (int)take(&argument, 3);
		return ioctl(tun, TUNSETVNETHDRSZ, &value) == 0;
	default:
		return ioctl(tun, TUNSETOFFLOAD, (unsigned long)take(&argument, 32)) == 0;
	}
}

static bool do_link_delete(uint32_t argument)
{
	int index = link_index(take_device(&argument));

	return index && try_link_delete(index) == 0;
}

static bool do_link_set(uint32_t argument)
{
	bool up = take(&argument, 4) != 0;
	const char *name = take_device(&argument);

	return link_index(name) && try_link_set_up(name, up) == 0;
}

/* Frames from the network stack, which any thread may receive. */
static bool wire_to(const char *name, uint32_t argument)
{
	struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_ifindex = link_index(name),
		.sll_halen = 6,
	};
	bool sent = false;

	if (!address.sll_ifindex)
		return false;
	for (unsigned int i = 1 + take(&argument, 16); i; i--)
		sent |= sendto(wire, memory, 14 + argument % 1400, 0, (struct sockaddr *)&address,
			       sizeof(address)) > 0;
	return sent;
}

static bool do_wire(uint32_t argument)
{
	const char *name = take_device(&argument);

	return wire_to(name, argument);
}

void wire_some(uint32_t argument)
{
	const char *name = device_name(take(&argument, DEVICES + FUZZ_THREADS / 2));

	try_link_set_up(name, true);
	wire_to(name, argument);
}

static bool do_control(uint32_t argument)
{
	static const unsigned int commands[] = { TURBOTAP_GET_INFO, TURBOTAP_ATTACH, TUNGETSOCKFD,
						 0xdeadbe00 };
	union {
		struct turbotap_attach attach;
		char largest[40]; /* longer than the module's structure */
	} room = { .attach = { take(&argument, sizeof(room) + 1), -1, 0, 0 } };
	int control = control_open();
	bool worked =
		ioctl(control, commands[take(&argument, 4)], take(&argument, 8) ? &room : (void *)8) == 0;

	close(control);
	return worked;
}

bool read_fdinfo(int of)
{
	char path[64], text[1024];
	int fd;

	snprintf(path, sizeof(path), "/proc/thread-self/fdinfo/%d", of);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	while (read(fd, text, sizeof(text)) > 0)
		;
	close(fd);
	return true;
}

static bool do_fdinfo(uint32_t argument)
{
	return read_fdinfo(slot_get(socks, &argument));
}

static bool do_splice(uint32_t argument)
{
	int sock = slot_get(socks, &argument);

	if (take(&argument, 2))
		return splice(sock, NULL, pipe_ends[1], NULL, 60, SPLICE_F_NONBLOCK) >= 0;
	if (write(pipe_ends[1], memory, 60) < 0)
		return false;
	return splice(pipe_ends[0], NULL, sock, NULL, 60, SPLICE_F_NONBLOCK) >= 0;
}

/* Every accepted frame was given to the stack or counted as dropped. */
static void own_check(const struct own *own)
{
	unsigned long frames, dropped;

	if (own->sock < 0)
		return;
	WAIT_FOR(counter(own->sock, "tx-frames") + counter(own->sock, "tx-dropped") >= own->accepted);
	frames = counter(own->sock, "tx-frames");
	dropped = counter(own->sock, "tx-dropped");
	if (frames + dropped != own->accepted)
		FAIL("%lu frames were accepted; %lu were sent, %lu dropped", own->accepted, frames, dropped);
}

static void own_close(struct own *own)
{
	own_check(own);
	if (own->sock >= 0)
		close(own->sock);
	if (own->tun >= 0)
		close(own->tun);
	*own = (struct own){ .tun = -1, .sock = -1 };
}

static bool do_own_open(uint32_t argument)
{
	const char *name = device_name(DEVICES + self);
	struct own *own = &owns[self];

	own_close(own);
	own->tun = try_tun_open(name, IFF_TAP | IFF_NO_PI, O_RDWR);
	if (own->tun < 0)
		return false;
	try_link_set_up(name, true);
	own->sock = give_timeout(try_attach(own->tun, take(&argument, 4) ? TURBOTAP_ATTACH_BATCH : 0, 0));
	return own->sock >= 0;
}

static bool do_own_send(uint32_t argument)
{
	static const int flags[] = { 0, MSG_DONTWAIT, MSG_BATCH };
	struct own *own = &owns[self];
	unsigned int way = take(&argument, 3), flag = (unsigned int)flags[take(&argument, 3)];
	struct iovec iov[FRAMES];
	unsigned int count = frames_make(iov, &argument, take(&argument, 2));
	int sent;

	if (own->sock < 0)
		return false;
	try_set_burst(own->sock, way == 0);
	if (way == 0)
		sent = send_message(own->sock, iov, count, (int)flag);
	else if (way == 1)
		sent = send_messages(own->sock, iov, count, 0, flag == MSG_BATCH);
	else
		sent = send(own->sock, iov[0].iov_base, iov[0].iov_len, (int)flag) < 0 ? -1 : 1;
	if (sent > 0)
		own->accepted += (unsigned int)sent;
	return sent > 0;
}

static bool do_own_check(uint32_t argument)
{
	(void)argument;
	own_check(&owns[self]);
	return owns[self].sock >= 0;
}

/*
 * A program on a device of one queue: each link replaces that of another device, which then has none. Not on
 * the others: when a queue is detached, tun still names its old number, and generic XDP warns of that.
 */
static bool do_xdp(uint32_t argument)
{
	static const enum xdp_action actions[] = { XDP_PASS, XDP_PASS, XDP_DROP, XDP_TX };
	_Atomic int *slot = &programs[take(&argument, PROGRAMS)];
	int index = link_index(device_name(DEVICES + take(&argument, FUZZ_THREADS)));
	int old = atomic_exchange(slot, -1), link;

	if (old >= 0)
		close(old);
	link = index ? try_xdp_attach(index, actions[take(&argument, 4)]) : -1;
	if (link < 0)
		return false;
	old = atomic_exchange(slot, link);
	if (old >= 0)
		close(old);
	return true;
}

static bool do_move(uint32_t argument)
{
	int index = link_index(take_device(&argument));

	return index && try_link_move(index, elsewhere) == 0;
}

static bool do_move_back(uint32_t argument)
{
	const char *name = take_device(&argument);
	bool moved;
	int index;

	DO(setns(elsewhere, CLONE_NEWNET));
	index = link_index(name);
	moved = index && try_link_move(index, home) == 0;
	DO(setns(home, CLONE_NEWNET));
	return moved && try_link_set_up(name, true) == 0;
}

/* A tun fd that has lost its device gets another one. */
static bool do_set_iff(uint32_t argument)
{
	struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_MULTI_QUEUE };
	int tun = slot_get(tuns, &argument);

	snprintf(request.ifr_name, IFNAMSIZ, "%s", device_name(take(&argument, DEVICES)));
	return ioctl(tun, TUNSETIFF, &request) == 0 && try_link_set_up(request.ifr_name, true) == 0;
}

static const struct operation own_operations[] = {
	{ "open", do_open, 6, true },
	{ "attach", do_attach, 12, true },
	{ "attach_legacy", do_attach_legacy, 3, true },
	{ "send", do_send, 12, true },
	{ "write", do_write, 3, true },
	{ "sendmsg", do_sendmsg, 12, true },
	{ "sendmmsg", do_sendmmsg, 12, true },
	{ "send_control", do_send_control, 3, false },
	{ "recv", do_recv, 8, true },
	{ "recvmsg", do_recvmsg, 12, true },
	{ "recvmmsg", do_recvmmsg, 8, true },
	{ "read_tun", do_read_tun, 2, true },
	{ "poll", do_poll, 4, true },
	{ "epoll", do_epoll, 4, true },
	{ "refused", do_refused, 4, false },
	{ "sockopt", do_sockopt, 4, true },
	{ "burst", do_burst, 8, true },
	{ "dup", do_dup, 3, true },
	{ "close", do_close, 4, true },
	{ "close_tun", do_close_tun, 3, true },
	{ "rights", do_rights, 6, true },
	{ "queue", do_queue, 4, true },
	{ "tun_option", do_tun_option, 3, true },
	{ "link_delete", do_link_delete, 1, true },
	{ "link_set", do_link_set, 6, true },
	{ "wire", do_wire, 16, true },
	{ "control", do_control, 3, true },
	{ "fdinfo", do_fdinfo, 3, true },
	{ "splice", do_splice, 2, false },
	{ "own_open", do_own_open, 4, true },
	{ "own_send", do_own_send, 16, true },
	{ "own_check", do_own_check, 2, true },
	{ "xdp", do_xdp, 3, true },
	{ "move", do_move, 1, true },
	{ "move_back", do_move_back, 6, true },
	{ "set_iff", do_set_iff, 8, true },
};
#define OWN_OPERATIONS (sizeof(own_operations) / sizeof(own_operations[0]))
#define OPERATIONS (OWN_OPERATIONS + crossing_operation_count)

static const struct operation *operation_at(unsigned int i)
{
	return i < OWN_OPERATIONS ? &own_operations[i] : &crossing_operations[i - OWN_OPERATIONS];
}

unsigned int operation_count(void)
{
	return OPERATIONS;
}

const char *operation_name(unsigned int operation)
{
	return operation_at(operation)->name;
}

bool operation_works(unsigned int operation)
{
	return operation_at(operation)->works;
}

/* splitmix64: public domain, Sebastiano Vigna. */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

static uint8_t choose_operation(uint64_t random)
{
	unsigned int total = 0, at;

	for (unsigned int i = 0; i < OPERATIONS; i++)
		total += operation_at(i)->weight;
	at = (unsigned int)(random % total);
	for (unsigned int i = 0;; i++) {
		if (at < operation_at(i)->weight)
			return (uint8_t)i;
		at -= operation_at(i)->weight;
	}
}

struct calls calls_generate(uint64_t seed, unsigned int count, unsigned int threads)
{
	struct calls calls = { calloc(count + 1, sizeof(struct call)), count };
	unsigned int done = 0;

	for (unsigned int thread = 0; thread < threads; thread++) {
		unsigned int end = (unsigned int)((uint64_t)count * (thread + 1) / threads);
		uint64_t state = seed * FUZZ_THREADS + thread;

		for (; done < end; done++) {
			calls.list[done].thread = (uint8_t)thread;
			calls.list[done].operation = choose_operation(next_random(&state));
			calls.list[done].argument = (uint32_t)next_random(&state);
		}
	}
	return calls;
}

void calls_print(const struct calls *calls, FILE *to)
{
	for (unsigned int i = 0; i < calls->count; i++)
		fprintf(to, "%u %s %u\n", calls->list[i].thread, operation_name(calls->list[i].operation),
			calls->list[i].argument);
}

bool calls_read(struct calls *calls, FILE *from)
{
	unsigned int room = 1024, thread, argument;
	char name[32];
	int fields;

	*calls = (struct calls){ calloc(room, sizeof(struct call)), 0 };
	while ((fields = fscanf(from, "%u %31s %u", &thread, name, &argument)) == 3) {
		unsigned int operation = 0;

		while (operation < OPERATIONS && strcmp(name, operation_at(operation)->name))
			operation++;
		if (operation == OPERATIONS || thread >= FUZZ_THREADS)
			return false;
		if (calls->count == room) {
			room *= 2;
			calls->list = realloc(calls->list, room * sizeof(struct call));
		}
		calls->list[calls->count++] = (struct call){ (uint8_t)thread, (uint8_t)operation, argument };
	}
	return fields == EOF;
}

/* ROOM bytes that end where a page ends. The next page isn't mapped. */
static unsigned char *memory_make(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), mapped = (ROOM + page - 1) / page * page;
	unsigned char *pages =
		mmap(NULL, mapped + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(pages != MAP_FAILED);
	DO(munmap(pages + mapped, page));
	for (size_t i = 0; i < mapped; i++)
		pages[i] = (unsigned char)(i % 97 < 14 ? 0 : i * 31); /* zeros are a valid virtio_net_hdr */
	return pages + mapped - ROOM;
}

bool call_run(const struct call *call)
{
	self = call->thread;
	if (!memory)
		memory = memory_make();
	return operation_at(call->operation)->run(call->argument);
}

void world_make(unsigned int threads)
{
	for (unsigned int i = 0; i < SLOTS; i++)
		tuns[i] = socks[i] = -1;
	for (unsigned int i = 0; i < threads; i++)
		owns[i] = (struct own){ .tun = -1, .sock = -1 };
	DO(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair));
	DO(pipe2(pipe_ends, O_CLOEXEC | O_NONBLOCK));
	epoll = (int)DO(epoll_create1(EPOLL_CLOEXEC));
	wire = (int)DO(socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
	for (unsigned int i = 0; i < PROGRAMS; i++)
		programs[i] = -1;
	home = (int)DO(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
	elsewhere = namespace_new();
	crossings_make();
	if (!stall_make())
		printf("without userfaultfd\n");
}

static void close_all(unsigned int threads)
{
	for (unsigned int i = 0; i < threads; i++)
		own_close(&owns[i]);
	for (unsigned int i = 0; i < SLOTS; i++) {
		if (tuns[i] >= 0)
			close(tuns[i]);
		if (socks[i] >= 0)
			close(socks[i]);
	}
	close(pair[0]);
	close(pair[1]);
	close(pipe_ends[0]);
	close(pipe_ends[1]);
	close(epoll);
	close(wire);
	for (unsigned int i = 0; i < PROGRAMS; i++)
		if (programs[i] >= 0)
			close(programs[i]);
	close(home);
	close(elsewhere);
	crossings_end();
	stall_end();
}

void world_end(unsigned int threads)
{
	struct tap tap;
	int end;

	close_all(threads);
	tap = tap_open(PLAIN);
	end = wire_open(tap.index);
	for (unsigned int i = 0; i < 4; i++)
		tap_check(&tap, end, 2 * i);
}
