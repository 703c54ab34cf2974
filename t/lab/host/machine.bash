# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# The virtual machine that is the lab host: its layers, QEMU's command line, its verdict.

# $LAYERS/skeleton: the lab's own configuration and programs; in it units/, the few units that a
# host with systemd needs here (all of Debian's take a minute to boot).
layers_prepare() {
	local unit units
	cp -r "$HERE/host/root" "$LAYERS/skeleton"
	chmod -R a+rX "$LAYERS/skeleton"
	[ "$INIT" = systemd ] || return 0
	units=$LAYERS/skeleton/usr/lib/qosd-lab/units
	mkdir "$units"
	while read -r unit; do
		case $unit in '' | '#'*) continue ;; esac
		[ ! -e "/usr/lib/systemd/system/$unit" ] || cp -a "/usr/lib/systemd/system/$unit" "$units/"
	done < "$HERE/host/units.list"
	cp -r "$HERE/host/units/." "$units/"
	[ ! -d "$LAYERS/stage/usr/lib/systemd/system" ] ||
		cp -r "$LAYERS/stage/usr/lib/systemd/system/." "$units/"
}

# KVM if this machine can virtualise in hardware and QEMU gets a virtual CPU from it, else TCG. (There
# are machines with a /dev/kvm that works without such hardware, for kernels made for it: no use here.)
#
# LAB_CLOCK=virtual: TCG with a clock that counts instructions, a thousand million a second, and skips
# idle time. So the lab host is a steady machine of that speed, however busy this one is. (One CPU
# only. sleep=on would not skip, but let every delay of this machine into the lab host's clock.)
accelerator() {
	local model=qemu64${LAB_CPU:+,$LAB_CPU}
	if [ "${LAB_CLOCK:-}" = virtual ]; then
		QEMU+=(-accel "tcg,thread=single,tb-size=512" -icount shift=0,sleep=off
			-cpu "$model")
	elif [ -w /dev/kvm ] && grep -qwE 'vmx|svm' /proc/cpuinfo &&
		echo quit | "${EMULATOR[@]}" -M q35 -accel kvm -cpu host -S -nodefaults \
			-display none -monitor stdio > /dev/null 2>&1; then
		QEMU+=(-accel kvm -cpu host)
	else
		# Only a CPU that says it is Intel's shows its threads as siblings.
		[[ ${LAB_SMP:-} != *threads=* ]] || model+=,vendor=GenuineIntel
		QEMU+=(-accel "tcg,thread=multi,tb-size=512" -cpu "$model")
	fi
}

share() { # TAG DIRECTORY [OPTION]
	QEMU+=(-virtfs "local,path=${2//,/,,},mount_tag=$1,security_model=none,multidevs=remap,id=$1${3:+,$3}")
}

