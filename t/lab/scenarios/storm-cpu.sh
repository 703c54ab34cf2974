#!/usr/bin/env bash
# storm-cpu - a CPU storm: one gold guest serves requests, six bronze and two silver guests turn to
# 100 %. What gold gets alone, without QoS, with weights alone and with qosd (the same weights and the
# governor); then how fast qosd acts, what it does when the cause is elsewhere, when libvirtd hangs, when
# it is killed, and how it gives back.
#
# Made for the virtual clock: one CPU whose time nobody else takes, so that a latency is the guests'
# and qosd's doing and not this machine's. LAB_STORM_ONSETS=30 for more reactions, LAB_STORM_FLAT=1 for one
# more row: qosd with all weights alike.
here=$(dirname "$(readlink -f "$0")")
# shellcheck source=lib.sh
. "$here/lib.sh"

bronze=(bronze1 bronze2 bronze3 bronze4 bronze5 bronze6)
silver=(silver1 silver2)
others=("${bronze[@]}" "${silver[@]}")
window_s=${LAB_STORM_WINDOW_S:-8}
table=${LAB_OUT:-/run}/storm-cpu.txt
declare -A group # cgroup directory of each guest

write_storm_conf() { # write_storm_conf GOLD SILVER BRONZE: their weights
	cat >"$conf" <<-EOF2
		mode = "enforce";
		host = { reserve = { memory = "256MiB"; }; };
		classes = (
		  { name = "gold"; rank = 0; cpu = { weight = $1; }; },
		  { name = "silver"; rank = 1; cpu = { weight = $2; floor = "20%"; }; },
		  { name = "bronze"; rank = 2; cpu = { weight = $3; floor = "5%"; }; } );
		match = ( { name = "gold*"; class = "gold"; }, { name = "silver*"; class = "silver"; } );
		default_class = "bronze";
		overload = { tick = "100ms"; lease = "5s"; release = { hold = "2s"; step = "20%"; }; };
	EOF2
}

load_all() { # load_all LOAD GUEST...
	local load=$1 g
	shift
	for g in "$@"; do lab-guest load "$g" "$load"; done
}

freeze_all() { # freeze_all 0|1 GUEST...: stops and starts guests at once, without a program's help
	local g on=$1
	shift
	for g in "$@"; do echo "$on" >"${group[$g]}/cgroup.freeze"; done
}

# cpu_times: busy and all jiffies of the host
cpu_times() {
	local user nice system idle iowait irq softirq
	read -r _ user nice system idle iowait irq softirq _ </proc/stat
	printf '%d %d' $((user + nice + system + irq + softirq)) \
		$((user + nice + system + idle + iowait + irq + softirq))
}

