#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# apt-get.sh ARGUMENT...: apt-get that waits while another process holds one of its locks, for ten minutes at most.
#
# apt-get itself can wait for dpkg's lock. It never waits for those of its lists and its archive.
set -eu
export LC_ALL=C DEBIAN_FRONTEND=noninteractive
errors=$(mktemp)
trap 'rm -f "$errors"' EXIT
for attempt in $(seq 120); do
	status=0
	apt-get -q -o DPkg::Lock::Timeout=600 "$@" 2>"$errors" || status=$?
	if [ $status = 0 ] || [ "$attempt" = 120 ] || ! grep -q 'Could not get lock' "$errors"; then
		break
	fi
	[ "$attempt" != 1 ] || echo "apt-get: waiting for another one to finish" >&2
	sleep 5
done
cat "$errors" >&2
exit $status