# CPUs and memory, split evenly over LAB_NUMA nodes.
topology() {
	local nodes=${LAB_NUMA:-1} node per
	QEMU+=(-smp "${LAB_SMP:-$CPUS}" -m "$MEMORY")
	[ "$nodes" -gt 1 ] || return 0
	local cpus=${LAB_SMP:-$CPUS}
	cpus=${cpus%%,*}
	cpus=${cpus#cpus=}
	per=$((cpus / nodes))
	for ((node = 0; node < nodes; node++)); do
		QEMU+=(-object "memory-backend-ram,id=node$node,size=$((MEMORY / nodes))M"
			-numa "node,nodeid=$node,memdev=node$node,cpus=$((node * per))-$(((node + 1) * per - 1))")
	done
}

# LAB_DISK_IOPS=N: a disk for lab-disk that carries N requests a second.
disk_for_guests() {
	[ -n "${LAB_DISK_IOPS:-}" ] || return 0
	truncate -s 512M "$RUN/disk"
	QEMU+=(-drive "if=none,id=disk,file=${RUN//,/,,}/disk,format=raw,cache=unsafe,throttling.iops-total=$LAB_DISK_IOPS"
		-device "virtio-blk-pci,drive=disk,serial=lab-disk")
}

# LAB_SRIOV=1: a card with virtual functions (igb, Intel 82576) and the IOMMU that passing one through
# takes, both emulated. The card carries no packet anywhere, and holds nobody to a rate.
card_with_vfs() {
	[ "${LAB_SRIOV:-}" = 1 ] || return 0
	QEMU+=(-device "intel-iommu,intremap=on,caching-mode=on"
		-device "pcie-root-port,id=card-port,chassis=9,slot=9"
		-netdev "hubport,id=card-net,hubid=0"
		-device "igb,bus=card-port,netdev=card-net,mac=52:54:00:76:66:01")
}

command_line() {
	local append="LAB_INIT=$INIT LAB_CGROUP=$CGROUP LAB_KERNEL=$KERNEL console=ttyS0 quiet panic=-1 apparmor=0 audit=0 mitigations=off nokaslr"
	append+=" rcupdate.rcu_cpu_stall_suppress=1 nowatchdog"
	[ "${LAB_SRIOV:-}" != 1 ] || append+=" intel_iommu=on"
	if [ "$INIT" = systemd ]; then
		append+=" systemd.show_status=0 systemd.log_target=journal"
		[ "$CGROUP" = v2 ] && append+=" systemd.unified_cgroup_hierarchy=1" ||
			append+=" systemd.unified_cgroup_hierarchy=0 systemd.legacy_systemd_cgroup_controller=1"
	fi
	QEMU=("${EMULATOR[@]}" -M q35 -display none -no-reboot -nodefaults -serial "file:$RUN/serial.log"
		-kernel "$KERNEL_DIR/vmlinux" -initrd "$RUN/initramfs.cpio" -append "$append"
		-device "isa-debug-exit,iobase=0xf4,iosize=1" -device virtio-rng-pci)
	accelerator
	topology
	share hostroot / readonly=on
	share lablayers "$LAYERS" readonly=on
	share labcache "$CACHE" readonly=on
	share labshare "$SHARE"
	truncate -s 4G "$RUN/swap" # for lab-swap; takes room only as it is used
	QEMU+=(-drive "if=none,id=swap,file=${RUN//,/,,}/swap,format=raw,cache=unsafe"
		-device "virtio-blk-pci,drive=swap,serial=lab-swap")
	disk_for_guests
	card_with_vfs
	[ -z "$LAB_OUT" ] || share labout "$LAB_OUT"
}

# Starts QEMU, shows the script's output while it comes, and returns the script's exit status.
machine_run() {
	local rc tails
	command_line
	"${QEMU[@]}" < /dev/null > "$RUN/qemu.log" 2>&1 &
	MACHINE=$!
	tail -n +1 -s 0.2 -f --pid="$MACHINE" "$SHARE/stdout" 2>/dev/null &
	tails=$!
	tail -n +1 -s 0.2 -f --pid="$MACHINE" "$SHARE/stderr" >&2 2>/dev/null &
	tails="$tails $!"
	(
		trap 'kill $!' TERM
		sleep "$TIMEOUT" &
		wait $! || exit
		: > "$RUN/timed-out"
		kill -KILL "$MACHINE"
	) > /dev/null 2>&1 &
	WATCHDOG=$!
	wait "$MACHINE" 2>/dev/null
	rc=$?
	MACHINE=
	kill "$WATCHDOG" 2>/dev/null
	WATCHDOG=
	# shellcheck disable=SC2086 # a list of pids
	wait $tails 2>/dev/null
	verdict "$rc"
}

# isa-debug-exit makes QEMU's status (v << 1) | 1, and the runner gives v = 64 | min(status, 63).
# A QEMU killed by a signal can look the same, so the status file must agree.
verdict() { # STATUS-OF-QEMU
	local status
	if [ -e "$RUN/timed-out" ]; then
		note "$(basename "$SCRIPT") did not end within $TIMEOUT s (--timeout)"
		return 124
	fi
	status=$(cat "$SHARE/status" 2>/dev/null)
	if [[ $status =~ ^[0-9]+$ ]] &&
		[ "$1" -eq $((((64 | (status > 63 ? 63 : status)) << 1) | 1)) ]; then
		capabilities_save
		return "$status"
	fi
	note "the lab host died before the script ended (QEMU: exit status $1); its console ends:"
	# Without the stack frames and registers of a panic, which say little.
	cat "$RUN/qemu.log" "$RUN/serial.log" 2>/dev/null |
		grep -avE '^\[ *[0-9.]+\] +([? ]|[A-Z0-9]{2,4}: )' | tail -n 30 >&2
	return 125
}

clean_up() { # EXIT-STATUS
	[ -z "${MACHINE:-}" ] || { kill -KILL "$MACHINE"; wait "$MACHINE"; } 2>/dev/null
	[ -z "${WATCHDOG:-}" ] || kill "$WATCHDOG" 2>/dev/null
	if [ "$1" -ne 0 ] && [ "${LAB_KEEP:-}" = 1 ]; then
		note "exit status $1; the run directory stays: $RUN"
	else
		rm -rf "$RUN"
	fi
}
