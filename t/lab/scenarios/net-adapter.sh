#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The network adapter's manners: what it leaves behind, what it adopts, what it refuses, and what it
# notices. By netctl, so that each step is a process of its own, as after a restart of qosd.
# shellcheck disable=SC2317 # the tests are called by name
set -u
# shellcheck source=t/lab/scenarios/net-topology.bash
. "$LAB_TOP/t/lab/scenarios/net-topology.bash"

NETCTL=${QOSD_NETCTL:-lab-netctl}
PINS=/sys/fs/bpf/qosd
SCRATCH=$(mktemp -d)

# Does this kernel have TCX? Then a NIC has no clsact of ours, but links.
tcx=$([ "$(printf '6.6\n%s\n' "$(uname -r)" | sort -V | head -n 1)" = 6.6 ] && echo 1 || echo 0)
link_of() { # in|divert
	printf '%s/links/%s-%s' "$PINS" "$(</sys/class/net/tap1/ifindex)" "$1"
}

reads() { # TEXT: what netctl reads of tap1
	local got
	got=$("$NETCTL" read tap1)
	[ "$got" = "tap1 $1" ] && return
	bad "${FUNCNAME[1]}: read '$got', not 'tap1 $1'"
}

limit() { "$NETCTL" set tap1 in 20000000 , set tap1 out 30000000 || bad "${FUNCNAME[1]}: set"; }
unlimit() { "$NETCTL" set tap1 in max , set tap1 out max || bad "${FUNCNAME[1]}: unset"; }

untouched() { # FILE: tap1 is as it was, nothing of ours is left
	qdiscs tap1 | diff "$1" - || bad "${FUNCNAME[1]}: tap1 is not as it was"
	[ ! -e /sys/class/net/qosd-ifb ] || bad "${FUNCNAME[1]}: the ifb is left"
	[ ! -e "$PINS/v3/slot" ] || [ "$(bpftool -j map dump pinned "$PINS/v3/slot")" = '[]' ] ||
		bad "${FUNCNAME[1]}: map entries are left"
}

refused() { # WORDS: what the sentence must hold; in|out
	local text
	text=$("$NETCTL" set tap1 "$2" 5000000 2>&1) && bad "${FUNCNAME[1]}: $2 was not refused"
	[[ $text == *"$1"* ]] || bad "${FUNCNAME[1]}: said '$text', not '$1'"
}

test_release() {
	qdiscs tap1 > "$SCRATCH/before"
	limit
	reads "in 20000000 out 30000000"
	"$NETCTL" set tap1 in max
	reads "in max out 30000000"
	"$NETCTL" set tap1 in 7000000 , set tap1 out max
	reads "in 7000000 out max"
	unlimit
	untouched "$SCRATCH/before"
	"$NETCTL" teardown || bad "teardown"
	[ ! -e "$PINS" ] || bad "teardown leaves $PINS"
}

# Told before or after the limits, kept by whoever starts then, and by new rates.
test_burst() {
	qdiscs tap1 > "$SCRATCH/before"
	"$NETCTL" set tap1 in 20000000 , set tap1 burst 50000 , set tap1 out 30000000
	reads "in 20000000 out 30000000 burst 50000"
	"$NETCTL" set tap1 in 7000000
	reads "in 7000000 out 30000000 burst 50000"
	"$NETCTL" set tap1 burst 5000
	reads "in 7000000 out 30000000"
	unlimit
	untouched "$SCRATCH/before"
}

# A new process finds all in place and sends no change: only dumps (NLM_F_DUMP), and no map update
# but that of a new rate.
test_adopt() {
	limit
	strace -f -o "$SCRATCH/trace" -e trace=sendmsg,sendto,bpf,mkdir,unlink,rename,rmdir \
		"$NETCTL" read tap1 > /dev/null
	grep -E 'RTM_(NEW|DEL|SET)|MAP_(UPDATE|DELETE)|OBJ_PIN|mkdir|unlink|rename|rmdir' \
		"$SCRATCH/trace" | grep -v -e 'map_fd=[0-9]*, key=0x[0-9a-f]*, value=0x7f[0-9a-f]*000' &&
		bad "adopting writes"
	strace -f -o "$SCRATCH/trace" -e trace=sendmsg,sendto,bpf,mkdir,unlink,rename,rmdir \
		"$NETCTL" -r read tap1 > /dev/null
	grep -E 'RTM_(NEW|DEL|SET)|MAP_(UPDATE|DELETE|CREATE)|OBJ_PIN|PROG_LOAD|mkdir|unlink|rename' \
		"$SCRATCH/trace" && bad "observing writes"
	strace -f -o "$SCRATCH/trace" -e trace=sendmsg,bpf \
		"$NETCTL" read tap1 , set tap1 in 21000000 > /dev/null
	grep -E 'RTM_(NEW|DEL|SET)' "$SCRATCH/trace" && bad "a new rate needs netlink"
	reads "in 21000000 out 30000000"
	unlimit
}

