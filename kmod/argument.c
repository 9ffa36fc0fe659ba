// SPDX-License-Identifier: GPL-2.0
/* Arguments of ioctls: structures that begin with their size. */
#include <linux/uaccess.h>

#include "internal.h"

/* Returns the size, or -errno. `least` is the first version's size. */
int tt_argument_size(const void __user *from, size_t least)
{
	u32 size;

	if (get_user(size, (const u32 __user *)from))
		return -EFAULT;
	if (size < least)
		return -EINVAL;
	if (size > PAGE_SIZE)
		return -E2BIG;
	return size;
}

int tt_argument(void *to, size_t known, size_t least, const void __user *from)
{
	int size = tt_argument_size(from, least);

	return size < 0 ? size : copy_struct_from_user(to, known, from, size);
}
