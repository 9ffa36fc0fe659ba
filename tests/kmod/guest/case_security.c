/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hostile calls. tun takes control data for a kernel pointer, so a caller whose control data reached tun
 * could take over the machine. Each case checks the errno, and that no frame was injected or consumed.
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "frames.h"
#include "harness.h"
#include "kernel.h"
#include "link.h"

#define LENGTH 60

/* The layout of tun's struct tun_msg_ctl, which must never come from a user. */
struct tun_control {
	unsigned short type;
	unsigned short count;
	void *pointer;
};
#define TUN_MSG_UBUF 1
#define TUN_MSG_PTR 2

struct prepared {
	struct tap tap;
	int wire;
	char message[LENGTH + 16];
	struct iovec iov;
	struct msghdr header;
};

static struct prepared *prepare(unsigned int framing)
{
	struct prepared *p = calloc(1, sizeof(*p));

	p->tap = tap_open(framing);
	p->wire = wire_open(p->tap.index);
	frame_fill(p->message + p->tap.framing->header, LENGTH, 1);
	p->iov = (struct iovec){ p->message, p->tap.framing->header + LENGTH };
	p->header = (struct msghdr){ .msg_iov = &p->iov, .msg_iovlen = 1 };
	return p;
}

static void refuse_control(struct prepared *p, void *control, size_t length)
{
	struct mmsghdr messages[2] = { { .msg_hdr = p->header }, { .msg_hdr = p->header } };

	for (unsigned int i = 0; i < 2; i++) {
		messages[i].msg_hdr.msg_control = control;
		messages[i].msg_hdr.msg_controllen = length;
	}
	CHECK_ERRNO(sendmsg(p->tap.sock, &messages[0].msg_hdr, 0), EINVAL);
	CHECK_ERRNO(sendmmsg(p->tap.sock, messages, 2, 0), EINVAL);
	wire_expect_nothing(p->wire);
}

static void control_data(struct prepared *p)
{
	struct tun_control fake = { TUN_MSG_PTR, 64, p->message };
	union {
		struct cmsghdr header;
		char space[256];
	} control = { .header = { CMSG_LEN(4), SOL_SOCKET, 0 } };

	CHECK_EQ(sizeof(fake), 16);
	refuse_control(p, &fake, sizeof(fake));
	fake = (struct tun_control){ TUN_MSG_UBUF, 0, p->message };
	refuse_control(p, &fake, sizeof(fake));
	fake.pointer = (void *)0xffff888000000000;
	refuse_control(p, &fake, sizeof(fake));
	for (int type = 0; type < 64; type++) {
		control.header.cmsg_type = type;
		refuse_control(p, &control, CMSG_SPACE(4));
	}
	control.header.cmsg_level = SOL_TURBOTAP;
	refuse_control(p, &control, CMSG_SPACE(4));
	for (size_t length = 1; length < 64; length++)
		refuse_control(p, &control, length);
	refuse_control(p, &control, sizeof(control));
}

CASE(security_control_data)
{
	struct prepared *p = prepare(PLAIN);

	control_data(p);
	set_burst(p->tap.sock, true);
	control_data(p);
	CHECK_EQ(counter(p->tap.sock, "tx-frames"), 0);
}

CASE(security_control_data_one_by_one)
{
	struct prepared *p = prepare(LEGACY);

	control_data(p);
	control_data(prepare(FRAGS));
	control_data(prepare(PI));
}

/* A pointer to control data without a length, and a length without a pointer. */
CASE(security_half_control_data)
{
	struct tun_control fake = { TUN_MSG_PTR, 64, NULL };
	struct prepared *p = prepare(PLAIN);

	p->header.msg_control = &fake;
	CHECK_EQ(DO(sendmsg(p->tap.sock, &p->header, 0)), LENGTH);
	wire_expect(p->wire, LENGTH, 1);
	p->header.msg_control = NULL;
	p->header.msg_controllen = sizeof(fake);
	CHECK_ERRNO(sendmsg(p->tap.sock, &p->header, 0), EFAULT); /* from the socket layer */
	wire_expect_nothing(p->wire);
}

