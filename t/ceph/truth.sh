#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# truth - what qosd says of RBD disks, against what librbd really did.
#
#   t/ceph/truth.sh [BUILDDIR]
#
# A cluster of one monitor and one OSD on loopback and QEMU processes that have its images open; no
# guest runs in them. Each line of t/ceph/cases is one disk: qosd's eye (lab-rbdctl) must say what the
# line expects, and librbd's own log of the open must agree. Then what changes after the open, what
# keeps a guest from starting, and clusters that are away. Prints TAP lines. Needs root (sockets of
# other users' processes), ceph-mon, ceph-osd, ceph-common, qemu-system-x86, qemu-block-extra, jq.
set -uo pipefail
top=$(cd "$(dirname "$0")/../.." && pwd) || exit 2
build=$(realpath "${1:-$top/build}")
ctl=$build/t/lab/lab-rbdctl

skip() {
	printf 'ok - rbd truth # SKIP %s\n' "$*"
	exit 77
}
for need in ceph-mon ceph-osd ceph rbd qemu-system-x86_64 jq; do
	command -v "$need" >/dev/null || skip "$need is not installed"
done
[ -e /usr/lib/x86_64-linux-gnu/qemu/block-rbd.so ] || skip "QEMU has no rbd (qemu-block-extra)"
[ -x "$ctl" ] || skip "$ctl is not built (make lab-programs)"

failed=0
dir=$(mktemp -d /tmp/rt.XXXX)
export CEPH_CONF=$dir/c/ceph.conf
pids=()

cleanup() {
	local pid
	for pid in "${pids[@]}"; do
		kill -CONT "$pid" 2>/dev/null
		disown "$pid" 2>/dev/null
		kill -9 "$pid" 2>/dev/null
	done
	"$top/t/lab/ceph-cluster" go "$dir/c" 2>/dev/null
	"$top/t/lab/ceph-cluster" down "$dir/c" 2>/dev/null
	[ -n "${KEEP:-}" ] || rm -rf "$dir"
}
trap cleanup EXIT

# check NAME COMMAND...
check() {
	local name=$1
	shift
	if "$@" >"$dir/check.out" 2>&1; then
		printf 'ok - %s\n' "$name"
	else
		printf 'not ok - %s\n' "$name"
		head -c 2000 "$dir/check.out" | sed 's/^/    /'
		failed=$((failed + 1))
	fi
}

same() { # WHAT GOT WANTED
	[ "$2" = "$3" ] || { printf '%s: got "%s", wanted "%s"\n' "$1" "$2" "$3"; return 1; }
}

# ---- the cluster, users, pools ----

users() {
	local user
	for user in libvirt monny; do
		ceph auth get-or-create client.$user mon 'profile rbd' osd 'profile rbd'
	done
	ceph auth get-or-create client.qosd mon 'allow r' \
		osd 'allow class-read object_prefix rbd_children, allow rwx'
}

pools() {
	local pool
	for pool in off sized; do
		ceph osd pool create $pool 1 1 && ceph osd pool application enable $pool rbd
	done
	rbd config pool set off rbd_cache false
	rbd config pool set sized rbd_cache_policy writeback
	rbd config pool set sized rbd_cache_size 40M
}

monitor_settings() {
	ceph config set client.monny rbd_cache_policy writeback
	ceph config set client.monny rbd_cache_size 20M
	ceph config set client.monny rbd_cache_max_dirty 12M
	ceph config set client.monny rbd_cache_target_dirty 6M
}

set_up() {
	"$top/t/lab/ceph-cluster" up "$dir/c" "$((20000 + RANDOM % 20000))" || return
	users >"$dir/keys" || return
	grep -v '^\[mon\]' "$dir/keys" >>"$dir/c/keyring"
	pools >/dev/null 2>&1
	monitor_settings
}

# ---- one disk of a case ----

# conf NAME LINES: the cluster's own file and the case's lines under [client]
conf() {
	{
		cat "$CEPH_CONF"
		printf '[client]\nadmin_socket = %s/a/%s.asok\n' "$dir" "\$pid.\$cctid"
		printf 'log_file = %s/log/%s\ndebug_rbd = 5\n' "$dir" "\$pid.\$cctid"
		[ "$2" = - ] || tr ',' '\n' <<<"$2"
	} >"$dir/conf/$1.conf"
}

