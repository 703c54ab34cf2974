#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# check-man.sh - qosd.conf(5) keeps in step with the key tables: every key is described once, with
# the default that is in force; nothing else is described; the example is accepted.
#
# RUN_GOLDEN names the program that lists the keys (default: run_golden beside the build).
set -eu

top=${top_srcdir:-.}
page=$top/man/qosd.conf.5
run_golden=${RUN_GOLDEN:-t/conf/run_golden}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$run_golden" --list-keys | sort >"$work/tables"

# The page as "key<tab>last line of its item", with the section put before the item's name.
awk '
	/^\.Sh / {
		prefix = ""
		if ($2 == "HOST" || $2 == "NETWORKS" || $2 == "CLASSES" || $2 == "OVERLOAD" || $2 == "CEPH")
			prefix = tolower($2) "."
		if ($2 == "MATCH")
			prefix = "match."
		sections = prefix != "" || $2 == "GENERAL"
	}
	sections && /^\.It Ic / { key = prefix $3 }
	sections && key != "" && (/^Default: / || /^Required\.$/) { print key "\t" $0; key = "" }
	sections && /^\.(It|El)/ && !/^\.It Ic / { key = "" }
' "$page" | sort >"$work/page"

if ! diff -u "$work/tables" "$work/page" >"$work/diff"; then
	echo "not ok 1 - qosd.conf(5) describes every key with its default"
	sed 's/^/# /' "$work/diff"
	status=1
else
	echo "ok 1 - qosd.conf(5) describes every key with its default"
	status=0
fi

if ! command -v mandoc >/dev/null; then
	echo "ok 2 - qosd.conf(5) is clean mdoc # SKIP no mandoc"
elif mandoc -Tlint -W warning "$page" >"$work/lint" 2>&1; then
	echo "ok 2 - qosd.conf(5) is clean mdoc"
else
	echo "not ok 2 - qosd.conf(5) is clean mdoc"
	sed 's/^/# /' "$work/lint"
	status=1
fi

sed -n '/^\.Sh EXAMPLES/,$ { /^\.Bd/,/^\.Ed/ { /^\.[BE]d/! p } }' "$page" >"$work/example.conf"
if [ -s "$work/example.conf" ] && "$run_golden" --check "$work/example.conf" >"$work/findings" &&
	[ ! -s "$work/findings" ]; then
	echo "ok 3 - the example in qosd.conf(5) is accepted without a finding"
else
	echo "not ok 3 - the example in qosd.conf(5) is accepted without a finding"
	sed 's/^/# /' "$work/findings"
	status=1
fi
echo 1..3
exit $status
