#!/usr/bin/env bash
# ceph - real guests on RBD disks of a small Ceph cluster in the lab host: limits by libvirt and by
# librbd, a storm, the memory of RBD caches, and a cluster that stands still. The lab's CPU needs
# LAB_CPU=+ssse3,+sse4.1,+sse4.2,+popcnt for Ceph. Measures are of what guests get; times are real.
here=$(dirname "$(readlink -f "$0")")
# shellcheck source=lib.sh
. "$here/lib.sh"
# shellcheck source=../host/root/usr/lib/qosd-lab/clock
. /usr/lib/qosd-lab/clock

cluster=$here/../ceph-cluster
export LAB_CEPH=/run/lab-ceph
table=${LAB_OUT:-/run}/ceph.txt
bronze=(bronze1 bronze2)
cache_mib=${LAB_CEPH_CACHE_MIB:-128} # of each of four disks
chunk_mib=$((cache_mib / 8))          # of one write to them

# ---- classes: fast limits are far below what an emulated host can do (150 requests a second) ----
write_ceph_conf() { # write_ceph_conf QOS [TARGET_LATENCY]
	cat >"$conf" <<-EOF2
		mode = "enforce";
		host = { reserve = { memory = "128MiB"; }; };
		ceph = { conf = "$LAB_CEPH/ceph.conf"; user = "admin"; timeout = "1s"; };
		classes = (
		  { name = "gold"; rank = 0; },
		  { name = "steady"; rank = 1; disk = { read_iops = 30; write_iops = 20; }; rbd = { qos = "$1"; }; },
		  { name = "bytes"; rank = 1; disk = { total_bps = "320000B/s"; }; rbd = { qos = "$1"; }; },
		  { name = "triple"; rank = 2; disk = { floor_iops = 4; weight = 300; }; rbd = { qos = "$1"; }; },
		  { name = "roomy"; rank = 1; disk = { total_iops = 10000; }; },
		  { name = "hasty"; rank = 1; disk = { total_iops = 100000; }; },
		  { name = "cached"; rank = 1; memory = { reservation = "100%"; overhead = "96MiB"; }; },
		  { name = "bronze"; rank = 2; disk = { floor_iops = 4; }; rbd = { qos = "$1"; }; } );
		match = ( { name = "gold*"; class = "gold"; }, { name = "cached*"; class = "cached"; } );
		default_class = "bronze";
		overload = { tick = "100ms"; cpu = { target_wait = "100%"; };
		             memory = { low = "1MiB"; target_pressure = "100%"; }; disk = { target_latency = "${2:-10s}"; };
		             release = { hold = "2s"; step = "20%"; }; };
	EOF2
}

bytes_of() { # bytes_of GUEST: read and written
	lab-guest stat "$1" | jq '.disk_read_bytes + .disk_write_bytes'
}

# rate_of GUEST SECONDS: bytes a second
rate_of() {
	local from to t0 t1
	from=$(bytes_of "$1") t0=${EPOCHREALTIME/[.,]/}
	nap "$2"
	to=$(bytes_of "$1") t1=${EPOCHREALTIME/[.,]/}
	calc "($to - $from) * 1e6 / ($t1 - $t0)"
}

iops_of() {
	calc "$(rate_of "$@") / 16384"
}

# limited GUEST LOAD NAME WANTED COMMAND...: the load's rate under a limit, within 10 %, in one of three
limited() {
	local guest=$1 name=$3 wanted=$4
	lab-guest load "$guest" "$2"
	shift 4
	nap 1.5 # what it had saved up
	settles "$name" "$(calc "0.9 * $wanted")" "$(calc "1.1 * $wanted")" "$@" "$guest" 6
}

sockets_of() { # sockets of a guest's librbd, one for each RBD disk
	ls "$LAB_CEPH/asok/"*".$(<"/run/libvirt/qemu/$1.pid")."* 2>/dev/null
}

