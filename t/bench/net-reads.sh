#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# In the lab: how long attaching, reading, changing and releasing N NICs takes the adapter.
#
#   net-reads.sh [N]
set -u
N=${1:-300}
modprobe -a dummy ifb sch_fq
mountpoint -q /sys/fs/bpf || mount -t bpf bpf /sys/fs/bpf
devices=()
for ((i = 0; i < N; i++)); do
	devices+=("nic$i")
	echo "link add nic$i up type dummy"
done > /tmp/links
ip -batch /tmp/links || exit 1

all() { # RATE: one command line that sets both directions of all
	local d words=()
	for d in "${devices[@]}"; do words+=("," set "$d" in "$1" "," set "$d" out "$1"); done
	printf '%s\n' "${words[@]:1}"
}
took() { # WHAT COMMAND...
	local start=$EPOCHREALTIME end
	"${@:2}" || exit 1
	end=$EPOCHREALTIME
	echo "$1: $(((${end/./} - ${start/./}) / 1000)) ms for $N NICs, both directions"
}
mapfile -t attach < <(all 20000000)
mapfile -t change < <(all 10000000)
mapfile -t release < <(all max)
took attach lab-netctl "${attach[@]}"
took "change (with adoption by a new process)" lab-netctl "${change[@]}"
lab-netctl readall 3 "${devices[@]}"
took release lab-netctl "${release[@]}"
tc qdisc show | grep -c 'fq\|clsact' | sed 's/^/qdiscs left: /'
