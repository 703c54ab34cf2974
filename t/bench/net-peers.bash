# SPDX-License-Identifier: GPL-2.0-or-later
#
# qosd's shaper and what else is used for the same: each sets a limit on tap1, tap2, ... for both
# directions, and takes it off again.
#
#   edt      this project's: lab-netctl
#   htb      HTB with fq_codel; from the guest through an ifb, a class for each tap, chosen in O(1)
#   tbf      TBF with 100 ms of queue; from the guest through an ifb of its own
#   libvirt  what <bandwidth> does: HTB with sfq to the guest, a policer from it (u32, burst 1 s)
#   none     nothing

# shellcheck disable=SC2317 # called by name

set_none() { :; }
clear_none() { :; }

set_edt() { # TAP NUMBER BPS
	lab-netctl set "$1" in "$3" , set "$1" out "$3"
}

clear_edt() { # TAP NUMBER
	lab-netctl set "$1" in max , set "$1" out max
}

htb_class() { # DEVICE NUMBER BPS: with fq_codel
	tc class add dev "$1" parent 1: classid "1:$(printf %x "$2")" htb rate "$3" quantum 60000
	tc qdisc add dev "$1" parent "1:$(printf %x "$2")" fq_codel
}

ifb_with_htb() { # DEVICE
	[ ! -e "/sys/class/net/$1" ] || return 0
	ip link add "$1" txqueuelen 1000 type ifb
	ip link set "$1" up
	tc qdisc add dev "$1" root handle 1: htb
}

set_htb() {
	tc qdisc add dev "$1" root handle 1: htb default 1
	htb_class "$1" 1 "$3"
	ifb_with_htb peer-ifb
	htb_class peer-ifb "$2" "$3"
	tc qdisc add dev "$1" ingress
	tc filter add dev "$1" ingress protocol all matchall \
		action skbedit priority "1:$(printf %x "$2")" pipe \
		action mirred egress redirect dev peer-ifb
}

clear_htb() {
	tc qdisc del dev "$1" root
	tc qdisc del dev "$1" ingress
	ip link del peer-ifb 2>/dev/null || true
}

set_tbf() {
	ip link add "ifb-$1" txqueuelen 1000 type ifb
	ip link set "ifb-$1" up
	tc qdisc add dev "$1" root tbf rate "$3" burst 64kb latency 100ms
	tc qdisc add dev "ifb-$1" root tbf rate "$3" burst 64kb latency 100ms
	tc qdisc add dev "$1" ingress
	tc filter add dev "$1" ingress protocol all matchall action mirred egress redirect dev "ifb-$1"
}

clear_tbf() {
	tc qdisc del dev "$1" root
	tc qdisc del dev "$1" ingress
	ip link del "ifb-$1"
}

set_libvirt() {
	tc qdisc add dev "$1" root handle 1: htb default 1
	tc class add dev "$1" parent 1: classid 1:1 htb rate "$3" ceil "$3" quantum 60000
	tc qdisc add dev "$1" parent 1:1 handle 2: sfq perturb 10
	police "$1" "$3"
}

police() { # TAP BPS
	tc qdisc add dev "$1" ingress
	tc filter add dev "$1" parent ffff: protocol all u32 match u32 0 0 \
		police rate "$2" burst "$(($2 / 8))" mtu 64kb drop flowid :1
}

clear_libvirt() {
	tc qdisc del dev "$1" root
	tc qdisc del dev "$1" ingress
}
