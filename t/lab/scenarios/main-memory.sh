#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Memory: a reservation keeps a guest resident while another drives the host out of memory.
#
# The hog has more RAM than the host has left, and writes to all of it over and over. Without qosd the
# storm ends when the victim has lost half of it; with qosd it lasts as long at least, and the hog must
# have been driven into swap itself.
. "$(dirname "$0")/lib.sh"
write_conf
victim_mib=128
spill_mib=100
most_s=120

hold_all_ram() { # until all of the victim's RAM is in use and resident
	local now old=0 i
	lab-guest load silver1 memory
	for ((i = 0; i < 90; i++)); do
		nap 1
		now=$(resident_mib silver1)
		[ "$now" -lt $((victim_mib * 9 / 10)) ] || [ $((now - old)) -gt 0 ] || break
		old=$now
	done
	lab-guest load silver1 idle
	resident_mib silver1
}

victim_has_lost() { # half of its memory
	[ $((before - after)) -ge $((victim_mib / 2)) ]
}

hog_is_swapped() { # 20 MiB of it
	local bytes
	read -r bytes <"$hog_group/memory.swap.current" && [ "$bytes" -gt 20000000 ]
}

# storm SECONDS CONDITION: of the hog, so long at least, and until CONDITION is true (at most $most_s)
storm() {
	local began=$SECONDS
	lab-guest start hog --memory "$hog_mib" --vcpus 2 --load memory || exit 1
	hog_group=$(cgroup_of hog)
	while [ $((SECONDS - began)) -lt $most_s ]; do
		nap 2
		after=$(resident_mib silver1)
		if [ $((SECONDS - began)) -ge "$1" ] && "$2"; then break; fi
	done
	storm_s=$((SECONDS - began))
	swapped=$(($(<"$hog_group/memory.swap.current") / 1048576))
	lab-guest load hog idle
	lab-guest stop hog
}

lab-swap on 1024 >/dev/null || {
	skip "memory reservation" "no swap in this lab"
	exit 0
}
lab-guest start silver1 --memory $victim_mib || exit 1
before=$(hold_all_ram)
available_mib=$(awk '/^MemAvailable:/ { print int($2 / 1024) }' /proc/meminfo)
hog_mib=$((available_mib + spill_mib))
note "victim $victim_mib MiB, $available_mib MiB available, hog $hog_mib MiB"
storm 0 victim_has_lost
without=$after
note "without qosd: $before MiB resident before the storm, $without MiB after $storm_s s"
within "without qosd the victim loses memory (after/before)" "$(calc "$without / $before")" 0 0.7

# The same guest, now with a class that reserves its memory.
hold_all_ram >/dev/null
LAB_QOSD_WAIT=90 start_qosd || exit 1
check "the guest is put into gold" "$qosctl" class silver1 gold
until_true 20 settled
before=$(resident_mib silver1)
storm "$storm_s" hog_is_swapped
note "with qosd: $before MiB resident before the storm, $after MiB after $storm_s s; the hog has $swapped MiB in swap"
within "with qosd its reserved memory stays resident (after/before)" "$(calc "$after / $before")" 0.97 1.1
within "though the host was out of memory (MiB of the hog in swap)" "$swapped" 10 1000

reserved=$(listed silver1 .memory.reserved_bytes)
is "the reservation counts guest RAM and QEMU's own" "$reserved" $(((victim_mib + 32) * 1048576))
is "the effective minimum is the whole reservation" "$(listed silver1 .memory.effective_bytes)" "$reserved"
parent=$(dirname "$(cgroup_of silver1)")
is "the group above holds exactly the sum" "$(cat "$parent/memory.min")" "$reserved"
is "nothing was killed for want of memory" "$(awk '$1 == "oom_kill" { print $2 }' /proc/vmstat)" 0
lab-guest stop silver1
until_true 20 grep -qx 0 "$parent/memory.min"
is "and nothing is held when the guest has gone" "$(cat "$parent/memory.min")" 0
lab-qosd stop
lab-swap off >/dev/null