overrides() { # POOL NAME LIST
	local one
	rbd create "$1/$2" --size 32M --image-feature layering,exclusive-lock
	[ "$3" = - ] && return
	for one in ${3//,/ }; do
		rbd config image set "$1/$2" "${one%%=*}" "${one#*=}"
	done
}

flags() { # QEMU cache mode as -blockdev's
	case $1 in
	none | directsync) printf '{"direct":true,"no-flush":false}' ;;
	unsafe) printf '{"direct":false,"no-flush":true}' ;;
	*) printf '{"direct":false,"no-flush":false}' ;;
	esac
}

blockdev() { # NAME CACHE POOL USER
	printf '{"driver":"rbd","node-name":"n-%s","pool":"%s","image":"%s","conf":"%s","user":"%s","cache":%s}' \
		"$1" "$3" "$1" "$dir/conf/$1.conf" "$4" "$(flags "$2")"
}

disk_xml() { # NAME CACHE POOL USER IOTUNE
	local cache=" cache='$2'"
	[ "$2" != - ] || cache=
	printf "<disk type='network' device='disk'><driver name='qemu' type='raw'%s/><auth username='%s'/>" \
		"$cache" "$4"
	printf "<source protocol='rbd' name='%s/%s'><config file='%s'/></source>%s<target dev='%s'/></disk>\n" \
		"$3" "$1" "$dir/conf/$1.conf" "$5" "$1"
}

domain() { # XML of disks on stdin
	printf "<domain type='qemu'><name>truth</name><uuid>6695eb01-f6a4-8304-79aa-97f2502e193f</uuid>"
	printf "<memory unit='MiB'>64</memory><vcpu>1</vcpu><devices>\n"
	cat
	printf '</devices></domain>\n'
}

policy() { # CEPH-KEYS RBD-KEYS MEMORY-KEYS
	cat <<-END
		mode = "enforce";
		ceph = { conf = "$CEPH_CONF"; $1 };
		classes = ( { name = "c"; rank = 0; rbd = { $2 }; memory = { $3 }; } );
		default_class = "c";
	END
}

# qemu NAME BLOCKDEV...: a paused machine; its monitor reads $dir/NAME.in; sets $pid
qemu() {
	local name=$1 args=() b
	shift
	for b in "$@"; do args+=(-blockdev "$b"); done
	mkfifo "$dir/$name.in"
	qemu-system-x86_64 -S -machine none -nodefaults -display none -monitor stdio "${args[@]}" \
		<>"$dir/$name.in" >"$dir/$name.out" 2>&1 &
	pid=$!
	pids+=("$pid")
}

opened() { # how many clients of $pid have a socket
	find "$dir/a" -name "$pid.*" | wc -l
}

wait_opened() { # COUNT
	for _ in $(seq 300); do
		[ "$(opened)" -ge "$1" ] && return
		kill -0 "$pid" 2>/dev/null || break
		sleep 0.1
	done
	cat "$dir"/*.out
	return 1
}

# look NAME [LINE...]: answers of lab-rbdctl, one line of JSON each, on stdout
eye() {
	local name=$1
	shift
	mkdir -p "$dir/state.$name"
	printf '%s\n' "$@" | "$ctl" "$dir/$name.policy" "$dir/$name.xml" "$pid" "$dir/state.$name"
}

# ---- the cases ----

each_case() { # FUNCTION, called with the fields
	local name cache pool user lines image what from findings
	while IFS='|' read -r name cache pool user lines image what from findings; do
		[[ $name == \#* || -z $findings ]] && continue
		"$1" "$(trim "$name")" "$(trim "$cache")" "$(trim "$pool")" "$(trim "$user")" \
			"$(trim "$lines")" "$(trim "$image")" "$(trim "$what")" "$(trim "$from")" \
			"$(trim "$findings")"
	done <"$top/t/ceph/cases"
}

trim() {
	local text=$1
	text=${text#"${text%%[! ]*}"}
	printf '%s' "${text%"${text##*[! ]}"}"
}

prepare_case() {
	local iotune=
	[ "$1" != qos ] || iotune='<iotune><total_iops_sec>100</total_iops_sec></iotune>'
	conf "$1" "$5"
	overrides "$3" "$1" "$6"
	disk_xml "$1" "$2" "$3" "$4" "$iotune" >>"$dir/disks"
	blockdevs+=("$(blockdev "$1" "$2" "$3" "$4")")
}

mib() {
	printf '%s' "$(($1 / 1048576))"
}

# What librbd's log says of the open: mode kind, size, target, age.
log_of() { # SOCKET
	local log
	log=$dir/log/$(basename "$1" .asok)
	if grep -q 'Initial cache settings' "$log"; then
		sed -n 's/.*Initial cache settings: size=\([0-9]*\) .* max_dirty=\([0-9]*\) target_dirty=\([0-9]*\) max_dirty_age=\([0-9.]*\).*/cacher \1 \2 \3 \4/p' "$log"
	elif grep -q 'WriteAroundObjectDispatch' "$log"; then
		echo around
	else
		echo none
	fi
}

