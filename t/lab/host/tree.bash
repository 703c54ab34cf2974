# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# What the lab host gets of this tree: $LAYERS/stage (make install), and /lab/bin.

# The build tree, or nothing when there is none.
find_build() {
	local dir
	for dir in ${QOSD_BUILD:+"$QOSD_BUILD"} "$TOP/build" "$TOP"; do
		if [ -f "$dir/Makefile" ] || [ -n "$QOSD_BUILD" ]; then
			(cd "$dir" 2>/dev/null && pwd) || die "there is no directory $dir (QOSD_BUILD)"
			return
		fi
	done
}

# Builds and installs into the stage. One run at a time: make knows nothing of other makes.
tree_install() {
	local log=$RUN/build.log
	BUILD=$(find_build) || exit 125
	mkdir -p "$LAYERS/stage"
	if [ -n "$QOSD_LAB_NOBUILD" ]; then
		copy_programs
		return
	fi
	[ -f "$BUILD/Makefile" ] || die "qosd is not configured here; run ./quickstart (or ./bootstrap and ./configure) first"
	exec 8< "$BUILD"
	flock 8
	# Another make's job server would be out of reach inside; its flags do not concern this one.
	# shellcheck disable=SC2016 # for the inner shell
	env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL -u DESTDIR sh -ec '
		make -s -C "$1"
		make -s -C "$1" install DESTDIR="$2"
		make -s -C "$1" lab-programs' sh "$BUILD" "$LAYERS/stage" > "$log" 2>&1 || {
		tail -n 30 "$log" >&2
		die "the build failed in $BUILD; run: make -C $BUILD"
	}
	copy_programs
	exec 8>&-
	merge_usr "$LAYERS/stage"
}

# The lab sees /bin, /sbin and /lib as links into /usr; a directory of that name would hide the link.
merge_usr() { # ROOT
	local dir
	for dir in bin sbin lib lib64; do
		if [ ! -d "$1/$dir" ] || [ ! -L "/$dir" ]; then continue; fi
		mkdir -p "$1/usr/$dir"
		cp -a "$1/$dir/." "$1/usr/$dir/"
		rm -r "${1:?}/$dir"
	done
}

# /lab/bin holds links to copies that are named by their content and never change: a program that
# is the same as in the last run is the same file, so libvirt need not probe its abilities again,
# and a build during a run changes nothing in it.
copy_programs() {
	local file sum name
	mkdir -p "$SHARE/bin" "$CACHE/bin"
	while read -r sum file; do
		name=${file##*/}
		if [ ! -e "$CACHE/bin/$sum/$name" ]; then
			mkdir -p "$CACHE/bin/$sum"
			cp "$file" "$RUN/program"
			chmod 755 "$RUN/program"
			mv -n "$RUN/program" "$CACHE/bin/$sum/$name"
		fi
		touch -c "$CACHE/bin/$sum"
		ln -sfn "/lab/cache/bin/$sum/$name" "$SHARE/bin/$name"
	done < <(find "$HERE/bin" ${BUILD:+$([ -d "$BUILD/t/lab" ] && echo "$BUILD/t/lab")} -maxdepth 2 -type f \
		'(' -name 'lab-*' -executable -o -name '*.elf' -o -name '*.rom' ')' -exec sha256sum {} + 2>/dev/null)
	find "$CACHE/bin" -mindepth 1 -maxdepth 1 -type d -mtime +7 -exec rm -rf {} +
}
