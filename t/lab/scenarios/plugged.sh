#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# vCPUs that are plugged into a running guest: each has its limit soon, not at the next
# slow look at everything (60 s).
. "$(dirname "$0")/lib.sh"
# shellcheck source=../host/root/usr/lib/qosd-lab/clock
. /usr/lib/qosd-lab/clock
write_conf

# plug NAME VCPUS: from the command's return until all limits are right
plug() {
	local t0
	check "$1" virsh -q setvcpus half1 "$2" --live
	t0=${EPOCHREALTIME/[.,]/}
	until vcpus_have "$group" "$2" "10000 20000" || [ $((${EPOCHREALTIME/[.,]/} - t0)) -gt 20000000 ]; do nap 0.02; done
	within "... and $2 vCPUs have their limits soon (ms)" $(((${EPOCHREALTIME/[.,]/} - t0) / 1000)) 0 2000
}

plug_all() {
	plug "a vCPU is plugged" 2
	plug "two more are plugged" 4
}

start_qosd || exit 1
lab-guest start half1 --max-vcpus 4 || exit 1
group=$(cgroup_of half1)
until_true 20 vcpus_have "$group" 1 "10000 20000"
hold_clock plug_all
until_true 20 settled
is "qosd knows them" "$(listed half1 .vcpus)" 4
is "and nobody is degraded" "$($qosctl --json status | jq .degraded)" 0
is "what is in force is what is wanted" "$($qosctl --json plan | jq '.changes | length')" 0
check "release" "$qosctl" release half1
is "all four have no limit again" "$(cat "$group"/vcpu*/cpu.max | sort | uniq -c | xargs)" "4 max 100000"
lab-guest stop half1
lab-qosd stop