# One line a disk: what qosd says is in force.
tabulate() { # FILE
	jq -r '.rbd[]|(.settings|map({(.key): .in_force})|add) as $s|[.device, .mode.in_force,
		.cache_size_bytes.in_force, .max_dirty_bytes.in_force, $s.rbd_cache_target_dirty,
		$s.rbd_cache_max_dirty_age, .socket_path,
		([.findings[].id|select(.!="RBD-CONF-PATH")]|sort|join(" "))]|join("|")' "$1" >"$1.table"
	jq -r '.rbd[] as $d|$d.settings[]|"\($d.device) \(.key) from \(.in_force_from)"' "$1" >"$1.from"
}

judge() { # the fields of a case; tables of the answer are in $dir/look.*
	local name mode size max age socket found want kind log_size log_max log_target log_age
	IFS='|' read -r name mode size max _ age socket found < <(grep "^$1|" "$dir/look.table")
	same "mode, size, max_dirty" "$mode $(mib "$size") $(mib "$max")" "${7% *}" || return
	want=${8/from CONF/from $dir/conf/$1.conf}
	grep -qFx "$1 $want" "$dir/look.from" || {
		printf 'not: %s\n' "$want"
		grep "^$1 " "$dir/look.from"
		return 1
	}
	want=$(tr ' ' '\n' <<<"$9" | sort | paste -sd ' ')
	same findings "${found:--}" "$want" || return
	read -r kind log_size log_max log_target log_age < <(log_of "$socket")
	case $mode in
	writeback | writethrough)
		same "librbd's cache of $name" "$kind" cacher || return
		same "librbd's size" "$log_size" "$size" || return
		same "librbd's target" "$(mib "$log_target")" "${7##* }" || return
		same "librbd's age" "$log_age" "$age" || return
		# Held back at 0 until the guest's first flush, but for those that do not wait.
		[[ $9 != *WTUF* ]] || same "librbd's max_dirty" "$log_max" "$max"
		;;
	writearound) same "librbd's cache" "$kind" around ;;
	none) same "librbd's cache" "$kind" none ;;
	esac
}

judge_case() {
	check "$1: $7${9:+, $9}" judge "$@"
}

cases() {
	blockdevs=()
	: >"$dir/disks"
	each_case prepare_case
	domain <"$dir/disks" >"$dir/cases.xml"
	policy 'user = "qosd";' '' '' >"$dir/cases.policy"
	qemu cases "${blockdevs[@]}"
	check "one QEMU has ${#blockdevs[@]} images open" wait_opened "${#blockdevs[@]}"
	eye cases look >"$dir/look"
	tabulate "$dir/look"
	each_case judge_case
}

# ---- memory: what librbd holds is within the bound, and is the cache's size ----

# holds NAME LEAST MOST (MiB): after 40 MiB of writes, a flush before and after
holds() {
	local bytes i
	{
		printf 'qemu-io n-%s "write -q 0 4k"\nqemu-io n-%s flush\n' "$1" "$1"
		for i in $(seq 0 2 38); do
			printf 'qemu-io n-%s "write -q %dM 2M"\n' "$1" "$i"
		done
		printf 'qemu-io n-%s flush\ninfo version\n' "$1"
	} >"$dir/$1.in"
	for _ in $(seq 300); do
		grep -q '^7\.' "$dir/$1.out" && break
		sleep 0.1
	done
	eye "$1" look >"$dir/$1.look"
	bytes=$(jq -r '.rbd[0].buffer_bytes // 0' "$dir/$1.look")
	jq -r '.rbd[0]|"\(.mode.in_force): holds \(.buffer_bytes), bound \(.memory_bytes)"' "$dir/$1.look"
	[ "$bytes" -ge $(($2 * 1048576)) ] && [ "$bytes" -le $(($3 * 1048576)) ] &&
		[ "$bytes" -le "$(jq -r '.rbd[0].memory_bytes' "$dir/$1.look")" ]
}

