#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# NICs of all kinds under libvirt: several queues, hot-plugged, macvtap, renamed, one that nothing on
# the host can limit; and the operator's `host.shaper`: HTB in place of eBPF, and back.
. "$(dirname "$0")/lib.sh"

# Needs LAB_CLOCK=virtual, as main-net.sh.
build=
for dir in ${QOSD_BUILD:+"$QOSD_BUILD"} "$LAB_TOP/build" "$LAB_TOP"; do
	[ ! -x "$dir/t/unit/test_net_htb" ] || { build=$dir; break; }
done

# A unit test with real packets, on this kernel.
packets() { # PROGRAM
	local status
	[ -n "$build" ] || { skip "$1 on $(uname -r)" "not built"; return; }
	"$build/t/unit/$1" >/run/packets 2>&1
	status=$?
	sed -n 's/^    \([a-z(]\)/#   \1/p' /run/packets
	case $status in
	0) ok "$1 on $(uname -r)" ;;
	77) skip "$1 on $(uname -r)" "$(head -n 1 /run/packets)" ;;
	*)
		not_ok "$1 on $(uname -r)"
		grep -E '^ +[0-9]+\.|had failures|got ' /run/packets | head -n 20 | sed 's/^/# /'
		;;
	esac
}

attach() { # NAME XML: one more NIC for silver1
	printf '%s\n' "$2" >/run/nic.xml
	check "libvirt plugs in $1" virsh -q attach-device silver1 /run/nic.xml
}

nics() { # FILTER: of jq, over silver1's list of NICs
	$qosctl --json list | jq -r ".guests[] | select(.name == \"silver1\") | .net | $1"
}

nic_is() { # NAME FILTER WANTED: within 20 s
	until_true 20 sh -c "[ \"\$($qosctl --json list | jq -r '.guests[] | select(.name == \"silver1\") | .net | $2')\" = '$3' ]"
	is "$1" "$(nics "$2")" "$3"
}

bursts() { # of all NICs of silver1, as the kernel has them
	$qosctl --json explain silver1 |
		jq -r '[.knobs[] | select(.knob == "net.burst") | .actual] | unique | join(" ")'
}

# shellcheck disable=SC2317 # called by until_true
no_bursts() {
	[ -z "$(bursts)" ]
}

# shellcheck disable=SC2317 # called by until_true
have_bursts() {
	[ "$(bursts)" = 50000 ]
}

# A class with a burst and without one again.
check_burst() { # NAME
	sed -i 's/limit = "20Mbit"; }/limit = "20Mbit"; burst = "50ms"; }/' "$conf"
	check "$1: a burst for the class" "$qosctl" reload
	check "$1: its NICs have it" until_true 20 have_bursts
	sed -i 's/ burst = "50ms";//' "$conf"
	check "$1: and none" "$qosctl" reload
	check "$1: it is given back and forgotten" until_true 20 no_bursts
	is "$1: nobody is degraded" "$($qosctl --json status | jq .degraded)" 0
}

# Goodput through the guest's first tap within 1 % of 20 Mbit/s of layer 2 (TCP: and at least 95 %).
measure() { # NAME tcp|udp in|out
	local args=(--seconds 4 --warm-up-ms 1500) low=19 high got
	high=$(calc "20 * 1448 / 1514 * 1.01")
	if [ "$2" = udp ]; then
		args=(--seconds 2 --warm-up-ms 500 --udp --offered 24000000)
		low=$(calc "20 * 1400 / 1442 * 0.99")
		high=$(calc "20 * 1400 / 1442 * 1.01")
	fi
	got=$(lab-net rate silver1 "$3" "${args[@]}")
	within "$1, $2 $3: goodput in Mbit/s" "$(calc "$got / 1e6")" "$low" "$high"
}

kinds() { # the qdiscs of all devices without handles
	tc qdisc show | sed 's/^\(qdisc [a-z_]*\) [0-9a-f]*:/\1/; s/ refcnt [0-9]*//' | sort
}

packets test_net_htb
packets test_net_survive
packets test_net_hostcount
packets test_net_count

