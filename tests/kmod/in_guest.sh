#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs tests in a guest, after boot. Environment:
#   MODULE    turbotap.ko for this kernel
#   PROGRAMS  the folder of the C programs
#   PYTHON    the interpreter that has pytest
#   TESTS     "module": the module's own tests; "ttfwd": tests of ttfwd that use the module
#   MARKERS   an expression that chooses among them, or nothing
#   FILES     the files or folders of these tests
#   RESULTS   a folder of the host, for the report $TESTS.xml and the output $TESTS.log; with "module" also for the file udev
# It succeeds even if tests fail: the report has the results.
set -eu

# Install the udev rule and make the group turbotap, then write the node's type, group and mode to RESULTS/udev.
try_udev() {
	[ -d /sys/module/turbotap ] || insmod "$MODULE"
	groupadd --system turbotap
	# udevadm does nothing in a chroot, and this is one.
	export SYSTEMD_IGNORE_CHROOT=1
	cp kmod/60-turbotap.rules /etc/udev/rules.d/
	udevadm control --reload || /usr/lib/systemd/systemd-udevd --daemon
	udevadm trigger --action=add --settle /sys/class/misc/turbotap
	stat -c '%F %G %a' /dev/net/turbotap >"$RESULTS/udev"
}

# Import the installed ttfwd, not the source tree in the current folder.
export PYTHONSAFEPATH=1
export TTFWD_GUEST=1 TTFWD_TIME_FACTOR=10 TTFWD_KMOD_PROGRAMS="$PROGRAMS" TTFWD_KMOD_MODULE="$MODULE"

modprobe tun
insmod "$MODULE"
only=
[ "$TESTS" = module ] || only=turbotap-
# On an emulated CPU Python takes 20 times as long as on the host, hence the timeout. No test here uses Hypothesis
# or xdist, whose imports take longer than many a test.
# shellcheck disable=SC2086 # several files
"$PYTHON" -m pytest -p no:cacheprovider -p no:hypothesispytest -p no:xdist -p no:xdist.looponfail -o timeout=1200 --durations=10 \
	--junit-xml="$RESULTS/$TESTS.xml" -k "$only" -m "$MARKERS" $FILES 2>&1 | tee "$RESULTS/$TESTS.log" || true
[ "$TESTS" != module ] || try_udev
rmmod turbotap