memory_case() { # NAME CACHE LINES LEAST MOST
	conf "$1" "$3"
	rbd create "rbd/$1" --size 48M --image-feature layering,exclusive-lock
	disk_xml "$1" "$2" rbd libvirt '' | domain >"$dir/$1.xml"
	policy '' '' '' >"$dir/$1.policy"
	qemu "$1" "$(blockdev "$1" "$2" rbd libvirt)"
	wait_opened 1
	check "memory, $1: between $4 and $5 MiB, and within qosd's bound" holds "$1" "$4" "$5"
}

memory() {
	local sizes=rbd_cache_size=12M,rbd_cache_max_dirty=8M,rbd_cache_target_dirty=4M
	memory_case m-back writeback "rbd_cache_policy=writeback,$sizes" 11 21
	memory_case m-through writeback "rbd_cache_policy=writethrough,$sizes" 11 13
	memory_case m-around writeback "$sizes" 0 9
	memory_case m-none none "rbd_cache_policy=writeback,$sizes" 0 1
}

# ---- after the open ----

ids() { # FILE LINE-NUMBER
	sed -n "$2p" "$1" | jq -r '[.rbd[0].findings[].id]|join(" ")'
}

after_open() {
	local sock fd
	conf late rbd_cache_policy=writeback
	rbd create rbd/late --size 32M --image-feature layering,exclusive-lock
	disk_xml late writeback rbd libvirt '' | domain >"$dir/late.xml"
	policy 'user = "qosd";' 'cache = "writeback"; cache_size = "64MiB"; max_dirty = "24MiB"; target_dirty = "16MiB";' \
		'reservation = "100%";' >"$dir/late.policy"
	qemu late "$(blockdev late writeback rbd libvirt)"
	wait_opened 1
	sock=$(find "$dir/a" -name "$pid.*")
	# One eye that lives on: it remembers what was there at the open.
	coproc EYE { "$ctl" "$dir/late.policy" "$dir/late.xml" "$pid" "$dir/state.late" 2>"$dir/late.err"; }
	ask() {
		echo "$1" >&"${EYE[1]}"
		read -r -t 60 answer <&"${EYE[0]}"
		echo "$answer" >"$dir/late.$2"
	}
	mkdir -p "$dir/state.late"
	ask look 1
	check "class asks for 64 MiB: told, and RBD-CLASS" grep -q RBD-CLASS "$dir/late.1"
	rbd config image set rbd/late rbd_cache_size 64M
	ask look 2
	check "an override set after the open is from the next start" jq -e \
		'.rbd[0]|.cache_size_bytes=={"in_force":33554432,"next":67108864} and ([.findings[].id]|index("RBD-LIVE-STALE"))' "$dir/late.2"
	check "... and so says librbd: its cache has 32 MiB" \
		same size "$(log_of "$sock" | cut -d' ' -f2)" 33554432
	ceph daemon "$sock" config set rbd_cache_max_dirty 1048576 >/dev/null
	ask look 3
	check "a cache key set through the socket is not in force" jq -e \
		'.rbd[0]|.max_dirty_bytes.in_force==25165824 and ([.findings[]|select(.id=="RBD-LIVE-STALE").message]|any(test("socket|64M")))' "$dir/late.3"
	kill -STOP "$pid"
	ask look 4
	check "a client that stands still: RBD-ASOK-SILENT" grep -q RBD-ASOK-SILENT "$dir/late.4"
	kill -CONT "$pid"
	fd=${EYE[1]}
	exec {fd}>&-
	wait "$EYE_PID" 2>/dev/null
}

# ---- what keeps a guest from starting ----

opens() { # NAME: as QEMU would
	qemu-io -r -c quit --image-opts "driver=raw,file.driver=rbd,file.pool=rbd,file.image=$1,file.conf=$dir/conf/$1.conf,file.user=libvirt"
}

