#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# service_host.sh DIRECTORY PATH...: become the systemd of a host that is made of this machine's files.
# service_host.py runs it, in namespaces of its own. The root is an overlay: what the host writes is on a tmpfs,
# and goes with it. DIRECTORY/root.d holds files to add. Each PATH is there, too, should the overlay not have it.
set -eu
directory=$1
shift

mount -t tmpfs -o mode=755,size=1g tmpfs "$directory"/host
cd "$directory"/host
mkdir upper work root
mount -t overlay -o lowerdir=/,upperdir=upper,workdir=work overlay root
cd root
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs dev
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp

mkdir dev/pts dev/shm dev/net
for device in null:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9 tty:5:0 net/tun:10:200; do
	IFS=: read -r name major minor <<-end
		$device
	end
	mknod -m 666 "dev/$name" c "$major" "$minor"
done
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts dev/pts
mount -t tmpfs -o mode=1777 tmpfs dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
: >dev/console

for path; do
	mkdir -p ".$path"
	mount --bind "$path" ".$path"
done

# Of the machine's services, those that take part in every boot, and none that needs its devices.
rm -rf etc/systemd/system/* etc/fstab etc/machine-id
tr -d - </proc/sys/kernel/random/uuid >etc/machine-id
for unit in getty.target remote-fs.target systemd-udevd.service systemd-udev-trigger.service systemd-logind.service \
	systemd-modules-load.service systemd-sysctl.service systemd-random-seed.service systemd-timesyncd.service \
	dbus.service dbus.socket systemd-user-sessions.service systemd-update-utmp.service \
	systemd-update-utmp-runlevel.service systemd-sysusers.service systemd-pstore.service modprobe@.service \
	dev-hugepages.mount dev-mqueue.mount sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount \
	sys-fs-fuse-connections.mount proc-sys-fs-binfmt_misc.automount; do
	ln -s /dev/null "etc/systemd/system/$unit"
done
cp -a "$directory"/root.d/. .

# The machine's settings are not the host's to change, those of its network namespace are.
mount --bind proc/sys proc/sys
mount --bind proc/sys/net proc/sys/net
mount -o remount,bind,ro proc/sys

mkdir oldroot
pivot_root . oldroot
cd /
umount -l oldroot
mount --make-rshared / # as systemd does it, but in containers
exec env -i container=ttfwd-test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
	/lib/systemd/systemd --system --log-target=journal --show-status=no systemd.unit=multi-user.target
