#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A host with cgroup v1: CPU weights and limits, memory by soft limit.
. "$(dirname "$0")/lib.sh"
write_conf

group() { # group GUEST CONTROLLER: its directory
	local pid path
	pid=$(cat "/run/libvirt/qemu/$1.pid")
	path=$(awk -F: -v c="$2" '("," $2 ",") ~ ("," c ",") { print $3 }' "/proc/$pid/cgroup")
	path=${path%/emulator}
	for mount in "/sys/fs/cgroup/$2" /sys/fs/cgroup/cpu,cpuacct; do
		[ -d "$mount$path" ] && { printf '%s%s' "$mount" "$path"; return; }
	done
}

lab-guest start silver1 --load cpu
lab-guest start bronze1 --load cpu
lab-guest start half1 --load idle
lab-guest start gold1 --load idle
soft_before=$(cat "$(group gold1 memory)/memory.soft_limit_in_bytes")
start_qosd || exit 1
until_true 15 settled
settles "weights 4:1 on one shared CPU" 3.6 4.4 cpu_ratio 10 silver1 bronze1
lab-guest load silver1 idle
lab-guest load bronze1 idle
lab-guest load half1 cpu
settles "a limit of 50% gives 0.5 CPU within 5 %" 0.475 0.525 cpu_rates 12 half1
is "a reservation is a soft limit" "$(cat "$(group gold1 memory)/memory.soft_limit_in_bytes")" $(((64 + 32) * 1048576))
is "a guest without one may be reclaimed first" "$(cat "$(group bronze1 memory)/memory.soft_limit_in_bytes")" 0
is "no swap for gold" "$(cat "$(group gold1 memory)/memory.swappiness")" 0
is "nobody is degraded" "$($qosctl --json status | jq .degraded)" 0
check "release" "$qosctl" release
is "the soft limit is as before" "$(cat "$(group gold1 memory)/memory.soft_limit_in_bytes")" "$soft_before"
is "the quota is as before" "$(cat "$(group half1 cpu)/vcpu0/cpu.cfs_quota_us")" -1
is "the weight is as before" "$(cat "$(group silver1 cpu)/cpu.shares")" 1024
lab-qosd stop
