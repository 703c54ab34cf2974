#!/usr/bin/env bash
# share-net - three guests and the host's storage on an uplink of 20 Mbit/s. Gold has 8 Mbit/s
# reserved, storage 6: both get it while bronze floods with 64 flows and UDP, and bronze gets all that
# they leave. Then the host's traffic has no device of its own: it goes by the guests' bridge, and is told
# apart by port and by control group. (Virtual clock: figures do not depend on load.)
here=$(dirname "$(readlink -f "$0")")
# shellcheck source=lib.sh
. "$here/lib.sh"

peer='peer-br0'
table=${LAB_OUT:-/run}/share-net.txt
good=0.9564 # of a rate on the wire is TCP's goodput; 0.9709 of UDP's with 1400 bytes

write_share_conf() {
	cat >"$conf" <<-'EOF2'
		mode = "enforce";
		host = { reserve = { memory = "128MiB"; }; };
		networks = (
		  { name = "tenant"; device = "br0"; uplink = "peer-br0"; rate = "20Mbit"; },
		  { name = "storage"; device = "stor0"; uplink = "peer-br0"; reservation = "6Mbit"; } );
		classes = (
		  { name = "gold"; rank = 0; net = { reservation = "8Mbit"; weight = 1; }; },
		  { name = "bronze"; rank = 1; net = { weight = 1; }; } );
		match = ( { name = "gold*"; class = "gold"; } );
		default_class = "bronze";
		overload = { cpu = { target_wait = "100%"; }; };
	EOF2
}

# The uplink is as narrow as it says, both ways; storage is the host's, on VLAN 7 of it.
make_uplink() {
	modprobe -a sch_tbf 8021q 2>/dev/null
	tc qdisc replace dev "$peer" root tbf rate 20mbit burst 16kb latency 50ms
	tc -n "$router" qdisc replace dev lan root tbf rate 20mbit burst 16kb latency 50ms
	ip link add link "$peer" name stor0 type vlan id 7
	ip -n "$router" link add link lan name stor0 type vlan id 7
	ip addr add 10.77.0.1/24 dev stor0
	ip -n "$router" addr add 10.77.0.2/24 dev stor0
	ip link set stor0 up
	ip -n "$router" link set stor0 up
	ip netns attach host 1
}

address() { # GUEST: of its NIC
	read -r _ address _ <"/run/lab/guests/$1/nics"
	printf %s "$address"
}

# series NAME FROM TO ADDRESS FLOWS COUNT [UDP]: in the background, 100 ms each, to /run/NAME
series() {
	lab-netio series "$2" "$3" "$4" "$5" 100 "$6" ${7:+"$7"} >"/run/$1" 2>&1 &
}

far() { printf 10.%s.255.2 "$(address "$1" | cut -d. -f2)"; } # the peer, as the guest sees it

storm_out() { series "storm-$1" g-bronze1 "$peer" "$(far bronze1)" 64 "$1"; }
storm_in() { series "storm-$1" "$peer" g-bronze1 "$(address bronze1)" 64 "$1"; }
udp_out() { series "udp-$1" g-bronze2 "$peer" "$(far bronze2)" 1 "$1" 30000000; }

# mean NAME FROM_MS TO_MS [ZERO_MS]: Mbit/s of the intervals that begin and end within these times,
# counted from ZERO_MS (none: from the series' own beginning)
mean() {
	awk -v from="$2" -v to="$3" -v zero="${4:-}" '
		NR == 1 && zero == "" { zero = $1 - 100 }
		$1 - 100 - zero >= from - 5 && $1 - zero <= to + 5 { sum += $2; n++ }
		END { printf "%.2f", n ? sum / n / 1e6 : -1 }' "/run/$1"
}

began() { awk 'NR == 1 { print $1 - 100 }' "/run/$1"; }
ended() { awk 'END { print $1 }' "/run/$1"; }

storage_mbit() { # out|in SECONDS
	local ends=(host "$router" 10.77.0.2)
	[ "$1" = out ] || ends=("$router" host 10.77.0.1)
	lab-netio series "${ends[@]}" 1 100 "$(($2 * 10))" 5500000 >/run/storage
	mean storage 500 "$(($2 * 1000))"
}

gold_tcp() { # what one flow of TCP brings gold, its beginning aside
	lab-netio series g-gold1 "$peer" "$(far gold1)" 1 100 25 >/run/gold-tcp
	mean gold-tcp 700 2500
}

