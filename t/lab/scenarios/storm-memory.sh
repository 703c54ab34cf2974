#!/usr/bin/env bash
# storm-memory - three bronze guests want more memory than the host has, first with swap and then
# without. Gold owns its memory and serves requests; nothing may be killed, and the host must live.
here=$(dirname "$(readlink -f "$0")")
# shellcheck source=lib.sh
. "$here/lib.sh"

bronze=(bronze1 bronze2 bronze3)
table=${LAB_OUT:-/run}/storm-memory.txt

write_storm_conf() { # write_storm_conf FREEZE LOW: LOW is left of the host's memory
	cat >"$conf" <<-EOF2
		mode = "enforce";
		host = { reserve = { memory = "128MiB"; }; };
		classes = (
		  { name = "gold"; rank = 0;
		    memory = { reservation = "100%"; overhead = "32MiB"; swap = "none"; }; },
		  { name = "bronze"; rank = 1; memory = { floor = "40%"; freeze = "$1"; }; } );
		match = ( { name = "gold*"; class = "gold"; } );
		default_class = "bronze";
		overload = { tick = "100ms"; memory = { low = "$2"; target_pressure = "10%"; };
		             release = { hold = "2s"; step = "20%"; }; };
	EOF2
}

oom_kills() {
	awk '$1 == "oom_kill" { print $2 }' /proc/vmstat
}

available_mib() {
	awk '/^MemAvailable:/ { print int($2 / 1024) }' /proc/meminfo
}

# A program that wakes 20 times a second: the longest it had to wait tells whether the host lives.
watch_host() {
	local last now most=0
	last=${EPOCHREALTIME/[.,]/}
	while [ -e /run/watching ]; do
		nap 0.05
		now=${EPOCHREALTIME/[.,]/}
		[ $((now - last)) -le $most ] || most=$((now - last))
		last=$now
	done
	echo $((most / 1000)) >/run/longest_ms
}

# storm NAME SECONDS: the bronze guests write all their memory, over and over
storm() {
	local from to kills g
	kills=$(oom_kills)
	from=$(lab-guest stat gold1)
	touch /run/watching
	watch_host &
	for g in "${bronze[@]}"; do lab-guest load "$g" memory; done
	nap "$2"
	least_mib=$(available_mib)
	to=$(lab-guest stat gold1)
	rm -f /run/watching
	wait $!
	served=$(jq -nr --argjson a "$from" --argjson b "$to" '$b.requests - $a.requests')
	resident=$(resident_mib gold1)
	killed=$(($(oom_kills) - kills))
	printf '%-24s gold %4d requests, %4d MiB resident; %d MiB available; %d killed; host waits %d ms at most\n' \
		"$1" "$served" "$resident" "$least_mib" "$killed" "$(</run/longest_ms)" | tee -a "$table"
}

rest() { # the bronze guests begin anew
	local g
	for g in "${bronze[@]}"; do
		lab-guest load "$g" idle 2>/dev/null
		lab-guest stop "$g" 2>/dev/null
	done
}

start_bronze() {
	local g each=$((($(available_mib) + $1) / 3))
	for g in "${bronze[@]}"; do lab-guest start "$g" --memory "$each" || return 1; done
}

fill_gold() { # until all of its memory is in use
	lab-guest load gold1 memory
	nap 8
	lab-guest load gold1 service
	nap 1
	resident_mib gold1
}

with_swap() {
	local before
	lab-swap on 1024 >/dev/null || return 1
	before=$(fill_gold)
	note "gold has $before MiB resident"
	start_bronze 120 || return 1
	storm "swap, no QoS" 20
	note "without qosd gold has $resident of $before MiB"
	rest
	before=$(fill_gold)
	write_storm_conf no 64MiB
	LAB_QOSD_WAIT=90 start_qosd || return 1
	start_bronze 120 || return 1
	storm "swap, qosd" 20
	within "gold's working set stays resident (after/before)" "$(calc "$resident / $before")" 0.97 1.1
	is "nothing is killed" "$killed" 0
	within "the host lives: its longest wait in ms" "$(</run/longest_ms)" 0 5000
	note "$($qosctl --json status | jq -c '.pressure.memory')"
	is "bronze gave way" "$($qosctl --json episodes | jq '[.episodes[] | select(.resource == "memory")] | length > 0')" true
	rest
	until_true 60 memory_calm
	check "calm returns" memory_calm
	lab-qosd stop
	lab-swap off >/dev/null
}

memory_calm() {
	[ "$($qosctl --json status | jq -r .pressure.memory.state)" = calm ]
}

without_swap() {
	local before
	before=$(fill_gold)
	write_storm_conf yes 160MiB # nothing but freezing helps, and that comes last
	LAB_QOSD_WAIT=90 start_qosd || return 1
	start_bronze 120 || return 1
	storm "no swap, qosd" 20
	within "without swap gold's working set stays resident" "$(calc "$resident / $before")" 0.97 1.1
	is "without swap nothing is killed" "$killed" 0
	within "without swap the host lives: its longest wait in ms" "$(</run/longest_ms)" 0 5000
	note "$($qosctl --json status | jq -c '.pressure.memory')"
	$qosctl release >/dev/null
	check "release thaws what was frozen" until_true 10 thawed
	rest
	lab-qosd stop
}

thawed() {
	local g
	for g in "${bronze[@]}"; do grep -qx 0 "$(cgroup_of "$g")/cgroup.freeze" || return 1; done
}

main() {
	: >"$table"
	lab-guest start gold1 --memory 96 || return 1
	with_swap || return 1
	without_swap
}
main
