// SPDX-License-Identifier: GPL-2.0
/*
 * turbotap: a socket for every queue of a tap device.
 *
 * This file is the device node, TURBOTAP_DEVICE, and its ioctls.
 */
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/uaccess.h>

#include "internal.h"

/* The first version's sizes: no caller can have a smaller structure. */
#define TT_INFO_SIZE_MIN	offsetofend(struct turbotap_info, abi_version)
#define TT_ATTACH_SIZE_MIN	offsetofend(struct turbotap_attach, vnet_hdr_size)

#define TT_ATTACH_FLAGS		(TURBOTAP_ATTACH_CLOEXEC | \
				 TURBOTAP_ATTACH_NONBLOCK | \
				 TURBOTAP_ATTACH_BATCH)

/* Both structures begin with their size. Returns it, or -errno. */
static int size_of_argument(void __user *argument, size_t least)
{
	u32 size;

	if (get_user(size, (u32 __user *)argument))
		return -EFAULT;
	if (size < least)
		return -EINVAL;
	if (size > PAGE_SIZE)
		return -E2BIG;
	return size;
}

static long get_info(void __user *argument)
{
	const struct turbotap_info info = {
		.size = sizeof(info),
		.abi_version = TURBOTAP_ABI_VERSION,
		.features = TURBOTAP_FEATURE_BATCH | TURBOTAP_FEATURE_BURST,
		.max_burst = TT_MAX_BURST,
		.max_batch = TT_MAX_BATCH,
		.max_frame = TT_MAX_FRAME,
	};
	int size = size_of_argument(argument, TT_INFO_SIZE_MIN);
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
	int size = size_of_argument(argument, TT_ATTACH_SIZE_MIN);
	struct turbotap_attach attach;
	int err;

	if (size < 0)
		return size;
	err = copy_struct_from_user(&attach, sizeof(attach), argument, size);
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
module_misc_device(tt_misc);

MODULE_DESCRIPTION("A socket for every queue of a tap device");
MODULE_AUTHOR("The ttfwd authors");
MODULE_VERSION("1");
MODULE_LICENSE("GPL");
