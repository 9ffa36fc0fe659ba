// SPDX-License-Identifier: GPL-2.0
/*
 * turbotap: a socket for every queue of a tap device, and crossings between them.
 *
 * This file is the device node, TURBOTAP_DEVICE, and its ioctls.
 */
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/uaccess.h>

#include "internal.h"
#include "uapi/turbotap_crossing.h"

/* The first version's sizes: no caller can have a smaller structure. */
#define TT_INFO_SIZE_MIN	offsetofend(struct turbotap_info, abi_version)
#define TT_ATTACH_SIZE_MIN	offsetofend(struct turbotap_attach, vnet_hdr_size)

#define TT_ATTACH_FLAGS		(TURBOTAP_ATTACH_CLOEXEC | \
				 TURBOTAP_ATTACH_NONBLOCK | \
				 TURBOTAP_ATTACH_BATCH)

static long get_info(void __user *argument)
{
	const struct turbotap_info info = {
		.size = sizeof(info),
		.abi_version = TURBOTAP_ABI_VERSION,
		.features = TURBOTAP_FEATURE_BATCH | TURBOTAP_FEATURE_BURST |
			TURBOTAP_FEATURE_CROSSING,
		.max_burst = TT_MAX_BURST,
		.max_batch = TT_MAX_BATCH,
		.max_frame = TT_MAX_FRAME,
	};
	int size = tt_argument_size(argument, TT_INFO_SIZE_MIN);
	size_t known;

	if (size < 0)
		return size;
	known = min_t(size_t, size, sizeof(info));
	if (copy_to_user(argument, &info, known) ||
	    clear_user(argument + known, size - known))
		return -EFAULT;
	return 0;
}

static long attach(void __user *argument)
{
	struct turbotap_attach attach;
	int err = tt_argument(&attach, sizeof(attach), TT_ATTACH_SIZE_MIN,
			      argument);

	if (err)
		return err;
	if (attach.flags & ~TT_ATTACH_FLAGS)
		return -EINVAL;
	return tt_socket_open(attach.tun_fd, attach.flags,
			      attach.vnet_hdr_size);
}

static long attach_legacy(int __user *argument)
{
	int tun_fd;

	if (get_user(tun_fd, argument))
		return -EFAULT;
	return tt_socket_open(tun_fd, 0, 0);
}

static long tt_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	void __user *argument = (void __user *)arg;

	switch (cmd) {
	case TURBOTAP_GET_INFO:
		return get_info(argument);
	case TURBOTAP_ATTACH:
		return attach(argument);
	case TUNGETSOCKFD:
		return attach_legacy(argument);
	case TURBOTAP_CREATE:
		return tt_crossing_open(argument);
	default:
		return -ENOTTY;
	}
}

static const struct file_operations tt_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = tt_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

static struct miscdevice tt_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "turbotap",
	.nodename = "net/turbotap",
	.mode = 0600,
	.fops = &tt_fops,
};

static int __init tt_init(void)
{
	int err = tt_crossing_init();

	if (err)
		return err;
	err = misc_register(&tt_misc);
	if (err)
		tt_crossing_exit();
	return err;
}
module_init(tt_init);

static void __exit tt_exit(void)
{
	misc_deregister(&tt_misc);
	tt_crossing_exit();
}
module_exit(tt_exit);

MODULE_DESCRIPTION("Sockets for tap queues, and crossings without a copy");
MODULE_AUTHOR("The ttfwd authors");
MODULE_VERSION("1");
MODULE_LICENSE("GPL");
