#!/bin/busybox sh
# SPDX-License-Identifier: Apache-2.0
# The only process that the debug kernel starts (tests/kmod/debug). Each step ends with a line "step NAME STATUS",
# the whole with "all steps done"; whoever reads the console counts them. From the kernel's command line, which
# hands on what it doesn't know as environment: steps, and calls, how many the fuzzer makes.

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

# kmemleak: what is new since `clear`, and still nowhere referenced in two scans. It looks at nothing younger
# than five seconds.
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
# shellcheck disable=SC2154 # steps and calls: see above
for name in $steps; do
	case $name in
	# Tracepoints evaluate their arguments only when they are on; off and on are both to be right.
	cases) step cases /bin/cases all ;;
	fuzz) step tracing tracing && step fuzz /bin/fuzz 1 "$calls" 4 ;;
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
