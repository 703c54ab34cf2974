#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The cgroup adapter on real guests: every knob and back, who owns what, hot-plug, and the end.
# Meant for --init minimal and systemd, --cgroup v2 and v1.
. "$(dirname "$0")/lib.sh"

command -v lab-cgctl >/dev/null || { skip "the cgroup adapter" "lab-cgctl is not built"; exit 0; }

v1() { [ "$LAB_CGROUP" = v1 ]; }
with_systemd() { [ "$LAB_INIT" = systemd ]; }
# shellcheck disable=SC2317
says() { local what=$1; shift; "$@" 2>&1 | grep -q "$what"; }
read_knob() { lab-cgctl read "$@" 2>&1; }
field() { lab-cgctl "$1" "$pid" | sed -n "s/^$2 //p"; }

# round NAME TARGET KNOB VALUE [READS-AS]
round() {
	local said
	said=$(lab-cgctl apply "$2" "$3" "$4" 2>&1) || { not_ok "$1: $said"; return; }
	is "$1" "$(read_knob "$2" "$3")" "${5-$4}"
}

# Values of every file that could have been written.
values() {
	find /sys/fs/cgroup/ -path '*machine*' \( -name 'cpu.weight' -o -name 'cpu.max*' -o -name 'memory.min' \
		-o -name 'memory.low' -o -name 'memory.swap.max' -o -name 'cpu.shares' -o -name 'cpu.cfs_*' \
		-o -name memory.soft_limit_in_bytes -o -name memory.swappiness \) -print0 |
		sort -z | xargs -0 grep -H ''
}

lab-guest start web1 --vcpus 2 --load cpu || exit 1
lab-guest start web2 || exit 1
pid=$(cat /run/libvirt/qemu/web1.pid)
values >/run/before

# ---- binding
is "both vCPU threads are found" "$(field bind threads)" \
	"$(sed -n "s/.*<vcpu id='[0-9]*' pid='\([0-9]*\)'.*/\1/p" /run/libvirt/qemu/web1.xml | xargs)"
want_systemd=0
if with_systemd; then want_systemd=1; fi
is "the scope is known as systemd's" "$(field bind systemd)" "$want_systemd"
top=$(field bind cgroup)
root=/sys/fs/cgroup
if v1; then root+=/cpu; fi
check "the top group holds the vCPU groups" test -d "$root$top/vcpu1"
check "this process is in no group of a guest" fails lab-cgctl bind $$

# ---- every knob
round "cpu.weight" "$pid" cpu.weight 400
round "cpu.max with a remainder" "$pid" cpu.max "60001 20000"
round "cpu.max.burst" "$pid" cpu.max.burst 20001
round "a smaller cpu.max, with the burst in its way" "$pid" cpu.max "5001 20000"
is "the burst went down with it" "$(read_knob "$pid" cpu.max.burst)" 5001
round "a longer period" "$pid" cpu.max "100000 100000"
round "no burst" "$pid" cpu.max.burst 0
check "a burst above the quota is refused" fails lab-cgctl apply "$pid" cpu.max.burst 9999999
check "a weight out of range is refused" fails lab-cgctl apply "$pid" cpu.weight 20000
round "memory.min" "$pid" memory.min 33554433 33554432
round "no swap" "$pid" memory.swap.max 0
if v1; then
	check "memory.low is refused with a sentence" says "no memory.low" lab-cgctl apply "$pid" memory.low 4096
else
	round "memory.low" "$pid" memory.low 8388608
fi

# ---- what the guest gets, and that the emulator is not in it
round "a cap of 0.4 CPUs on 2 vCPUs" "$pid" cpu.max "40000 100000"
vcpu_ns() { field usage vcpu_run_ns; }
ns=$(vcpu_ns) since=$(date +%s%N)
sleep 6
within "the vCPUs get that" "$(calc "($(vcpu_ns) - $ns) / ($(date +%s%N) - $since)")" 0.28 0.42
within "throttling is counted" "$(field usage nr_throttled)" 10 1000000
emulator=$(cat "$root$top/emulator/cpu.max" 2>/dev/null || cat "$root$top/emulator/cpu.cfs_quota_us")
is "the emulator is not capped" "${emulator%% *}" "$(v1 && echo -1 || echo max)"

