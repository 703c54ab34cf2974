# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# The lab's emulator: this machine's QEMU, or, with LAB_SRIOV=1, one that knows a card with virtual
# functions (igb: QEMU 8.0 and later). That is Debian's package from bookworm-backports, unpacked
# once into $CACHE/qemu-10; it is not installed.
#
# emulator_prepare leaves in EMULATOR the program and the options that find its files.

EMULATOR_PACKAGES=(qemu-system-x86 qemu-system-common qemu-system-data seabios)

# Downloads the packages into DIR.
emulator_download() { # DIR
	kernel_private_apt "$1/apt"
	apt-get "${PRIVATE_APT[@]}" -qq update >&2 ||
		die "apt cannot read bookworm-backports; check the network and /etc/apt"
	note "fetching qemu-system-x86 of bookworm-backports (once)"
	(cd "$1" && apt-get "${PRIVATE_APT[@]}" -qq download "${EMULATOR_PACKAGES[@]}" >&2) ||
		die "apt-get download qemu-system-x86 failed; run: apt-get update"
}

emulator_unpack() {
	local work=$CACHE/qemu-10.new deb
	rm -rf "$work" "$CACHE/qemu-10"
	mkdir -p "$work/tree"
	emulator_download "$work"
	for deb in "$work"/*.deb; do
		dpkg-deb -x "$deb" "$work/tree" || die "cannot unpack $deb (is the disk full?)"
	done
	"$work/tree/usr/bin/qemu-system-x86_64" --version > /dev/null ||
		die "the QEMU of bookworm-backports lacks libraries here; run ./quickstart check once"
	mv "$work/tree" "$CACHE/qemu-10"
	rm -rf "$work"
}

emulator_prepare() {
	EMULATOR=(qemu-system-x86_64)
	[ "${LAB_SRIOV:-}" = 1 ] || return 0
	exec 8> "$CACHE/qemu-10.lock"
	flock 8
	[ -d "$CACHE/qemu-10" ] || emulator_unpack
	exec 8>&-
	# shellcheck disable=SC2034 # for machine.bash
	EMULATOR=("$CACHE/qemu-10/usr/bin/qemu-system-x86_64" -L "$CACHE/qemu-10/usr/share/qemu"
		-L "$CACHE/qemu-10/usr/share/seabios")
}
