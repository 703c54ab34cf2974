#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Guests that start in quick succession: each has its limits within 2 s, and nobody stays degraded.
#
# A guest that has just started may be looked at before libvirt has made its groups or QEMU its
# threads. What the operator has when the start command returns counts from there. The clock is held
# for it: qosd's log is on the share, and each wait for that would count as seconds.
. "$(dirname "$0")/lib.sh"
# shellcheck source=../host/root/usr/lib/qosd-lab/clock
. /usr/lib/qosd-lab/clock
write_conf
wanted="10000 20000"

# begin GUEST: starts it, and how many ms later it was right goes to a file
begin() {
	local group t0
	lab-guest start "$1" --kind light --vcpus 2 >"/run/$1.out" 2>&1 || return
	t0=${EPOCHREALTIME/[.,]/}
	group=$(cgroup_of "$1")
	until vcpus_have "$group" 2 "$wanted" || [ $((${EPOCHREALTIME/[.,]/} - t0)) -gt 20000000 ]; do nap 0.05; done
	echo $(((${EPOCHREALTIME/[.,]/} - t0) / 1000)) >"/run/$1.ms"
}

start_qosd --verbose || exit 1
for round in "6 at the same time" "3 one after the other"; do
	guests=${round%% *}
	rm -f /run/half*.ms
	for ((i = 1; i <= guests; i++)); do
		hold_clock begin "half$i" &
		[[ $round == *same* ]] || wait $!
	done
	wait
	times=$(sort -n /run/half*.ms | xargs)
	note "ms from the start command's return until all limits were right: $times"
	is "guests start, $round" "$(wc -w <<<"$times")" "$guests"
	within "each has its limits soon (ms)" "${times##* }" 0 2000
	until_true 10 settled
	is "and nobody stays degraded" "$($qosctl --json status | jq .degraded)" 0
	for ((i = 1; i <= guests; i++)); do lab-guest stop "half$i" & done
	wait
done
note "looked at too early: $(grep -c 'no vCPU groups' /lab/qosd.log) times"
lab-qosd stop
