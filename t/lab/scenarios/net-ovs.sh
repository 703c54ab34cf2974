#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A tap on Open vSwitch: limited like any other; what ovs-vswitchd takes away when it starts comes
# back; its own QoS on the port is left alone and named. LAB_OVS=DIR: Debian's packages openvswitch-
# switch, openvswitch-common and libxdp1 unpacked there, where they are not installed.
. "$(dirname "$0")/lib.sh"
# shellcheck source=t/lab/scenarios/net-topology.bash
. "$LAB_TOP/t/lab/scenarios/net-topology.bash"

[ -z "${LAB_OVS-}" ] || cp -rsn "$LAB_OVS/." / 2>/dev/null
export PATH=$PATH:/usr/lib/openvswitch-switch:/usr/share/openvswitch/scripts
if ! command -v ovs-vswitchd >/dev/null || ! modprobe openvswitch 2>/dev/null; then
	skip "Open vSwitch" "needs the package openvswitch-switch, and openvswitch in the kernel"
	exit 0
fi

start_switch() {
	ovs-vswitchd --detach --no-chdir --pidfile --log-file=/run/vswitchd.log 2>/dev/null
}

stop_switch() {
	kill "$(cat /run/openvswitch/ovs-vswitchd.pid)"
	until_true 10 sh -c '! pgrep -x ovs-vswitchd'
}

reads() { # NAME WANTED: of tap1, within 20 tries
	local i got
	for ((i = 0; i < 20; i++)); do
		got=$(lab-netctl read tap1)
		[ "$got" != "tap1 $2" ] || break
		sleep 0.2
	done
	is "$1" "$got" "tap1 $2"
}

limit() {
	lab-netctl set tap1 in 20000000 , set tap1 out 20000000 2>&1
}

measure() { # in|out
	local got
	got=$(rate "$1" 1 --seconds 2 --warm-up-ms 500 --udp --offered 24000000)
	within "$1 through Open vSwitch: goodput in Mbit/s" "$(calc "$got / 1e6")" \
		"$(calc "20 * 1400 / 1442 * 0.99")" "$(calc "20 * 1400 / 1442 * 1.01")"
}

mkdir -p /run/openvswitch
ovsdb-tool create /run/ovs.db "$(find /usr/share/openvswitch/ -name vswitch.ovsschema)"
ovsdb-server /run/ovs.db --remote=punix:/run/openvswitch/db.sock --detach --no-chdir --pidfile 2>/dev/null
ovs-vsctl --no-wait init
start_switch
check "a bridge of Open vSwitch" ovs-vsctl --timeout=30 add-br ovs0
ip link set ovs0 up
topology 1
for port in tap1 up0; do
	ip link set "$port" nomaster
	check "$port is its port" ovs-vsctl --timeout=30 add-port ovs0 "$port"
done

is "the tap is limited" "$(limit)" ""
reads "and reads so" "in 20000000 out 20000000"
measure in
measure out
note "$(tc qdisc show dev tap1 | tr '\n' ';')"

stop_switch
start_switch
check "a new ovs-vswitchd is up" ovs-vsctl --timeout=30 show
sleep 2
note "after its start: $(tc qdisc show dev tap1 | tr '\n' ';')"
is "what it took away is put back" "$(limit)" ""
reads "and holds" "in 20000000 out 20000000"

lab-netctl set tap1 in max , set tap1 out max
check "Open vSwitch's own QoS on the port" ovs-vsctl --timeout=30 set port tap1 qos=@q -- \
	--id=@q create qos type=linux-htb other-config:max-rate=5000000
until_true 10 sh -c "tc qdisc show dev tap1 | grep -q 'htb 1:'"
tc qdisc show dev tap1 >/run/before
text=$(limit)
case $text in
*"ovs-vsctl clear Port tap1 qos"*) ok "it is not fought, and the command is told" ;;
*) not_ok "it said: $text" ;;
esac
is "it stands as it was" "$(tc qdisc show dev tap1 | grep -c 'htb 1:')" 1
check "that command" ovs-vsctl --timeout=30 clear Port tap1 qos
until_true 10 sh -c "! tc qdisc show dev tap1 | grep -q 'htb 1:'"
is "helps" "$(limit)" ""
reads "and the limit holds" "in 20000000 out 20000000"
lab-netctl set tap1 in max , set tap1 out max
stop_switch
kill "$(cat /run/openvswitch/ovsdb-server.pid)"
