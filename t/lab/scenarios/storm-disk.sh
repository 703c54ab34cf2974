#!/usr/bin/env bash
# storm-disk - gold and three bronze guests on one disk that carries 300 requests a second (needs
# LAB_DISK_IOPS). What gold gets alone, in the storm, and in the storm with qosd.
here=$(dirname "$(readlink -f "$0")")
# shellcheck source=lib.sh
. "$here/lib.sh"

bronze=(bronze1 bronze2 bronze3)
table=${LAB_OUT:-/run}/storm-disk.txt

write_storm_conf() {
	cat >"$conf" <<-'EOF2'
		mode = "enforce";
		host = { reserve = { memory = "128MiB"; }; };
		classes = (
		  { name = "gold"; rank = 0; },
		  { name = "bronze"; rank = 1; disk = { floor_iops = 5; }; } );
		match = ( { name = "gold*"; class = "gold"; } );
		default_class = "bronze";
		overload = { tick = "100ms"; disk = { target_latency = "6ms"; };
		             release = { hold = "2s"; step = "20%"; }; };
	EOF2
}

calm_now() {
	[ "$($qosctl --json status | jq -r .pressure.disk.state)" = calm ]
}

untuned() {
	[ "$(disk_tuning bronze1)" = 0 ]
}

main() {
	local alone none with g
	: >"$table"
	lab-disk /srv/disk || return 1
	for g in gold1 "${bronze[@]}"; do lab-guest start "$g" --disk /srv/disk || return 1; done
	lab-guest load gold1 disk
	nap 2
	alone=$(disk_rates 6 gold1)
	for g in "${bronze[@]}"; do lab-guest load "$g" disk; done
	nap 2
	none=$(disk_rates 6 gold1)
	write_storm_conf
	start_qosd || return 1
	nap 10
	with=$(disk_rates 8 gold1)
	printf 'gold, requests a second: alone %.0f, no QoS %.0f, qosd %.0f\n' "$alone" "$none" "$with" |
		tee -a "$table"
	note "$($qosctl --json status | jq -c '.pressure.disk'); $(virsh blkdeviotune bronze1 vda | grep -v ' 0$' | tr '\n' ' ')"
	within "gold's disk in the storm with qosd against alone (no QoS: $(calc "$none / $alone"))" \
		"$(calc "$with / $alone")" 0.5 1.1
	within "... and against no QoS" "$(calc "$with / $none")" 1.5 10
	for g in gold1 "${bronze[@]}"; do lab-guest load "$g" idle; done
	check "calm returns" until_true 60 calm_now
	# The last limits are lifted by libvirt, after the tick that said calm.
	until_true 10 untuned
	is "nothing of the throttle is left" "$(disk_tuning bronze1)" 0
}
main
