# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# lib - what all scenarios share: TAP lines, configurations, and questions to guests and to qosd.
#
# A scenario is a bash script run as root inside the lab. It sources this file, prints `ok - ...`,
# `not ok - ...` or `ok - ... # SKIP reason`, and returns 0 unless the scenario itself broke.
# Claims are proven by what guests get (lab-guest stat, lab-net), not by what qosd says.

set -u
here=$(dirname "${BASH_SOURCE[0]}")
conf=/run/scenario.conf
qosctl=${QOSCTL:-qosctl}

ok() {
	printf 'ok - %s\n' "$*"
}

not_ok() {
	printf 'not ok - %s\n' "$*"
	if [ -s /lab/qosd.log ]; then
		tail -n 12 /lab/qosd.log | sed 's/^/#   /'
	fi
}

skip() {
	printf 'ok - %s # SKIP %s\n' "$1" "$2"
}

note() {
	printf '# %s\n' "$*"
}

no_libvirtd() {
	! pgrep -x libvirtd >/dev/null
}

# Has libvirtd ended by itself? Then what it and the kernel said last.
tell_of_libvirtd() {
	no_libvirtd || return
	note "libvirtd has ended: $(tail -n 4 /lab/libvirtd.log | tr '\n' ';')"
	note "the kernel: $(dmesg | grep -i 'libvirtd\|rpc-\|out of memory' | tail -n 3 | tr '\n' ';')"
}

# is NAME GOT WANTED
is() {
	if [ "$2" = "$3" ]; then ok "$1"; else not_ok "$1: got \"$2\", wanted \"$3\""; fi
}

# check NAME COMMAND...
check() {
	local name=$1 out
	shift
	if out=$("$@" 2>&1); then ok "$name"; else not_ok "$name: $* said: ${out:0:300}"; fi
}

# within NAME VALUE LOW HIGH
within() {
	if awk -v v="$2" -v l="$3" -v h="$4" 'BEGIN { exit !(v != "" && v >= l && v <= h) }'; then
		ok "$1 ($2 in $3..$4)"
	else
		not_ok "$1: $2 is not in $3..$4"
	fi
}

# settles NAME LOW HIGH COMMAND...: within, in one of three measurements. For limits of CPU time: on
# a busy machine the lab's timers are late, and the quota of a period that begins late is lost.
settles() {
	local name=$1 low=$2 high=$3 value
	shift 3
	for _ in 1 2 3; do
		value=$("$@")
		awk -v v="$value" -v l="$low" -v h="$high" 'BEGIN { exit !(v >= l && v <= h) }' && break
		note "$name: $value"
	done
	within "$name" "$value" "$low" "$high"
}

calc() {
	awk "BEGIN { printf \"%.6g\", $* }"
}

fails() { ! "$@"; }

# until_true SECONDS COMMAND...: tries each 50 ms
until_true() {
	local end=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ $SECONDS -lt $end ] || return 1
		nap 0.05
	done
	return 0 # not the nap's status
}

# ---- guests ----
stat_of() { # stat_of GUEST FIELD
	lab-guest stat "$1" | jq -r ".$2"
}

# What is read while guests are under load is read by bash alone: starting programs on a busy lab host
# takes seconds of its CPUs, from the very guests that are being measured.
exec {nap_fd}<> <(:)
nap() {
	read -r -t "$1" -u "$nap_fd"
}