test_refuses_foreign() {
	local root refused_by_edt
	for root in htb "fq_codel limit 100" "fq_codel quantum 300" "pfifo limit 50"; do
		# shellcheck disable=SC2086 # a kind and its parameters
		tc qdisc add dev tap1 root handle 1: $root
		qdiscs tap1 > "$SCRATCH/before"
		refused "root qdisc" in
		untouched "$SCRATCH/before"
		tc qdisc del dev tap1 root
	done
	# Filters of a root qdisc would go with it.
	tc qdisc add dev tap1 root handle 1: fq_codel
	tc filter add dev tap1 parent 1: protocol all u32 match u32 0 0 flowid 1:1
	qdiscs tap1 > "$SCRATCH/before"
	refused "root qdisc" in
	untouched "$SCRATCH/before"
	tc qdisc del dev tap1 root
	# What libvirt's <bandwidth> does.
	tc qdisc add dev tap1 ingress
	tc filter add dev tap1 parent ffff: protocol all u32 match u32 0 0 \
		police rate 1000kbps burst 100kb drop flowid :1
	qdiscs tap1 > "$SCRATCH/before"
	if [ "$tcx" = 1 ]; then # nothing has to give way for what goes to the guest
		"$NETCTL" set tap1 in 20000000 || bad "in is refused"
		reads "in 20000000 out max"
		refused "ingress filters" out
		"$NETCTL" set tap1 in max
	else
		refused "ingress filters" in
		refused "ingress filters" out
	fi
	untouched "$SCRATCH/before"
	tc qdisc del dev tap1 ingress
	tc qdisc add dev tap1 clsact
	tc filter add dev tap1 ingress protocol ip pref 100 matchall action pass
	refused "ingress filters" out
	tc qdisc del dev tap1 clsact
	[ "$tcx" = 1 ] || return
	qdiscs tap1 > "$SCRATCH/before"
	# TCX programs of others would not see what is redirected before them.
	"$NETCTL" occupy tap1 || bad "a TCX program of somebody else's"
	refused "1 TCX programs" out
	"$NETCTL" set tap1 in 20000000 || bad "in is refused beside it"
	refused "1 TCX programs" out
	reads "in 20000000 out max"
	"$NETCTL" set tap1 in max
	"$NETCTL" -w htb set tap1 out 30000000 || bad "HTB is refused beside it"
	refused_by_edt=$("$NETCTL" -w edt set tap1 out 5000000 2>&1) && bad "eBPF is not refused"
	[[ $refused_by_edt == *"1 TCX programs"* ]] || bad "said '$refused_by_edt'"
	reads "in max out 30000000"
	"$NETCTL" set tap1 out max
	rm /sys/fs/bpf/occupied
	untouched "$SCRATCH/before"
	# One that comes later changes nothing, not even when something has to be repaired.
	limit
	"$NETCTL" occupy tap1
	reads "in 20000000 out 30000000"
	ip link del qosd-ifb
	limit
	reads "in 20000000 out 30000000"
	[[ -e $(link_of divert) ]] || bad "the link has become a filter"
	unlimit
	rm /sys/fs/bpf/occupied
}

