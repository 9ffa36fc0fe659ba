// SPDX-License-Identifier: GPL-2.0
/*
 * Memory of a crossing: charged to its maker, and mapped.
 *
 * The kernel lets modules charge a memory cgroup by a sock only. So a crossing
 * has a sock, which does nothing else. All that the crossing may ever hold is
 * charged at once, when it is made.
 */
#include <linux/mm.h>
#include <linux/percpu.h>
#include <net/net_namespace.h>
#include <net/sock.h>

#include "crossing.h"

static atomic_long_t charged_pages;
static DEFINE_PER_CPU(int, charged_reserve);
static long no_limits[3] = { LONG_MAX, LONG_MAX, LONG_MAX };

static struct proto charge_proto = {
	.name = "turbotap-crossing",
	.owner = THIS_MODULE,
	.obj_size = sizeof(struct sock),
	.memory_allocated = &charged_pages,
	.per_cpu_fw_alloc = &charged_reserve,
	.sysctl_mem = no_limits,
};

/*
 * A sock of the current task's memory cgroup, or NULL. It's the initial
 * namespace's, and holds no other.
 */
struct sock *tt_charge_open(void)
{
	struct sock *charge = sk_alloc(&init_net, PF_UNSPEC, GFP_KERNEL,
				       &charge_proto, 1);

	if (charge)
		sock_init_data(NULL, charge);
	return charge;
}

void tt_charge_close(struct sock *charge, size_t bytes)
{
	if (!charge)
		return;
	tt_uncharge(charge, bytes);
	sock_put(charge);
}

static size_t whole_pages(size_t bytes)
{
	return PAGE_ALIGN(bytes);
}

/*
 * -ENOMEM: the cgroup has no room for so much. Nobody is killed for its sake,
 * as long as it's more than a few pages.
 */
int tt_charge(struct sock *charge, size_t bytes)
{
	return __sk_mem_schedule(charge, whole_pages(bytes), SK_MEM_RECV) ?
		0 : -ENOMEM;
}

void tt_uncharge(struct sock *charge, size_t bytes)
{
	if (bytes)
		__sk_mem_reclaim(charge, whole_pages(bytes));
}

/* Map memory of vmalloc_user(). Children don't inherit the mapping. */
int tt_map(struct vm_area_struct *vma, void *memory, bool writable)
{
	if (!(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	if (!writable) {
		if (vma->vm_flags & VM_WRITE)
			return -EACCES;
		vm_flags_clear(vma, VM_MAYWRITE);
	}
	vm_flags_set(vma, VM_DONTCOPY);
	return remap_vmalloc_range(vma, memory, 0);
}
