# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# The lab's kernel: Debian's own package, unpacked once into $CACHE/kernel-VERSION (see kernel_prepare).
# kernel_prepare LINE (6.1 or 6.12) leaves in $KERNEL_DIR:
#   vmlinux               uncompressed: QEMU boots it by PVH, which saves the guest the unpacking
#   lib/modules/RELEASE   with modules.dep
#   release               RELEASE
# and initramfs_build FILE packs busybox and the modules that reach the root file system.

# Modules the initramfs loads, with whatever they depend on.
INITRAMFS_MODULES=(virtio_pci virtio_rng 9pnet_virtio 9p overlay)

# Kinds of hardware that a virtual host never has: not unpacked, which saves 200 MB for each kernel.
MODULES_LEFT_OUT=(sound drivers/gpu drivers/media drivers/net/wireless drivers/net/ethernet
	drivers/infiniband drivers/iio drivers/staging drivers/usb drivers/hwmon drivers/scsi
	drivers/bluetooth drivers/isdn drivers/mtd drivers/mfd drivers/platform drivers/comedi
	drivers/input drivers/leds drivers/power drivers/edac drivers/ata drivers/video)
# ... but for these: the card of LAB_SRIOV and what its driver depends on.
MODULES_TAKEN_IN=(drivers/net/ethernet/intel/igb drivers/net/ethernet/intel/igbvf)

# The package that a meta package stands for today.
kernel_package_of() { # APT-OPTIONS... META
	apt-cache "${@:1:$#-1}" depends "${!#}" 2>/dev/null |
		sed -n 's/^ *Depends: \(linux-image-[0-9][^ ]*\)$/\1/p' | head -n 1
}

# Options that give apt a private configuration: this machine's Debian mirror, its backports suite,
# lists and caches of our own. Nothing of the machine's apt is changed.
kernel_private_apt() { # DIR
	local dir=$1 mirror
	# shellcheck disable=SC2016 # for apt-get
	mirror=$(apt-get indextargets --format '$(RELEASE) $(REPO_URI)' 'Created-By: Packages' |
		sed -n 's/^bookworm //p' | head -n 1)
	[ -n "$mirror" ] || die "apt knows no bookworm source; run apt-get update first"
	mkdir -p "$dir"/{parts,lists/partial,archives/partial}
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]" \
		"$mirror bookworm-backports main" > "$dir/sources.list"
	PRIVATE_APT=(-o "Dir::Etc::sourcelist=$dir/sources.list" -o "Dir::Etc::sourceparts=$dir/parts"
		-o "Dir::State::lists=$dir/lists" -o "Dir::Cache=$dir"
		-o "Dir::Cache::archives=$dir/archives" -o APT::Sandbox::User=root)
}

# Downloads the newest package of kernel line 6.1 or 6.12 into DIR.
kernel_download() { # LINE DIR
	local line=$1 dir=$2 package options=(-o APT::Sandbox::User=root)
	if [ "$line" = 6.12 ]; then
		kernel_private_apt "$dir/apt"
		options=("${PRIVATE_APT[@]}")
		apt-get "${options[@]}" -qq update >&2 ||
			die "apt cannot read bookworm-backports; check the network and /etc/apt"
	fi
	package=$(kernel_package_of "${options[@]}" linux-image-amd64)
	case $package in
	"linux-image-$line."*) ;;
	*) die "apt knows no kernel $line (linux-image-amd64 is '${package:-unknown}'); run: apt-get update" ;;
	esac
	note "fetching $package (once)"
	(cd "$dir" && apt-get "${options[@]}" -qq download "$package" >&2) ||
		die "apt-get download $package failed; run: apt-get update"
}

# A 32-bit little-endian number at OFFSET in FILE.
u32_at() { # FILE OFFSET
	od -An -tu4 -j "$2" -N 4 "$1" | tr -d ' '
}

# Takes the compressed kernel out of a bzImage: its header says where it lies (boot protocol 2.08:
# payload_offset at 0x248, payload_length at 0x24c, counted from the end of the setup sectors).
kernel_extract() { # VMLINUZ OUTPUT
	local image=$1 sectors start length magic tool
	[ "$(u32_at "$image" $((0x202)))" -gt 0 ] || die "$image is no bzImage"
	sectors=$(od -An -tu1 -j $((0x1f1)) -N 1 "$image" | tr -d ' ')
	start=$(((sectors ? sectors : 4) * 512 + 512 + $(u32_at "$image" $((0x248)))))
	length=$(u32_at "$image" $((0x24c)))
	magic=$(od -An -tx1 -j "$start" -N 4 "$image" | tr -d ' \n')
	case $magic in
	fd377a58) tool=(xz -dc --single-stream) ;;
	28b52ffd) tool=(zstd -dc) ;;
	1f8b*) tool=(gzip -dc) ;;
	02214c18) tool=(lz4 -dc) ;;
	5d0000*) tool=(xz -dc --format=lzma) ;;
	*) die "the kernel in $image is packed in an unknown way (first bytes $magic)" ;;
	esac
	# Behind the packed kernel stand four bytes with its size, which tools call trailing garbage.
	tail -c +$((start + 1)) "$image" | head -c "$length" | "${tool[@]}" > "$2" 2>/dev/null || true
	[ "$(od -An -tx1 -N 4 "$2" | tr -d ' ')" = 7f454c46 ] || die "$image did not unpack to an ELF file"
}

