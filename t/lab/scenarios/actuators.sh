#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# actuators - what takes resources from a guest, one by one: disk limits through qosd; reclaim,
# freeze, idle and the balloon through the adapters. Needs swap (LAB_SWAP_MIB) and 1 GiB.
# LAB_ACTUATORS names the parts to run.
here=$(dirname "$(readlink -f "$0")")
# shellcheck source=lib.sh
. "$here/lib.sh"

MIB=$((1 << 20))

write_conf() {
	cat >"$conf" <<-'EOF2'
		mode = "enforce";
		host = { reserve = { memory = "64MiB"; }; };
		classes = (
		  { name = "none"; rank = 0; },
		  { name = "ops"; rank = 1; disk = { total_iops = 100; }; },
		  { name = "ways"; rank = 2; disk = { read_iops = 120; write_iops = 60; }; },
		  { name = "bytes"; rank = 3; disk = { read_bps = "1MB/s"; write_bps = "2MB/s"; }; },
		  { name = "all"; rank = 4; disk = { total_bps = "1500kB/s"; }; } );
		default_class = "none";
	EOF2
}

# ---- the libvirt adapter by hand ----
virtctl_out=/run/virtctl.out virtctl_fd=

virtctl_start() {
	rm -f /run/virtctl.in
	mkfifo /run/virtctl.in
	lab-virtctl </run/virtctl.in >$virtctl_out 2>&1 &
	exec {virtctl_fd}>/run/virtctl.in
	check "guests are known" until_true 60 grep -q "+ $1" $virtctl_out
}

virtctl_stop() {
	say quit
	exec {virtctl_fd}>&-
	wait
}

say() { echo "$*" >&"$virtctl_fd"; }

said() { # said NAME PATTERN: soon
	check "$1" until_true 10 grep -qE "$2" $virtctl_out
}

# ---- disks ----

# rate_of GUEST read|write|both SECONDS: bytes/s; in a window in which it did only that
rate_of() {
	local guest=$1 way=$2 seconds=$3 s r0 w0 t0 r1 w1 t1
	for _ in {1..30}; do
		s=$(lab-guest stat "$guest") t0=${EPOCHREALTIME/[.,]/}
		read -r r0 w0 < <(jq -r '"\(.disk_read_bytes) \(.disk_write_bytes)"' <<<"$s")
		nap "$seconds"
		s=$(lab-guest stat "$guest") t1=${EPOCHREALTIME/[.,]/}
		read -r r1 w1 < <(jq -r '"\(.disk_read_bytes) \(.disk_write_bytes)"' <<<"$s")
		if [ "$way" = both ]; then
			calc "($r1 - $r0 + $w1 - $w0) * 1e6 / ($t1 - $t0)"
			return
		elif [ "$way" = read ] && [ "$w0" = "$w1" ] && [ "$r1" -gt "$r0" ]; then
			calc "($r1 - $r0) * 1e6 / ($t1 - $t0)"
			return
		elif [ "$way" = write ] && [ "$r0" = "$r1" ] && [ "$w1" -gt "$w0" ]; then
			calc "($w1 - $w0) * 1e6 / ($t1 - $t0)"
			return
		fi
	done
	echo 0
}

tuned() { # tuned GUEST FIELD: as libvirt has it
	virsh -q blkdeviotune "$1" vda | awk -F ' *: *' -v f="$2" '$1 == f { print $2 }'
}

# shellcheck disable=SC2317 # called by until_true
has_tune() { # has_tune GUEST FIELD VALUE
	[ "$(tuned "$1" "$2")" = "$3" ]
}

# limit_holds CLASS READ WRITE: bytes/s that its limits come to, for requests of 16 KiB
limit_holds() {
	$qosctl class d1 "$1" >/dev/null || not_ok "qosctl class d1 $1"
	nap 3
	within "class $1 limits reading" "$(rate_of d1 read 4)" "$(calc "$2 * 0.9")" "$(calc "$2 * 1.1")"
	within "class $1 limits writing" "$(rate_of d1 write 4)" "$(calc "$3 * 0.9")" "$(calc "$3 * 1.1")"
}

# What the adapter's statistics say of d1. libvirt is asked while somebody wants to know, and a counter is
# known from its second reading on.
disk_counts() {
	{ nap 2; for _ in 1 2 3 4; do echo 'stats d1'; nap 4; done; echo quit; } |
		lab-virtctl 2>/dev/null | awk '$2 == "stats" && $4 == 0 { print $5, $6, $7 }'
}

