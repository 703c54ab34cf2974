#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The libvirt adapter on real guests: events, hot-plug, class, pins; libvirtd killed and stopped.
. "$(dirname "$0")/lib.sh"

command -v lab-virtctl >/dev/null || { skip "the libvirt adapter" "lab-virtctl is not built"; exit 0; }

out=/run/virtctl.out
mkfifo /run/virtctl.in
exec 7<>/run/virtctl.in
lab-virtctl <&7 >$out 2>&1 &
tool=$!
marked=1

say() { echo "$*" >&7; }
mark() { marked=$(($(wc -l <$out) + 1)); }
since() { tail -n +"$marked" $out; }
seen() { since | grep -qE -e "$1"; }

# expect NAME SECONDS REGEX: a line of the tool since the last mark
expect() {
	if until_true "$2" seen "$3"; then
		ok "$1"
	else
		not_ok "$1: no line /$3/ in $2 s"
		since | tail -n 8 | sed 's/^/#   /'
	fi
}

never() { # never NAME REGEX
	if seen "$2"; then not_ok "$1: $(since | grep -E -e "$2" | head -n 1)"; else ok "$1"; fi
}

start_libvirtd() {
	if [ "$LAB_INIT" = systemd ]; then
		systemctl start libvirtd
	else
		LD_PRELOAD=/lab/bin/lab-farewell.so libvirtd >>/lab/libvirtd.log 2>&1 </dev/null 7>&- &
	fi
}

libvirtd_pid() { pgrep -o -x libvirtd; }

affinity() { # affinity TID
	sed -n 's/^Cpus_allowed_list:\s*//p' "/proc/$1/status"
}

