#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Network: what a guest under libvirt gets through its tap. Limits count layer 2 in each direction; a
# class change is in force when qosctl returns and no connection notices; nothing is left behind.
. "$(dirname "$0")/lib.sh"
write_conf

# Needs LAB_CLOCK=virtual: else the lab host is too slow and too unsteady for these bounds.
# LAB_SHORT=1: one combination for each protocol and direction.
short=${LAB_SHORT:-0}

# Of a frame of 1514 bytes TCP carries 1448, of one of 1442 lab-net's UDP carries 1400. The promise is
# 1 % at layer 2, so the goodput must be within 1 % of that, and TCP's not below 95 % of the limit.
# The start does not count. Of eight connections some always wait for a segment sent again, and then
# hand over at once what came before the time began: one queue of the shaper (100 ms) at most.
measure() { # NAME tcp|udp MBIT in|out FLOWS
	local args=(--flows "$5" --seconds 4 --warm-up-ms 1500) low high got
	low=$(calc "$3 * 0.95")
	high=$(calc "$3 * 1448 / 1514 * 1.01")
	if [ "$2" = udp ]; then
		args=(--flows "$5" --seconds 2 --warm-up-ms 500 --udp --offered $(($3 * 1200000)))
		low=$(calc "$3 * 1400 / 1442 * 0.99")
		high=$(calc "$3 * 1400 / 1442 * 1.01")
	elif [ "$5" -gt 1 ]; then
		args=(--flows "$5" --seconds 5 --warm-up-ms 2000)
		high=$(calc "$3 * 1448 / 1514 * (1.01 + 0.1 / 5)")
	fi
	got=$(lab-net rate silver1 "$4" "${args[@]}")
	within "$1" "$(calc "$got / 1e6")" "$low" "$high"
}

# Mbit/s that pass the tap in each direction within SECONDS, by the kernel's counters: "IN OUT".
# They count one header for each large segment: a TCP stream is between its goodput and layer 2.
tap_rates() { # SECONDS
	local dir=/sys/class/net/$tap/statistics in out in0 out0 t t0
	t0=${EPOCHREALTIME/./}
	read -r in0 <"$dir/tx_bytes"
	read -r out0 <"$dir/rx_bytes"
	sleep "$1"
	t=${EPOCHREALTIME/./}
	read -r in <"$dir/tx_bytes"
	read -r out <"$dir/rx_bytes"
	calc "($in - $in0) * 8 / ($t - $t0)"
	echo " $(calc "($out - $out0) * 8 / ($t - $t0)")"
}

both_at() { # NAME MBIT SECONDS
	local rates
	rates=$(tap_rates "$3")
	within "$1, in" "${rates% *}" "$(calc "$2 * 0.95")" "$(calc "$2 * 1.01")"
	within "$1, out" "${rates#* }" "$(calc "$2 * 0.95")" "$(calc "$2 * 1.01")"
}

connections() { # local and remote ports of the guest's TCP connections
	ip netns exec g-silver1 ss -Htn state established | awk '{ print $3, $4 }' | sort
}

shaping() { # what of qosd is in the kernel's network
	tc qdisc show | grep 7105:
	ip -o link show type ifb
	bpftool -j map dump pinned /sys/fs/bpf/qosd/v3/slot 2>/dev/null | grep -v '^\[\]$'
}

unshaped() {
	[ -z "$(shaping)" ]
}

kinds() { # the qdiscs of all devices without handles
	tc qdisc show | sed 's/^\(qdisc [a-z_]*\) [0-9a-f]*:/\1/' | sort
}

# ---- rates ----
lab-guest start silver1 --nic br0 --load idle
tap=$(tap_of silver1)
kinds >/run/kinds
note "libvirt's qdisc: $(tc qdisc show dev "$tap")"
start_qosd
is "the limits are set" "$(listed silver1 '.net[0] | "\(.in_limit_bps) \(.out_limit_bps)"')" "20000000 20000000"
for protocol in tcp udp; do
	for direction in in out; do
		for flows in 1 8; do
			case $short$protocol$flows in 1tcp8 | 1udp1) continue ;; esac
			measure "20 Mbit/s, $protocol $direction, $flows flows: goodput in Mbit/s" $protocol 20 $direction $flows
		done
	done
done

# ---- a class change under running connections: 20 to 10 Mbit/s ----
lab-guest load silver1 net
sleep 2
connections >/run/connections
both_at "two connections at 20 Mbit/s" 20 3

# ---- what is told of it
card="guest=\"silver1\",device=\"$tap\""
qos-exporter --once >/run/page.before
sleep 3
qos-exporter --once >/run/page
listed silver1 '.net[0]' >/run/card
bits() {
	metric "qosd_guest_net_bits_total{$card,direction=\"$1\"}" "${2-}"
}
for way in in out; do # the page is as old as the last look, a second at most
	within "metrics: Mbit $way within 3 s" "$(calc "($(bits $way) - $(bits $way /run/page.before)) / 1e6")" 36 90
	is "metrics: the limit $way in bytes/s" "$(metric "qosd_guest_net_limit_bytes_per_second{$card,direction=\"$way\"}")" 2500000
	within "list: gets $way" "$(jq ".${way}_bps / 1e6" /run/card)" 18 20.4
	within "list: wants $way" "$(jq ".${way}_offered_bps / 1e6" /run/card)" 18 40
	within "list: the queue's delay $way in ms" "$(jq ".${way}_queue_us / 1e3" /run/card)" 0.1 101
done
is "list: it is shaped" "$(jq .unshaped /run/card)" null
within "metrics: looks of overload protection" "$(metric qosd_tick_seconds_count)" 3 1000000
note "dropped and marked: $(jq -c '[.in_dropped, .in_marked, .out_dropped, .out_marked]' /run/card)"
t0=${EPOCHREALTIME/./}
check "qosctl class changes the class" "$qosctl" class silver1 bronze
t1=${EPOCHREALTIME/./}
sleep 0.1 # what was queued leaves at the old rate: 100 ms at most
both_at "after the command's return they go on at 10 Mbit/s" 10 3
note "the command took $(((t1 - t0) / 1000)) ms"
is "they are the same connections" "$(connections)" "$(</run/connections)"
is "qosd tells the new limit" "$(listed silver1 '.net[0].in_limit_bps')" 10000000
lab-guest load silver1 idle
measure "10 Mbit/s, a new connection in: goodput in Mbit/s" tcp 10 in 1

# ---- the end ----
if [ "$short" = 0 ]; then
	check "release" "$qosctl" release silver1
	kinds >/run/kinds.released
	check "a released guest's tap is as libvirt made it" diff /run/kinds /run/kinds.released
	is "and nothing else is left" "$(shaping)" ""
	lab-guest stop silver1
	lab-guest start silver1 --nic br0 --load idle
	check "a new guest of that name is shaped" until_true 20 sh -c "tc qdisc show | grep -q 'fq 7105:'"
fi
lab-guest stop silver1
check "nothing is left when a shaped guest stops" until_true 10 unshaped
lab-qosd stop