# An empty ingress qdisc is taken and given back, or not touched at all where there is TCX; a clsact
# of somebody else stays.
test_shares_the_slot() {
	tc qdisc add dev tap1 ingress
	qdiscs tap1 > "$SCRATCH/before"
	limit
	reads "in 20000000 out 30000000"
	if [ "$tcx" = 1 ]; then
		qdiscs tap1 | grep -q "^qdisc ingress" || bad "the ingress qdisc is touched"
		[[ -e $(link_of in) && -e $(link_of divert) ]] || bad "there are no links"
	else
		[ -n "$(tc filter show dev tap1 egress)" ] || bad "the program is not on the egress hook"
	fi
	unlimit
	untouched "$SCRATCH/before"
	tc qdisc del dev tap1 ingress
	tc qdisc add dev tap1 clsact
	tc filter add dev tap1 egress protocol ip pref 100 matchall action pass
	qdiscs tap1 > "$SCRATCH/before"
	limit
	unlimit
	untouched "$SCRATCH/before"
	tc qdisc del dev tap1 clsact
}

same_kinds() { # FILE: as untouched, but for the handles, which the kernel deals out anew
	qdiscs tap1 | sed 's/^\(qdisc [a-z_]*\) [0-9a-f]*:/\1/' > "$SCRATCH/after"
	sed 's/^\(qdisc [a-z_]*\) [0-9a-f]*:/\1/' "$1" | diff - "$SCRATCH/after" ||
		bad "${FUNCNAME[1]}: tap1 has other qdiscs"
}

# libvirt sets noqueue on its taps: a root qdisc without parameters is replaced, by one process, and
# its kind is there again after the release by another, whatever happened in between.
test_gives_back_root() {
	local kind
	qdiscs tap1 > "$SCRATCH/default"
	for kind in noqueue pfifo_fast fq_codel; do
		tc qdisc replace dev tap1 root "$kind"
		qdiscs tap1 > "$SCRATCH/before"
		grep -q "^qdisc $kind [1-9]" "$SCRATCH/before" || bad "$kind has no handle of its own"
		limit
		reads "in 20000000 out 30000000"
		"$NETCTL" set tap1 in 7000000 , set tap1 out max
		reads "in 7000000 out max"
		"$NETCTL" set tap1 in max
		same_kinds "$SCRATCH/before"
		"$NETCTL" set tap1 out 7000000 , set tap1 in 7000000 , set tap1 in max
		"$NETCTL" set tap1 out max
		same_kinds "$SCRATCH/before"
		limit
		tc qdisc del dev tap1 root
		limit
		unlimit
		same_kinds "$SCRATCH/before"
		tc qdisc del dev tap1 root
		limit
		unlimit
		untouched "$SCRATCH/default"
	done
	# Its quantum follows the MTU.
	ip link set tap1 mtu 9000
	tc qdisc replace dev tap1 root fq_codel
	qdiscs tap1 > "$SCRATCH/before"
	limit
	reads "in 20000000 out 30000000"
	unlimit
	same_kinds "$SCRATCH/before"
	limit
	unlimit
	ip link set tap1 mtu 1500
	tc qdisc del dev tap1 root
}

# Start a process that holds the limits and watches; WATCHER and $SCRATCH/seen.
watcher() { # DEVICE
	: > "$SCRATCH/seen"
	"$NETCTL" read "$1" , watch 600 > "$SCRATCH/seen" &
	WATCHER=$!
	within [ -s "$SCRATCH/seen" ]
}

within() { # COMMAND...: becomes true within 5 s
	local i
	for ((i = 0; i < 50; i++)); do
		"$@" && return
		sleep 0.1
	done
	return 1
}

reported() { # WORDS: by the watcher, which then ends
	within grep -q "$1" "$SCRATCH/seen" || bad "${FUNCNAME[1]}: not reported: '$1'${2:+ after $2}"
	kill "$WATCHER"
	wait "$WATCHER" 2> /dev/null
}

# Whatever somebody breaks is reported, reads as no limit that was set, and is whole after the next
# set.
breaks() { # COMMAND...
	limit
	watcher tap1
	"$@" || bad "cannot break: $*"
	reported 'lost tap1' "$*"
	repaired "$@"
}

repaired() { # what broke it
	"$NETCTL" -r read tap1 | grep -q " 0" || bad "still reads as whole: $*"
	"$NETCTL" read tap1 > /dev/null || bad "cannot be read: $*"
	limit
	reads "in 20000000 out 30000000"
	unlimit
}

