// SPDX-License-Identifier: GPL-2.0
/*
 * Ports, and the devices behind them.
 *
 * A port is found under RCU by its number, which has a generation, so that it
 * is never used again. A port holds its device until that is unregistered, or
 * the port ends. A port of a tap also holds the tun file.
 *
 * tun tells nobody which device a file belongs to. So ask it to set the
 * device's address, and refuse that, as the first who hears of it: tun hands
 * its device to NETDEV_PRE_CHANGEADDR, and then nothing is changed. All of it
 * happens in the caller's context and under the RTNL. So the device can't go
 * away before the port holds it and hears of its end.
 */
#include <linux/capability.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/if_tun.h>
#include <linux/limits.h>
#include <linux/nsproxy.h>
#include <linux/rtnetlink.h>
#include <linux/sched.h>
#include <linux/sockios.h>
#include <linux/uaccess.h>
#include <net/net_namespace.h>

#include "crossing.h"
#include "internal.h"

#define TT_PORT_BITS	10
#define TT_GENERATIONS	(1u << (31 - TT_PORT_BITS))

/* Our veto: no other errno of tun's call says that. */
#define TT_FOUND	(-ECANCELED)

static LIST_HEAD(all_ports);
static DEFINE_MUTEX(ports_lock);

/*
 * A search that is under way. Its task may sleep in a page fault for as long as
 * user space likes, so it holds no lock.
 */
struct search {
	struct list_head node;		/* of all; ports_lock */
	const struct task_struct *task;
	struct tt_port *port;
};

static LIST_HEAD(searches);

/* The RTNL and ports_lock are held, and the device is registered. */
static void port_hold_device(struct tt_port *port, struct net_device *dev)
{
	netdev_hold(dev, &port->tracker, GFP_KERNEL);
	rcu_assign_pointer(port->dev, dev);
	list_add(&port->node, &all_ports);
}

/* ports_lock is held. Readers of port->dev may still be at work. */
static void port_drop_device(struct tt_port *port)
{
	struct net_device *dev =
		rcu_dereference_protected(port->dev,
					  lockdep_is_held(&ports_lock));

	if (!dev)
		return;
	RCU_INIT_POINTER(port->dev, NULL);
	list_del(&port->node);
	netdev_put(dev, &port->tracker);
}

/*
 * Unregistering goes on only after all RCU readers are done. A tap that is
 * just moved to another namespace stays. Of another device the new namespace
 * may not be one where the caller was allowed to send.
 */
static void device_unregisters(struct net_device *dev)
{
	bool moves = dev->reg_state == NETREG_REGISTERED;
	struct tt_port *port, *next;

	mutex_lock(&ports_lock);
	list_for_each_entry_safe(port, next, &all_ports, node)
		if (rcu_access_pointer(port->dev) == dev &&
		    !(moves && port->tun_file))
			port_drop_device(port);
	mutex_unlock(&ports_lock);
}

/* Does the current task search for the device whose address it would change? */
static bool device_found(struct net_device *dev)
{
	struct search *search;
	bool found = false;

	mutex_lock(&ports_lock);
	list_for_each_entry(search, &searches, node) {
		if (search->task != current)
			continue;
		found = true;
		if (dev->reg_state == NETREG_REGISTERED)
			port_hold_device(search->port, dev);
	}
	mutex_unlock(&ports_lock);
	return found;
}

static int device_event(struct notifier_block *block, unsigned long event,
			void *info)
{
	struct net_device *dev = netdev_notifier_info_to_dev(info);

	if (event == NETDEV_UNREGISTER)
		device_unregisters(dev);
	if (event == NETDEV_PRE_CHANGEADDR && device_found(dev))
		return notifier_from_errno(TT_FOUND);
	return NOTIFY_DONE;
}

/* First of all: nobody else shall hear of a change that won't be. */
static struct notifier_block device_notifier = {
	.notifier_call = device_event,
	.priority = INT_MAX,
};

/*
 * Find the device of port->tun_file and hold it: 0, -EBADFD if there is none,
 * -EINVAL if it isn't an Ethernet device, -EFAULT. tun reads an address from
 * user memory, and never sets it: our veto comes first.
 */
static int port_find_device(struct tt_port *port, void __user *scratch)
{
	struct file *file = port->tun_file;
	struct ifreq request = { .ifr_hwaddr.sa_family = ARPHRD_ETHER };
	struct search search = { .task = current, .port = port };
	long ret;

	if (copy_to_user(scratch, &request, sizeof(request)))
		return -EFAULT;
	mutex_lock(&ports_lock);
	list_add(&search.node, &searches);
	mutex_unlock(&ports_lock);
	ret = file->f_op->unlocked_ioctl(file, SIOCSIFHWADDR,
					 (unsigned long)scratch);
	mutex_lock(&ports_lock);
	list_del(&search.node);
	mutex_unlock(&ports_lock);
	/* Nothing but the notifier sets it, and it may be gone again. */
	if (ret == TT_FOUND)
		return 0;
	if (ret == -EBADFD || ret == -EFAULT)
		return ret;
	return -EINVAL;
}

static struct tt_port *port_alloc(void)
{
	struct tt_port *port = kzalloc(sizeof(*port), GFP_KERNEL_ACCOUNT);