# ---- kinds ----
write_conf
modprobe -a macvtap tun sch_htb sch_fq_codel 2>/dev/null
ip link add low0 type veth peer name far0
ip link set low0 up
ip link set far0 up
lab-guest start silver1 --nic br0 --load idle
start_qosd
nic_is "a tap on a bridge is limited" '.[0] | "\(.in_shaper) \(.out_shaper) \(.in_limit_bps)"' "edt edt 20000000"
attach "a NIC with two queues" "<interface type='bridge'><source bridge='br0'/>
	<model type='virtio'/><driver name='qemu' queues='2'/><rom enabled='no'/></interface>"
nic_is "it is limited" '.[1] | "\(.in_shaper) \(.out_shaper) \(.out_limit_bps)"' "edt edt 20000000"
tap=$(nics '.[1].device')
# (The kernel shows as many queues as the guest has taken into use.)
is "it is a tap of several queues" $(($(<"/sys/class/net/$tap/tun_flags") & 0x100)) 256
attach "a macvtap" "<interface type='direct'><source dev='low0' mode='bridge'/>
	<model type='virtio'/><rom enabled='no'/></interface>"
nic_is "it is limited" '.[2] | "\(.in_shaper) \(.out_shaper) \(.in_limit_bps) \(.out_limit_bps)"' \
	"edt edt 20000000 20000000"
attach "a user-mode NIC" "<interface type='user'><model type='virtio'/><rom enabled='no'/></interface>"
nic_is "it is not, and the reason is told" '.[3] | "\(.in_limit_bps) \(.unshaped[0:11])"' "null QEMU itself"
case $($qosctl doctor) in
*"guest silver1: NIC "*"cannot be limited: QEMU itself"*) ok "doctor tells it too" ;;
*) not_ok "doctor tells nothing of the user-mode NIC" ;;
esac

check_burst eBPF
is "what every limit keeps is in force again" \
	"$(bpftool -j map dump pinned /sys/fs/bpf/qosd/v3/cfg | jq '[.[].formatted.value | select(.rate_bps > 0) | .burst_ns] | unique | @text' -r)" "[5000000]"

# ---- renamed: the index is what names a device ----
ip link set "$tap" down
ip link set "$tap" name renamed0
ip link set renamed0 up
tc qdisc del dev renamed0 root
check "a renamed tap is repaired" until_true 20 sh -c "tc qdisc show dev renamed0 | grep -q 'fq 7105:'"
nic_is "and still limited" '.[1] | "\(.in_shaper) \(.out_shaper)"' "edt edt"
lab-qosd kill
start_qosd
nic_is "and after a start that knows nothing of it" '.[1] | "\(.in_shaper) \(.out_shaper)"' "edt edt"
check "a new class" "$qosctl" class silver1 bronze
nic_is "reaches it" '.[1].in_limit_bps' "10000000"
check "and the one of before" "$qosctl" class silver1 silver
ip link set renamed0 down
ip link set renamed0 name "$tap"
ip link set "$tap" up
virsh -q detach-interface silver1 direct >/dev/null 2>&1

# ---- HTB by the operator's word ----
sed -i 's/host = { /host = { shaper = "htb"; /' "$conf"
check "host.shaper = htb" "$qosctl" reload
nic_is "the limit has moved to HTB" '.[0] | "\(.in_shaper) \(.out_shaper) \(.in_limit_bps)"' "htb htb 20000000"
is "with fq_codel below" "$(tc qdisc show dev "$(tap_of silver1)" | grep -c 'fq_codel 7106:')" 1
check_burst HTB
is "HTB's class is as before" "$(tc class show dev "$(tap_of silver1)" | grep -o ' burst [^ ]*')" " burst 12500b"
for protocol in tcp udp; do
	measure HTB $protocol in
	measure HTB $protocol out
done
lab-qosd kill
tc qdisc show >/run/before
start_qosd
tc qdisc show | diff /run/before - >/run/difference
is "a kill -9 and a new start change nothing" "$(cat /run/difference)" ""
nic_is "and the limit is known" '.[0] | "\(.in_shaper) \(.out_limit_bps)"' "htb 20000000"
sed -i 's/shaper = "htb"; //' "$conf"
check "host.shaper = auto" "$qosctl" reload
nic_is "what is in force stays" '.[0].in_shaper' "htb"
check "release" "$qosctl" release silver1
check "nothing of it is left" sh -c "! tc qdisc show | grep -q 7105: && ! ip link show type ifb | grep -q qosd"
lab-guest stop silver1
lab-qosd stop
ip link del low0