refused() {
	! opens "$1"
}

start_case() { # NAME LINES FINDING
	conf "$1" "$2"
	rbd create "rbd/$1" --size 32M --image-feature layering,exclusive-lock
	disk_xml "$1" writeback rbd libvirt '' | domain >"$dir/$1.xml"
	policy 'user = "qosd";' '' '' >"$dir/$1.policy"
	pid=0
	eye "$1" look >"$dir/$1.look"
	check "$1: qosd says $3" grep -q "$3" "$dir/$1.look"
	check "$1: QEMU does not open it" refused "$1"
}

starts() {
	start_case plugin 'rbd_plugins = pwl_cache' RBD-PLUGIN-MISSING
	start_case no-key 'rbd_cache_size' RBD-CONF-FILE
	start_case half-quoted 'rbd_cache_policy = "writeback' RBD-CONF-FILE
}

# ---- surroundings ----

place_case() { # NAME CEPH-KEYS LINES FINDING
	conf "$1" "$3"
	disk_xml plain writeback rbd "${5:-libvirt}" '' | sed "s|conf/plain|conf/$1|" | domain |
		sed "s|<vcpu>|${6:-}<vcpu>|" >"$dir/$1.xml"
	policy "$2" '' '' >"$dir/$1.policy"
	pid=0
	eye "$1" look >"$dir/$1.look"
	check "$1: $4" grep -q "$4" "$dir/$1.look"
}

# Metadata that is too much for one answer is the trouble of one image: the others are looked at.
odd_image() {
	local i big
	big=$(printf '%6000s' '' | tr ' ' x)
	rbd create rbd/odd --size 32M --image-feature layering,exclusive-lock
	for i in $(seq 12); do rbd image-meta set rbd/odd "note$i" "$big"; done
	conf odd -
	{
		disk_xml odd writeback rbd libvirt ''
		disk_xml plain writeback rbd 'a&quot;b' '' | sed 's|conf/plain|conf/odd|'
	} | domain >"$dir/odd.xml"
	policy 'user = "qosd";' '' '' >"$dir/odd.policy"
	pid=0
	eye odd look >"$dir/odd.look"
	check "an image that cannot be read, and a user's name with a quote: the others are" jq -e \
		'[.rbd[].ceph]==["cannot be read","known"]' "$dir/odd.look"
}

ratios() { # NEARFULL BACKFILLFULL FULL, in the order that the monitors take
	ceph osd set-nearfull-ratio "$1"
	ceph osd set-backfillfull-ratio "$2"
	ceph osd set-full-ratio "$3"
} >/dev/null 2>&1

places() {
	local target
	rbd create rbd/plain --size 32M --image-feature layering,exclusive-lock 2>/dev/null
	place_case shared 'user = "qosd";' "admin_socket = $dir/a/one.asok" RBD-ASOK-SHARED
	place_case strong 'user = "admin";' - RBD-CAPS
	place_case same-user 'user = "libvirt";' - RBD-CAPS
	place_case unknown-user 'user = "nobody";' - 'not permitted'
	place_case other-cluster 'user = "qosd";' 'fsid = 11111111-2222-3333-4444-555555555555' \
		'another cluster'
	place_case not-asked '' - 'ceph.user is not set'
	odd_image
	place_case limited 'user = "qosd";' - RBD-MEM libvirt "<memtune><hard_limit unit='MiB'>100<\/hard_limit><\/memtune>"
	# (4 GiB, or less where its cgroup has a limit.)
	target=$(ceph daemon "$dir/c/run/osd.0.asok" config get osd_memory_target | jq -r .osd_memory_target)
	check "osd.0 of this host is found with its target" jq -e \
		".ceph.osds|any(.target_bytes==$target and .open_loop)" "$dir/strong.look"
	check "... and its memory is kept from guests" jq -e ".ceph.reserve_bytes>=$target" "$dir/strong.look"
	check "... and OSD-TCMALLOC is told" grep -q OSD-TCMALLOC "$dir/strong.look"
	ceph daemon "$dir/c/run/osd.0.asok" config set osd_memory_target 1099511627776 >/dev/null
	place_case greedy 'user = "qosd";' - OSD-RESERVE
	ceph daemon "$dir/c/run/osd.0.asok" config unset osd_memory_target >/dev/null
	rbd bench --io-type write --io-size 1M --io-total 16M rbd/plain >/dev/null 2>&1
	ratios 0.0001 0.0002 0.0003
	for _ in $(seq 40); do
		ceph health detail 2>/dev/null | grep -q OSD_FULL && break
		sleep 0.5
	done
	place_case full 'user = "qosd";' - RBD-FULL
	ratios 0.85 0.9 0.95
}

