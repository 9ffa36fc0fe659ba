#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# container.sh CAPABILITIES DEVICES COMMAND...: run a command as a container would: with these capabilities alone
# ("net_admin,net_raw"), these devices besides the usual ones ("net/tun"), a read-only file system, and a network
# namespace with a pair of devices, v0 and v1. Run it in new mount and network namespaces. What the container may
# write: $TTFWD_RUNTIME_DIR, and /dev/shm, which is the machine's so that the test can read it.
set -eu
bounding=-all
for capability in $(echo "$1" | tr , ' '); do bounding=$bounding,+$capability; done
devices=$2
shift 2

dev=$(mktemp -d)
mount -t tmpfs -o mode=755 tmpfs "$dev"
mkdir "$dev/shm" "$dev/net"
for device in null zero full random urandom tty $devices; do cp -a "/dev/$device" "$dev/$device"; done
mount --bind /dev/shm "$dev/shm"
mount --move "$dev" /dev
rmdir "$dev"
mount --bind "$TTFWD_RUNTIME_DIR" "$TTFWD_RUNTIME_DIR"
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -m 755 /run/netns
mount -o remount,bind,ro /

ip link set lo up
ip link add v0 type veth peer name v1
ip address add 10.79.1.1/24 dev v1
ip link set v0 up
ip link set v1 up
exec setpriv --bounding-set="$bounding" --inh-caps=-all "$@"
