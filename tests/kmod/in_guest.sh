#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What happens in a guest that test_guest.py starts, after boot. Environment: MODULE, turbotap.ko for this kernel;
# PROGRAMS, the folder of the C programs; RESULTS, a folder on the host; PYTHON; SUITE, "yes" to run ttfwd's own
# tests too. Leaves in RESULTS: module.xml, udev, ttfwd.xml. Tests that fail are the host's to report.
set -eu

suite() {
	results=$1
	shift
	# A test may take 20 times as long as on the host, which is what an emulated CPU costs Python.
	"$PYTHON" -m pytest -p no:cacheprovider -o timeout=600 --durations=10 --junit-xml="$RESULTS/$results" "$@" || true
}

# The installed ttfwd is meant, as everywhere in the tests: not the tree that they are started in.
export PYTHONSAFEPATH=1
export TTFWD_GUEST=1 TTFWD_TIME_FACTOR=10 TTFWD_KMOD_PROGRAMS="$PROGRAMS" TTFWD_KMOD_MODULE="$MODULE"

modprobe tun
insmod "$MODULE"
suite module.xml tests/kmod/guest

# As `make install` would have it: the rule, and a group, which is the administrator's part.
[ -d /sys/module/turbotap ] || insmod "$MODULE"
groupadd --system turbotap
# Where this runs is a chroot, in which udevadm would do nothing.
export SYSTEMD_IGNORE_CHROOT=1
cp kmod/60-turbotap.rules /etc/udev/rules.d/
udevadm control --reload || /usr/lib/systemd/systemd-udevd --daemon
udevadm trigger --action=add --settle /sys/class/misc/turbotap
stat -c '%F %G %a' /dev/net/turbotap >"$RESULTS/udev"

[ "$SUITE" != yes ] || suite ttfwd.xml tests/netns tests/process -k turbotap
rmmod turbotap