# ---- written for the next open ----

written_case() {
	local keys='cache = "writeback"; cache_size = "12MiB"; max_dirty = "8MiB"; target_dirty = "4MiB"; max_dirty_age = "2500ms";'
	conf put -
	rbd create rbd/put --size 32M --image-feature layering,exclusive-lock
	rbd config image set rbd/put rbd_cache_size 48M
	disk_xml put writeback rbd libvirt '' | domain >"$dir/put.xml"
	policy 'user = "qosd"; apply = "image";' "$keys" '' >"$dir/put.policy"
	pid=0
	eye put prepare look >"$dir/put.look"
	check "image: settings are written while it is closed" jq -es '.[0].written==5' "$dir/put.look"
	check "image: they are what the next open gets" jq -es \
		'.[1].rbd[0]|.mode.next=="writeback" and .cache_size_bytes.next==12582912 and .max_dirty_bytes.next==8388608' "$dir/put.look"
	qemu put "$(blockdev put writeback rbd libvirt)"
	wait_opened 1
	check "image: librbd opened it with them" same settings \
		"$(log_of "$(find "$dir/a" -name "$pid.*")")" "cacher 12582912 0 4194304 2.5"
	sed -i 's/12MiB/16MiB/' "$dir/put.policy"
	printf 'qemu-io n-put "write -q 0 4k"\n' >"$dir/put.in"
	sleep 0.5
	eye put prepare >"$dir/put.busy"
	check "image: while it is open it is left alone" jq -e '.written==-16' "$dir/put.busy"
	kill "$pid"
	wait "$pid" 2>/dev/null
	sleep 0.3
	eye put back release look >"$dir/put.back"
	check "image: given back when it is closed" jq -es '.[0].written==5' "$dir/put.back"
	check "image: what was before is there again, and no trace" same overrides \
		"$(rbd image-meta ls rbd/put --format json)" '{"conf_rbd_cache_size":"48M"}'
	eye put prepare back-all release >"$dir/put.all"
	check "image: all is released, then its guest stops" jq -es \
		'.[0].written==5 and .[1].written==5' "$dir/put.all"
	check "... and what was before is there again" same overrides \
		"$(rbd image-meta ls rbd/put --format json)" '{"conf_rbd_cache_size":"48M"}'
	foreign fsid 'fsid = 11111111-2222-3333-4444-555555555555'
	foreign monitors - "<host name='192.0.2.1' port='6789'\/>"
}

# foreign WHAT LINES [HOST]: an image of that name is in our cluster, but the guest's is in another
foreign() {
	conf put "$2"
	disk_xml put writeback rbd libvirt '' | sed "s|<config|${3:-}<config|" | domain >"$dir/put.xml"
	eye put prepare >"$dir/put.foreign"
	check "image: the guest's is in another cluster by its $1: ours is left alone" \
		jq -e '.written==-18' "$dir/put.foreign"
	check "... with no trace in it" same overrides \
		"$(rbd image-meta ls rbd/put --format json)" '{"conf_rbd_cache_size":"48M"}'
}

away() {
	local began=$SECONDS
	"$top/t/lab/ceph-cluster" stop "$dir/c"
	place_case away 'user = "qosd"; timeout = "1s";' 'rbd_cache_policy = writeback' 'no answer'
	check "... within its limit" [ $((SECONDS - began)) -le 15 ]
	check "... and what is known without the cluster is told" jq -e \
		'.rbd[0].mode.next=="writeback"' "$dir/away.look"
	"$top/t/lab/ceph-cluster" go "$dir/c"
}

mkdir -p "$dir"/{conf,a,log}
set_up >"$dir/setup.out" 2>&1 || {
	cat "$dir/setup.out"
	printf 'not ok - the cluster does not start\n'
	exit 1
}
for part in ${PARTS:-cases memory after_open starts places written_case away}; do
	$part
done
[ "$failed" -eq 0 ]
