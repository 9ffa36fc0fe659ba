// SPDX-License-Identifier: GPL-2.0
/*
 * A member: its fd, its life and its calls.
 *
 * The fd and each mapping hold it, and it holds the crossing. When the last of
 * them goes, its frames are dropped, and another member may have its slots.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

#include "crossing.h"
#include "internal.h"

/* The crossing's fd and its members are gone. */
static void crossing_free(struct tt_crossing *c)
{
	tt_ports_end(c);
	tt_charge_close(c->charge, tt_crossing_bytes(c));
	bitmap_free(c->slots_given);
	kvfree(c->slots);
	vfree(c->cells);
	mutex_destroy(&c->lock);
	kvfree(c);
}

void tt_crossing_put(struct tt_crossing *c)
{
	if (refcount_dec_and_test(&c->users))
		crossing_free(c);
}

/* Nobody else may have its slots before they are empty. */
static void member_free(struct tt_member *m)
{
	struct tt_crossing *c = m->crossing;

	mutex_lock(&c->lock);
	tt_listen_end(m);
	bitmap_clear(c->slots_given, m->first, m->count);
	smp_mb(); /* pairs with tt_slot_return() */
	tt_slots_empty(c, m->first, m->count);
	clear_bit(m->number, c->members);
	c->bytes_given -= m->bytes;
	tt_uncharge(c->charge, sizeof(*m->lists));
	mutex_unlock(&c->lock);
	vfree(m->lists);
	mutex_destroy(&m->listen_lock);
	kfree(m);
	tt_crossing_put(c);
}

static long cross(struct tt_member *m)
{
	struct turbotap_lists *lists = m->lists;
	unsigned int send = READ_ONCE(lists->send_count);
	unsigned int want = READ_ONCE(lists->receive_count);
	u32 port = READ_ONCE(lists->receive_port);
	unsigned int sent = 0;
	long received = 0;
	u32 lost = 0;

	if (send > TURBOTAP_CROSSING_BATCH || want > TURBOTAP_CROSSING_BATCH)
		return -EINVAL;
	if (send) {
		sent = tt_send(m, send);
		atomic_long_add(sent, &m->sent);
		if (sent < send)
			atomic_long_add(send - sent, &m->refused);
	}
	WRITE_ONCE(lists->sent, sent);
	if (want) {
		received = tt_receive(m, port, want, &lost);
		if (received > 0)
			atomic_long_add(received, &m->received);
		if (lost)
			atomic_long_add(lost, &m->lost);
	}
	WRITE_ONCE(lists->lost, lost);
	WRITE_ONCE(lists->received, max(received, 0L));
	WRITE_ONCE(lists->calls, atomic_long_inc_return(&m->calls));
	return received;
}

static long copy_out(struct tt_member *m, void __user *argument)
{
	struct turbotap_copies copies;
	int err = tt_argument(&copies, sizeof(copies), sizeof(copies),
			      argument);

	return err ?: tt_copy_out(m, &copies);
}

static long listen(struct tt_member *m, void __user *argument)
{
	struct turbotap_listen what;
	int err = tt_argument(&what, sizeof(what), sizeof(what), argument);

	return err ?: tt_listen(m, &what);
}

static long member_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct tt_member *m = file->private_data;

	switch (cmd) {
	case TURBOTAP_CROSS:
		return arg ? -EINVAL : cross(m);
	case TURBOTAP_COPY_OUT:
		return copy_out(m, (void __user *)arg);
	case TURBOTAP_LISTEN:
		return listen(m, (void __user *)arg);
	default:
		return -ENOTTY;
	}
}

static __poll_t member_poll(struct file *file, struct poll_table_struct *table)
{
	return tt_listen_poll(file->private_data, file, table);
}

static int member_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct tt_member *m = file->private_data;
	unsigned long offset = vma->vm_pgoff << PAGE_SHIFT;

	if (offset == TURBOTAP_MAP_CELLS)
		return tt_map(vma, m->crossing->cells, false);
	if (offset == TURBOTAP_MAP_LISTS)
		return tt_map(vma, m->lists, true);
	return -EINVAL;
}

static int member_release(struct inode *inode, struct file *file)
{
	member_free(file->private_data);
	return 0;
}

