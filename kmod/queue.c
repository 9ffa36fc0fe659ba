// SPDX-License-Identifier: GPL-2.0
/* A tun queue that somebody hands to the module: is it one, and what kind? */
#include <linux/errno.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/if_ether.h>
#include <linux/if_tun.h>
#include <linux/net.h>
#include <linux/skbuff.h>

#include "internal.h"

/*
 * A reference to a tun queue's file, which must be open for reading and
 * writing: ERR_PTR(-EBADF, -ENOTSOCK, -EACCES).
 */
struct file *tt_queue_get(int tun_fd)
{
	struct file *file = fget(tun_fd);
	int err = 0;

	if (!file)
		return ERR_PTR(-EBADF);
	if (IS_ERR(tun_get_socket(file)))
		err = -ENOTSOCK;
	else if ((file->f_mode & (FMODE_READ | FMODE_WRITE)) !=
		 (FMODE_READ | FMODE_WRITE))
		err = -EACCES;
	if (!err)
		return file;
	fput(file);
	return ERR_PTR(err);
}

/*
 * The kind of a queue, as an errno. tun exports no function for this, so call
 * its ioctl TUNGETFILTER without a buffer:
 *
 *	-EBADFD		the queue has no device
 *	-EINVAL		the device is IFF_TUN
 *	-EFAULT		the device is IFF_TAP
 */
static int queue_kind(struct file *tun_file)
{
	return tun_file->f_op->unlocked_ioctl(tun_file, TUNGETFILTER, 0);
}

/*
 * 0 if the queue has a virtio_net_hdr of at least `size` bytes. A header that it
 * doesn't have would let the caller request offloads that the tun fd doesn't
 * offer. The check hands tun a frame to copy out, with room for size - 1 bytes:
 * tun refuses with -EINVAL, before it counts the frame, if its header is longer
 * than that.
 */
static int check_vnet_hdr(struct socket *tun_sock, unsigned int size)
{
	u8 buffer[TT_MAX_HEADERS];
	struct kvec vec = { .iov_base = buffer, .iov_len = size - 1 };
	struct msghdr msg = {};
	struct sk_buff *skb;
	int ret;

	if (size < sizeof(struct virtio_net_hdr) || size > sizeof(buffer))
		return -EINVAL;
	skb = alloc_skb(ETH_HLEN, GFP_KERNEL);
	if (!skb)
		return -ENOMEM;
	skb_put_zero(skb, ETH_HLEN);
	iov_iter_kvec(&msg.msg_iter, ITER_DEST, &vec, 1, vec.iov_len);
	msg.msg_control = skb;	/* tun frees it */
	ret = tun_sock->ops->recvmsg(tun_sock, &msg, vec.iov_len, MSG_DONTWAIT);
	if (ret == -EINVAL)
		return 0;
	return ret < 0 ? ret : -EINVAL;
}

int tt_queue_check(struct file *tun_file, struct socket *tun_sock,
		   bool framing_declared, u32 vnet_hdr_size)
{
	int kind = queue_kind(tun_file);

	if (kind == -EBADFD)
		return -EBADFD;
	if (!framing_declared)
		return vnet_hdr_size ? -EINVAL : 0;
	if (kind == -EINVAL)
		return -EINVAL;
	return vnet_hdr_size ? check_vnet_hdr(tun_sock, vnet_hdr_size) : 0;
}
