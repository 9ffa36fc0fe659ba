#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# join.sh up NIC TAP [NIC TAP]... joins each NIC with a tap by a bridge; join.sh down N removes N bridges.
# A tap has no cable. The bridge hands it what comes in by the NIC, and the NIC what the tap's forwarder sends.
set -eu
command=$1
shift
case $command in
up)
	number=0
	while [ $# -gt 0 ]; do
		bridge=ttlabbr$number
		ip link delete "$bridge" 2>/dev/null || :
		ip link add "$bridge" type bridge forward_delay 0 mcast_snooping 0
		for port in "$1" "$2"; do
			ip link set "$port" master "$bridge" up
		done
		ip link set "$bridge" up
		number=$((number + 1))
		shift 2
	done
	;;
down)
	for number in $(seq 0 $(($1 - 1))); do
		ip link delete "ttlabbr$number" 2>/dev/null || :
	done
	;;
esac