static void member_show(struct seq_file *s, struct file *file)
{
	struct tt_member *m = file->private_data;
	long held = atomic_long_read(&m->crossing->held[m->number]);

	seq_printf(s, "turbotap-member:\t%u\n", m->number);
	seq_printf(s, "turbotap-slots:\t%u-%u\n", m->first,
		   m->first + m->count - 1);
	seq_printf(s, "turbotap-held-bytes:\t%ld\n", max(held, 0L));
	seq_printf(s, "turbotap-calls:\t%ld\n", atomic_long_read(&m->calls));
	seq_printf(s, "turbotap-received:\t%ld\n",
		   atomic_long_read(&m->received));
	seq_printf(s, "turbotap-lost:\t%ld\n", atomic_long_read(&m->lost));
	seq_printf(s, "turbotap-sent:\t%ld\n", atomic_long_read(&m->sent));
	seq_printf(s, "turbotap-refused:\t%ld\n",
		   atomic_long_read(&m->refused));
	seq_printf(s, "turbotap-by-tun:\t%ld\n", atomic_long_read(&m->by_tun));
	seq_printf(s, "turbotap-copied:\t%ld\n", atomic_long_read(&m->copied));
}

static const struct file_operations member_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = member_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.poll = member_poll,
	.mmap = member_mmap,
	.release = member_release,
	.show_fdinfo = member_show,
	.llseek = noop_llseek,
};

/* Give it slots and bytes: -ENOSPC if there aren't as many left. */
static int member_place(struct tt_crossing *c, struct tt_member *m)
{
	unsigned long first, number;

	number = find_first_zero_bit(c->members, TURBOTAP_CROSSING_MEMBERS);
	if (number == TURBOTAP_CROSSING_MEMBERS ||
	    m->bytes > c->bytes - c->bytes_given)
		return -ENOSPC;
	first = bitmap_find_next_zero_area(c->slots_given, c->slot_count, 0,
					   m->count, 0);
	if (first >= c->slot_count)
		return -ENOSPC;
	bitmap_set(c->slots_given, first, m->count);
	set_bit(number, c->members);
	c->bytes_given += m->bytes;
	m->first = first;
	m->number = number;
	return 0;
}

static struct tt_member *member_new(struct tt_crossing *c,
				    const struct turbotap_member *join)
{
	struct tt_member *m = kzalloc(sizeof(*m), GFP_KERNEL_ACCOUNT);
	int err = -ENOMEM;

	if (!m)
		return ERR_PTR(err);
	m->crossing = c;
	m->rights = join->rights;
	m->count = join->slots;
	m->bytes = join->bytes;
	spin_lock_init(&m->fill_lock);
	mutex_init(&m->listen_lock);
	INIT_LIST_HEAD(&m->listeners);
	init_waitqueue_head(&m->wait);
	m->lists = vmalloc_user(sizeof(*m->lists));
	if (!m->lists)
		goto free;
	mutex_lock(&c->lock);
	err = tt_charge(c->charge, sizeof(*m->lists));
	if (!err) {
		err = member_place(c, m);
		if (err)
			tt_uncharge(c->charge, sizeof(*m->lists));
	}
	mutex_unlock(&c->lock);
	if (err)
		goto free;
	refcount_inc(&c->users);
	return m;
free:
	vfree(m->lists);
	kfree(m);
	return ERR_PTR(err);
}

long tt_member_join(struct tt_crossing *c, struct turbotap_member __user *to,
		    struct turbotap_member *join)
{
	struct tt_member *m;
	struct file *file;
	int fd;

	if (join->flags & ~TURBOTAP_CROSSING_CLOEXEC ||
	    join->rights & ~(TURBOTAP_RIGHT_COPY | TURBOTAP_RIGHT_REWRITE) ||
	    !join->slots || !join->bytes || join->first || join->number)
		return -EINVAL;
	fd = get_unused_fd_flags(join->flags & TURBOTAP_CROSSING_CLOEXEC ?
				 O_CLOEXEC : 0);
	if (fd < 0)
		return fd;
	m = member_new(c, join);
	if (IS_ERR(m)) {
		put_unused_fd(fd);
		return PTR_ERR(m);
	}
	file = anon_inode_getfile("[turbotap-member]", &member_fops, m, O_RDWR);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		member_free(m);
		return PTR_ERR(file);
	}
	if (put_user(m->first, &to->first) ||
	    put_user(m->number, &to->number)) {
		put_unused_fd(fd);
		fput(file);
		return -EFAULT;
	}
	fd_install(fd, file);
	return fd;
}