thread_files() { # thread_files GUEST NAME: where the run time of its threads with such a name is
	local pid task name
	pid=$(<"/run/libvirt/qemu/$1.pid")
	for task in "/proc/$pid"/task/*; do
		read -r name <"$task/comm" || continue
		# shellcheck disable=SC2053 # a pattern
		[[ $name == $2 ]] && printf '%s/schedstat ' "$task"
	done
}

# cpu_rates SECONDS GUEST...: CPUs that each guest's vCPUs got, one number a line. With threads='*' it
# counts QEMU's own threads too: a guest's weight is for all of it. (A thread that ends meanwhile does
# not count.)
cpu_rates() {
	local s=$1 i f run t0 t1 files=() ran=()
	local -A first=()
	shift
	for i in "$@"; do files+=("$(thread_files "$i" "${threads:-CPU*}")"); done
	t0=${EPOCHREALTIME/[.,]/}
	for i in "${!files[@]}"; do
		for f in ${files[i]}; do
			{ read -r run _ <"$f"; } 2>/dev/null && first["$f"]=$run
		done
	done
	nap "$s"
	for i in "${!files[@]}"; do
		ran[i]=0
		for f in ${files[i]}; do
			{ read -r run _ <"$f"; } 2>/dev/null && ran[i]=$((ran[i] + run - ${first["$f"]:-run}))
		done
	done
	t1=${EPOCHREALTIME/[.,]/}
	for run in "${ran[@]}"; do calc "$run / 1e3 / ($t1 - $t0)"; echo; done
}

# cpu_ratio SECONDS A B: what A got for each CPU second of B, with all their threads
cpu_ratio() {
	local rates
	mapfile -t rates < <(threads='*' cpu_rates "$@")
	note "CPUs of $2 ${rates[0]}, $3 ${rates[1]}" >&2
	calc "${rates[0]} / ${rates[1]}"
}

requests_of() { # requests_of GUEST: of its disk, 16 KiB each
	lab-guest stat "$1" | jq '(.disk_read_bytes + .disk_write_bytes) / 16384'
}

# disk_rates SECONDS GUEST...: requests a second that each guest's disk did, one number a line
disk_rates() {
	local s=$1 g from=() at=()
	shift
	for g; do from+=("$(requests_of "$g")") at+=("${EPOCHREALTIME/[.,]/}"); done
	nap "$s"
	for g; do
		calc "($(requests_of "$g") - ${from[0]}) * 1e6 / (${EPOCHREALTIME/[.,]/} - ${at[0]})"
		echo
		from=("${from[@]:1}") at=("${at[@]:1}")
	done
}

disk_tuning() { # disk_tuning GUEST: its disk's limits by libvirt, added up; 0: none
	virsh blkdeviotune "$1" vda | awk '/^(total|read|write)_(iops|bytes)_sec *:/ { s += $NF } END { print s }'
}

resident_mib() { # resident_mib GUEST: memory of its QEMU in RAM (not its program's, which all share)
	local pages shared
	read -r _ pages shared _ <"/proc/$(<"/run/libvirt/qemu/$1.pid")/statm"
	printf '%d' $(((pages - shared) / 256))
}

cgroup_of() { # the guest's top group as a path under /sys/fs/cgroup (v2)
	local pid path
	pid=$(cat "/run/libvirt/qemu/$1.pid")
	path=$(sed -n 's/^0:://p' "/proc/$pid/cgroup")
	path=${path%/emulator}
	printf '/sys/fs/cgroup%s' "$path"
}

tap_of() { # the guest's first tap
	virsh -q domiflist "$1" | awk '{ print $1; exit }'
}

# ---- qosd ----
# shellcheck disable=SC2120 # arguments are for those who want them
start_qosd() { # start_qosd [ARG...]: with $conf
	lab-qosd start --config "$conf" "$@" >/run/start.out 2>&1 || {
		not_ok "qosd starts: $(tail -n 3 /run/start.out)"
		return 1
	}
	until_true 20 settled
}

# What could change something on a host, for strace.
changing="open,openat,?openat2,creat,connect,write,pwrite64,writev,pwritev,pwritev2,sendto,sendmsg"
changing+=",sendmmsg,sendfile,splice,bpf,ioctl,mkdir,mkdirat,rmdir,unlink,unlinkat,rename,renameat"
changing+=",renameat2,link,linkat,symlink,symlinkat,mknod,mknodat,truncate,ftruncate,fallocate,chmod"
changing+=",fchmod,fchmodat,chown,fchown,lchown,fchownat,setxattr,lsetxattr,fsetxattr,utimensat,mount"
changing+=",umount2,move_mount,fsopen,fsmount,init_module,finit_module,delete_module,execve,execveat"
changing+=",sched_setaffinity,sched_setscheduler,sched_setparam,sched_setattr,setpriority,ioprio_set"
changing+=",prlimit64,setrlimit,kill,tkill,tgkill,pidfd_send_signal,process_madvise,process_vm_writev"
changing+=",ptrace,setns,unshare,swapon,swapoff,sethostname,io_uring_setup,perf_event_open"

# traced_start TRACE [ARG...]: start_qosd under strace, from its first instruction; with plain init.
traced_start() {
	local trace=$1 program
	shift
	program=$(command -v qosd)
	mkdir -p /run/traced
	cat >/run/traced/qosd <<-EOF2
		#!/bin/sh
		exec strace -D -f -yy -x -s 64 --seccomp-bpf -o $trace -e trace=$changing $program "\$@"
	EOF2
	chmod +x /run/traced/qosd
	PATH=/run/traced:$PATH start_qosd "$@"
}

# host_writes TRACE: the writes to the host in it
host_writes() {
	until_true 10 fails pgrep -x strace # it writes until the end
	awk -f "$here/host-writes.awk" "$1"
}

# All guests known, nothing in flight.
settled() {
	local status
	status=$($qosctl --json status) || return 1
	[ "$(jq -r '.libvirt' <<<"$status")" = connected ] || return 1
	[ "$(jq -r '.in_flight // 0' <<<"$status")" = 0 ] || return 1
	[ "$(jq -r '.guests' <<<"$status")" = "$(virsh -q list --name | grep -c .)" ]
}

knob() { # knob GUEST KNOB FIELD
	$qosctl --json explain "$1" |
		jq -r --arg k "$2" --arg t "guest:$1" '[.knobs[] | select(.knob == $k and .target == $t)][0].'"$3"
}

# vcpus_have GROUP VCPUS QUOTA: so many vCPU groups, each with that limit (by bash alone)
vcpus_have() {
	local file value vcpus=0
	for file in "$1"/vcpu*/cpu.max; do
		read -r value <"$file" && [ "$value" = "$3" ] || return 1
		vcpus=$((vcpus + 1))
	done
	[ $vcpus -eq "$2" ]
}