# overrides GUEST: settings of rbd_qos_* that librbd has by its socket, as a list
overrides() {
	local socket
	for socket in $(sockets_of "$1"); do
		ceph --admin-daemon "$socket" config diff |
			jq -r '.diff | to_entries[] | select(.key | startswith("rbd_qos")) | select(.value | has("override")) | "\(.key)=\(.value.override)"'
	done | sort | tr '\n' ' '
}

iotune() { # iotune GUEST: limits that libvirt has set
	virsh blkdeviotune "$1" vda | awk '/_sec *:/ && $NF { printf "%s=%s ", $1, $NF }'
}

# ---- limits ----
limits_by() { # limits_by libvirt|rbd
	local who=$1
	write_ceph_conf "$who"
	qosctl_reload || return 1
	check "$who: class steady" "$qosctl" class bronze1 steady
	note "$who: libvirt has $(iotune bronze1), librbd has $(overrides bronze1)"
	limited bronze1 disk-read "$who: 30 reads a second" 30 iops_of
	limited bronze1 disk-write "$who: 20 writes a second" 20 iops_of
	check "$who: class bytes, live" "$qosctl" class bronze1 bytes
	limited bronze1 disk-read "$who: 320000 bytes a second read" 320000 rate_of
	limited bronze1 disk-write "$who: 320000 bytes a second written" 320000 rate_of
	check "$who: class bronze, live" "$qosctl" class bronze1 bronze
	within "$who: without a limit again" "$(iops_of bronze1 4)" 40 100000
	is "$who: nothing of the limits is left" "$(iotune bronze1)$(overrides bronze1)" ""
}

qosctl_reload() {
	check "reload" "$qosctl" reload
}

throttle_by_hand() {
	lab-guest load bronze1 disk-write
	check "throttle bronze disk" "$qosctl" throttle bronze disk 0% --for 10min
	note "libvirt has $(iotune bronze1), librbd has $(overrides bronze1)"
	is "the throttle is librbd's, not libvirt's" "$(iotune bronze1)" ""
	nap 1
	settles "a throttled guest's requests a second" 3 5 iops_of bronze1 8
}

is_free() {
	[ -z "$(overrides bronze1)" ]
}

libvirt_is() {
	[ "$($qosctl --json status | jq -r .libvirt)" = "$1" ]
}

# A hung libvirtd does not keep a throttle from being set.
throttle_without_libvirt() {
	local pid
	pid=$(pidof libvirtd)
	check "no throttle" "$qosctl" throttle bronze disk 100% --for 0s
	check "librbd is free again" until_true 20 is_free
	kill -STOP "$pid"
	check "qosd sees that libvirtd hangs" until_true 60 libvirt_is hung
	"$qosctl" throttle bronze disk 0% --for 10min >/dev/null 2>&1
	check "the throttle is in force with libvirtd hung" until_true 20 fails is_free
	note "librbd has $(overrides bronze1)"
	kill -CONT "$pid"
	check "libvirtd is back" until_true 60 settled
	check "no throttle" "$qosctl" throttle bronze disk 100% --for 0s
	check "all is given back" until_true 20 is_free
}