	if (!port)
		return NULL;
	refcount_set(&port->users, 1);
	INIT_LIST_HEAD(&port->listeners);
	return port;
}

void tt_port_put(struct tt_port *port)
{
	if (!refcount_dec_and_test(&port->users))
		return;
	if (port->tun_file)
		fput(port->tun_file);
	kfree_rcu(port, rcu);
}

/* It isn't in a crossing, or not any more. */
void tt_port_end(struct tt_port *port)
{
	mutex_lock(&ports_lock);
	port_drop_device(port);
	mutex_unlock(&ports_lock);
	/* Who found it under RCU is done, or has a reference. */
	synchronize_rcu();
	tt_port_put(port);
}

static u32 index_of(u32 number)
{
	return number & (TURBOTAP_CROSSING_PORTS - 1);
}

struct tt_port *tt_port_find(struct tt_crossing *c, u32 number)
{
	struct tt_port *port =
		rcu_dereference_check(c->ports[index_of(number)],
				      lockdep_is_held(&c->lock));

	return likely(port && port->number == number) ? port : NULL;
}

struct tt_port *tt_port_remove(struct tt_crossing *c, u32 number)
{
	struct tt_port *port = tt_port_find(c, number);

	if (port)
		RCU_INIT_POINTER(c->ports[index_of(number)], NULL);
	return port;
}

/* Nobody uses the crossing any more. */
void tt_ports_end(struct tt_crossing *c)
{
	unsigned int i;

	mutex_lock(&ports_lock);
	for (i = 0; i < TURBOTAP_CROSSING_PORTS; i++) {
		struct tt_port *port = rcu_dereference_protected(c->ports[i], 1);

		if (port)
			port_drop_device(port);
	}
	mutex_unlock(&ports_lock);
	for (i = 0; i < TURBOTAP_CROSSING_PORTS; i++) {
		struct tt_port *port = rcu_dereference_protected(c->ports[i], 1);

		if (port)
			tt_port_put(port);
	}
}

/* Publish a port: its number, or -errno; then it has ended. */
static long port_add(struct tt_crossing *c, struct tt_port *port)
{
	unsigned int i;

	BUILD_BUG_ON(1 << TT_PORT_BITS != TURBOTAP_CROSSING_PORTS);
	if (mutex_lock_killable(&c->lock)) {
		tt_port_end(port);
		return -EINTR;
	}
	for (i = 0; i < TURBOTAP_CROSSING_PORTS; i++)
		if (!rcu_access_pointer(c->ports[i]))
			break;
	/* Generation 0 is never used: a zeroed list names no port. */
	if (i == TURBOTAP_CROSSING_PORTS ||
	    c->last_generation + 1 == TT_GENERATIONS) {
		mutex_unlock(&c->lock);
		tt_port_end(port);
		return -ENOSPC;
	}
	port->number = ++c->last_generation << TT_PORT_BITS | i;
	rcu_assign_pointer(c->ports[i], port);
	mutex_unlock(&c->lock);
	return port->number;
}

long tt_port_tap(struct tt_crossing *c, struct turbotap_port_tap __user *from,
		 const struct turbotap_port_tap *tap)
{
	struct tt_port *port;
	long err;

	BUILD_BUG_ON(sizeof(struct ifreq) > sizeof(tap->scratch));
	if (tap->reserved)
		return -EINVAL;
	port = port_alloc();
	if (!port)
		return -ENOMEM;
	port->tun_file = tt_queue_get(tap->tun_fd);
	if (IS_ERR(port->tun_file)) {
		err = PTR_ERR(port->tun_file);
		kfree(port);
		return err;
	}
	port->tun_sock = tun_get_socket(port->tun_file);
	port->ring = tun_get_tx_ring(port->tun_file);
	port->vnet_hdr_size = tap->vnet_hdr_size;
	err = tt_queue_check(port->tun_file, port->tun_sock, true,
			     tap->vnet_hdr_size);
	if (!err)
		err = port_find_device(port, from->scratch);
	if (!err)
		return port_add(c, port);
	tt_port_end(port);
	return err;
}

/* Who may send by a packet socket may send by a port. */
long tt_port_device(struct tt_crossing *c,
		    const struct turbotap_port_device *device)
{
	struct net *net = current->nsproxy->net_ns;
	struct net_device *dev;
	struct tt_port *port;
	int err = 0;

	if (!ns_capable(net->user_ns, CAP_NET_RAW))
		return -EPERM;
	port = port_alloc();
	if (!port)
		return -ENOMEM;
	rtnl_lock();
	dev = __dev_get_by_index(net, device->ifindex);
	if (!dev || dev->reg_state != NETREG_REGISTERED)
		err = -ENODEV;
	else if (dev->type != ARPHRD_ETHER)
		err = -EINVAL;
	if (!err) {
		mutex_lock(&ports_lock);
		port_hold_device(port, dev);
		mutex_unlock(&ports_lock);
	}
	rtnl_unlock();
	if (!err)
		return port_add(c, port);
	tt_port_end(port);
	return err;
}

int tt_ports_init(void)
{
	return register_netdevice_notifier(&device_notifier);
}

void tt_ports_exit(void)
{
	unregister_netdevice_notifier(&device_notifier);
}
