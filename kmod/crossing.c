// SPDX-License-Identifier: GPL-2.0
/*
 * A crossing: its fd, its life and its calls. See uapi/turbotap_crossing.h.
 *
 * Its fd and each of its members hold it. A frame has one owner at any time:
 * the slot that it's in, or the call that took it out.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/if_ether.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#include "crossing.h"
#include "internal.h"

static long port_tap(struct tt_crossing *c, void __user *argument)
{
	struct turbotap_port_tap tap;
	int err = tt_argument(&tap, sizeof(tap), sizeof(tap), argument);

	return err ?: tt_port_tap(c, argument, &tap);
}

static long port_device(struct tt_crossing *c, void __user *argument)
{
	struct turbotap_port_device device;
	int err = tt_argument(&device, sizeof(device), sizeof(device),
			      argument);

	return err ?: tt_port_device(c, &device);
}

static long port_delete(struct tt_crossing *c, unsigned long number)
{
	struct tt_port *port;

	if (mutex_lock_killable(&c->lock))
		return -EINTR;
	port = number <= U32_MAX ? tt_port_remove(c, number) : NULL;
	if (port)
		tt_listen_forget(port);
	mutex_unlock(&c->lock);
	if (!port)
		return -ENXIO;
	tt_port_end(port);
	return 0;
}

static long join(struct tt_crossing *c, void __user *argument)
{
	struct turbotap_member join;
	int err = tt_argument(&join, sizeof(join), sizeof(join), argument);

	return err ?: tt_member_join(c, argument, &join);
}

static u64 held_word(const struct tt_crossing *c, u32 first, u32 count)
{
	u64 word = 0;
	u32 i;

	for (i = 0; i < count; i++)
		word |= (u64)!!READ_ONCE(c->slots[first + i].skb) << i;
	return word;
}

static long held(struct tt_crossing *c, void __user *argument)
{
	struct turbotap_held held;
	int err = tt_argument(&held, sizeof(held), sizeof(held), argument);
	u64 __user *to;
	u32 i;

	if (err)
		return err;
	if (held.reserved || held.first % 64 || held.first > c->slot_count ||
	    held.count > c->slot_count - held.first)
		return -EINVAL;
	to = u64_to_user_ptr(held.bitmap);
	for (i = 0; i < held.count; i += 64) {
		u64 word = held_word(c, held.first + i,
				     min_t(u32, held.count - i, 64));

		if (put_user(word, &to[i / 64]))
			return -EFAULT;
		cond_resched();
	}
	return 0;
}

static long crossing_ioctl(struct file *file, unsigned int cmd,
			   unsigned long arg)
{
	struct tt_crossing *c = file->private_data;
	void __user *argument = (void __user *)arg;

	switch (cmd) {
	case TURBOTAP_PORT_TAP:
		return port_tap(c, argument);
	case TURBOTAP_PORT_DEVICE:
		return port_device(c, argument);
	case TURBOTAP_PORT_DELETE:
		return port_delete(c, arg);
	case TURBOTAP_JOIN:
		return join(c, argument);
	case TURBOTAP_HELD:
		return held(c, argument);
	default:
		return -ENOTTY;
	}
}

static int crossing_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct tt_crossing *c = file->private_data;

	if (vma->vm_pgoff << PAGE_SHIFT != TURBOTAP_MAP_CELLS)
		return -EINVAL;
	return tt_map(vma, c->cells, false);
}

static int crossing_release(struct inode *inode, struct file *file)
{
	tt_crossing_put(file->private_data);
	return 0;
}

static void crossing_show(struct seq_file *s, struct file *file)
{
	struct tt_crossing *c = file->private_data;
	unsigned int i, ports = 0, members;
	long bytes = 0;

	mutex_lock(&c->lock);
	for (i = 0; i < TURBOTAP_CROSSING_PORTS; i++)
		ports += !!rcu_access_pointer(c->ports[i]);
	members = bitmap_weight(c->members, TURBOTAP_CROSSING_MEMBERS);
	mutex_unlock(&c->lock);
	for (i = 0; i < TURBOTAP_CROSSING_MEMBERS; i++)
		bytes += atomic_long_read(&c->held[i]);
	seq_printf(s, "turbotap-slots:\t%u\n", c->slot_count);
	seq_printf(s, "turbotap-bytes:\t%llu\n", c->bytes);
	seq_printf(s, "turbotap-held-bytes:\t%ld\n", max(bytes, 0L));
	seq_printf(s, "turbotap-ports:\t%u\n", ports);
	seq_printf(s, "turbotap-members:\t%u\n", members);
}

static const struct file_operations crossing_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = crossing_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.mmap = crossing_mmap,
	.release = crossing_release,
	.show_fdinfo = crossing_show,
	.llseek = noop_llseek,
};

/* Charged first: the rest then belongs to it. */
static struct tt_crossing *crossing_new(const struct turbotap_crossing *how)
{
	struct tt_crossing *c = kvzalloc(sizeof(*c), GFP_KERNEL_ACCOUNT);

	if (!c)
		return NULL;
	refcount_set(&c->users, 1);
	mutex_init(&c->lock);
	c->slot_count = how->slots;
	c->header_bytes = how->header_bytes;
	c->bytes = how->bytes;
	c->charge = tt_charge_open();
	if (!c->charge)
		goto free;
	if (tt_charge(c->charge, tt_crossing_bytes(c)))
		goto uncharge;
	c->slots_given = bitmap_zalloc(c->slot_count, GFP_KERNEL);
	c->slots = kvcalloc(c->slot_count, sizeof(*c->slots), GFP_KERNEL);
	c->cells = vmalloc_user(c->slot_count * sizeof(*c->cells));
	if (c->slots_given && c->slots && c->cells)
		return c;
	tt_crossing_put(c);
	return NULL;
uncharge:
	tt_charge_close(c->charge, 0);
free:
	kvfree(c);
	return NULL;
}

long tt_crossing_open(void __user *argument)
{
	struct turbotap_crossing how;
	struct tt_crossing *c;
	long fd = tt_argument(&how, sizeof(how), sizeof(how), argument);

	if (fd)
		return fd;
	if (how.flags & ~TURBOTAP_CROSSING_CLOEXEC || !how.slots ||
	    how.slots > TURBOTAP_CROSSING_SLOTS || !how.bytes ||
	    how.bytes > TURBOTAP_CROSSING_BYTES ||
	    how.header_bytes < ETH_HLEN ||
	    how.header_bytes > TURBOTAP_CELL_HEADERS)
		return -EINVAL;
	c = crossing_new(&how);
	if (!c)
		return -ENOMEM;
	fd = anon_inode_getfd("[turbotap-crossing]", &crossing_fops, c,
			      how.flags & TURBOTAP_CROSSING_CLOEXEC ?
			      O_RDWR | O_CLOEXEC : O_RDWR);
	if (fd < 0)
		tt_crossing_put(c);
	return fd;
}

int tt_crossing_init(void)
{
	return tt_ports_init();
}

/* No crossing is left: each holds the module. */
void tt_crossing_exit(void)
{
	tt_ports_exit();
}