listed() { # listed GUEST JQ-PATH
	$qosctl --json list | jq -r --arg g "$1" '.guests[] | select(.name == $g) | '"$2"
}

# scrape: the exporter's page to /run/page, over HTTP as Prometheus asks for it
scrape() {
	local fd
	exec {fd}<>/dev/tcp/127.0.0.1/9717 || return 1
	printf 'GET /metrics HTTP/1.0\r\nAccept: application/openmetrics-text\r\n\r\n' >&"$fd"
	timeout 20 cat <&"$fd" >/run/page
	exec {fd}>&-
	grep -q '^# EOF' /run/page
}

metric() { # metric NAME-WITH-LABELS [PAGE]
	awk -v name="$1" 'index($0, name " ") == 1 { print $NF }' "${2:-/run/page}"
}

# Every value that qosd could set, on every group and thread, and the qdiscs: for comparisons.
# QEMU's worker threads come and go: its main thread and its vCPUs are compared.
snapshot() {
	local f pid
	find /sys/fs/cgroup \( -name cpu.weight -o -name cpu.max -o -name cpu.max.burst \
		-o -name memory.min -o -name memory.low -o -name memory.swap.max \) \
		-not -path '*/system.slice/*' -not -path '*/init.scope/*' -not -path '*/qosd.service/*' \
		-not -path '*/lab*' -print0 |
		sort -z | xargs -0 grep -Hs .
	for f in /run/libvirt/qemu/*.pid; do
		case $f in */driver.pid | *'*'*) continue ;; esac
		pid=$(cat "$f")
		grep -lsE '^CPU ' "/proc/$pid"/task/*/comm | sed 's|comm$|status|' |
			xargs grep -Hs Cpus_allowed_list "/proc/$pid/status"
	done
	tc qdisc show | grep -v -e ifb -e ' lo ' | sed -e 's/qdisc \([a-z_]*\) [0-9a-f]*:/qdisc \1/' | sort
	ip -o link show type ifb | awk '{ print $2 }'
}

# shellcheck disable=SC2120
# The standard three classes, and nobody overloaded: what holds always. $1: extra text. A host with
# one CPU has none to dedicate.
write_conf() {
	local gold='placement = "dedicated"; reservation = "100%"'
	[ "$(nproc)" -gt 1 ] || gold='placement = "shared"'
	cat >"$conf" <<-EOF2
		mode = "enforce";
		host = { reserve = { memory = "256MiB"; }; };
		classes = (
		  { name = "gold"; rank = 0;
		    cpu = { $gold; weight = 400; };
		    memory = { reservation = "100%"; overhead = "32MiB"; swap = "none"; };
		    net = { limit = "100Mbit"; }; },
		  { name = "silver"; rank = 1;
		    cpu = { placement = "shared"; weight = 400; };
		    net = { limit = "20Mbit"; }; },
		  { name = "bronze"; rank = 2;
		    cpu = { placement = "shared"; weight = 100; };
		    net = { limit = "10Mbit"; }; },
		  { name = "half"; rank = 2;
		    cpu = { placement = "shared"; weight = 100; limit = "50%"; }; } );
		match = ( { name = "gold*"; class = "gold"; }, { name = "silver*"; class = "silver"; },
		          { name = "half*"; class = "half"; } );
		default_class = "bronze";
		overload = { cpu = { target_wait = "100%"; }; disk = { target_latency = "10s"; };
		             memory = { low = "1MiB"; target_pressure = "100%"; }; };
		${1-}
	EOF2
}
