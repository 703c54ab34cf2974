#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# test_lab_kernel - the lab's kernel of before a card's driver was taken in: other labs run on its tree,
# so it gets the modules, or one of another release takes a place of its own. Nothing is fetched: a
# package is a tree of empty files here, and so is what depmod makes of it.
#
#   srcdir   the source tree (default: the current folder)
set -u

source=$(realpath "${srcdir:-.}") || exit 1
place=$(mktemp -d) || exit 1
trap 'rm -rf "$place"' EXIT
CACHE=$place/cache
failed=0

is() { # NAME GOT WANTED
	[ "$2" = "$3" ] && echo "ok - $1" && return
	echo "not ok - $1: got '$2', wanted '$3'"
	failed=1
}

die() {
	echo "# $*"
	exit 1
}

. "$source/t/lab/host/kernel.bash"

# ---- in place of what comes from outside ----

kernel_download() { # LINE DIR
	touch "$2/linux-image-1.deb" "$place/fetched"
}

kernel_unpack() { # DEB DIR
	local part
	for part in drivers/virtio "${parts[@]}"; do
		mkdir -p "$2/lib/modules/$release/kernel/$part"
		touch "$2/lib/modules/$release/kernel/$part/m.ko"
	done
	echo "$release" > "$2/release"
	depmod -b "$2" "$release"
}

depmod() { # -b DIR RELEASE
	(cd "$2/lib/modules/$3" && find kernel -name '*.ko' -printf '%p:\n' > modules.dep)
}

prepare() { # RELEASE SRIOV PART...: the tree's name and release, and whether it was fetched
	release=$1 LAB_SRIOV=$2 parts=("${@:3}")
	rm -f "$place/fetched"
	kernel_prepare 6.1
	echo "$(basename "$KERNEL_DIR") $KERNEL_RELEASE $([ -e "$place/fetched" ] && echo fetched)"
}

of_old() { stat -c %i "$CACHE/kernel-6.1" "$CACHE/kernel-6.1/lib/modules/6.1.0-1/kernel/drivers/virtio/m.ko"; }

# ---- the cache of before ----
all=("${MODULES_TAKEN_IN[@]}")
mkdir -p "$CACHE"
is "a first one" "$(prepare 6.1.0-1 "")" "kernel-6.1 6.1.0-1 fetched"
is "is taken again" "$(prepare 6.1.0-1 "")" "kernel-6.1 6.1.0-1 "
old=$(of_old)
cp -r "$CACHE" "$place/before"

is "the same release: it gets the modules" "$(prepare 6.1.0-1 1 "${all[@]}")" "kernel-6.1 6.1.0-1 fetched"
is "and stays where it is" "$(of_old)" "$old"
is "modprobe knows them" "$(grep -c intel "$CACHE/kernel-6.1/lib/modules/6.1.0-1/modules.dep")" "${#all[@]}"
is "and nothing is fetched again" "$(prepare 6.1.0-1 1)" "kernel-6.1 6.1.0-1 "

rm -rf "$CACHE"
mv "$place/before" "$CACHE"
old=$(of_old)
is "another release has a place of its own" "$(prepare 6.1.0-2 1 "${all[@]}")" "kernel-6.1-sriov 6.1.0-2 fetched"
is "the one of before stays" "$(of_old)" "$old"
is "and nothing is fetched again" "$(prepare 6.1.0-2 1)" "kernel-6.1-sriov 6.1.0-2 "
is "other hosts have the one of before" "$(prepare 6.1.0-2 "")" "kernel-6.1 6.1.0-1 "
is "nothing else is left" "$(ls "$CACHE")" $'kernel-6.1\nkernel-6.1-sriov\nkernel-6.1.lock'
exit $failed
