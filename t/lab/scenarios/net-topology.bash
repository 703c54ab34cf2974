# SPDX-License-Identifier: GPL-2.0-or-later
#
# For the network scenarios: a bridge with one "tap" (a veth) for each guest namespace and a peer.
#
#   peer -- xr (router) -- up0 \
#                               br0
#   gN --- rN (router) -- tapN /
#
# The routers matter: forwarding orphans the packets. Without them a veth hands the sender's socket
# through, and its back-pressure hides the queue that is to be measured.
# Addresses: peer 10.9.255.2, guest N 10.9.N.2.

failures=0
note() { printf '%s\n' "$*"; }
bad() { printf 'FAILED: %s\n' "$*"; failures=$((failures + 1)); }
finish() { [ "$failures" -eq 0 ] && note "all held"; exit $((failures > 0)); }

forward() { # NETNS
	ip netns exec "$1" sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.disable_ipv6=1
}

side() { # NAME ROUTER BRIDGE-PORT NUMBER ADDRESS/24 GATEWAY
	local name=$1 router=$2 port=$3 n=$4 address=$5 gateway=$6
	[ ! -e "/run/netns/$name" ] || return 0 # of a scenario before this one
	ip netns add "$name"
	ip netns add "$router"
	ip link add "$port" type veth peer name eth0 netns "$router"
	ip link add eth0 netns "$name" type veth peer name lan netns "$router"
	ip -n "$name" addr add "$address/24" dev eth0
	ip -n "$router" addr add "$gateway/24" dev lan
	ip -n "$router" addr add "10.8.0.$n/24" dev eth0
	ip -n "$name" link set lo up
	ip -n "$name" link set eth0 up
	ip -n "$router" link set lan up
	ip -n "$router" link set eth0 up
	ip -n "$name" route add default via "$gateway"
	ip link set "$port" master br0
	ip link set "$port" up
	forward "$router"
}

topology() { # GUESTS
	local i j
	modprobe -a veth bridge ifb sch_fq 2>/dev/null
	mountpoint -q /sys/fs/bpf || mount -t bpf bpf /sys/fs/bpf
	[ -e /sys/class/net/br0 ] || ip link add br0 type bridge
	ip link set br0 up
	side peer xr up0 254 10.9.255.2 10.9.255.1
	for ((i = 1; i <= $1; i++)); do
		side "g$i" "r$i" "tap$i" "$i" "10.9.$i.2" "10.9.$i.1"
		ip -n "r$i" route add 10.9.255.0/24 via 10.8.0.254
		ip -n xr route add "10.9.$i.0/24" via "10.8.0.$i"
		for ((j = 1; j < i; j++)); do # from guest to guest
			ip -n "r$i" route add "10.9.$j.0/24" via "10.8.0.$j"
			ip -n "r$j" route add "10.9.$i.0/24" via "10.8.0.$i"
		done
	done
	lab-netio ping --from peer --address 10.9.1.2 --count 1 > /dev/null ||
		{ note "the topology does not carry a ping"; exit 1; }
}

rate() { # in|out GUEST-NUMBER [lab-netio's arguments]: goodput in bit/s
	local n=$2
	case $1 in
	in) lab-netio rate --from peer --to "g$n" --address "10.9.$n.2" "${@:3}" ;;
	out) lab-netio rate --from "g$n" --to peer --address 10.9.255.2 "${@:3}" ;;
	esac
}

qdiscs() { # what tc shows of a device, without counters and refcounts
	tc qdisc show dev "$1" | sed 's/ refcnt [0-9]*//; s/direct_packets_stat [0-9]*//'
	tc filter show dev "$1" egress 2> /dev/null
	tc filter show dev "$1" ingress 2> /dev/null
}
