// SPDX-License-Identifier: GPL-2.0
/*
 * A socket's life: attached to a tun queue, released with its last fd.
 *
 * It holds a reference to:
 *
 *	the queue's file	so tun's socket and ring outlive it, whichever
 *				fd is closed first
 *	the module, twice	for its operations and for its protocol
 *	the network namespace	as every socket of user space does
 *
 * It holds no net device. tun does that, for the duration of a call.
 */
#include <linux/errno.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/if_ether.h>
#include <linux/if_tun.h>
#include <linux/module.h>
#include <linux/net.h>
#include <linux/poll.h>
#include <linux/ptr_ring.h>
#include <linux/security.h>
#include <linux/seq_file.h>
#include <linux/skbuff.h>
#include <linux/sockptr.h>
#include <net/sock.h>

#include "internal.h"

static struct proto tt_proto = {
	.name = "turbotap",
	.owner = THIS_MODULE,
	.obj_size = sizeof(struct turbotap_sock),
};

static int tt_release(struct socket *sock)
{
	struct turbotap_sock *ts;

	/* A failed accept() releases a socket that has no sock. */
	if (!sock->sk)
		return 0;
	ts = tt_sk(sock);
	tt_batch_exit(ts);
	fput(ts->tun_file);
	sock_orphan(&ts->sk);
	sock->sk = NULL;
	sock_put(&ts->sk);
	return 0;
}

/* All waiting happens on tun's wait queue; the socket has none of its own. */
static __poll_t tt_poll(struct file *file, struct socket *sock,
			struct poll_table_struct *wait)
{
	return vfs_poll(tt_sk(sock)->tun_file, wait);
}

static int tt_setsockopt(struct socket *sock, int level, int optname,
			 sockptr_t optval, unsigned int optlen)
{
	int on;

	if (level != SOL_TURBOTAP || optname != TURBOTAP_BURST)
		return -ENOPROTOOPT;
	if (optlen < sizeof(on))
		return -EINVAL;
	if (copy_from_sockptr(&on, optval, sizeof(on)))
		return -EFAULT;
	if (on != 0 && on != 1)
		return -EINVAL;
	WRITE_ONCE(tt_sk(sock)->burst, on);
	return 0;
}

static int tt_getsockopt(struct socket *sock, int level, int optname,
			 char __user *optval, int __user *optlen)
{
	int on = READ_ONCE(tt_sk(sock)->burst);
	int length;

	if (level != SOL_TURBOTAP || optname != TURBOTAP_BURST)
		return -ENOPROTOOPT;
	if (get_user(length, optlen))
		return -EFAULT;
	if (length < 0)
		return -EINVAL;
	length = min_t(int, length, sizeof(on));
	if (put_user(length, optlen) || copy_to_user(optval, &on, length))
		return -EFAULT;
	return 0;
}

static void tt_show_fdinfo(struct seq_file *m, struct socket *sock)
{
	struct turbotap_sock *ts = tt_sk(sock);

#define TT_SHOW(name, value) \
	seq_printf(m, "turbotap-" name ":\t%lu\n", (unsigned long)(value))

	if (ts->tun_file->f_op->show_fdinfo)
		ts->tun_file->f_op->show_fdinfo(m, ts->tun_file);
	TT_SHOW("rx-frames", atomic_long_read(&ts->rx_frames));
	TT_SHOW("rx-calls", atomic_long_read(&ts->rx_calls));
	TT_SHOW("rx-faulted", atomic_long_read(&ts->rx_faulted));
	TT_SHOW("tx-frames", READ_ONCE(ts->tx.frames));
	TT_SHOW("tx-calls", READ_ONCE(ts->tx.calls));
	TT_SHOW("tx-batched", READ_ONCE(ts->tx.batched));
	TT_SHOW("tx-batches", READ_ONCE(ts->tx.batches));
	TT_SHOW("tx-late-batches", READ_ONCE(ts->tx.late_batches));
	TT_SHOW("tx-dropped", READ_ONCE(ts->tx.dropped));
#undef TT_SHOW
}

