#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The sensor on real guests: what it says of them is what they got, by either source of vCPU times,
# and the kernel wakes who waits for a trigger. Any kernel, init and cgroup version.
. "$(dirname "$0")/lib.sh"

command -v lab-sensorctl >/dev/null || { skip "the sensor" "lab-sensorctl is not built"; exit 0; }

field() { # field FILE NAME.FIELD
	awk -v f="$2" '$1 == f { print $2 }' "$1"
}

stats() { # stats FILE: of all guests
	local g
	for g in web1 web2 capped; do lab-guest stat "$g" >"$1.$g"; done
}

# Counters only grow: what was read in between lies in between. Their file is in us.
between() { # between NAME FILE GUEST FIELD JQ-FIELD
	local low high
	low=$(jq -r ".$5 * 1e6 | floor" "/run/before.$3")
	high=$(jq -r ".$5 * 1e6 | ceil" "/run/after.$3")
	within "$1 of $3" "$(calc "$(field "$2" "$3.$4") / 1000")" "$low" "$high"
}

lab-guest start web1 --vcpus 2 --nic br0 --load cpu || exit 1
lab-guest start web2 --load cpu || exit 1
lab-guest start capped --vcpus 2 --load cpu || exit 1
capped=$(cat /run/libvirt/qemu/capped.pid)
check "a cap" lab-cgctl apply "$capped" cpu.max "30000 100000"
sleep 3

# ---- vCPU times
for source in iterator schedstat; do
	stats /run/before
	check "a sample by $source" eval "lab-sensorctl $source web1 web2 capped >/run/$source"
	stats /run/after
	for g in web1 web2 capped; do
		between "$source: CPU time" /run/$source $g run_ns cpu_seconds
		between "$source: waiting" /run/$source $g wait_ns wait_seconds
	done
	within "$source: who has a cap is throttled" "$(field /run/$source capped.throttled)" 5 1000000
	is "$source: who has none is not" "$(field /run/$source web1.throttled)" 0
done

# Guests that are paused: both see the same to the nanosecond.
for g in web1 web2 capped; do virsh -q suspend $g; done
sleep 1
lab-sensorctl iterator web1 web2 capped >/run/iterator
lab-sensorctl schedstat web1 web2 capped >/run/schedstat
same() { grep -E '\.(run_ns|wait_ns|throttled) ' "$1"; }
is "paused, either source says the same" "$(same /run/iterator)" "$(same /run/schedstat)"
# Its emulator goes on, so memory may move a little.
used=$(lab-cgctl usage "$(cat /run/libvirt/qemu/web2.pid)" | sed -n 's/^memory_bytes //p')
within "memory of the guest's group" "$(field /run/iterator web2.memory_bytes)" \
	$((used - 2097152)) $((used + 2097152))
for g in web1 web2 capped; do virsh -q resume $g; done

# ---- pressure, networks
if [ "$LAB_CGROUP" = v2 ]; then
	within "stalls for memory are known" "$(field /run/iterator web1.memory_stall_us)" 0 1e9
	within "stalls for disks are known" "$(field /run/iterator web1.disk_stall_us)" 0 1e9
else
	is "stalls are not known" "$(field /run/iterator web1.memory_stall_us)" unknown
fi
now=$(sed -n 's/^some.*total=//p' /proc/pressure/cpu)
within "the host's pressure on CPUs" "$(field /run/iterator psi.cpu)" 1 "$now"
is "the host's memory" "$(field /run/iterator memory.total)" \
	"$(($(sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo) * 1024))"
lab-cgctl apply "$capped" cpu.max "max 100000" # it would answer too late
for g in web1 web2 capped; do lab-guest load $g idle; done
tap=$(tap_of web1)
UPLINKS="br0 nothing0" lab-sensorctl iterator web1 >/run/first
got_mbit=$(lab-net rate web1 in --seconds 2)
note "a stream to the guest: $got_mbit"
UPLINKS="br0 nothing0" lab-sensorctl iterator web1 >/run/second
moved=$(($(field /run/second web1.in_bytes) - $(field /run/first web1.in_bytes)))
back=$(($(field /run/second web1.out_bytes) - $(field /run/first web1.out_bytes)))
within "bytes towards the guest are in" "$moved" 1000000 1e12
within "what it answers is out, and far less" "$(calc "$back / $moved")" 0 0.3
within "as many as its tap counts" "$(cat "/sys/class/net/$tap/statistics/tx_bytes")" \
	"$(field /run/second web1.in_bytes)" "$(($(field /run/second web1.in_bytes) + 100000))"
within "an uplink's counters" "$(field /run/second br0.in_bytes)" 1 1e12
is "an uplink that is not there" "$(field /run/second nothing0.in_bytes)" unknown

# ---- triggers
lab-sensorctl trigger memory 2 >/run/trigger
is "a calm host wakes nobody" "$(tail -n 1 /run/trigger)" quiet
lab-sensorctl trigger cpu 20 >/run/trigger &
waiting=$!
until_true 10 grep -q armed /run/trigger
for g in web1 web2; do lab-guest load $g cpu; done
check "more load than CPUs fires the trigger" wait "$waiting"
note "$(tail -n 1 /run/trigger)"

# ---- what it says of itself, and costs
lab-sensorctl probe web1 web2 capped >/run/probe
sed 's/^/# /' /run/probe
check "doctor tells the source" grep -q 'vCPU times' /run/probe
check "the triggers are there" fails grep -q 'no trigger' /run/probe
for g in web1 web2; do lab-guest load $g idle; done
lab-sensorctl cost 3 web1 web2 capped | sed 's/^/# /'