# ---- reservations through the chain
if ! v1; then
	is "alone, the reservation protects nothing" "$(lab-cgctl effective "$pid")" 0
	above=()
	while :; do
		top=${top%/*}
		[ -n "$top" ] || break
		above+=("$top")
	done
	for group in "${above[@]}"; do round "memory.min of $group" "$group" memory.min 33554432; done
	is "with the groups above it does" "$(lab-cgctl effective "$pid")" 33554432
	other=$(cat /run/libvirt/qemu/web2.pid)
	lab-cgctl apply "$other" memory.min 33554432
	other_top=$(lab-cgctl bind "$other" | sed -n 's/^cgroup //p')
	if with_systemd; then lab-cgctl apply "${other_top%/*}" memory.min 33554432; fi
	is "promised twice, each gets half" "$(lab-cgctl effective "$pid")" 16777216
	if with_systemd; then lab-cgctl apply "${other_top%/*}" memory.min 0; fi
	lab-cgctl apply "$other" memory.min 0
fi

# ---- systemd rewrites what it owns
if with_systemd; then
	kept() { for k in cpu.weight cpu.max memory.min; do read_knob "$pid" $k; done; v1 || for g in "${above[@]}"; do read_knob "$g" memory.min; done; }
	want=$(kept)
	systemctl daemon-reload
	is "all values survive daemon-reload" "$(kept)" "$want"
	systemctl set-property --runtime "$(basename "${above[0]:-machine.slice}")" TasksMax=16000
	is "all values survive somebody's set-property" "$(kept)" "$want"
	check "a unit that is not there has a plain answer" \
		says "has gone" lab-cgctl apply /none.slice memory.min 0
fi

# ---- a vCPU is plugged in
sed "s/<vcpu>2/<vcpu current='1'>2/; s/web1/web3/g" /run/lab/guests/web1/domain.xml >/run/web3.xml
mkdir -p /run/lab/guests/web3
cp /run/lab/guests/web1/disk.img /run/lab/guests/web3/
if virsh -q create /run/web3.xml >/run/web3.out 2>&1; then
	plug=$(cat /run/libvirt/qemu/web3.pid)
	round "a cap on one vCPU" "$plug" cpu.max "30000 100000"
	if virsh -q setvcpus web3 2 --live >/run/web3.out 2>&1; then
		check "a new vCPU shows as drift" fails test "$(read_knob "$plug" cpu.max)" = "30000 100000"
		check "but not as no cap at all" fails says max lab-cgctl read "$plug" cpu.max
		round "a cap on both" "$plug" cpu.max "60000 100000"
	else
		skip "vCPU hot-plug" "$(tail -n 1 /run/web3.out)"
	fi
	virsh -q destroy web3
else
	not_ok "a guest with a free vCPU slot starts: $(cat /run/web3.out)"
fi

# ---- the baseline again
round "weight back" "$pid" cpu.weight 100
round "quota back" "$pid" cpu.max "max 100000"
round "swap back" "$pid" memory.swap.max max
if v1; then
	round "soft limit back" "$pid" memory.min max
else
	round "memory.low back" "$pid" memory.low 0
	round "memory.min back" "$pid" memory.min 0
	for ((i = ${#above[@]} - 1; i >= 0; i--)); do round "memory.min of ${above[i]} back" "${above[i]}" memory.min 0; done
fi
values >/run/after
check "every file is as before" diff /run/before /run/after

# ---- a guest goes away under our hands
lab-cgctl follow "$pid" >/run/follow.out 2>&1 &
follow=$!
until_true 10 grep -q following /run/follow.out
kill -9 "$pid"
wait $follow
is "a guest that dies while it is written to ends quietly" $? 0
note "$(tail -n 1 /run/follow.out)"
until_true 10 fails says running virsh -q domstate web1
is "nothing is left of it" "$(find /sys/fs/cgroup -name '*web1*' | wc -l)" 0

# ---- findings
if v1; then
	check "v1's limits are told" says "cannot protect memory" lab-cgctl probe
else
	is "a good host has no findings" "$(lab-cgctl probe | grep -vc '^info')" 0
fi
exit 0
