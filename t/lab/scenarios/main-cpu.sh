#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# CPU: weights, limits and dedicated cores, by what vCPUs get.
. "$(dirname "$0")/lib.sh"
write_conf

lab-guest start silver1 --load cpu || exit 1
lab-guest start bronze1 --load cpu || exit 1
lab-guest start gold1 --load cpu || exit 1
snapshot >/run/before-qosd
start_qosd || exit 1

# shares GOLD: CPUs of GOLD, silver1 and bronze1, the best of three measurements at most, since a busy
# machine disturbs them; GOLD owns one of the two CPUs, the others share the other 4:1.
shares() {
	local turn
	for turn in 1 2 3; do
		mapfile -t rates < <(threads='*' cpu_rates 10 "$1" silver1 bronze1)
		ratio=$(calc "${rates[1]} / ${rates[2]}")
		note "measurement $turn: $1 ${rates[0]} silver1 ${rates[1]} bronze1 ${rates[2]}, $ratio:1"
		awk -v gold="${rates[0]}" -v ratio="$ratio" \
			'BEGIN { exit !(gold >= 0.9 && ratio >= 3.6 && ratio <= 4.4) }' && return
	done
}
shares gold1
within "weights 4:1 on one shared CPU give 4:1 within 10 %" "$ratio" 3.6 4.4
within "the dedicated guest has its core to itself (the host's own work aside)" "${rates[0]}" 0.9 1.05

# Where the threads may run, as the kernel has it.
gold_cpu=$(listed gold1 .cpu.cpuset)
for g in silver1 bronze1; do
	is "$g is kept off the dedicated core" "$(listed $g .cpu.cpuset | grep -cw "$gold_cpu")" 0
done

# The dedicated guest stops, another takes its place: again nobody else on its core.
lab-guest stop gold1
until_true 10 settled
lab-guest start gold2 --load cpu
until_true 10 settled
shares gold2
within "a second dedicated guest gets a core to itself" "${rates[0]}" 0.9 1.05
within "and the others still share 4:1" "$ratio" 3.6 4.4
lab-guest stop silver1
lab-guest stop bronze1
lab-guest stop gold2

lab-guest start half1 --load cpu
lab-guest start half2 --vcpus 2 --load cpu
until_true 10 settled
lab-guest load half2 idle
settles "a limit of 50% gives 0.5 CPU within 5 %" 0.475 0.525 cpu_rates 10 half1
lab-guest load half1 idle
lab-guest load half2 cpu
settles "a limit of 50% on two vCPUs gives 1 CPU within 5 %" 0.95 1.05 cpu_rates 10 half2
lab-guest stop half1
lab-guest stop half2
lab-qosd stop
