#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# episodes - what qosd tells of overloads, throttles by hand, and a policy on trial.
here=$(dirname "$(readlink -f "$0")")
# shellcheck source=lib.sh
. "$here/lib.sh"

bronze=(bronze1 bronze2 bronze3 bronze4)
state=/var/lib/qosd/episodes

write_episode_conf() { # write_episode_conf BRONZE-WEIGHT
	cat >"$conf" <<-EOF2
		mode = "enforce";
		host = { reserve = { memory = "256MiB"; }; };
		classes = (
		  { name = "gold"; rank = 0; cpu = { weight = 400; }; },
		  { name = "bronze"; rank = 1; cpu = { weight = $1; floor = "5%"; }; } );
		match = ( { name = "gold*"; class = "gold"; } );
		default_class = "bronze";
		overload = { lease = "5s"; release = { hold = "1s"; step = "50%"; }; };
	EOF2
}

load_all() { # load_all LOAD
	local g
	for g in "${bronze[@]}"; do lab-guest load "$g" "$1"; done
}

episode() { # episode JQ: of the latest one
	$qosctl --json episodes | jq -r ".episodes[-1] | $1"
}

quota_of() { # of its first vCPU
	local quota _
	read -r quota _ <"$(cgroup_of "$1")/vcpu0/cpu.max"
	printf '%s' "$quota"
}

quota_is_set() { [ "$(quota_of "$1")" != max ]; }
quota_is_gone() { [ "$(quota_of "$1")" = max ]; }
cpu_calm() { [ "$($qosctl --json status | jq -r .pressure.cpu.state)" = calm ]; }
ended() { [ "$(episode .ended)" != null ]; }
begun() { [ "$(episode .id)" = "$1" ] && [ "$(episode .ended)" = null ]; }
weight_of() { cat "$(cgroup_of "$1")/cpu.weight"; }
with_weight() { # with_weight WEIGHT: how many guests
	local g n=0
	for g in "${bronze[@]}"; do [ "$(weight_of "$g")" = "$1" ] && n=$((n + 1)); done
	echo "$n"
}

by_hand() {
	check "throttle by hand" "$qosctl" throttle bronze cpu 0% --for 8s
	within "its guests have the floor's quota when the command returns" \
		"$(quota_of bronze1)" 250 6000
	is "status tells of it" "$($qosctl --json status | jq -r '.throttles[0].level')" 0
	is "list tells of the cap" "$(listed bronze1 .throttle.cpu.level)" 0
	check "it ends by itself" until_true 20 quota_is_gone bronze1
	is "rank 0 cannot be throttled" "$($qosctl throttle gold cpu 50% --for 8s 2>/dev/null; echo $?)" 1
}

storm() {
	local follower=/run/follow.out reaction # and sets relapses
	lab-guest load gold1 service
	$qosctl --json episodes -f >"$follower" &
	load_all cpu
	check "a storm begins an episode" until_true 30 begun 1
	until_true 20 quota_is_set bronze1
	nap 3
	reaction=$(episode .reaction_ms)
	note "$(episode tojson)"
	within "its reaction is known, ms" "$reaction" 0 2000
	is "it names who suffered and who rose" \
		"$(episode '.cause | test("gold1 \\(gold\\) waited for CPU; the use of .*bronze[0-9] \\(bronze\\)")')" true
	load_all idle
	lab-guest load gold1 idle
	check "all is calm again" until_true 60 cpu_calm
	check "... and the episode has ended" until_true 20 ended
	note "$(episode tojson)"
	is "it helped" "$(episode .effective)" true
	relapses=$(episode .relapses)
	kill %1 2>/dev/null
	within "a follower heard of begin and end, too" \
		"$(grep -c '"id":1' "$follower")" 2 20
	is "one line in the log at its onset" "$(grep -c 'cpu overload 1 begins' /lab/qosd.log)" 1
	is "one line in the log at its end" "$(grep -c 'cpu overload 1 is over' /lab/qosd.log)" 1
}

# kill -9 in the middle, a torn line, a new start: the record goes on.
killed() {
	local last
	load_all cpu
	lab-guest load gold1 service
	until_true 30 quota_is_set bronze1
	nap 1
	last=$(episode .id)
	lab-qosd kill
	printf '{"id":99,"resou' >>"$state"
	start_qosd || return 1
	nap 2
	is "after kill -9 the episode goes on" "$(episode .id)" "$last"
	load_all idle
	lab-guest load gold1 idle
	until_true 60 cpu_calm
	check "... and ends" until_true 20 ended
	is "... and says that qosd was started anew" \
		"$(episode '.cause | endswith("qosd was started anew meanwhile")')" true
	is "the torn line is told" "$(grep -c '1 lines are torn or damaged' /lab/qosd.log)" 1
}

trial() {
	local tried
	is "before the trial" "$(with_weight 25)" 4
	write_episode_conf 30
	check "a policy on trial" "$qosctl" reload --canary 50% --for 1min
	tried=$(with_weight 30)
	note "$tried of 4 guests on trial: $($qosctl --json status | jq -c .trial)"
	within "status counts them (gold1 may be one)" \
		"$($qosctl --json status | jq -r .trial.guests)" "$tried" $((tried + 1))
	is "the others keep the old one" "$(with_weight 25)" $((4 - tried))
	check "undo" "$qosctl" undo
	is "all have the old one again" "$(with_weight 25)" 4
	check "a short trial for all" "$qosctl" reload --canary 100% --for 3s
	is "all have the new one" "$(with_weight 30)" 4
	nap 4
	is "nobody confirmed: all have the old one" "$(with_weight 25)" 4
	lab-qosd kill
	start_qosd || return 1
	is "a restart does not take what was not confirmed" "$(with_weight 25)" 4
	check "trial" "$qosctl" reload --canary 100%
	check "confirm" "$qosctl" confirm
	is "all have the new one for good" "$(with_weight 30)" 4
	is "no trial is left" "$($qosctl --json status | jq -r .trial)" null
}

main() {
	local g
	write_episode_conf 25
	for g in gold1 "${bronze[@]}"; do lab-guest start "$g" --memory 32 || return 1; done
	start_qosd --record /run/record || return 1
	by_hand
	storm
	lab-qosd stop
	check "the record replays" qosd -c "$conf" --replay /run/record
	is "... with its onset, and one for each relapse" \
		"$(qosd -c "$conf" --replay /run/record | grep -c onset)" $((1 + relapses))
	[ -z "${LAB_OUT:-}" ] || cp /run/record "$LAB_OUT/storm.record"
	start_qosd || return 1
	killed || return 1
	trial
}
main