/* A receive only writes to the control buffer. Its old content must have no effect. */
CASE(security_control_room)
{
	struct tun_control fake = { TUN_MSG_PTR, 64, (void *)0xffff888000000000 };
	struct prepared *p = prepare(PLAIN);

	wire_send(p->wire, LENGTH, 9);
	p->header.msg_control = &fake;
	p->header.msg_controllen = sizeof(fake);
	CHECK_EQ(DO(recvmsg(p->tap.sock, &p->header, 0)), LENGTH);
	frame_check(p->message, LENGTH, 9);
	CHECK_EQ(p->header.msg_controllen, 0);
}

CASE(security_destinations)
{
	struct sockaddr_in inet = { .sin_family = AF_INET };
	struct sockaddr unspecified = { .sa_family = AF_UNSPEC };
	struct prepared *p = prepare(PLAIN);

	CHECK_ERRNO(sendto(p->tap.sock, p->message, LENGTH, 0, (struct sockaddr *)&inet, sizeof(inet)),
		    EISCONN);
	CHECK_ERRNO(sendto(p->tap.sock, p->message, LENGTH, 0, &unspecified, sizeof(unspecified)), EISCONN);
	p->header.msg_name = &inet;
	p->header.msg_namelen = sizeof(inet);
	CHECK_ERRNO(sendmsg(p->tap.sock, &p->header, 0), EISCONN);
	set_burst(p->tap.sock, true);
	CHECK_ERRNO(sendmsg(p->tap.sock, &p->header, 0), EISCONN);
	wire_expect_nothing(p->wire);
}

/* A receive returns no source address: its length is 0, and no kernel memory leaks into it. */
CASE(security_source)
{
	struct sockaddr_storage name;
	socklen_t length = sizeof(name);
	struct prepared *p = prepare(PLAIN);

	memset(&name, 0xaa, sizeof(name));
	wire_send(p->wire, LENGTH, 9);
	CHECK_EQ(DO(recvfrom(p->tap.sock, p->message, LENGTH, 0, (struct sockaddr *)&name, &length)), LENGTH);
	CHECK_EQ(length, 0);
	CHECK_EQ(((unsigned char *)&name)[0], 0xaa);
}

#define SEND_FLAGS (MSG_DONTWAIT | MSG_MORE | MSG_NOSIGNAL | MSG_EOR | MSG_BATCH)
/* Flags that only the kernel uses. It removes them from a user's flags: they must have no effect. */
#define KERNEL_FLAGS (0x8000000u | 0x10000u | 0x80000u | 0x100000u)

static void one_send_flag(struct prepared *p, unsigned int flag, bool by_message)
{
	bool compat = flag == 1u << 31;
	ssize_t sent;

	errno = 0;
	sent = by_message ? sendmsg(p->tap.sock, &p->header, (int)flag) :
			    send(p->tap.sock, p->message, p->iov.iov_len, (int)flag);
	if (flag & SEND_FLAGS || (compat && !by_message) || (flag & KERNEL_FLAGS && sent > 0)) {
		CHECK(sent > 0);
		wire_expect(p->wire, LENGTH, 1);
		return;
	}
	CHECK_EQ(sent, -1);
	CHECK_EQ(errno, compat ? EINVAL : EOPNOTSUPP);
	wire_expect_nothing(p->wire);
}

CASE(security_send_flags)
{
	for (unsigned int burst = 0; burst < 2; burst++) {
		struct prepared *p = prepare(PLAIN);

		set_burst(p->tap.sock, burst);
		for (unsigned int bit = 0; bit < 32; bit++) {
			one_send_flag(p, 1u << bit, false);
			one_send_flag(p, 1u << bit, true);
		}
	}
}