vcpu_tid() { # vcpu_tid GUEST N
	grep -l "^CPU $2/" /proc/"$(cat "/run/libvirt/qemu/$1.pid")"/task/*/comm | cut -d/ -f5
}

expect "it connects" 10 'state connected'
expect "no guests at first" 5 'inventory 0'

# ---- events
mark
lab-guest start a1 --vcpus 2 --nic br0 --class gold || exit 1
expect "a started guest appears with process, threads, class, group and NIC" 10 \
	'\+ a1 id=[0-9]+ pid=[1-9][0-9]* vcpus=2 threads=2 class=gold group=/[^ ]+ nic=vnet[0-9]+/[1-9]'
id=$(sed -n 's/.* + a1 id=\([0-9]*\) .*/\1/p' $out | tail -n 1)

mark
virsh -q metadata a1 --uri urn:qosd:1 --key qosd --live --config \
	--set "<qos class='silver'><set key='cpu.limit' value='50%'/></qos>" >/dev/null
expect "a class set with virsh metadata is seen" 5 "\\+ a1 id=$id .* class=silver .*cpu.limit=50%"

mark
say class a1 bronze
expect "a class set by the adapter" 5 'done [0-9]+ 0 '
expect "is seen as well, the override kept" 5 "\\+ a1 id=$id .* class=bronze .*cpu.limit=50%"
is "the running definition has it" \
	"$(virsh dumpxml a1 | grep -cE "<qosd:qos .*class=.bronze")" 1
is "the stored definition has it" \
	"$(virsh dumpxml --inactive a1 | grep -cE "<qosd:qos .*class=.bronze")" 1
mark
say class a1 -
expect "a class cleared" 5 "\\+ a1 id=$id .* class=- .*cpu.limit=50%"

mark
virsh -q suspend a1
sleep 0.5
never "a paused guest stays" '- a1'
virsh -q resume a1

# A guest with ACPI takes NICs while it runs.
sed -e 's/<name>a1</<name>a2</' -e 's/<features>/<features><acpi\/>/' -e 's/lab\/guests\/a1/lab\/guests\/a2/g' \
	-e "/<interface/,/<\/interface>/d" -e '/<qemu:commandline>/,/<\/qemu:commandline>/d' \
	/run/lab/guests/a1/domain.xml >/run/a2.xml
mkdir -p /run/lab/guests/a2
truncate -s 1M /run/lab/guests/a2/disk.img
mark
check "a second guest starts" virsh -q create /run/a2.xml
expect "and appears without a NIC" 10 '\+ a2 id=[0-9]+ pid=[1-9][0-9]* .* group=/[^ ]+$'
echo "<interface type='bridge'><source bridge='br0'/><model type='virtio'/><rom enabled='no'/></interface>" >/run/nic.xml
mark
check "a NIC is plugged in" virsh -q attach-device a2 /run/nic.xml --live
expect "and is seen with its index" 5 '\+ a2 .* nic=vnet[0-9]+/[1-9]'
never "the other guest is left alone" ' a1 '

# ---- pins
tid=$(vcpu_tid a1 1)
mark
say pin a1 1 1
expect "a vCPU is pinned" 5 'done [0-9]+ 0 '
say read a1 1
expect "and reads back" 5 'read a1 1 0 1$'
is "the kernel agrees" "$(affinity "$tid")" 1
is "libvirt agrees" "$(virsh vcpupin a1 1 | awk '$1 == 1 { print $2 }')" 1
mark
say pin a1 emulator 0
expect "the emulator is pinned" 5 'done [0-9]+ 0 '
say read a1 emulator
expect "and reads back" 5 'read a1 emulator 0 0$'
mark
say pin a1 1 0-1
expect "a pin is widened again" 5 'done [0-9]+ 0 '
is "in the kernel" "$(affinity "$tid")" 0-1
mark
say pin a1 1 900
expect "a CPU that is not there is refused with a sentence" 5 \
	'done [0-9]+ -[0-9]+ guest:a1/vcpu1: cannot be pinned to CPUs 900: .'
mark
say pin a1 7 0
expect "a vCPU that is not there is refused" 5 'done [0-9]+ -[0-9]+ guest:a1/vcpu7: cannot be pinned'
group=$(cgroup_of a1)
if [ -e "$group/cpuset.cpus" ]; then
	echo 0 >"$group/cpuset.cpus"
	mark
	say pin a1 1 1
	expect "a CPU outside of the group above is refused" 5 \
		'done [0-9]+ -[0-9]+ guest:a1/vcpu1: cannot be pinned to CPUs 1: .'
	echo 0-1 >"$group/cpuset.cpus"
fi

# ---- libvirtd killed
mark
kill -9 "$(libvirtd_pid)"
expect "libvirtd gone: reconnecting" 5 'state reconnecting'
mark
say pin a1 1 1
expect "pins are refused meanwhile" 5 'pin [0-9]+ -11 libvirt is not connected'
mark
start_libvirtd
expect "libvirtd back: connected" 30 'state connected'
expect "the inventory is published anew" 10 'inventory 2'
never "no guest came or went" '[-+] a[12] '
mark
virsh -q metadata a1 --uri urn:qosd:1 --key qosd --set "<qos class='gold'/>" >/dev/null
expect "events come again" 5 "\\+ a1 id=$id .* class=gold"

# ---- libvirtd stopped, shorter than keepalive waits
mark
kill -STOP "$(libvirtd_pid)"
t0=$(date +%s%N)
expect "a stopped libvirtd is hung" 6 'state hung'
within "within about 3 s" "$(calc "($(date +%s%N) - $t0) / 1e9")" 0 4.5
mark
say pin a1 1 1
expect "pins are refused while it hangs" 2 'pin [0-9]+ -11 libvirt does not answer'
say read a1 1
expect "reading needs no libvirt" 2 'read a1 1 0 '
kill -CONT "$(libvirtd_pid)"
expect "it answers again: connected" 5 'state connected'
never "without a new connection" 'state reconnecting'

# ---- and longer
mark
kill -STOP "$(libvirtd_pid)"
expect "hung again" 6 'state hung'
sleep 12
never "it stays hung after the connection broke" 'state (connected|reconnecting)'
mark
kill -CONT "$(libvirtd_pid)"
expect "it answers again: connected anew" 15 'state connected'
tell_of_libvirtd
never "no guest came or went" '[-+] a[12] '
mark
virsh -q metadata a1 --uri urn:qosd:1 --key qosd --set "<qos class='silver'/>" >/dev/null
expect "events come again" 5 "\\+ a1 id=$id .* class=silver"

# ---- guests go
mark
kill -9 "$(cat /run/libvirt/qemu/a2.pid)"
expect "a killed QEMU disappears" 10 '- a2 id='
mark
lab-guest stop a1
expect "a stopped guest disappears" 10 "- a1 id=$id"
expect "none are left" 10 'inventory 0'
lab-guest start a1 || exit 1
expect "a new start is a new incarnation" 10 '\+ a1 id=[0-9]+ '
if seen "\\+ a1 id=$id "; then not_ok "its id is new"; else ok "its id is new"; fi

# ---- the end, even then
kill -STOP "$(libvirtd_pid)"
sleep 4
say quit
if until_true 5 test ! -d "/proc/$tool"; then ok "it ends while libvirtd hangs"; else not_ok "it does not end"; fi
kill -CONT "$(libvirtd_pid)"
check "libvirtd lives" lab-guest stop a1

# A client that goes while one of its calls is answered makes libvirtd forget its events twice, and
# die of it now and then (t/lab/farewell.c). Ours has broken off once, and gone once, while it hung:
# six events each.
if [ "$LAB_INIT" != systemd ]; then
	# shellcheck disable=SC2317 # called by until_true
	forgotten() { [ "$(grep -c '^farewell' /lab/libvirtd.log)" -ge 12 ]; }
	check "libvirtd has forgotten our events" until_true 5 forgotten
	is "once each time" "$(grep -c '^farewell.* twice' /lab/libvirtd.log)" 0
	kill "$(libvirtd_pid)"
	until_true 20 no_libvirtd
fi
note "states: $(sed -n 's/^\([0-9.]*\) state /\1 /p' $out | tr '\n' ',')"
exit 0
