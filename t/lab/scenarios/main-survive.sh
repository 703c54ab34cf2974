#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Survival: observe, kill -9, restart, libvirtd restarted and hung, guests that vanish, release.
. "$(dirname "$0")/lib.sh"
write_conf

lab-guest start gold1 --nic br0 --load idle
lab-guest start half1 --nic br0 --load cpu
snapshot >/run/before

# ---- observe: a whole life, every system call that could change something seen by strace
sed -i 's/"enforce"/"observe"/' "$conf"
traced_start /run/observe.trace || exit 1
lab-guest start seen1 --kind light --nic br0
until_true 10 settled
is "observe: plan tells what would change" "$($qosctl --json plan | jq '.changes | length > 0')" true
$qosctl reload >/dev/null
$qosctl doctor >/dev/null
sleep 11 # the drift check's time
lab-guest stop seen1
until_true 10 settled
snapshot >/run/observed
check "observe mode changed nothing" diff /run/before /run/observed
lab-qosd stop
cp /run/observe.trace "$LAB_OUT/"
is "observe mode made not one write, nor tried to" "$(host_writes /run/observe.trace | head -n 5)" ""
note "it asked: $(awk -v asked=1 -f "$here/host-writes.awk" /run/observe.trace | sort -k2 | tr '\n' ',')"

# The same eyes must see the writes of enforce mode.
sed -i 's/"observe"/"enforce"/' "$conf"
rm -rf /var/lib/qosd
traced_start /run/enforce.trace || exit 1
until_true 10 settled
$qosctl class half1 half >/dev/null # a host with one CPU pins nothing: this goes to libvirt
until_true 10 settled
snapshot >/run/enforced

# ---- kill -9 ----
lab-qosd kill
settles "the CPU limit holds while qosd is dead" 0.46 0.54 cpu_rates 6 half1
mbit_in() {
	calc "$(lab-net rate gold1 in --seconds 4) / 1e6"
}
settles "the NIC limit holds while qosd is dead" 90 97.5 mbit_in
snapshot >/run/dead
check "no value lapsed" diff /run/enforced /run/dead
is "enforce mode's writes are seen in its trace: all four kinds" \
	"$(host_writes /run/enforce.trace | cut -d: -f1 | grep -v other | sort -u | xargs)" "bpf file libvirt netlink"

start_qosd --verbose
until_true 10 settled
sleep 1
snapshot >/run/adopted
check "restarted: no value changed" diff /run/enforced /run/adopted
is "restarted: no knob that already holds was written" "$(grep -c -e ' -> ' /lab/qosd.log)" 0

# ---- libvirtd restarted ----
pid=$(pidof libvirtd)
kill -TERM "$pid"
until_true 10 sh -c "! kill -0 $pid 2>/dev/null"
lab-libvirtd start >/dev/null 2>&1 || libvirtd -d
check "qosd is connected again after libvirtd's restart" until_true 30 settled
snapshot >/run/relibvirt
check "libvirtd restarted: no value changed" diff /run/enforced /run/relibvirt

# ---- libvirtd hung ----
lab-askctl 12 100 >/run/asked &
asker=$!
until_true 10 grep -q asking /run/asked
kill -STOP "$(pidof libvirtd)"
check "status says hung" until_true 15 sh -c "$qosctl --json status | jq -e '.libvirt == \"hung\"'"
wait $asker
is "the socket answers all the time" $? 0
while read -r state answers p50 p99 most; do
	[ "$state" != asking ] || continue
	note "status on the socket, libvirt $state: $answers answers, p50 $p50 p99 $p99 max $most ms"
	within "while libvirtd is stopped, status ($state) answers within 100 ms" "$most" 0 100
done </run/asked
within "answers that say hung" "$(sed -n 's/^hung \([0-9]*\) .*/\1/p' /run/asked)" 30 1000
kill -CONT "$(pidof libvirtd)"
nap 2
tell_of_libvirtd
check "and connected again when it goes on" until_true 20 settled

# ---- hold, foreign changes ----
top=$(cgroup_of half1)
echo max >"$top/vcpu0/cpu.max"
check "a foreign change is repaired" until_true 15 grep -q '^10000 20000' "$top/vcpu0/cpu.max"
$qosctl hold half1 --for 60s
echo max >"$top/vcpu0/cpu.max"
sleep 11
is "a held guest is left as the operator made it" "$(cut -d' ' -f1 "$top/vcpu0/cpu.max")" max
$qosctl hold half1 --for 0s
check "and managed again after the hold" until_true 15 grep -q '^10000 20000' "$top/vcpu0/cpu.max"

# ---- guests that vanish at any moment ----
for i in 1 2 3; do
	lab-guest start "gone$i" --kind light --nic br0 --load idle
	virsh -q destroy "gone$i" >/dev/null 2>&1
	lab-guest stop "gone$i" >/dev/null 2>&1
done
until_true 10 settled
is "guests that vanish leave nobody degraded" "$($qosctl --json status | jq .degraded)" 0
sleep 1
snapshot >/run/after-gone
check "and nothing of theirs is left" diff /run/enforced /run/after-gone

# ---- policy: refused whole, undo ----
sed 's/limit = "50%"/limit = "25%"/' "$conf" >/run/quarter.conf
check "a new policy is taken" "$qosctl" reload /run/quarter.conf
check "it is in force" grep -q '^5000 20000' "$top/vcpu0/cpu.max"
cat >/run/broken.conf <<-EOF2
	mode = "enforce";
	classes = ( { name = "a"; rank = 0; cpu = { limit = 5; colour = "red"; }; } );
	default_class = "b";
EOF2
out=$($qosctl reload /run/broken.conf 2>&1)
is "a broken policy is refused" "$?" 1
is "with every finding, file and line" "$(grep -c 'broken.conf:[0-9]*:' <<<"$out" | awk '{ print ($1 >= 3) }')" 1
check "the policy of before stays in force" grep -q '^5000 20000' "$top/vcpu0/cpu.max"
check "undo" "$qosctl" undo
check "undo goes back" grep -q '^10000 20000' "$top/vcpu0/cpu.max"

# ---- explain ----
is "explain names the wanted value" "$(knob half1 cpu.max want)" "10000 20000"
is "the actual value" "$(knob half1 cpu.max actual)" "10000 20000"
is "the baseline" "$(knob half1 cpu.max baseline | cut -d' ' -f1)" max
note "the reason: $(knob half1 cpu.max reason)"

# ---- admission ----
out=$(lab-guest start gold9 --memory 3000 2>&1)
is "a guest that does not fit is refused" "$?" 1
is "in one sentence that virsh shows" "$(grep -c 'qosd: memory: gold9 asks for' <<<"$out")" 1
note "the refusal: $(tail -n 1 <<<"$out")"

# ---- release ----
$qosctl class half1 --clear >/dev/null
check "release" "$qosctl" release
snapshot >/run/released
check "every value is as before qosd ever ran" diff /run/before /run/released
lab-qosd stop
lab-guest stop gold1
lab-guest stop half1