#define RECV_FLAGS (MSG_DONTWAIT | MSG_TRUNC | MSG_WAITALL | MSG_NOSIGNAL | MSG_CMSG_CLOEXEC | MSG_WAITFORONE)

/* A refused receive leaves the frame in the queue. */
CASE(security_recv_flags)
{
	struct prepared *p = prepare(PLAIN);
	struct buffers *b = buffers_new(p->tap.framing, 1, LENGTH);

	for (unsigned int way = 0; way < WAYS; way++) {
		set_burst(p->tap.sock, way == BURST);
		for (unsigned int bit = 0; bit < 31; bit++) {
			unsigned int flag = 1u << bit;

			wire_send(p->wire, LENGTH, bit);
			if (!(flag & RECV_FLAGS)) {
				CHECK_ERRNO(move_in(way, p->tap.sock, b, 0, 1, (int)flag), EOPNOTSUPP);
				flag = 0;
			}
			CHECK_EQ(DO(move_in(way, p->tap.sock, b, 0, 1, (int)flag)), 1);
			buffer_check(b, 0, LENGTH, bit);
			CHECK_ERRNO(move_in(way, p->tap.sock, b, 0, 1, MSG_DONTWAIT), EAGAIN);
		}
		/* MSG_CMSG_COMPAT, which the socket layer refuses. */
		CHECK_ERRNO(move_in(way, p->tap.sock, b, 0, 1, (int)(1u << 31)), EINVAL);
	}
}

/* splice and sendfile pass pages, not iovecs, and are refused in both directions. */
CASE(security_splice)
{
	struct prepared *p = prepare(PLAIN);
	int pipes[2], file = (int)DO(memfd_create("frames", 0));

	DO(pipe(pipes));
	DO(fcntl(pipes[0], F_SETFL, O_NONBLOCK));
	DO(fcntl(pipes[1], F_SETFL, O_NONBLOCK));
	CHECK_EQ(DO(write(pipes[1], p->message, LENGTH)), LENGTH);
	CHECK_ERRNO(splice(pipes[0], NULL, p->tap.sock, NULL, LENGTH, 0), EOPNOTSUPP);
	CHECK_EQ(DO(vmsplice(pipes[1], &p->iov, 1, 0)), LENGTH);
	CHECK_ERRNO(splice(pipes[0], NULL, p->tap.sock, NULL, LENGTH, SPLICE_F_MOVE | SPLICE_F_MORE),
		    EOPNOTSUPP);
	CHECK_EQ(DO(write(file, p->message, LENGTH)), LENGTH);
	DO(lseek(file, 0, SEEK_SET));
	CHECK_ERRNO(sendfile(p->tap.sock, file, NULL, LENGTH), EOPNOTSUPP);
	wire_expect_nothing(p->wire);

	wire_send(p->wire, LENGTH, 9);
	CHECK_ERRNO(splice(p->tap.sock, NULL, pipes[1], NULL, LENGTH, SPLICE_F_NONBLOCK), EOPNOTSUPP);
	CHECK(sendfile(pipes[1], p->tap.sock, NULL, LENGTH) < 0);
	CHECK_ERRNO(vmsplice(p->tap.sock, &p->iov, 1, 0), EBADF);
	tap_expect(&p->tap, LENGTH, 9);
}

CASE(security_zero_copy)
{
	struct prepared *p = prepare(PLAIN);
	int one = 1;

	CHECK(setsockopt(p->tap.sock, SOL_SOCKET, SO_ZEROCOPY, &one, sizeof(one)) < 0);
	CHECK_ERRNO(send(p->tap.sock, p->message, LENGTH, MSG_ZEROCOPY), EOPNOTSUPP);
	CHECK_ERRNO(sendmsg(p->tap.sock, &p->header, MSG_ZEROCOPY), EOPNOTSUPP);
	wire_expect_nothing(p->wire);
	CHECK_ERRNO(recv(p->tap.sock, p->message, LENGTH, MSG_ERRQUEUE), EOPNOTSUPP);
}