# measure NAME: one row of the table. In $rate requests a second, in $p99 microseconds, in $busy the
# host's use. (The start of a shell would take 100 ms from gold, so gold is read by one program, and
# nothing else is started in between.)
measure() {
	local from to t0 t1 busy0 all0 busy1 all1
	read -r busy0 all0 < <(cpu_times)
	from=$(lab-netio stat gold1) t0=${EPOCHREALTIME/[.,]/}
	nap "$window_s"
	t1=${EPOCHREALTIME/[.,]/} to=$(lab-netio stat gold1)
	read -r busy1 all1 < <(cpu_times)
	read -r rate p99 < <(jq -nr --argjson a "$from" --argjson b "$to" --argjson us $((t1 - t0)) '
		($a.latency_us | map({key: (.[0] | tostring), value: .[1]}) | from_entries) as $old
		| [$b.latency_us[] | [.[0], .[1] - ($old[.[0] | tostring] // 0)]] as $h
		| ($h | map(.[1]) | add // 0) as $n
		| (reduce $h[] as $x ({seen: 0, p: null};
			.seen += $x[1] | if .p == null and .seen >= 0.99 * $n then .p = $x[0] else . end)).p as $p
		| "\(($b.requests - $a.requests) * 1e6 / $us) \($p // 0)"')
	busy=$(calc "($busy1 - $busy0) / ($all1 - $all0)")
	printf '%-14s %8.1f requests/s  p99 %8d us  host %3.0f %% busy\n' "$1" "$rate" "$p99" \
		"$(calc "$busy * 100")" | tee -a "$table"
}

weights() { # weights GOLD SILVER BRONZE: by hand, as one would without qosd
	local g
	echo "$1" >"${group[gold1]}/cpu.weight"
	for g in "${silver[@]}"; do echo "$2" >"${group[$g]}/cpu.weight"; done
	for g in "${bronze[@]}"; do echo "$3" >"${group[$g]}/cpu.weight"; done
}

quota_of() { # quota_of GUEST: of its vCPU, "max" when it has none
	local quota
	read -r quota _ <"${group[$1]}/vcpu0/cpu.max"
	printf '%s' "$quota"
}

capped() { # all bronze guests
	local g quota
	for g in "${bronze[@]}"; do
		read -r quota _ <"${group[$g]}/vcpu0/cpu.max"
		[ "$quota" != max ] || return 1
	done
}

uncapped() {
	local g
	for g in "${others[@]}"; do [ "$(quota_of "$g")" = max ] || return 1; done
}

level_of() { # level_of CLASS
	jq -r --arg c "$1" '.classes[] | select(.name == $c).level.cpu'
}

start_guests() {
	local g
	lab-guest start gold1 --memory 32 --load service || return 1
	for g in "${others[@]}"; do lab-guest start "$g" --memory 32 || return 1; done
	for g in gold1 "${others[@]}"; do group[$g]=$(cgroup_of "$g"); done
}

# ---- what gold gets ----

# with_qosd NAME GOLD SILVER BRONZE: a row of the storm with qosd and these weights
with_qosd() {
	local name=$1
	shift
	write_storm_conf "$@"
	start_qosd || return 1
	nap 4
	measure "$name"
	status=$($qosctl --json status)
	note "$(jq -c '{pressure: .pressure.cpu, levels: [.classes[] | {name, level: .level.cpu}]}' <<<"$status")"
}

compare() {
	local alone_rate alone_p99 none_rate status
	measure alone
	alone_rate=$rate alone_p99=$p99
	load_all cpu "${others[@]}"
	nap 1
	measure "no QoS"
	none_rate=$rate
	weights 400 100 25
	nap 1
	measure "weights alone"
	weights 100 100 100
	with_qosd qosd 400 100 25 || return 1
	within "gold keeps 95 % of its throughput under qosd (no QoS: $(calc "$none_rate / $alone_rate"))" \
		"$(calc "$rate / $alone_rate")" 0.95 1.1
	within "gold's p99 latency against alone" "$(calc "$p99 / $alone_p99")" 0 1.2
	within "the host stays busy" "$busy" 0.9 1
	if [ "$(level_of bronze <<<"$status")" -gt 0 ]; then
		is "silver is untouched while bronze is above its floor" "$(level_of silver <<<"$status")" 1000
	else
		skip "silver is untouched while bronze is above its floor" "bronze is at its floor"
	fi
	floors_hold
	[ -n "${LAB_STORM_FLAT:-}" ] || return 0
	lab-qosd stop
	with_qosd "qosd, alike" 100 100 100
}

floors_hold() {
	local rates r low=1
	mapfile -t rates < <(cpu_rates 3 "${bronze[@]}")
	for r in "${rates[@]}"; do low=$(calc "$r < $low ? $r : $low"); done
	within "no bronze guest gets less than its floor of 5 %" "$low" 0.04 1
}

# ---- giving back, and the way in again ----

release_gently() {
	local since
	freeze_all 1 "${others[@]}"
	since=$SECONDS
	check "all limits are back" until_true 30 uncapped
	within "they are back within hold (4 s after a relapse), ramp (5 s a class) and the last raise (2 s)" \
		$((SECONDS - since)) 0 16
	nap 3
	is "the state is calm again" "$($qosctl --json status | jq -r .pressure.cpu.state)" calm
}

# Onset: all bronze guests are thawed at once. Until the last of them has its cap.
reaction() {
	local n t0 t1 onsets=${LAB_STORM_ONSETS:-5}
	: >/run/reactions
	for ((n = 0; n < onsets; n++)); do
		freeze_all 1 "${others[@]}"
		until_true 30 uncapped
		nap 2 # calm for more than a hold: another storm, not a relapse
		until_true 30 uncapped # the start of a program can be felt, too
		t0=${EPOCHREALTIME/[.,]/}
		freeze_all 0 "${bronze[@]}"
		until capped; do
			nap 0.01
			[ $((${EPOCHREALTIME/[.,]/} - t0)) -lt 5000000 ] || break
		done
		t1=${EPOCHREALTIME/[.,]/}
		echo $(((t1 - t0) / 1000)) >>/run/reactions
	done
	note "from onset to all throttles in force, ms: $(sort -n /run/reactions | tr '\n' ' ')"
	sort -n /run/reactions >>"$table"
	within "every reaction is seen" "$(sort -n /run/reactions | tail -n 1)" 0 4000
}

# ---- when things go wrong ----

# late_ms RECORD: how late ticks under pressure came, ms, the worst of 99 %. The first sample is of a
# calm host, where the next tick is a second away: it comes when the kernel tells of the storm.
late_ms() {
	awk '$1 == "sample" { if (at && calm++ && $2 - at < 200000) print ($2 - at - 100000) / 1000; at = $2 }' "$1" |
		sort -n | awk '{ v[NR] = $1 } END { print NR < 20 ? "" : v[int(NR * 0.99 + 0.5)] }'
}

hung_libvirt() {
	freeze_all 1 "${others[@]}"
	until_true 30 uncapped
	lab-qosd stop
	start_qosd --record /run/hung.rec || return 1
	killall -STOP libvirtd
	freeze_all 0 "${others[@]}"
	check "throttles come while libvirtd hangs" until_true 5 capped
	nap 3
	killall -CONT libvirtd
	within "... and ticks are late by at most 10 ms (p99)" "$(late_ms /run/hung.rec)" -100 10
}

killed() {
	local before
	freeze_all 0 "${others[@]}"
	until_true 10 capped
	lab-qosd kill
	before=$(quota_of bronze1)
	nap 1
	is "kill -9: the throttle stays" "$(quota_of bronze1)" "$before"
	check "... and lapses with its lease" until_true 10 uncapped
	start_qosd || return 1
	check "a new qosd throttles again" until_true 10 capped
	lab-qosd kill
	start_qosd || return 1
	check "restarted within the lease it adopts the throttle" capped
	freeze_all 1 "${others[@]}"
	check "... and releases it gently" until_true 20 uncapped
}

# The host itself takes the CPUs, with a weight that no guest can outdo.
cause_elsewhere() {
	local hogs=() i status
	freeze_all 1 "${others[@]}"
	until_true 30 uncapped
	lab-qosd stop
	start_qosd ${LAB_OUT:+--record "$LAB_OUT/elsewhere.rec"} || return 1
	freeze_all 0 bronze1
	for ((i = 0; i < $(nproc); i++)); do
		(while :; do :; done) &
		hogs+=($!)
		renice -n -20 -p $! >/dev/null
	done
	nap 12
	kill "${hogs[@]}"
	wait "${hogs[@]}" 2>/dev/null
	status=$($qosctl --json status)
	note "$(jq -c .pressure.cpu <<<"$status")"
	within "an overload that the host caused does not leave bronze at its floor" \
		"$(level_of bronze <<<"$status")" 1 1000
}

main() {
	: >"$table"
	start_guests || return 1
	compare || return 1
	release_gently
	# What serves requests may be quick enough by its weight alone; this feels every onset.
	lab-guest load gold1 cpu
	reaction
	hung_libvirt || return 1
	killed || return 1
	lab-guest load gold1 service
	cause_elsewhere
	note "episodes: $($qosctl --json episodes | jq -c '[.episodes[] | {id, cause, reaction_ms, actions, effective}]')"
}
main