# ---- a storm of bronze guests on the same cluster ----
# p99_ms GUEST SECONDS: of its disk requests in that time; and how many a second
p99_ms() {
	local before
	before=$(lab-guest stat "$1")
	nap "$2"
	lab-guest stat "$1" | jq -r --argjson before "$before" --argjson s "$2" '
		($before.disk_latency_us | map({ key: (.[0] | tostring), value: .[1] }) | from_entries) as $old |
		[.disk_latency_us[] | [.[0], .[1] - ($old[.[0] | tostring] // 0)] | select(.[1] > 0)] as $new |
		($new | map(.[1]) | add // 0) as $all |
		(reduce $new[] as $x ({ n: 0, at: null };
			if .at == null and .n + $x[1] >= 0.99 * $all then .at = $x[0] else .n += $x[1] end) | .at) as $p99 |
		"\(($p99 // 0) / 1000) \($all / $s)"'
}

# phase NAME SECONDS: a row of the table; sets `rate`
phase() {
	local p99 others
	nap 3
	others=$(bytes_of bronze1)
	read -r p99 rate < <(p99_ms gold1 "$2")
	others=$(calc "($(bytes_of bronze1) - $others) / 16384 / $2")
	printf '%-24s gold %5.0f requests/s, p99 %6.0f ms; each bronze %5.0f requests/s\n' \
		"$1" "$rate" "$p99" "$others" | tee -a "$table"
}

bronze_load() {
	local g
	for g in "${bronze[@]}"; do lab-guest load "$g" "$1"; done
}

# An OSD that keeps its data in memory gets slower the more was written (a third in two minutes), so
# what gold has alone is measured before each half.
storm() {
	local alone none static with target
	bronze_load idle
	lab-guest load gold1 disk-write
	phase "alone" 8
	alone=$rate
	bronze_load disk-write
	phase "storm, no QoS" 8
	none=$rate
	write_ceph_conf libvirt
	sed -i 's/name = "bronze"; rank = 2; disk = {/& total_iops = 20;/' "$conf"
	qosctl_reload
	phase "storm, static limits" 8
	static=$(calc "$rate / $alone")
	bronze_load idle
	phase "alone again" 8
	alone=$rate
	bronze_load disk-write
	# Requests under way over requests a second: what gold's latency was alone, and a half more.
	target=$(calc "int(1.5 * 4 / $alone * 1000)")
	write_ceph_conf libvirt "${target}ms"
	qosctl_reload
	nap 12
	phase "storm, qosd" 8
	with=$rate
	note "target ${target} ms; $("$qosctl" --json status | jq -c .pressure.disk); librbd of bronze1 has $(overrides bronze1)"
	within "gold in the storm with qosd against none" "$(calc "$with / $none")" 1.2 100
	within "... and against alone (static limits: $static)" "$(calc "$with / $alone")" 0.5 1.5
	bronze_load idle
	lab-guest load gold1 idle
	check "calm returns" until_true 120 disk_is calm
	check "nothing of the throttle is left" until_true 20 is_free
}

disk_is() {
	[ "$("$qosctl" --json status | jq -r .pressure.disk.state)" = "$1" ]
}

# ---- the memory of RBD caches ----
write_through() { # write_through DISK OFFSET_MIB: a chunk through QEMU's block layer and librbd
	virsh -q qemu-monitor-command cached1 --hmp \
		"qemu-io -d /machine/peripheral/virtio-disk$1/virtio-backend \"write -q ${2}M ${chunk_mib}M\"" >/dev/null
}

# Four disks with writeback caches beside the one that the guest's program has: dirty data, and clean
# data up to the size, as long as nothing else is read.
memory() {
	local k at most=0 now reserved without settings
	settings="rbd_cache_policy = writeback\nrbd_cache_size = ${cache_mib}M\n"
	settings+="rbd_cache_max_dirty = $((cache_mib * 3 / 4))M\nrbd_cache_target_dirty = $((cache_mib / 2))M"
	sed -i "s/^\[client\]/&\n$settings/" "$LAB_CEPH/ceph.conf"
	for k in 0 1 2 3 4; do
		hold_clock "$cluster" image "$LAB_CEPH" "c$k" $((cache_mib * 2)) || return 1
	done
	lab-guest start cached1 --memory 32 --rbd c0 --rbd c1:writeback --rbd c2:writeback \
		--rbd c3:writeback --rbd c4:writeback || return 1
	check "its caches are known" until_true 60 knows_caches
	reserved=$(listed cached1 .memory.reserved_bytes)
	without=$(((32 + 96) * 1048576))
	for k in 1 2 3 4; do
		virsh -q qemu-monitor-command cached1 --hmp \
			"qemu-io -d /machine/peripheral/virtio-disk$k/virtio-backend flush" >/dev/null
	done
	for ((at = 0; at < 2 * cache_mib; at += chunk_mib)); do
		for k in 1 2 3 4; do write_through $k $at; done
		now=$(resident_mib cached1)
		[ "$now" -le "$most" ] || most=$now
	done
	printf '4 caches of %s MiB: QEMU took %s MiB at most; reserved %s MiB, without the account %s MiB\n' \
		"$cache_mib" "$most" $((reserved / 1048576)) $((without / 1048576)) | tee -a "$table"
	within "a guest with 4 caches stays within its reservation" "$most" 1 $((reserved / 1048576))
	within "... and would not without the account" "$most" $((without / 1048576 + 1)) 100000
	note "$("$qosctl" capacity | tr '\n' ';')"
	within "capacity counts the caches" "$("$qosctl" --json capacity |
		jq '.classes[] | select(.name == "cached") | .rbd_bytes')" \
		$((reserved - without)) $((reserved - without + 4096))
	lab-guest stop cached1
	for k in 0 1 2 3 4; do # room for what comes
		hold_clock timeout 60 rbd -c "$LAB_CEPH/ceph.conf" remove --no-progress "rbd/c$k" ||
			note "image c$k is not removed"
	done
}

# Their sizes are those of the file that QEMU read, not Ceph's defaults.
knows_caches() {
	[ "$(listed cached1 '.rbd | length')" = 5 ] &&
		[ "$(listed cached1 '[.rbd[] | select(.mode.in_force == "writeback")] | length')" = 4 ]
}

# ---- host.disk shared by weight, held by librbd ----
held_by_librbd() { # held_by_librbd GUEST...
	local g
	for g; do [[ $(overrides "$g") == *rbd_qos_iops_limit=* ]] || return 1; done
}

shares() {
	local three one
	write_ceph_conf rbd
	sed -i "s/host = { /&disk = { iops = 60; }; /" "$conf"
	qosctl_reload
	check "weight 300" "$qosctl" class bronze1 triple
	bronze_load disk-write
	check "librbd holds both to their parts" until_true 30 held_by_librbd "${bronze[@]}"
	is "and libvirt neither" "$(iotune bronze1)$(iotune bronze2)" ""
	nap 8
	three=$(bytes_of bronze1) one=$(bytes_of bronze2)
	nap 12
	three=$(calc "($(bytes_of bronze1) - $three) / 16384 / 12")
	one=$(calc "($(bytes_of bronze2) - $one) / 16384 / 12")
	note "host.disk 60, weights 300:100, requests a second: $three and $one"
	within "RBD disks share by weight 3:1" "$(calc "$three / $one")" 2.55 3.45
	within "... all of host.disk" "$(calc "($three + $one) / 60")" 0.85 1.1
	bronze_load idle
	check "nothing is left of it" until_true 30 is_free
	"$qosctl" class bronze1 bronze >/dev/null
	write_ceph_conf rbd
	qosctl_reload
}

# ---- librbd's CPUs and descriptors ----
files_of() { # files_of GUEST: of its QEMU, as qosd tells
	listed "$1" '.rbd[0].process.files'
}

head_room() {
	local pid files
	pid=$(<"/run/libvirt/qemu/gold1.pid")
	qosctl_reload # has it look again
	files=$(find "/proc/$pid/fd" -mindepth 1 | wc -l)
	check "descriptors of QEMU, $files, are known" until_true 30 eval "[ \"\$(files_of gold1)\" = $files ]"
	is "doctor says nothing of them" "$("$qosctl" doctor | grep -c "files and connections")" 0
	prlimit --pid "$pid" --nofile=$((files + 8)):
	qosctl_reload
	check "near the limit it does" until_true 30 doctor_says \
		"RBD-FILES gold1.*of at most $((files + 8)) files and connections"
	prlimit --pid "$pid" --nofile=4096:
	qosctl_reload
	check "what it advises helps" until_true 30 fails doctor_says "files and connections"
	check "class roomy" "$qosctl" class bronze2 roomy
	is "10000 requests a second are 0.6 CPU of its client" "$("$qosctl" --json capacity | jq .cpu.rbd_shared)" 0.6
	check "class hasty" "$qosctl" class bronze2 hasty
	check "doctor says when the CPUs are too few" doctor_says "RBD clients may take 6 CPUs at the limits"
	"$qosctl" class bronze2 bronze >/dev/null
}

# ---- a cluster that stands still ----
ticks() {
	"$qosctl" --json status | jq .ticks
}

away() {
	local before after
	write_ceph_conf rbd # nobody is overloaded by that
	qosctl_reload
	check "no throttle is in force" until_true 30 is_free
	lab-guest load gold1 disk-write
	lab-guest load bronze1 disk-write
	nap 2
	"$cluster" stop "$LAB_CEPH"
	nap 3
	before=$(bytes_of gold1)
	note "with the cluster standing still: $(lab-askctl 10 200)"
	is "guests wait for the cluster" "$(bytes_of gold1)" "$before"
	qosctl_reload # has it look again
	check "doctor says that the cluster is away" until_true 90 doctor_says "the cluster does not answer"
	before=$(ticks)
	nap 5
	after=$(ticks)
	within "ticks of qosd a second with the cluster away" "$(calc "($after - $before) / 5")" 0.5 20
	# A change of limits now could cost a guest its disk.
	"$qosctl" throttle bronze disk 0% --for 10min >/dev/null
	check "status says why a throttle is not set" until_true 20 degraded_says "cluster does not answer"
	is "librbd is left alone" "$(overrides bronze1)" ""
	"$qosctl" throttle bronze disk 100% --for 0s >/dev/null
	"$cluster" go "$LAB_CEPH"
	before=$(bytes_of gold1)
	check "gold's disk goes on" until_true 60 moved gold1 "$before"
	check "bronze's disk goes on" until_true 60 moved bronze1 "$(bytes_of bronze1)"
	is "no request was lost" "$(virsh -q domblkerror gold1) $(virsh -q domblkerror bronze1)" \
		"No errors found No errors found"
	check "no guest is degraded" until_true 60 nobody_degraded
}

degraded_says() {
	listed bronze1 .degraded | grep -q "$1"
}

nobody_degraded() {
	[ "$("$qosctl" --json status | jq .degraded)" = 0 ]
}

doctor_says() {
	"$qosctl" doctor | grep -q "$1"
}

moved() { # moved GUEST BYTES: it did more than that
	[ "$(bytes_of "$1")" -gt "$2" ]
}

main() {
	[ -n "$(command -v ceph-mon)" ] || {
		skip "RBD disks" "Ceph is not installed (ceph-mon ceph-osd ceph-common qemu-block-extra)"
		return 0
	}
	: >"$table"
	hold_clock "$cluster" up "$LAB_CEPH" || { not_ok "the cluster starts"; return 1; }
	ok "a Ceph cluster, after $SECONDS s"
	for g in gold1 "${bronze[@]}"; do
		hold_clock "$cluster" image "$LAB_CEPH" "$g" 64 || return 1
		lab-guest start "$g" --rbd "$g" --memory 32 || return 1
	done
	note "guests after $SECONDS s"
	write_ceph_conf libvirt
	start_qosd || return 1
	limits_by libvirt
	limits_by rbd
	throttle_by_hand
	throttle_without_libvirt
	note "limits after $SECONDS s"
	shares
	note "shares after $SECONDS s"
	head_room
	memory
	note "memory after $SECONDS s"
	storm
	note "storm after $SECONDS s"
	away
}
main
