#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Pings through a NIC that TCP fills, its goodput at several round trip times, and that a change of
# rate and a new process neither lose nor reorder anything that matters to a connection.
#
#   net-latency.sh [MBIT] [RTT_MS]...
set -u
# shellcheck source=t/lab/scenarios/net-topology.bash
. "$LAB_TOP/t/lab/scenarios/net-topology.bash"
MBIT=${1:-20}
shift || true
[ $# -gt 0 ] || set -- 0 10 60

delay() { # MS: round trip, half on each side
	[ "$1" -eq 0 ] && return
	ip netns exec xr tc qdisc replace dev lan root netem delay "$(($1 * 500))us" limit 100000
	ip netns exec r1 tc qdisc replace dev lan root netem delay "$(($1 * 500))us" limit 100000
}

pings() { lab-netio ping --from peer --address 10.9.1.2 --count 100; }

topology 1
modprobe sch_netem
bps=$((MBIT * 1000000))
for ms in "$@"; do
	delay "$ms"
	note "rtt $ms ms, idle: $(pings)"
	lab-netctl set tap1 in $bps , set tap1 out $bps
	for direction in in out; do
		for flows in 1 8; do
			rate "$direction" 1 --flows "$flows" --seconds 8 > /tmp/rate &
			sleep 3
			note "rtt $ms ms, $direction, $flows flows: $(pings)"
			wait $!
			note "rtt $ms ms, $direction, $flows flows: goodput $(cat /tmp/rate) bit/s"
		done
	done
done
lab-netctl stat tap1
finish