/* read() and write() move one message. */
CASE(security_read_and_write)
{
	struct prepared *p = prepare(PLAIN);
	struct iovec halves[2] = { { p->message, 20 }, { p->message + 20, LENGTH - 20 } };

	CHECK_EQ(DO(write(p->tap.sock, p->message, LENGTH)), LENGTH);
	CHECK_EQ(DO(writev(p->tap.sock, halves, 2)), LENGTH);
	CHECK_ERRNO(write(p->tap.sock, p->message, 0), EINVAL);
	CHECK_ERRNO(pwrite(p->tap.sock, p->message, LENGTH, 0), ESPIPE);
	wire_expect(p->wire, LENGTH, 1);
	wire_expect(p->wire, LENGTH, 1);
	wire_expect_nothing(p->wire);
	wire_send_many(p->wire, LENGTH, 1, 2);
	CHECK_EQ(DO(read(p->tap.sock, p->message, LENGTH)), LENGTH);
	frame_check(p->message, LENGTH, 1);
	CHECK_EQ(DO(readv(p->tap.sock, halves, 2)), LENGTH);
	frame_check(p->message, LENGTH, 2);
	CHECK_ERRNO(read(p->tap.sock, p->message, LENGTH), EAGAIN);
}

/* Calls that the module doesn't support return an error and have no effect. */
CASE(security_other_calls)
{
	struct prepared *p = prepare(PLAIN);
	struct sockaddr_storage address = { .ss_family = AF_INET };
	socklen_t length = sizeof(address);
	int sock = p->tap.sock, value;

	CHECK_ERRNO(bind(sock, (struct sockaddr *)&address, sizeof(struct sockaddr_in)), EOPNOTSUPP);
	CHECK_ERRNO(connect(sock, (struct sockaddr *)&address, sizeof(struct sockaddr_in)), EOPNOTSUPP);
	CHECK_ERRNO(listen(sock, 1), EOPNOTSUPP);
	CHECK_ERRNO(shutdown(sock, SHUT_RD), EOPNOTSUPP);
	CHECK_ERRNO(shutdown(sock, SHUT_RDWR), EOPNOTSUPP);
	CHECK_ERRNO(getsockname(sock, (struct sockaddr *)&address, &length), EOPNOTSUPP);
	CHECK_ERRNO(getpeername(sock, (struct sockaddr *)&address, &length), EOPNOTSUPP);
	CHECK_ERRNO(ioctl(sock, FIONREAD, &value), EOPNOTSUPP);
	CHECK_ERRNO(ioctl(sock, TUNSETOFFLOAD, 0), EOPNOTSUPP);
	CHECK_ERRNO(ioctl(sock, TUNGETSOCKFD, &p->tap.tun), EOPNOTSUPP);
	CHECK(mmap(NULL, 4096, PROT_READ, MAP_SHARED, sock, 0) == MAP_FAILED);
	CHECK_EQ(errno, ENODEV);
	CHECK_ERRNO(lseek(sock, 0, SEEK_SET), ESPIPE);
	tap_check(&p->tap, p->wire, 1);
}

/* With a long timeout a call of the case would wait for ever. */
static bool is_timeout(int option)
{
	enum {
		RCVTIMEO_NEW = 66,
		SNDTIMEO_NEW = 67
	};

	return option == SO_RCVTIMEO || option == SO_SNDTIMEO || option == RCVTIMEO_NEW ||
	       option == SNDTIMEO_NEW;
}

/*
 * For accept() the kernel makes a socket with the same operations before it calls them. When they refuse, it
 * releases that socket, which has no sock yet.
 */
