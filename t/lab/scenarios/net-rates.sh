#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What a shaped NIC lets pass: TCP and UDP, one and eight flows, both directions, several rates.
# Rates count layer 2: UDP with 1400 bytes of payload carries 1400/1442 of it, TCP 1448/1514.
#
#   net-rates.sh [MBIT]...		QOSD_SECONDS_EACH, default 4; QOSD_SHAPER=auto|edt|htb
set -u
# shellcheck source=t/lab/scenarios/net-topology.bash
. "$LAB_TOP/t/lab/scenarios/net-topology.bash"
SECONDS_EACH=${QOSD_SECONDS_EACH:-4}
NETCTL=(lab-netctl -w "${QOSD_SHAPER:-auto}")
[ $# -gt 0 ] || set -- 1 20 100

passed() { # in|out: bytes of layer 2 that the shaper has let pass
	"${NETCTL[@]}" stat tap1 | sed -n "s/^tap1 $1 bytes \([0-9]*\) .*/\1/p"
}

# What was let pass from `passed` on must not exceed the rate, but for what is queued at the end
# (100 ms). TCP's goodput cannot tell: recovered losses let it jump ahead of the wire for a while.
not_above() { # BPS BYTES MICROSECONDS
	[ $(($2 * 8)) -le $(($1 * $3 * 101 / 100000000 + $1 / 10 + 120000)) ]
}

cell() { # MBIT in|out tcp|udp FLOWS
	local bps=$(($1 * 1000000)) args=(--flows "$4" --seconds "$SECONDS_EACH")
	local want got before start permille
	want=$((bps * 1448 / 1514))
	if [ "$3" = udp ]; then
		args+=(--udp --offered $((bps * 12 / 10)))
		want=$((bps * 1400 / 1442))
	fi
	start=${EPOCHREALTIME/./}
	before=$(passed "$2")
	got=$(rate "$2" 1 "${args[@]}") || got=0
	got=${got%%.*}
	not_above "$bps" $(($(passed "$2") - before)) $((${EPOCHREALTIME/./} - start)) ||
		bad "$*: more than the rate was let pass"
	permille=$((got * 1000 / want))
	printf '%4s Mbit/s %-3s %s %s flows: %10s bit/s goodput, %4s permille of the possible\n' \
		"$1" "$2" "$3" "$4" "$got" "$permille"
	if [ "$3" = udp ]; then
		[ $(((permille - 1000) / 11)) -eq 0 ] || bad "$*: the rate is not within 1 %"
	else
		[ $((got * 100)) -ge $((bps * 95)) ] || bad "$*: less than 95 % of the set rate"
	fi
}

topology 1
note "unshaped: $(rate in 1 --seconds 2) in, $(rate out 1 --seconds 2) out"
for mbit in "$@"; do
	"${NETCTL[@]}" set tap1 in $((mbit * 1000000)) , set tap1 out $((mbit * 1000000)) || bad "set"
	for protocol in tcp udp; do
		for direction in in out; do
			for flows in 1 8; do
				cell "$mbit" "$direction" "$protocol" "$flows"
			done
		done
	done
	"${NETCTL[@]}" stat tap1
done
finish
