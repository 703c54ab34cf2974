#!/usr/bin/env bash
# storm-net - three bronze guests flood an uplink of 50 Mbit/s; gold has 30 Mbit/s reserved and asks
# for it. What gold gets without qosd and with it. (Virtual clock: figures do not depend on load.)
here=$(dirname "$(readlink -f "$0")")
# shellcheck source=lib.sh
. "$here/lib.sh"

bronze=(bronze1 bronze2 bronze3)
table=${LAB_OUT:-/run}/storm-net.txt

write_storm_conf() {
	cat >"$conf" <<-'EOF2'
		mode = "enforce";
		host = { reserve = { memory = "128MiB"; }; };
		networks = ( { name = "tenant"; device = "br0"; uplink = "peer-br0"; rate = "50Mbit"; } );
		classes = (
		  { name = "gold"; rank = 0; net = { reservation = "30Mbit"; }; },
		  { name = "bronze"; rank = 1; net = { floor = "2Mbit"; }; } );
		match = ( { name = "gold*"; class = "gold"; } );
		default_class = "bronze";
		overload = { tick = "100ms"; net = { target_short = "5%"; };
		             release = { hold = "2s"; step = "20%"; }; };
	EOF2
}

# The uplink is as narrow as it says: the guests' frames leave through it.
narrow_uplink() {
	modprobe sch_tbf 2>/dev/null
	tc qdisc replace dev peer-br0 root tbf rate 50mbit burst 32kb latency 50ms
}

gold_mbit() { # gold_mbit SECONDS: what one TCP flow of gold's gets through the uplink
	calc "$(lab-net rate gold1 out --flows 1 --seconds "$1" --warm-up-ms 2000) / 1e6"
}

bronze_cap() { # what the first bronze guest may send, bit/s
	listed bronze1 '.net[0].out_limit_bps // "none"'
}

flood() {
	local g
	for g in "${bronze[@]}"; do lab-guest load "$g" net; done
}

calm_now() {
	[ "$($qosctl --json status | jq -r .pressure.net.state)" = calm ]
}

all_free() { # it may have all that the uplink carries
	[ "$(bronze_cap)" = 50000000 ]
}

main() {
	local alone none with g
	: >"$table"
	lab-guest start gold1 --nic br0 || return 1
	for g in "${bronze[@]}"; do lab-guest start "$g" --nic br0 || return 1; done
	narrow_uplink
	alone=$(gold_mbit 4)
	flood
	sleep 3
	none=$(gold_mbit 4)
	write_storm_conf
	start_qosd || return 1
	sleep 5
	with=$(gold_mbit 6)
	printf 'gold, of 30 Mbit/s reserved: alone %.1f, no QoS %.1f, qosd %.1f Mbit/s\n' \
		"$alone" "$none" "$with" | tee -a "$table"
	note "$($qosctl --json status | jq -c '.pressure.net'); bronze may send $(bronze_cap)"
	within "gold gets its reservation in the flood (Mbit/s; no QoS: $none)" "$with" 27 50
	for g in "${bronze[@]}"; do lab-guest load "$g" idle; done
	check "calm returns" until_true 60 calm_now
	check "nobody is held back then" until_true 20 all_free
	is "no class had to give way for it" \
		"$($qosctl --json episodes | jq '[.episodes[] | select(.resource == "net")] | length')" 0
}
main
