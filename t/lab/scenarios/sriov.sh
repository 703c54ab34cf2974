#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A virtual function (SR-IOV) that a guest drives itself: its card limits what the guest sends, for
# qosd by the real igb driver on an emulated Intel 82576; libvirt passes the function through (VFIO
# with an emulated IOMMU). Needs LAB_SRIOV=1.
#
# What is seen is the rate that the driver keeps and tells. Nothing is seen of packets: the emulation
# ignores the card's rate registers, and the lab's guests have no driver for the function.
. "$(dirname "$0")/lib.sh"

if [ "${LAB_SRIOV:-}" != 1 ]; then
	skip "rates of virtual functions" "this lab host has no such card; LAB_SRIOV=1 gives it one"
	exit 0
fi

rate() { # VF: Mbit/s that the kernel tells of, "none" without
	ip link show "$card" |
		sed -n "s/^ *vf $1 .*max_tx_rate \([0-9]*\)Mbps.*/\1/p; t; s/^ *vf $1 .*/none/p"
}

rate_is() { # NAME VF WANTED: within 40 s, which are four drift checks
	local end=$((SECONDS + 40))
	until [ "$(rate "$2")" = "$3" ] || [ $SECONDS -ge $end ]; do nap 0.2; done
	is "$1" "$(rate "$2")" "$3"
}

nic() { # FILTER: of jq, over silver1's NIC
	listed silver1 ".net[0] | $1"
}

start_guest() {
	lab-guest start silver1 --memory 64 --load idle --xml "<devices><interface
		type='hostdev' managed='yes'><mac address='52:54:00:76:66:11'/><source><address type='pci'
		domain='0x$domain' bus='0x$bus' slot='0x$slot' function='0x$function'/></source></interface>
		</devices>"
}

# ---- a card with two functions; somebody holds them to rates already ----
modprobe -a igb vfio-pci vfio_iommu_type1
card=$(basename /sys/bus/pci/drivers/igb/*/net/*)
device=/sys/class/net/$card/device
check "the card has a driver" test -e "$device/sriov_numvfs"
echo 2 >"$device/sriov_numvfs"
# igb takes rates only while its link is up, with a known speed.
ip link set "$card" up
check "its link is up" until_true 30 sh -c "[ \"\$(cat /sys/class/net/$card/speed)\" = 1000 ]"
is "and two virtual functions" "$(cat "$device/sriov_numvfs")" 2
IFS=:. read -r domain bus slot function < <(basename "$(readlink "$device/virtfn1")")
ip link set "$card" vf 0 max_tx_rate 55
ip link set "$card" vf 1 max_tx_rate 300
is "its driver takes rates" "$(rate 0) $(rate 1)" "55 300"

# ---- observe: the plan tells, and nothing is written ----
write_conf
check "a guest starts with function 1" start_guest
sed 's/mode = "enforce"/mode = "observe"/' "$conf" >/run/observe.conf
conf=/run/observe.conf traced_start /run/observe.trace
is "observe: the rate is as found" "$(rate 1)" 300
is "observe: the plan tells of a limit" \
	"$($qosctl --json plan | jq -r '.changes[] | select(.knob == "net.out") | "\(.target) \(.from) \(.to)"')" \
	"guest:silver1/$card/vf1 300000000 20000000"
sleep 12 # a drift check
lab-qosd stop
is "observe: nothing is written to the host" "$(host_writes /run/observe.trace)" ""
is "observe: the rate is as found" "$(rate 0) $(rate 1)" "55 300"

# ---- enforce ----
start_qosd
rate_is "the class's limit is the card's rate" 1 20
is "list: the card's shaper, in one direction" \
	"$(nic '"\(.device) \(.out_shaper) \(.out_limit_bps) \(.in_shaper) \(.in_limit_bps) \(.unshaped)"')" \
	"$card/vf1 vf 20000000 null null null"
is "list: why not in the other" "$(nic .in_unshaped)" \
	"the card limits only what a virtual function sends"
case $($qosctl doctor) in
*"guest silver1: NIC $card/vf1 cannot be limited towards the guest"*) ok "doctor tells it too" ;;
*) not_ok "doctor tells nothing of the direction towards the guest" ;;
esac
$qosctl list | grep -F "$card/vf1" | sed 's/^/#   /'
ip link show "$card" | sed -n 's/^ *\(vf .*\)/#   \1/p'
$qosctl class silver1 bronze >/dev/null
rate_is "another class, another rate" 1 10
sed -i 's/classes = (/classes = ( { name = "odd"; rank = 2; net = { out_limit = "1500kbit"; }; },\n\
	{ name = "free"; rank = 2; }, { name = "fast"; rank = 2; net = { limit = "2Gbit"; }; },/' "$conf"
check "three more classes" "$qosctl" reload
$qosctl class silver1 odd >/dev/null
rate_is "1.5 Mbit/s are one for the card" 1 1
sleep 12
is "which is no drift" "$($qosctl --json status | jq .repaired) $($qosctl --json plan | jq '.changes | length')" "0 0"
case $($qosctl explain silver1) in
*"by the card in whole Mbit/s, at least one: 1Mbit"*) ok "explain tells of it" ;;
*) not_ok "explain says nothing of whole Mbit/s" ;;
esac
$qosctl class silver1 free >/dev/null
rate_is "a class without a limit: the rate of before" 1 300
$qosctl class silver1 fast >/dev/null
until_true 20 sh -c "$qosctl --json list | jq -e '.guests[0].degraded'"
is "more than the card's link is refused, and told" \
	"$(listed silver1 .degraded | grep -c 'set a rate of 2000 Mbit/s for virtual function 1')" 1
is "the rate stays" "$(rate 1)" 300
$qosctl class silver1 --clear >/dev/null
rate_is "a rate that it takes" 1 20

# ---- drift, restart, release ----
ip link set "$card" vf 1 max_tx_rate 0
rate_is "what somebody takes away comes back" 1 20
until_true 5 sh -c "[ \"\$($qosctl --json status | jq .repaired)\" = 1 ]"
is "and is counted" "$($qosctl --json status | jq .repaired)" 1
lab-qosd kill
start_qosd
is "kill -9 and a new start: the rate is known" "$(nic '"\(.out_shaper) \(.out_limit_bps)"') $(rate 1)" "vf 20000000 20"
check "release" "$qosctl" release silver1
rate_is "gives the rate of before back" 1 300
lab-guest stop silver1
check "the guest starts anew" start_guest
rate_is "and is limited" 1 20
lab-guest stop silver1
rate_is "it stops: its rate does not stay with the card" 1 300
check "the guest starts again" start_guest
rate_is "and is limited" 1 20
lab-qosd kill
lab-guest stop silver1
start_qosd
rate_is "it stopped while no daemon ran: the same" 1 300
check "the guest starts once more" start_guest
rate_is "and is limited" 1 20
lab-qosd kill
lab-guest stop silver1
sed -i 's/mode = "enforce"/mode = "observe"/' "$conf"
start_qosd
sleep 32
is "it stopped while no daemon ran, and observe gives nothing back" "$(rate 1)" 20
check "release does" "$qosctl" release
rate_is "the rate of before" 1 300
is "the other function is never touched" "$(rate 0)" 55
lab-qosd stop
echo 0 >"$device/sriov_numvfs"
