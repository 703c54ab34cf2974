#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# A host run by systemd: values that systemd owns are set through it and survive a daemon-reload;
# the unit with its sandbox can do all that qosd does.
. "$(dirname "$0")/lib.sh"
write_conf

lab-guest start silver1 --nic br0 --load cpu
lab-guest start bronze1 --load cpu
lab-guest start gold1 --load idle
# The snapshot without gold1, which is started a second time.
others() {
	snapshot | grep -v -e gold1 -e "^/proc/$(cat /run/libvirt/qemu/gold1.pid)/"
}
others >/run/before
start_qosd || exit 1
until_true 15 settled
is "qosd runs as a unit" "$(systemctl is-active qosd.service)" active
settles "weights 4:1 between scopes" 3.6 4.4 cpu_ratio 10 silver1 bronze1

scope=$(dirname "$(cgroup_of gold1)")
reserved=$(((64 + 32) * 1048576))
is "the scope has the weight" "$(cat "$(dirname "$(cgroup_of silver1)")/cpu.weight")" 400
is "the scope's memory.min" "$(cat "$scope/memory.min")" $reserved
is "machine.slice's memory.min is the sum" "$(cat /sys/fs/cgroup/machine.slice/memory.min)" $reserved
is "the effective minimum is the whole reservation" "$(listed gold1 .memory.effective_bytes)" $reserved
snapshot >/run/enforced
systemctl daemon-reload
sleep 1
snapshot >/run/reloaded
check "daemon-reload changes no value" diff /run/enforced /run/reloaded
is "nobody is degraded" "$($qosctl --json status | jq .degraded)" 0
is "the NIC is shaped from within the sandbox" "$(listed silver1 '.net[0].in_limit_bps')" 20000000
is "in both directions" "$( (tc filter show dev "$(tap_of silver1)" egress; ls /sys/fs/bpf/qosd/links 2>/dev/null) | grep -cE "qosd:in|-in$") $(
	ip -o link show type ifb | grep -c qosd-ifb)" "1 1"

lab-guest stop gold1
until_true 15 settled
sleep 2
is "machine.slice protects nothing when the guest has gone" "$(cat /sys/fs/cgroup/machine.slice/memory.min)" 0
lab-guest start gold1 --load idle
until_true 15 settled

check "release" "$qosctl" release
sleep 1
others >/run/released
check "every value is as before qosd ever ran" diff /run/before /run/released
lab-qosd stop

# ---- the unit as it is installed, without the lab's changes
rm -rf /run/systemd/system/qosd.service.d
cp "$conf" /etc/qosd/qosd.conf
systemctl daemon-reload
check "the unit starts" systemctl start qosd.service
"$qosctl" mode enforce >/dev/null
check "and settles" until_true 20 settled
is "with four capabilities: net_admin, sys_resource, perfmon, bpf" \
	"$(sed -n 's/^CapEff:\s*//p' "/proc/$(systemctl show -P MainPID qosd.service)/status")" 000000c001001000
is "the watchdog is set" "$(systemctl show -P WatchdogUSec qosd.service)" 30s
check "systemctl reload" systemctl reload qosd.service
sed -i '1s/^/bogus = 3;\n/' /etc/qosd/qosd.conf
check "fails with a broken policy" fails systemctl reload qosd.service
check "and the journal names the line" sh -c "journalctl -q -u qosd.service | grep 'qosd.conf:1: bogus'"
sed -i 1d /etc/qosd/qosd.conf
is "while qosd goes on" "$(systemctl is-active qosd.service)" active
snapshot >/run/enforced
systemctl kill -s KILL qosd.service
restarted() { [ "$(systemctl show -P NRestarts qosd.service)" = 1 ] && settled; }
check "killed, it is started again" until_true 30 restarted
snapshot >/run/restarted
check "and nothing has changed" diff /run/enforced /run/restarted
locked_kb() { sed -n 's/^VmLck:\s*\([0-9]*\) kB/\1/p' "/proc/$(systemctl show -P MainPID qosd.service)/status"; }
within "what qosd uses stays in memory (kB locked)" "$(locked_kb)" 1000 1000000
note "$(systemd-analyze security --no-pager qosd.service | tail -n 1)"

# ---- with the drop-in for Ceph
install -D -m 644 "$LAB_TOP/etc/qosd-ceph.conf" /run/systemd/system/qosd.service.d/ceph.conf
systemctl daemon-reload
check "with what Ceph needs the unit starts" systemctl restart qosd.service
check "and settles again" until_true 20 settled
is "with dac_override, too" \
	"$(sed -n 's/^CapEff:\s*//p' "/proc/$(systemctl show -P MainPID qosd.service)/status")" 000000c001001002
is "and with the internet's protocols" "$(systemctl show -P RestrictAddressFamilies qosd.service | tr ' ' '\n' |
	sort | xargs) $(systemctl show -P IPAddressDeny qosd.service)" "AF_INET AF_INET6 AF_NETLINK AF_UNIX "
rm -r /run/systemd/system/qosd.service.d
systemctl daemon-reload
systemctl restart qosd.service
until_true 20 settled

# ---- the exporter's unit in its sandbox
check "the exporter's unit starts" systemctl start qos-exporter.service
check "it serves" until_true 10 scrape
is "it may read" "$(metric qosd_up)" 1
is "it tells of all guests" "$(grep -c '^qosd_guest_info' /run/page)" 3
is "and their limits" "$(metric "qosd_guest_net_limit_bytes_per_second{guest=\"silver1\",device=\"$(
	tap_of silver1)\",direction=\"in\"}")" 2500000
pid=$(systemctl show -P MainPID qos-exporter.service)
is "it is not root and has no capability" \
	"$(awk '/^Uid:/ { print ($2 > 0) } /^Cap(Eff|Prm|Bnd):/ { print $2 }' "/proc/$pid/status" | xargs)" \
	"1 0000000000000000 0000000000000000 0000000000000000"
note "$(systemd-analyze security --no-pager qos-exporter.service | tail -n 1)"
systemctl stop qosd.service
sleep 1.1
check "it goes on without qosd" scrape
is "and says so" "$(metric qosd_up)" 0
systemctl stop qos-exporter.service
