#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The hook: admission that virsh shows, failing open, and never in the way of a running guest.
# shellcheck disable=SC2119,SC2317 # functions without arguments; called by check and ms
. "$(dirname "$0")/lib.sh"

hook=/etc/libvirt/hooks/qemu.d/50-qosd
[ -x $hook ] || { skip "the hook" "it is not installed"; exit 0; }

write_conf
# Two classes that own their memory: one whose guests start even when they do not fit.
sed -i 's/classes = (/classes = (\
	{ name = "solid"; rank = 0; memory = { reservation = "100%"; }; },\
	{ name = "easy"; rank = 0; admission = "degrade"; memory = { reservation = "100%"; }; },/' $conf

restart_libvirtd() {
	if [ "$LAB_INIT" = systemd ]; then
		systemctl restart libvirtd
	else
		pkill -x libvirtd
		until_true 20 no_libvirtd
		libvirtd >>/lab/libvirtd.log 2>&1 </dev/null &
	fi
	until_true 30 virsh -q list
}

running() { virsh -q domstate "$1" | grep -q running; }

pid_of() { cat "/run/libvirt/qemu/$1.pid"; }

# ms COMMAND...: how long it took, in milliseconds
ms() {
	local t0
	t0=$(date +%s%N)
	"$@" >/dev/null 2>&1
	echo $((($(date +%s%N) - t0) / 1000000))
}

shortest() { for _ in 1 2 3; do ms "$@"; done | sort -n | head -n 1; }

run_hook() { $hook web1 prepare begin - </run/lab/guests/silver1/domain.xml; }

# ---- no daemon
check "without a daemon guests start" lab-guest start silver1 --kind light
check "the hook fails open" run_hook

# ---- with one
start_qosd || exit 1
check "a guest that fits starts" lab-guest start solid1 --kind light --class solid
domains=$(virsh -q list --all | wc -l)
refusal=$(lab-guest start solid2 --kind light --class solid --memory 3000 2>&1)
is "a guest that does not fit is refused" $? 1
note "virsh said: $refusal"
is "with qosd's sentence" "$(grep -cE 'qosd: .*(memory|RAM)' <<<"$refusal")" 1
is "nothing is left of it" "$(virsh -q list --all | wc -l)" "$domains"
refusal=$(lab-guest start easy1 --kind light --class easy --memory 1900 2>&1)
is "admission = degrade never refuses${refusal:+: $refusal}" $? 0
lab-guest stop easy1
check "what was refused is not counted: another that fits" lab-guest start solid3 --kind light --class solid

# ---- a daemon that hangs
kill -STOP "$(pgrep -o -x qosd)"
# Starting a process takes long in the lab: what counts is the wait, and the shortest of three.
absent=$(QOSD_SOCKET=/nonexistent shortest run_hook)
within "a hanging daemon costs the hook at most 500 ms" "$(($(shortest run_hook) - absent))" 0 500
check "and the hook fails open" run_hook
lab-guest stop solid3
check "guests start all the same" lab-guest start solid3 --kind light --class solid
kill -CONT "$(pgrep -o -x qosd)"

# ---- reconnect: libvirt would kill the guest if the hook failed
pid=$(pid_of solid1)
restart_libvirtd
check "after a restart of libvirtd the guest runs" running solid1
is "as the same process" "$(pid_of solid1)" "$pid"
exit 0
