#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What happens in a guest that guests.py starts, after boot. Environment: MODULE, turbotap.ko for this kernel;
# PROGRAMS, the folder of the C programs; RESULTS, a folder on the host; PYTHON; TESTS, "module", or "ttfwd" for
# its own tests that use the module; FILES, where these are. Leaves in RESULTS: $TESTS.xml, and udev of the module's.
# Tests that fail are the host's to report.
set -eu

# As `make install` would have it: the rule, and a group, which is the administrator's part.
try_udev() {
	[ -d /sys/module/turbotap ] || insmod "$MODULE"
	groupadd --system turbotap
	# Where this runs is a chroot, in which udevadm would do nothing.
	export SYSTEMD_IGNORE_CHROOT=1
	cp kmod/60-turbotap.rules /etc/udev/rules.d/
	udevadm control --reload || /usr/lib/systemd/systemd-udevd --daemon
	udevadm trigger --action=add --settle /sys/class/misc/turbotap
	stat -c '%F %G %a' /dev/net/turbotap >"$RESULTS/udev"
}

# The installed ttfwd is meant, as everywhere in the tests: not the tree that they are started in.
export PYTHONSAFEPATH=1
export TTFWD_GUEST=1 TTFWD_TIME_FACTOR=10 TTFWD_KMOD_PROGRAMS="$PROGRAMS" TTFWD_KMOD_MODULE="$MODULE"

modprobe tun
insmod "$MODULE"
only=
[ "$TESTS" = module ] || only=turbotap
# A test may take 20 times as long as on the host, which is what an emulated CPU costs Python. Nothing here uses
# Hypothesis, which takes longer to import than all else.
# shellcheck disable=SC2086 # several files
"$PYTHON" -m pytest -p no:cacheprovider -p no:hypothesispytest -o timeout=600 --durations=10 \
	--junit-xml="$RESULTS/$TESTS.xml" -k "$only" $FILES || true
[ "$TESTS" != module ] || try_udev
rmmod turbotap
