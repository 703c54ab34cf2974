#!/usr/bin/env bash
# Memory: a reservation keeps a guest resident while another drives the host out of memory.
. "$(dirname "$0")/lib.sh"
write_conf

resident_after_storm() { # GUEST: MiB of the guest's RAM still resident after the storm of bronze
	lab-guest start hog --memory "$hog_mib" --load memory
	sleep "$storm_s"
	calc "$(stat_of "$1" resident_bytes) / 1048576"
	lab-guest stop hog
}

total_mib=$(awk '/MemTotal/ { print int($2 / 1024) }' /proc/meminfo)
available_mib=$(awk '/MemAvailable/ { print int($2 / 1024) }' /proc/meminfo)
victim_mib=256
hog_mib=$((available_mib - 64))
storm_s=40
note "memory: $total_mib MiB, $available_mib MiB available, victim $victim_mib MiB, hog $hog_mib MiB"
lab-swap on 1024 >/dev/null || {
	skip "memory reservation" "no swap in this lab"
	exit 0
}

lab-guest start silver1 --memory $victim_mib --load memory
until_true 60 test "$(stat_of silver1 touched_bytes)" -gt $((victim_mib * 900000))
sleep 5
lab-guest load silver1 idle
before=$(calc "$(stat_of silver1 resident_bytes) / 1048576")
without=$(resident_after_storm silver1)
note "without qosd: $before MiB resident before the storm, $without MiB after"

# The same guest, now with a class that reserves its memory.
lab-guest load silver1 memory
sleep 15
lab-guest load silver1 idle
start_qosd
check "the guest is put into gold" "$qosctl" class silver1 gold
until_true 10 settled
before=$(calc "$(stat_of silver1 resident_bytes) / 1048576")
with=$(resident_after_storm silver1)
note "with qosd: $before MiB resident before the storm, $with MiB after"
within "reserved memory stays resident under a storm" "$(calc "$with / $before")" 0.97 1.1
within "without qosd it did not" "$(calc "$without / $before")" 0 0.9

reserved=$(listed silver1 .memory.reserved_bytes)
effective=$(listed silver1 .memory.effective_bytes)
is "the reservation counts guest RAM and QEMU's own" "$reserved" $(((victim_mib + 32) * 1048576))
is "the effective minimum is the whole reservation" "$effective" "$reserved"
top=$(cgroup_of silver1)
parent=$(dirname "$top")
is "the group above holds exactly the sum" "$(cat "$parent/memory.min")" "$reserved"
lab-guest stop silver1
until_true 10 settled
sleep 1
is "and nothing when the guest has gone" "$(cat "$parent/memory.min")" 0
lab-qosd stop
lab-swap off >/dev/null