gold_without() {
	storm_out 75
	udp_out 75
	sleep 2.5
	none=$(gold_tcp)
	storage_none[out]=$(storage_mbit out 2)
	wait_all
	storm_in 45
	sleep 2
	storage_none[in]=$(storage_mbit in 2)
	wait_all
}

wait_all() { # the series, not a guest's helpers
	until_true 60 fails pgrep -f 'lab-netio series'
}

# Gold asks twice in the middle of a storm, by UDP and by TCP.
gold_asks() {
	local asked left gold tcp
	storm_out 90
	udp_out 90
	sleep 2.5
	lab-netio series g-gold1 "$peer" "$(far gold1)" 1 100 20 12000000 >/run/gold
	sleep 1.6
	tcp=$(gold_tcp)
	wait_all
	asked=$(began gold)
	left=$(ended gold)
	gold=$(mean gold 300 2000)
	before=$(calc "$(mean storm-90 -1000 0 "$asked") + $(mean udp-90 -1000 0 "$asked")")
	rest=$(calc "$(mean storm-90 500 2000 "$asked") + $(mean udp-90 500 2000 "$asked")")
	after=$(calc "$(mean storm-90 500 1500 "$left") + $(mean udp-90 500 1500 "$left")")
	printf 'gold, of 8 Mbit/s reserved: TCP without QoS %.2f, qosd %.2f, UDP %.2f; bronze of 20: %.2f before, %.2f beside, %.2f after\n' \
		"$none" "$tcp" "$gold" "$before" "$rest" "$after" | tee -a "$table"
	within "gold gets its reservation 300 ms after asking (Mbit/s, UDP)" "$gold" \
		"$(calc "0.98 * 8 * 0.9709")" 20
	within "gold's TCP gets it, too (Mbit/s; no QoS: $none)" "$tcp" "$(calc "0.98 * 8 * $good")" 20
	within "bronze has all of the line while nobody else asks" "$before" "$(calc "0.96 * 20 * $good")" 20
	within "the line is full with gold" "$(calc "$gold + $rest")" "$(calc "0.96 * 20 * $good")" 20
	within "bronze has all of it again 500 ms after gold has left" "$after" \
		"$(calc "0.96 * 20 * $good")" 20
}

storage_in_storm() { # out|in
	local alone with
	alone=$(storage_mbit "$1" 2)
	if [ "$1" = out ]; then storm_out 55; udp_out 55; else storm_in 55; fi
	sleep 2
	with=$(storage_mbit "$1" 3)
	wait_all
	printf 'storage %s, of 6 Mbit/s reserved: alone %.2f, in a storm %.2f (no QoS: %s)\n' "$1" "$alone" \
		"$with" "${storage_none[$1]}" | tee -a "$table"
	within "a storm costs storage nothing of its reservation ($1, Mbit/s)" "$with" \
		"$(calc "0.98 * $alone")" 20
}

# ---- the host's traffic without a device of its own ----

# Reserved: 6 Mbit/s for ports, 5 for a group. Guests are on the same bridge, and use the same ports.
write_apart_conf() {
	sed -i 's|^  { name = "storage".*|\
		  { name = "ports"; device = "br0"; uplink = "peer-br0"; reservation = "6Mbit"; ports = "6800-6899"; },\
		  { name = "group"; device = "br0"; uplink = "peer-br0"; reservation = "5Mbit"; cgroup = "/lab-backup"; } );|' "$conf"
}

host_address() { # the host's, on the guests' bridge; the far end answers
	ip addr add 10.78.0.1/24 dev br0
	ip -n "$router" addr add 10.78.0.2/24 dev lan
	mkdir -p /sys/fs/cgroup/lab-backup
}

ports_of() { # NAMESPACE RANGE: of sockets that ask for none
	ip netns exec "$1" sh -c "echo $2 >/proc/sys/net/ipv4/ip_local_port_range"
}

# apart_mbit ports|group out|in SECONDS: what eight flows of TCP bring between the host and the far end
apart_mbit() {
	local ends=(host "$router" 10.78.0.2) range='32768 60999' run=(exec)
	[ "$2" = out ] || ends=("$router" host 10.78.0.1)
	[ "$1" = group ] || range='6800 6899'
	[ "$1" = ports ] || run=(bash -c 'echo $$ >/sys/fs/cgroup/lab-backup/cgroup.procs; exec "$@"' -)
	ports_of "${ends[1]}" "$range"
	("${run[@]}" lab-netio series "${ends[@]}" 8 100 "$(calc "$3 * 10")" >/run/apart)
	ports_of host '32768 60999'
	mean apart 500 "$(calc "$3 * 1000")"
}

