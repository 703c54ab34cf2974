#!/usr/bin/env bash
# CPU: weights, limits and dedicated cores, by what vCPUs get.
. "$(dirname "$0")/lib.sh"
write_conf

lab-guest start silver1 --load cpu || exit 1
lab-guest start bronze1 --load cpu || exit 1
lab-guest start gold1 --load cpu || exit 1
snapshot >/run/before-qosd
start_qosd || exit 1

# gold1 owns one of the two CPUs; silver1 and bronze1 share the other 4:1.
for _ in 1 2 3; do # a busy machine disturbs a measurement; three may be taken
	rates=$(threads='*' cpu_rates 10 gold1 silver1 bronze1)
	awk 'NR == 1 { g = $1 } NR == 2 { s = $1 } NR == 3 { exit !(g > 0.8 && s / $1 > 3.6 && s / $1 < 4.4) }' \
		<<<"$rates" && break
	note "again: $(tr '\n' ' ' <<<"$rates")"
done
gold=$(sed -n 1p <<<"$rates")
silver=$(sed -n 2p <<<"$rates")
bronze=$(sed -n 3p <<<"$rates")
note "cpu: gold $gold silver $silver bronze $bronze"
within "weights 4:1 on one shared CPU give 4:1 within 10 %" "$(calc "$silver / $bronze")" 3.6 4.4
within "the dedicated guest has its core to itself (the host's own work aside)" "$gold" 0.8 1.05

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
for _ in 1 2 3; do
	rates=$(threads='*' cpu_rates 10 gold2 silver1 bronze1)
	awk 'NR == 1 { g = $1 } NR == 2 { s = $1 } NR == 3 { exit !(g > 0.8 && s / $1 > 3.4 && s / $1 < 4.6) }' \
		<<<"$rates" && break
done
note "cpu after gold2 took gold1's place: $(tr '\n' ' ' <<<"$rates")"
within "a second dedicated guest gets a core to itself" "$(sed -n 1p <<<"$rates")" 0.8 1.05
within "and the others still share 4:1" "$(calc "$(sed -n 2p <<<"$rates") / $(sed -n 3p <<<"$rates")")" 3.4 4.6
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
settles "a limit of 50% on two vCPUs gives 1 CPU" 0.85 1.05 cpu_rates 10 half2
lab-guest stop half1
lab-guest stop half2
lab-qosd stop