# Unpacks one kernel package below DIR.
kernel_unpack() { # DEB DIR
	local out=() part
	for part in "${MODULES_LEFT_OUT[@]}"; do out+=("--exclude=*/kernel/$part"); done
	mkdir -p "$2"
	dpkg-deb --fsys-tarfile "$1" > "$2/tar" || die "cannot unpack $1 (is the disk full?)"
	{
		tar -C "$2" -xf "$2/tar" "${out[@]}" --wildcards './boot/vmlinuz-*' './lib/modules/*' &&
		tar -C "$2" -xf "$2/tar" --wildcards "${MODULES_TAKEN_IN[@]/#/./lib/modules/*/kernel/}"
	} || die "cannot unpack $1 (is the disk full?)"
	rm "$2/tar"
	part=$(basename "$2"/lib/modules/*)
	kernel_extract "$2/boot/vmlinuz-$part" "$2/vmlinux"
	depmod -b "$2" "$part" 2>/dev/null || die "depmod failed below $2"
	rm -r "${2:?}/boot"
	echo "$part" > "$2/release"
}

# One that was unpacked before the card's driver was taken in does for all other hosts.
kernel_complete() { # DIR
	local part
	[ -f "$1/release" ] || return 1
	[ "${LAB_SRIOV:-}" = 1 ] || return 0
	for part in "${MODULES_TAKEN_IN[@]}"; do
		grep -q "^kernel/$part/" "$1/lib/modules/$(< "$1/release")/modules.dep" || return 1
	done
}

# Takes the modules that TREE lacks out of one of the same release. Other labs run on it: nothing of it
# goes or changes, and depmod puts each of its files in place whole.
kernel_add_modules() { # FROM TREE
	local release part from to
	release=$(< "$2/release")
	for part in "${MODULES_TAKEN_IN[@]}"; do
		from=$1/lib/modules/$release/kernel/$part to=$2/lib/modules/$release/kernel/$part
		[ -d "$to" ] && continue
		{ mkdir -p "$(dirname "$to")" && mv "$from" "$to"; } || die "cannot put modules into $to"
	done
	depmod -b "$2" "$release" 2>/dev/null || die "depmod failed below $2"
}

# The tree of before is never removed, for other labs may run on it: it gets what it lacks, or one of
# another release takes a place of its own.
kernel_prepare() { # LINE
	local line=$1 work own
	KERNEL_DIR=$CACHE/kernel-$line
	own=$KERNEL_DIR-sriov
	exec 8> "$CACHE/kernel-$line.lock"
	flock 8
	if ! kernel_complete "$KERNEL_DIR" && kernel_complete "$own"; then
		KERNEL_DIR=$own
	elif ! kernel_complete "$KERNEL_DIR"; then
		work=$CACHE/kernel-$line.new
		rm -rf "$work"
		mkdir -p "$work"
		kernel_download "$line" "$work"
		kernel_unpack "$(echo "$work"/linux-image-*.deb)" "$work/tree"
		if cmp -s "$work/tree/release" "$KERNEL_DIR/release"; then
			kernel_add_modules "$work/tree" "$KERNEL_DIR"
		else
			[ ! -f "$KERNEL_DIR/release" ] || KERNEL_DIR=$own
			rm -rf "$KERNEL_DIR" # at most a part of one
			mv "$work/tree" "$KERNEL_DIR"
		fi
		rm -rf "$work"
	fi
	exec 8>&-
	KERNEL_RELEASE=$(< "$KERNEL_DIR/release")
}

# Packs the initramfs: not compressed, since unpacking costs the guest more than the bytes.
initramfs_build() { # FILE
	local tree=$RUN/initramfs verb module n=0
	mkdir -p "$tree"/{bin,lib/modules,proc,sys,dev,ro,rw,layers,newroot}
	cp "$(command -v busybox)" "$tree/bin/busybox"
	cp "$HERE/host/init" "$tree/init"
	while read -r verb module; do
		[ "$verb" = insmod ] || continue
		module=${module%% }
		n=$((n + 1))
		unpack_module "$module" "$tree/lib/modules/$(printf %02d $n).ko"
	done < <(modprobe -d "$KERNEL_DIR" -S "$KERNEL_RELEASE" -D -a "${INITRAMFS_MODULES[@]}" | awk '!seen[$0]++')
	[ "$n" -gt 0 ] || die "modprobe finds no modules below $KERNEL_DIR; remove that directory and try again"
	(cd "$tree" && find . | cpio --quiet -o -H newc) > "$1"
	rm -r "$tree"
}

unpack_module() { # MODULE OUTPUT
	case $1 in
	*.xz) xz -dc "$1" > "$2" ;;
	*.zst) zstd -qdc "$1" > "$2" ;;
	*.gz) gzip -dc "$1" > "$2" ;;
	*) cp "$1" "$2" ;;
	esac
}