try_statistics() {
	local ops0 bytes0 wait0 ops1 bytes1 wait1 counts
	mapfile -t counts < <(disk_counts)
	if [ ${#counts[@]} -lt 2 ]; then
		not_ok "disk statistics are there after two readings: ${counts[*]}"
		return
	fi
	read -r ops0 bytes0 wait0 <<<"${counts[-2]}"
	read -r ops1 bytes1 wait1 <<<"${counts[-1]}"
	within "statistics: bytes of each request" "$(calc "($bytes1 - $bytes0) / ($ops1 - $ops0)")" 16000 16800
	within "... latency in ms, of 4 at a time at 100 a second" \
		"$(calc "($wait1 - $wait0) / ($ops1 - $ops0) / 1e6")" 20 60
}

try_disks() {
	local free
	# QEMU makes adjacent requests that are there together one, which then counts as one.
	lab-guest start d1 --load disk --xml "<qemu:commandline><qemu:arg value='-global'/>
		<qemu:arg value='virtio-blk-device.request-merging=off'/></qemu:commandline>" || return 1
	# What an operator, or OpenStack, had set before is the baseline.
	virsh -q blkdeviotune d1 vda --total-iops-sec 400 --live >/dev/null
	free=$(rate_of d1 both 4)
	note "before qosd: $free bytes/s"
	write_conf
	start_qosd || return 1
	is "a class without disk limits leaves others' alone" "$(tuned d1 total_iops_sec)" 400
	limit_holds ops 1638400 1638400
	try_statistics
	limit_holds ways 1966080 983040
	limit_holds bytes 1000000 2000000
	limit_holds all 1500000 1500000
	$qosctl class d1 ops >/dev/null
	check "the limit is there" until_true 10 has_tune d1 total_iops_sec 100
	is "... and the other kinds are not" "$(tuned d1 total_bytes_sec)" 0
	virsh -q blkdeviotune d1 vda --read-iops-sec 999 --live >/dev/null
	check "a change by somebody else is put right" until_true 30 has_tune d1 total_iops_sec 100
	$qosctl class d1 none >/dev/null
	check "without a class's limit the one of before is back" until_true 10 has_tune d1 total_iops_sec 400
	$qosctl class d1 bytes >/dev/null
	check "limits of a last class" until_true 10 has_tune d1 write_bytes_sec 2000000
	check "release" "$qosctl" release
	check "... gives the operator's limit back" until_true 10 has_tune d1 total_iops_sec 400
	is "... and takes qosd's away" "$(tuned d1 write_bytes_sec)$(tuned d1 read_bytes_sec)" 00
	within "... which the guest feels" "$(rate_of d1 both 4)" "$(calc "$free * 0.7")" "$(calc "$free * 1.4")"
	lab-qosd stop >/dev/null
	lab-guest stop d1
}

# ---- memory ----

pid_of() { cat "/run/libvirt/qemu/$1.pid"; }

memory_now() { cat "$(cgroup_of "$1")/memory.current"; }

try_reclaim() {
	local pid target now before held own steps=0 says
	lab-guest start m1 --memory 256 --load memory || return 1
	until_true 60 sh -c "[ \$(lab-guest stat m1 | jq .touched_bytes) -gt $((260 * MIB)) ]"
	lab-guest load m1 idle
	pid=$(pid_of m1)
	before=$(memory_now m1) target=$((before / 2 / 4096 * 4096))
	held=$(resident_mib m1)
	now=$(lab-cgctl reclaim "$pid" $target 2>/dev/null)
	within "one step of reclaim takes some from the guest, MiB" "$((held - $(resident_mib m1)))" 30 170
	while [ "$now" -gt $((target + 8 * MIB)) ] && [ $((steps++)) -lt 10 ]; do
		now=$(lab-cgctl reclaim "$pid" $target) || break
	done
	note "$((before / MIB)) MiB -> $((now / MIB)) MiB in $((steps + 1)) steps, wanted $((target / MIB));" \
		"resident $held -> $(resident_mib m1), in swap $(calc "$(stat_of m1 swapped_bytes) / $MIB")"
	# What is in swap and not yet freed is the kernel's to take at once.
	own=$((now - $(awk '$1 == "swapcached" { print $2 }' "$(cgroup_of m1)/memory.stat")))
	within "steps of reclaim come down to the target, not below" "$(calc "$own / $target")" 0.85 1.1
	within "... and the guest has that much left" "$(calc "$(resident_mib m1) * $MIB / $target")" 0.8 1.1
	within "... which gives the host memory, MiB" "$(calc "($before - $now) / $MIB")" 40 200
	is "reclaim to more than there is does nothing" "$(lab-cgctl reclaim "$pid" $((1 << 40)))" "$(memory_now m1)"
	lab-cgctl apply "$pid" memory.min "$now"
	is "what is reserved is not reclaimed" "$(lab-cgctl reclaim "$pid" $((16 * MIB)))" "$(memory_now m1)"
	lab-cgctl apply "$pid" memory.min 0
	lab-swap off
	says=$(lab-cgctl reclaim "$pid" $((16 * MIB)) 2>&1 >/dev/null)
	check "without swap reclaim says what it could not: $says" \
		grep -q 'less could be reclaimed' <<<"$says"
	lab-guest load m1 memory
	nap 3
	check "the guest works on" test "$(stat_of m1 fault)" = 0
	lab-guest stop m1
}

# ---- CPU ----

spins() { stat_of "$1" spins; }

try_freeze() {
	local pid s0 s1 s2
	lab-guest start f1 --load cpu || return 1
	pid=$(pid_of f1)
	is "not frozen at first" "$(lab-cgctl read "$pid" cgroup.freeze)" 0
	check "freeze" lab-cgctl apply "$pid" cgroup.freeze 1
	is "... is read back" "$(lab-cgctl read "$pid" cgroup.freeze)" 1
	nap 0.5
	s0=$(spins f1)
	nap 2
	s1=$(spins f1)
	is "a frozen guest does nothing" "$s1" "$s0"
	virtctl_start f1
	say set f1 vda disk.total_iops 50
	said "what QEMU would have to answer is not asked of it" 'done 1 -11 .*frozen'
	say stats f1
	nap 3
	check "... and libvirt goes on" timeout 20 virsh -q list
	check "thaw" lab-cgctl apply "$pid" cgroup.freeze 0
	say set f1 vda disk.total_iops 50
	said "... until it is thawed" 'done 2 0'
	virtctl_stop
	nap 2
	s2=$(spins f1)
	check "a thawed guest goes on" test "$s2" -gt "$s1"
	lab-guest stop f1
}

try_idle() {
	local pid scope
	lab-guest start i1 --load cpu && lab-guest start i2 --load cpu || return 1
	virsh -q vcpupin i1 0 0 --live && virsh -q vcpupin i2 0 0 --live
	pid=$(pid_of i1)
	check "weight 300 before" lab-cgctl apply "$pid" cpu.weight 300
	check "an idle guest" lab-cgctl apply "$pid" cpu.weight 0
	is "... reads as weight 0" "$(lab-cgctl read "$pid" cpu.weight)" 0
	within "... gets next to nothing beside a busy one" "$(cpu_ratio 5 i1 i2)" 0 0.05
	if [ "$LAB_INIT" = systemd ]; then
		scope=$(basename "$(dirname "$(cgroup_of i1)")")
		systemctl set-property --runtime "$scope" MemoryLow=1M
		is "systemd leaves idle alone at set-property" "$(lab-cgctl read "$pid" cpu.weight)" 0
		systemctl daemon-reload
		is "... and at daemon-reload" "$(lab-cgctl read "$pid" cpu.weight)" 0
	fi
	check "a weight again" lab-cgctl apply "$pid" cpu.weight 200
	is "... is what it reads" "$(lab-cgctl read "$pid" cpu.weight)" 200
	within "... and what it gets" "$(cpu_ratio 5 i1 i2)" 1.5 2.6
	lab-guest stop i1
	lab-guest stop i2
}

# ---- balloon ----

try_balloon() {
	local before after
	lab-guest start b1 --memory 192 --balloon --load memory || return 1
	until_true 60 sh -c "[ \$(lab-guest stat b1 | jq .touched_bytes) -gt $((200 * MIB)) ]"
	lab-guest load b1 idle
	before=$(resident_mib b1)
	virtctl_start b1
	say set b1 - memory.balloon $((96 * MIB))
	said "the balloon is set" 'done 1 0'
	say get b1 - memory.balloon
	said "... and reads as asked" "memory.balloon 0 $((96 * MIB))"
	nap 6
	say balloon b1
	said "a guest that does not follow is told" 'balloon b1 -110 .*does not follow'
	say probe
	said "... to the doctor too" '1 guest does not follow'
	lab-guest load b1 idle # it looks at its devices now
	check "the guest follows" until_true 20 sh -c "[ \$(virsh -q dommemstat b1 | awk '\$1 == \"actual\" { print \$2 }') = $((96 * 1024)) ]"
	nap 2
	say balloon b1
	said "... and nothing is told" 'balloon b1 0'
	after=$(resident_mib b1)
	within "... which gives the host memory, MiB" "$((before - after))" 80 110
	say set b1 - memory.balloon $((192 * MIB))
	nap 1
	lab-guest load b1 memory
	check "... and it gets it back" until_true 20 sh -c "[ \$(virsh -q dommemstat b1 | awk '\$1 == \"actual\" { print \$2 }') = $((192 * 1024)) ]"
	virtctl_stop
	lab-guest stop b1
}

for part in ${LAB_ACTUATORS:-disks freeze idle reclaim balloon}; do
	case $part in
	disks) try_disks ;;
	freeze) try_freeze ;;
	idle) try_idle ;;
	reclaim) try_reclaim ;;
	balloon) try_balloon ;;
	esac
done
exit 0
