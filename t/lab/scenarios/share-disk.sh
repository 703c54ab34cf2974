#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# share-disk - host.disk shared by disk.weight: what two storming bronze guests of weights 3:1 get, what
# becomes of it when one of them rests, and that nothing is left when it is over.
here=$(dirname "$(readlink -f "$0")")
# shellcheck source=lib.sh
. "$here/lib.sh"

capacity=100 # far less than the guests would do

write_share_conf() {
	cat >"$conf" <<-EOF2
		mode = "enforce";
		host = { reserve = { memory = "128MiB"; }; disk = { iops = $capacity; }; };
		classes = (
		  { name = "gold"; rank = 0; },
		  { name = "bronze"; rank = 1; disk = { floor_iops = 5; weight = 100; }; },
		  { name = "bronze3"; rank = 1; disk = { floor_iops = 5; weight = 300; }; } );
		match = ( { name = "three"; class = "bronze3"; } );
		default_class = "bronze";
		overload = { cpu = { target_wait = "100%"; }; disk = { target_latency = "10s"; };
		             memory = { low = "1MiB"; target_pressure = "100%"; }; };
	EOF2
}

held() { # held GUEST...: each has a part
	local g
	for g; do
		$qosctl explain "$g" | grep -q 'share of host.disk' || return 1
	done
}

untuned() {
	[ "$(disk_tuning three)" = 0 ] && [ "$(disk_tuning one)" = 0 ]
}

main() {
	local rates g
	for g in three one; do lab-guest start "$g" || return 1; done
	# Scattered: QEMU joins no requests, so that each is one for host.disk.
	for g in three one; do lab-guest load "$g" disk-write; done
	nap 2
	mapfile -t rates < <(disk_rates 4 three one)
	note "no QoS, requests a second: ${rates[0]} and ${rates[1]}"
	write_share_conf
	start_qosd || return 1
	check "who wants more than host.disk is held to its part" until_true 30 held three one
	nap 8
	mapfile -t rates < <(disk_rates 12 three one)
	note "host.disk $capacity, weights 3:1, requests a second: ${rates[0]} and ${rates[1]}"
	note "$($qosctl explain three | grep -o 'share of host.disk.*' | head -n 1)"
	within "the guest of weight 300 against that of 100" "$(calc "${rates[0]} / ${rates[1]}")" 2.55 3.45
	within "both together, of host.disk" "$(calc "(${rates[0]} + ${rates[1]}) / $capacity")" 0.85 1.1
	lab-guest load three idle
	nap 10
	within "what one does not want is the other's" \
		"$(calc "$(disk_rates 8 one) / $capacity")" 0.85 1.1
	lab-guest load one idle
	check "nobody is held when it is over" until_true 20 untuned
}
main