CASE(security_accept)
{
	struct prepared *p = prepare(PLAIN);

	for (unsigned int i = 0; i < 10; i++) {
		CHECK_ERRNO(accept(p->tap.sock, NULL, NULL), EOPNOTSUPP);
		CHECK_ERRNO(accept4(p->tap.sock, NULL, NULL, SOCK_NONBLOCK), EOPNOTSUPP);
	}
	tap_check(&p->tap, p->wire, 1);
}

/* Options of the socket layer, with good and bad values, do the socket no harm. */
CASE(security_socket_options)
{
	static const int values[] = { 0, 1, -1, 0x7fffffff, (int)0x80000000, 4096 };
	struct prepared *p = prepare(PLAIN);
	char bytes[256];

	for (int option = 0; option < 90; option++) {
		socklen_t length = sizeof(bytes);

		if (is_timeout(option))
			continue;
		getsockopt(p->tap.sock, SOL_SOCKET, option, bytes, &length);
		for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
			setsockopt(p->tap.sock, SOL_SOCKET, option, &values[i], sizeof(int));
		memset(bytes, 0xff, sizeof(bytes));
		for (length = 0; length <= 16; length++)
			setsockopt(p->tap.sock, SOL_SOCKET, option, bytes, length);
		memset(bytes, 0, sizeof(bytes));
		setsockopt(p->tap.sock, SOL_SOCKET, option, bytes, 16);
		setsockopt(p->tap.sock, SOL_SOCKET, option, (void *)8, 16);
	}
	tap_check(&p->tap, p->wire, 1);
}

/* A process in another namespace than the device can send and receive by the descriptor. */
CASE(security_other_namespace)
{
	struct prepared *p = prepare(PLAIN);
	int ends[2], there = namespace_new();
	pid_t child;

	DO(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends));
	child = spawn();
	if (!child) {
		struct tap tap = p->tap;
		char byte;

		close(p->tap.sock);
		close(p->tap.tun);
		DO(setns(there, CLONE_NEWNET));
		tap.sock = fd_receive(ends[1]);
		tap_send(&tap, LENGTH, 5);
		CHECK_EQ(DO(read(ends[1], &byte, 1)), 1);
		tap_expect(&tap, LENGTH, 6);
		exit(0);
	}
	fd_send(ends[0], p->tap.sock);
	wire_expect(p->wire, LENGTH, 5);
	wire_send(p->wire, LENGTH, 6);
	CHECK_EQ(DO(write(ends[0], "x", 1)), 1);
	join(child);
	tap_check(&p->tap, p->wire, 7);
}

/* No failing call of a user is logged. */
CASE(security_log_stays_silent)
{
	struct prepared *p = prepare(VNET10);
	struct tun_control fake = { TUN_MSG_PTR, 64, NULL };
	struct msghdr with_control = p->header;
	int log = kernel_log_open(), control = control_open();

	with_control.msg_control = &fake;
	with_control.msg_controllen = sizeof(fake);
	for (unsigned int i = 0; i < 125; i++) {
		CHECK_ERRNO(sendmsg(p->tap.sock, &with_control, 0), EINVAL);
		CHECK_ERRNO(send(p->tap.sock, p->message, 3, 0), EINVAL);
		CHECK_ERRNO(send(p->tap.sock, (void *)8, LENGTH, 0), EFAULT);
		CHECK_ERRNO(send(p->tap.sock, (void *)8, 100000, 0), EMSGSIZE);
		CHECK_ERRNO(recv(p->tap.sock, p->message, 1, MSG_PEEK), EOPNOTSUPP);
		CHECK_ERRNO(ioctl(control, _IO('q', i), 0), ENOTTY);
		CHECK_ERRNO(try_attach(p->tap.tun, TURBOTAP_ATTACH_BATCH, 9), EINVAL);
		CHECK_ERRNO(try_attach(p->tap.sock, 0, 0), ENOTSOCK);
	}
	CHECK_EQ(kernel_log_read(log, false), 0);
}