# apart_in_storm ports|group out|in RESERVED. Were it not lent, bronze would have 9 of 20 at the most;
# 64 flows that have just begun, and what gets lost on its way in, leave some of the line free.
apart_in_storm() {
	local with lent asked
	if [ "$2" = out ]; then storm_out 55; udp_out 55; else storm_in 55; fi
	sleep 2.4
	with=$(apart_mbit "$1" "$2" 2.5)
	wait_all
	asked=$(began apart)
	lent=$(mean storm-55 -1000 0 "$asked")
	[ "$2" = in ] || lent=$(calc "$lent + $(mean udp-55 -1000 0 "$asked")")
	printf 'told apart by %s, %s, of %s Mbit/s reserved: in a storm %.2f; bronze before, of 20: %.2f\n' \
		"$1" "$2" "$3" "$with" "$lent" | tee -a "$table"
	within "the host keeps its reservation told by $1 ($2, Mbit/s)" "$with" \
		"$(calc "0.97 * $3 * $good")" 20
	within "it is lent while it is idle, though guests use the same ports ($1, $2)" "$lent" \
		"$(calc "0.85 * 20 * $good")" 21
}

counters() { # on the uplink
	tc filter show dev "$peer" ingress | grep -o 'qosd:host-in.* id [0-9]*'
	tc filter show dev "$peer" egress | grep -o 'qosd:host-out.* id [0-9]*'
}

# The same storm again, when qosd has let everything go.
apart_without() {
	storm_out 45
	udp_out 45
	sleep 2
	printf 'without QoS: told apart by ports, out, in a storm %.2f\n' "$(apart_mbit ports out 2)" |
		tee -a "$table"
	wait_all
}

apart() {
	host_address
	ports_of "$peer" '6800 6899'
	write_apart_conf
	check "the policy with ports and a control group" "$qosctl" reload
	until_true 10 settled
	is "two counters are on the uplink" "$(counters | wc -l)" 2
	apart_in_storm ports out 6
	apart_in_storm ports in 6
	apart_in_storm group out 5
	apart_in_storm group in 5
}

bronze_reason() {
	$qosctl --json explain bronze1 | jq -r '.knobs[] | select(.knob == "net.out") | .reason'
}

in_force() { # of what bronze1 may send, bit/s
	listed bronze1 '.net[0].out_limit_bps // "none"'
}

all_free() {
	[ "$(in_force)" = 20000000 ]
}

survives() {
	local frozen counting
	storm_out 80
	sleep 2
	check "explain tells of the share" grep -q "shares network tenant" <<<"$(bronze_reason)"
	note "$(bronze_reason)"
	counting=$(counters)
	lab-qosd kill
	sleep 0.5
	lab-netio series g-gold1 "$peer" "$(far gold1)" 1 100 15 12000000 >/run/gold
	within "without qosd gold's guarantee holds" "$(mean gold 300 1500)" "$(calc "0.98 * 8 * 0.9709")" 20
	start_qosd || return 1
	frozen=$(in_force)
	note "after the restart bronze1 may send $frozen"
	is "the counters on the uplink are the same" "$(counters)" "$counting"
	wait_all
	check "with the storm shares end" until_true 10 all_free
	$qosctl release >/dev/null
	until_true 10 settled
	is "release gives it back" "$(in_force)" none
	is "no clsact is left" "$(tc qdisc show dev "$(tap_of bronze1)" | grep -c clsact)" 0
	is "nor on the uplink" "$(tc qdisc show dev "$peer" | grep -c clsact)" 0
}

main() {
	local none before rest after router=router-br0
	local -A storage_none
	: >"$table"
	for g in gold1 bronze1 bronze2; do lab-guest start "$g" --nic br0 || return 1; done
	router=$(ip netns list | awk '/router|^r-/ { print $1; exit }')
	make_uplink
	gold_without
	write_share_conf
	start_qosd || return 1
	gold_asks
	storage_in_storm out
	storage_in_storm in
	apart
	survives
	apart_without
}
main
