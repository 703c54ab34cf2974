#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Within one NIC: flows share it evenly, a flood does not starve TCP, and a ping does not wait for
# either. And what two guests of this host send each other is shaped like all else.
# Needs LAB_CLOCK=virtual, as main-net.sh.
# shellcheck source=t/lab/scenarios/net-topology.bash
. "$(dirname "$0")/net-topology.bash"
# shellcheck source=t/lab/scenarios/lib.sh
. "$(dirname "$0")/lib.sh"
bps=20000000

of_flows() { jq -r "$1" </run/flows; }

pings() { lab-netio ping --from peer --address 10.9.1.2 --count 200 --json; }

topology 2
idle=$(pings | jq .p99_us)
lab-netctl set tap1 in $bps , set tap1 out $bps , set tap2 in $bps , set tap2 out $bps ||
	not_ok "the limits are set"

# ---- 64 TCP flows, and pings beside them ----
rate in 1 --flows 64 --seconds 6 --warm-up-ms 2000 --json >/run/flows &
sleep 3
pings >/run/ping
wait $!
within "64 TCP flows share a NIC evenly: Jain's index" "$(of_flows .jain)" 0.95 1
within "they fill it: goodput in Mbit/s" "$(calc "$(of_flows .goodput_bps) / 1e6")" 19 19.7
within "a ping beside them, p99 in us (idle $idle)" "$(jq .p99_us /run/ping)" 1 "$(calc "$idle + 2000")"
is "and none is lost" "$(jq .lost /run/ping)" 0

# ---- four TCP flows beside a flood, whose even share would be a fifth ----
rate in 1 --udp --offered $((bps * 2)) --seconds 6 --warm-up-ms 500 >/run/flood &
rate in 1 --flows 4 --seconds 4 --warm-up-ms 1500 --json >/run/flows
wait $!
within "four TCP flows beside a UDP flood of twice the limit: Mbit/s" \
	"$(calc "$(of_flows .goodput_bps) / 1e6")" 12 17

# ---- between two guests of one host ----
for protocol in tcp udp; do
	args=(--seconds 3 --warm-up-ms 1500)
	[ $protocol = tcp ] || args+=(--udp --offered $((bps * 12 / 10)))
	got=$(lab-netio rate --from g1 --to g2 --address 10.9.2.2 "${args[@]}")
	within "from guest to guest by $protocol at 20 Mbit/s: Mbit/s" "$(calc "$got / 1e6")" 18.9 19.7
done

lab-netctl set tap1 in max , set tap1 out max , set tap2 in max , set tap2 out max , teardown ||
	not_ok "the limits are taken off"