/* The core calls most of these unconditionally, so none may be missing. */
static const struct proto_ops tt_ops = {
	.family = PF_UNSPEC,
	.owner = THIS_MODULE,
	.release = tt_release,
	.bind = sock_no_bind,
	.connect = sock_no_connect,
	.socketpair = sock_no_socketpair,
	.accept = sock_no_accept,
	.getname = sock_no_getname,
	.poll = tt_poll,
	.ioctl = sock_no_ioctl,
	.listen = sock_no_listen,
	.shutdown = sock_no_shutdown,
	.setsockopt = tt_setsockopt,
	.getsockopt = tt_getsockopt,
	.show_fdinfo = tt_show_fdinfo,
	.sendmsg = tt_sendmsg,
	.recvmsg = tt_recvmsg,
	.mmap = sock_no_mmap,
	TT_PROTO_OPS_SENDPAGE
};

static struct turbotap_sock *sock_make(struct socket *sock,
				       struct socket *tun_sock)
{
	struct turbotap_sock *ts;
	struct sock *sk;

	sk = sk_alloc(sock_net(tun_sock->sk), PF_UNSPEC, GFP_KERNEL, &tt_proto,
		      0);
	if (!sk)
		return NULL;
	sock_init_data(sock, sk);
	security_sk_clone(tun_sock->sk, sk);

	ts = container_of(sk, struct turbotap_sock, sk);
	mutex_init(&ts->rx_lock);
	mutex_init(&ts->tx_lock);
	tt_batch_init(ts);
	tt_large_init(ts);
	return ts;
}

/* A new socket's file, or an error. Takes its own reference to tun_file. */
static struct file *socket_file(struct file *tun_file, struct socket *tun_sock,
				u32 flags, u32 vnet_hdr_size)
{
	struct turbotap_sock *ts;
	struct socket *sock;

	sock = sock_alloc();
	if (!sock)
		return ERR_PTR(-ENFILE);
	sock->type = SOCK_DGRAM;
	sock->state = SS_CONNECTED;
	ts = sock_make(sock, tun_sock);
	if (!ts) {
		sock_release(sock);
		return ERR_PTR(-ENOMEM);
	}
	ts->tun_file = get_file(tun_file);
	ts->tun_sock = tun_sock;
	ts->ring = tun_get_tx_ring(tun_file);
	ts->framing_declared = flags & TURBOTAP_ATTACH_BATCH;
	ts->vnet_hdr_size = vnet_hdr_size;
	ts->max_message = TT_MAX_FRAME +
		(ts->framing_declared ? vnet_hdr_size : TT_MAX_HEADERS);

	/* For the operations; sock_release() puts it. */
	__module_get(THIS_MODULE);
	sock->ops = &tt_ops;
	return sock_alloc_file(sock,
			       flags & TURBOTAP_ATTACH_NONBLOCK ? O_NONBLOCK : 0,
			       NULL);
}

int tt_socket_open(int tun_fd, u32 flags, u32 vnet_hdr_size)
{
	struct file *tun_file, *file;
	struct socket *tun_sock;
	int fd, err;

	tun_file = tt_queue_get(tun_fd);
	if (IS_ERR(tun_file))
		return PTR_ERR(tun_file);
	tun_sock = tun_get_socket(tun_file);
	err = tt_queue_check(tun_file, tun_sock, flags & TURBOTAP_ATTACH_BATCH,
			     vnet_hdr_size);
	if (err)
		goto out;

	fd = get_unused_fd_flags(flags & TURBOTAP_ATTACH_CLOEXEC ? O_CLOEXEC : 0);
	err = fd;
	if (fd < 0)
		goto out;
	file = socket_file(tun_file, tun_sock, flags, vnet_hdr_size);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		err = PTR_ERR(file);
		goto out;
	}
	fd_install(fd, file);
out:
	fput(tun_file);
	return err;
}