# shellcheck disable=SC2317 # called by name
remove_ifbs_link() { rm "$PINS"/links/*-out; }

test_notices() {
	qdiscs tap1 > "$SCRATCH/before"
	breaks tc qdisc del dev tap1 root
	breaks tc qdisc replace dev tap1 root handle 7105: fq limit 1000
	if [ "$tcx" = 1 ]; then
		breaks rm "$(link_of in)"
		breaks rm "$(link_of divert)"
		breaks rm -r "$PINS/links"
		breaks remove_ifbs_link
	else
		breaks tc qdisc del dev tap1 clsact
		breaks tc filter del dev tap1 egress
		breaks tc filter del dev tap1 ingress
		breaks tc qdisc del dev qosd-ifb clsact
	fi
	breaks tc qdisc del dev qosd-ifb root
	breaks ip link set qosd-ifb down
	breaks ip link del qosd-ifb
	untouched "$SCRATCH/before"
}

test_device_goes() {
	qdiscs tap1 > "$SCRATCH/before"
	ip link add gone0 type veth peer name gone1
	"$NETCTL" set gone0 in 1000000 , set gone0 out 1000000
	watcher gone0
	ip link del gone0
	reported 'lost a device'
	untouched "$SCRATCH/before"
	# ... and when nobody was watching.
	ip link add gone0 type veth peer name gone1
	"$NETCTL" set gone0 in 1000000 , set gone0 out 1000000
	ip link del gone0
	"$NETCTL" read tap1 > /dev/null
	untouched "$SCRATCH/before"
}

killed_at() { # NUMBER COMMAND...: kill -9 when it has sent that many requests
	{
		strace -f -o /dev/null -e trace=sendmsg -e inject=sendmsg:signal=KILL:when="$1" \
			"$NETCTL" "${@:2}"
	} > /dev/null 2>&1
}

# Killed between any two system calls, the next one gives all back.
test_cut_short() {
	local n
	qdiscs tap1 > "$SCRATCH/before"
	for n in 3 5 6 7 8 9 10 12; do
		killed_at "$n" set tap1 in 20000000 , set tap1 out 30000000
		"$NETCTL" read tap1 > /dev/null
		unlimit
		qdiscs tap1 | diff "$SCRATCH/before" - || bad "cut short at $n in attaching"
		limit
		killed_at "$n" set tap1 in max , set tap1 out max
		"$NETCTL" read tap1 > /dev/null
		unlimit
		qdiscs tap1 | diff "$SCRATCH/before" - || bad "cut short at $n in taking off"
	done
	untouched "$SCRATCH/before"
}

# ---- giving back without pins, and without the right to use eBPF

without_bpf() { setpriv --bounding-set -bpf,-sys_admin,-perfmon "$@"; }

# As libvirt's noqueue on a tap: not the device's default (which is noqueue here). $SCRATCH/before
root_set_by_somebody() {
	tc qdisc replace dev tap1 root pfifo_fast
	qdiscs tap1 > "$SCRATCH/before"
}

# Somebody removed the pins while a NIC is limited: the filters still know the maps.
test_lost_pins() {
	root_set_by_somebody
	limit
	rm -r "$PINS/v3"
	[ "$("$NETCTL" -r read tap1)" = "tap1 in 20000000 out 30000000" ] ||
		bad "an observer does not find the maps"
	[ ! -e "$PINS/v3" ] || bad "an observer pins"
	reads "in 20000000 out 30000000"
	[ -e "$PINS/v3/cfg" ] || bad "the maps are not pinned again"
	unlimit
	same_kinds "$SCRATCH/before"
	limit
	rm -r "$PINS/v3"
	unlimit
	same_kinds "$SCRATCH/before"
	"$NETCTL" set tap1 in 20000000
	rm -r "$PINS/v3"
	limit
	reads "in 20000000 out 30000000"
	unlimit
	same_kinds "$SCRATCH/before"
	tc qdisc del dev tap1 root
}

# As if an older qosd, which knows no links, had been here meanwhile.
test_meets_links() {
	[ "$tcx" = 1 ] || return
	qdiscs tap1 > "$SCRATCH/before"
	limit
	tc qdisc add dev tap1 clsact
	tc filter add dev tap1 egress pref 7 handle 0x7105 bpf direct-action \
		pinned "$PINS/v3/in" || bad "a filter beside the link"
	"$NETCTL" -r read tap1 | grep -q "in 0" || bad "charged twice and reads as whole"
	limit
	reads "in 20000000 out 30000000"
	[ -z "$(tc filter show dev tap1 egress)" ] || bad "the filter is left"
	tc qdisc del dev tap1 clsact
	unlimit
	untouched "$SCRATCH/before"
}

# A qosd that may not load programs gives back what another one shaped: with the maps' notes, and
# without the pins by what is on the device.
test_without_bpf() {
	local pins
	root_set_by_somebody
	without_bpf "$NETCTL" -w edt set tap1 in 20000000 2> /dev/null && bad "it may use eBPF after all"
	without_bpf "$NETCTL" set tap1 in 20000000 , set tap1 out 30000000 || bad "no HTB in its place"
	tc qdisc show dev tap1 | grep -q 'htb 7105:' || bad "HTB does not limit tap1"
	reads "in 20000000 out 30000000"
	without_bpf "$NETCTL" set tap1 in max , set tap1 out max || bad "unset"
	same_kinds "$SCRATCH/before"
	for pins in keep lose; do
		limit
		[ "$pins" = keep ] || rm -r "$PINS/v3"
		without_bpf "$NETCTL" -r read tap1 | grep -q max && bad "$pins: reads as never limited"
		without_bpf "$NETCTL" set tap1 in max , set tap1 out max || bad "$pins: unset"
		same_kinds "$SCRATCH/before"
		[ ! -e /sys/class/net/qosd-ifb ] || bad "$pins: the ifb is left"
		limit
		[ "$pins" = keep ] || rm -r "$PINS/v3"
		without_bpf "$NETCTL" set tap1 out max , set tap1 in max || bad "$pins: unset"
		same_kinds "$SCRATCH/before"
	done
	# Another NIC that is limited keeps the ifb; what somebody put into clsact keeps that.
	ip link add other0 type veth peer name other1
	"$NETCTL" set tap1 out 30000000 , set other0 out 30000000
	rm -r "$PINS/v3"
	[ "$tcx" = 0 ] || tc qdisc add dev tap1 clsact
	tc filter add dev tap1 egress protocol ip pref 100 matchall action pass
	without_bpf "$NETCTL" set tap1 out max
	[ -e /sys/class/net/qosd-ifb ] || bad "the ifb of another NIC is removed"
	qdiscs tap1 | grep -q clsact || bad "somebody's filter is removed"
	tc qdisc del dev tap1 clsact
	without_bpf "$NETCTL" set other0 out max
	[ ! -e /sys/class/net/qosd-ifb ] || bad "the ifb is left"
	ip link del other0
	tc qdisc del dev tap1 root
}

# What is left of a limit is taken away although it limits nothing.
test_gives_back_broken() {
	local broken all=("tc filter del dev tap1 egress" "tc filter del dev tap1 ingress")
	[ "$tcx" = 0 ] || all=("rm $(link_of in)" "rm $(link_of divert)" "rm -r $PINS/links")
	qdiscs tap1 > "$SCRATCH/before"
	for broken in "tc qdisc del dev tap1 root" "tc qdisc del dev qosd-ifb root" "${all[@]}"; do
		limit
		$broken
		"$NETCTL" -r read tap1 | grep -q " 0" || bad "nothing is left after: $broken"
		unlimit
		untouched "$SCRATCH/before"
	done
}

topology 1
[ $# -gt 0 ] || [ "${LAB_SHORT:-0}" = 0 ] || # what differs where the kernel has TCX
	set -- test_adopt test_refuses_foreign test_shares_the_slot test_notices test_lost_pins \
		test_meets_links
[ $# -gt 0 ] || set -- test_release test_burst test_adopt test_refuses_foreign test_shares_the_slot \
	test_gives_back_root test_notices test_device_goes test_cut_short test_lost_pins \
	test_meets_links test_without_bpf test_gives_back_broken
for test in "$@"; do
	before=$failures
	"$test"
	[ "$failures" = "$before" ] || printf 'not '
	printf 'ok - the NIC adapter: %s\n' "${test#test_}"
done
finish
