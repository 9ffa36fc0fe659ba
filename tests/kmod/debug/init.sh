#!/bin/busybox sh
# SPDX-License-Identifier: Apache-2.0
# The init process of the debug kernel: runs the steps and reboots. It prints a line "step NAME STATUS" after each
# step, and "all steps done" at the end; __main__.py counts these lines. Environment, from the kernel's command line:
#   steps  names of the steps to run, of cases, fuzz, failslab
#   calls  number of calls of the fuzzer
#   seed   its seed, or "random"

/bin/busybox mkdir -p /proc /sys /dev /tmp
/bin/busybox --install -s /bin
export PATH=/bin
mount -t devtmpfs devtmpfs /dev
exec </dev/null >/dev/console 2>&1
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t debugfs debugfs /sys/kernel/debug
mount -t tracefs tracefs /sys/kernel/tracing
mount -t tmpfs tmpfs /tmp
mkdir -p /dev/shm
mount -t tmpfs tmpfs /dev/shm
ip link set lo up

step() {
	name=$1
	shift
	echo "step $name: $*"
	"$@"
	echo "step $name $?"
}

# Print memory that kmemleak reports since its `clear`, and fail if there is any. It needs two scans, and ignores
# memory younger than five seconds.
leaks() {
	sleep 6
	echo scan >/sys/kernel/debug/kmemleak
	sleep 6
	echo scan >/sys/kernel/debug/kmemleak
	cat /sys/kernel/debug/kmemleak >/tmp/leaks || return 1
	cat /tmp/leaks
	[ ! -s /tmp/leaks ]
}

tracing() {
	echo 1 >/sys/kernel/tracing/events/turbotap/enable
	cat /sys/kernel/tracing/events/turbotap/enable
}

unload() {
	rmmod turbotap && [ ! -d /sys/module/turbotap ]
}

load() {
	insmod /turbotap.ko && [ -c /dev/net/turbotap ]
}

echo clear >/sys/kernel/debug/kmemleak
step load load
# shellcheck disable=SC2154 # steps, calls and seed come from the environment
for name in $steps; do
	case $name in
	# Tracepoints evaluate their arguments only when they are enabled. Test them in both states.
	cases) step cases /bin/cases all ;;
	fuzz) step tracing tracing && step fuzz /bin/fuzz "$seed" "$calls" 4 ;;
	failslab) step failslab /bin/failslab ;;
	esac
done
step leaks-loaded leaks
step unload unload
step leaks-unloaded leaks
step reload load
step unload-again unload
echo "all steps done"
reboot -f
