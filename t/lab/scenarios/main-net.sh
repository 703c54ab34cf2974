#!/usr/bin/env bash
# Network: limits in both directions count L2 bytes; a class change takes effect at once.
. "$(dirname "$0")/lib.sh"
write_conf

# A TCP segment carries 1448 bytes in a frame of 1514; a UDP datagram of lab-net 1400 in 1442.
lab-guest start silver1 --nic br0 --load idle
start_qosd
for dir in in out; do
	for flows in 1 8; do
		got=$(lab-net rate silver1 $dir --flows $flows --seconds 6)
		within "TCP $dir, $flows flows: goodput of 20 Mbit/s" "$(calc "$got / 1e6")" 19.0 19.35
	done
	got=$(lab-net rate silver1 $dir --udp --seconds 5 --offered 30000000)
	within "UDP $dir: goodput of 20 Mbit/s" "$(calc "$got / 1e6")" 19.1 19.7
done

# Live change: from silver (20 Mbit/s) to bronze (10 Mbit/s) under one connection.
lab-net rate silver1 in --seconds 8 >/run/change.out 2>&1 &
sleep 3
t0=$(date +%s%N)
check "qosctl class changes the class" "$qosctl" class silver1 bronze
t1=$(date +%s%N)
note "the command took $(((t1 - t0) / 1000000)) ms"
is "the new limit is in force" "$(listed silver1 '.net[0].in_limit_bps')" 10000000
wait $!
within "the connection goes on at the new rate" "$(calc "$(cat /run/change.out) / 1e6")" 9 19
got=$(lab-net rate silver1 in --seconds 4)
within "and the next has it from the start" "$(calc "$got / 1e6")" 9.4 9.75
tap=$(tap_of silver1)
lab-guest stop silver1
until_true 5 settled
is "nothing is left of the NIC's shaping" "$(tc qdisc show | grep -c "$tap")" 0
lab-qosd stop
