#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# test_qosctl - the command against canned answers: text and JSON output, what is sent to the
# daemon, exit status, the man page, completion.
#
#   QOSCTL, FAKE_QOSD   the programs (default: of the build in the current folder)
#   srcdir              the source tree (default: the current folder)
#   UPDATE_GOLDEN=1     write the expected texts instead of comparing with them
set -u
export LC_ALL=C.UTF-8
unset NO_COLOR TERM

qosctl=$(realpath "${QOSCTL:-tools/qosctl}") || exit 1
fake=$(realpath "${FAKE_QOSD:-t/unit/fake_qosd}") || exit 1
source=$(realpath "${srcdir:-.}") || exit 1
fixtures=$source/t/fixtures/json
work=$(mktemp -d) || exit 1
failed=0
count=0
daemon=

stop_daemon()
{
	[ -n "$daemon" ] && kill "$daemon" 2> /dev/null && wait "$daemon" 2> /dev/null
	daemon=
}
trap 'stop_daemon; rm -rf "$work"' EXIT

# start_daemon FOLDER: answers from this folder of fixtures
start_daemon()
{
	stop_daemon
	rm -f "$work/ready" "$work/log"
	mkfifo "$work/ready"
	"$fake" "$work/sock" "$1" "$work/log" > "$work/ready" &
	daemon=$!
	read -r -t 10 < "$work/ready" || { echo "the fake daemon does not start"; exit 1; }
}

complain()
{
	echo "not ok: $*" >&2
	failed=$((failed + 1))
}

# run ARGUMENT...: out, err and status of qosctl
run()
{
	count=$((count + 1))
	(cd "$work" && timeout 60 "$qosctl" --socket "$work/sock" "$@" > out 2> err < /dev/null)
	status=$?
}

expect_status()
{
	[ "$status" = "$1" ] || complain "$2: exit status $status, expected $1: $(cat "$work/err")"
}

# golden NAME STATUS ARGUMENT...
golden()
{
	local name=$1 expected=$2
	shift 2
	run "$@"
	expect_status "$expected" "$*"
	sed "s|$work|WORK|g" "$work/out" "$work/err" > "$work/both"
	if [ -n "${UPDATE_GOLDEN:-}" ]; then
		cp "$work/both" "$fixtures/expected/$name.txt"
	else
		diff -u "$fixtures/expected/$name.txt" "$work/both" >&2 || complain "text of: $*"
	fi
}

# error STATUS PATTERN ARGUMENT...: one sentence on standard error, nothing on standard output
error()
{
	local expected=$1 pattern=$2
	shift 2
	run "$@"
	expect_status "$expected" "$*"
	grep -q -e "$pattern" "$work/err" || complain "$*: no \"$pattern\" in: $(cat "$work/err")"
	[ ! -s "$work/out" ] || complain "$*: text on standard output"
}

# sends LINE ARGUMENT...: the call that reaches the daemon
sends()
{
	local line=$1
	shift
	rm -f "$work/log.before"
	: > "$work/log"
	run "$@"
	expect_status 0 "$*"
	[ "$(cat "$work/log")" = "$line" ] || complain "$*: sent $(cat "$work/log"), not $line"
}

# json STATUS METHOD ARGUMENT...: prints exactly the daemon's object
json()
{
	local expected=$1 method=$2
	shift 2
	run --json "$@"
	expect_status "$expected" "--json $*"
	"$fake" --equal "$work/out" "$fixtures/busy/$method.json" || complain "--json $*: another object"
}

# ---- without a daemon ---------------------------------------------------------------------------
golden help 0 help
golden help-throttle 0 help throttle
golden help-reload 0 help reload
golden help-option 0 --help episodes
error 3 "systemctl start qosd" status
error 2 "what to do"
error 2 "is no verb" frobnicate
error 2 "short for several" re
error 2 "argument is missing" show
error 2 "too many arguments" status now
error 2 "does not take this option" list --for 3s
error 2 "does not take this option" list -f
error 2 "how long" hold web1
error 2 "is no time" hold web1 --for 10
error 2 "is no time" hold web1 --for soon
error 2 "is no level" throttle gold cpu 101% --for 1s
error 2 "is no level" throttle gold cpu 1001 --for 1s
error 2 "is no level" throttle gold cpu much --for 1s
error 2 "is no mode" mode perhaps
error 2 "is no part of the guests" reload --canary 0%
error 2 "is no part of the guests" reload --canary 101%
error 2 "is no part of the guests" reload --canary some
error 2 "is no time" reload --canary 10% --for ever
error 2 "goes with --canary" reload --for 10min
error 2 "does not take this option" undo --canary 10%
error 2 "either a class or --clear" class web1
error 2 "either a class or --clear" class web1 gold --clear
error 2 "unrecognized option" --frob
error 2 "too long" --socket "/$(printf 'x%.0s' {1..200})" status
error 1 "cannot read nowhere.conf" plan nowhere.conf
error 1 "cannot read nowhere.conf" reload nowhere.conf
run --version
expect_status 0 --version
run version
expect_status 3 version

# ---- text and JSON ------------------------------------------------------------------------------
start_daemon "$fixtures/busy"
printf 'mode = "observe";\n' > "$work/new.conf"
golden status 0 status
golden list 0 list
golden show 0 show web1
golden explain 0 explain web1
golden top 0 top
golden plan 5 plan
golden plan-file 5 plan new.conf
golden episodes 0 episodes
golden episodes-follow 0 episodes -f
golden episodes-follow-json 0 --json episodes --follow
golden capacity 0 capacity
golden doctor 5 doctor
golden policy 0 policy
golden class-clear 0 class web1 --clear
golden throttle 0 throttle bronze cpu 50% --for 10min
golden hold 0 hold web1 --for 10s
golden release 0 release
golden reload 0 reload
golden reload-canary 0 reload --canary 10%
golden confirm 0 confirm
json 0 Status status
json 0 List list
json 0 Show show web1
json 0 Explain explain web1
json 5 Plan plan
json 0 Episodes episodes
json 0 Capacity capacity
json 5 Doctor doctor
json 0 Policy policy
json 0 Reload reload
json 0 Undo undo
json 0 Confirm confirm
json 0 SetMode mode observe
json 0 SetClass class web1 gold
json 0 Throttle throttle bronze cpu 1 --for 1s
json 0 Hold hold web1 --for 1s
json 0 Release release

run --json version
expect_status 0 "--json version"
"$qosctl" --version | sed 's/ /": "/; s/.*/"&"/' > "$work/own"
grep -qF "$(cat "$work/own")" "$work/out" || complain "--json version lacks its own: $(cat "$work/out")"
for member in '"version": "0.1.0"' '"libvirt": "9.0.0"' '"kernel": "6.1.0-18-amd64"'; do
	grep -qF "$member" "$work/out" || complain "--json version: no $member in $(cat "$work/out")"
done
run version
expect_status 0 version
grep -q '^libvirt *9.0.0$' "$work/out" || complain "version: $(cat "$work/out")"

# No escape sequence of a guest's name, and no colour, reaches what is not a terminal.
for verb in list top policy "show web1"; do
	# shellcheck disable=SC2086
	run $verb
	LC_ALL=C grep -q $'\033' "$work/out" && complain "$verb: an escape sequence came through"
done

# ---- what is sent -------------------------------------------------------------------------------
sends 'Status {}' st
sends 'Show {"guest":"web1"}' show web1
sends 'Show {"guest":"-odd"}' show -- -odd
sends 'Reload {}' reload
sends "Reload {\"path\":\"$work/new.conf\"}" reload new.conf
sends 'Reload {"canary":100}' reload --canary 10%
sends "Reload {\"canary\":125,\"path\":\"$work/new.conf\",\"seconds\":3600.0}" \
	reload --canary 12.5% --for 1h new.conf
sends 'Confirm {}' confirm
sends 'SetMode {"mode":"enforce"}' mode enforce
sends 'SetClass {"class":"gold","guest":"web1"}' class web1 gold
sends 'SetClass {"class":null,"guest":"web1"}' class --clear web1
sends 'Throttle {"class":"bronze","level":500,"resource":"cpu","seconds":600.0}' \
	throttle bronze cpu 50% --for 10min
sends 'Throttle {"class":"bronze","level":250,"resource":"net","seconds":0.5}' \
	throttle bronze net 250 --for 500ms
sends 'Hold {"guest":"web1","seconds":3600.0}' hold --for 1h web1
sends 'Release {}' release
sends 'Release {"guest":"web1"}' release web1
: > "$work/log"
run plan new.conf
[ "$(cat "$work/log")" = 'Plan {"text":"mode = \"observe\";\n"}' ] || complain "plan FILE: sent $(cat "$work/log")"
# What a file includes goes with it, in normal form: then lines of findings are not the file's.
printf 'classes = ( { name = "gold"; rank = 0; } );\n' > "$work/part.conf"
printf '@include "part.conf"\ndefault_class = "gold";\n' > "$work/whole.conf"
: > "$work/log"
run plan whole.conf
expect_status 5 "plan of a file with an include"
grep -q '^Plan {"text":.*name = \\"gold\\"' "$work/log" || complain "plan of an include: sent $(cat "$work/log")"
grep -q '@include' "$work/log" && complain "plan of an include: sent $(cat "$work/log")"
grep -qE '^whole.conf:[0-9]' "$work/out" && complain "plan of an include: $(cat "$work/out")"
printf 'classes = ( { name = "gold"; rank = "first"; } );\n' > "$work/part.conf"
error 1 "^part.conf:1: .*rank" plan whole.conf
rm "$work/part.conf"
error 1 "part.conf" plan whole.conf
run --json plan whole.conf
grep -q '"file": "whole.conf"' "$work/out" || complain "--json plan of a missing include: $(cat "$work/out")"
error 2 "not UTF-8" show $'web\xff'

# ---- on a terminal ------------------------------------------------------------------------------
# tty COMMAND: what a terminal gets
tty()
{
	TERM=xterm timeout 20 script -qec "$1" /dev/null < /dev/null | tr -d '\r'
}
if command -v script > /dev/null; then
	count=$((count + 4))
	tty "$qosctl --socket $work/sock status" | grep -q $'\033\[31mpressed' || complain "no colour on a terminal"
	tty "NO_COLOR=1 $qosctl --socket $work/sock status" | grep -q $'\033' && complain "colour in spite of NO_COLOR"
	tty "$qosctl --socket $work/sock list" | grep -qF $'\033[31mname' && complain "a guest's name colours the terminal"
	tty "$qosctl --socket $work/sock --json list" | LC_ALL=C grep -q $'[\x1b\x7f\x80-\xff]' &&
		complain "raw characters of a guest's name in JSON on a terminal"
	count=$((count + 2))
	(sleep 1.5; printf c; sleep 0.5; printf q) |
		TERM=xterm timeout 20 script -qec "$qosctl --socket $work/sock top" /dev/null > "$work/out" ||
		complain "top does not end by q"
	grep -q 'by cpu' "$work/out" || complain "top does not sort by cpu"
	tail -c 20 "$work/out" | grep -qF $'\033[?1049l' || complain "top leaves the terminal as it is"

	# keys KEY...: frames of top on a terminal of 60 x 16, with these keys pressed one after the other
	keys()
	{
		local key
		count=$((count + 1))
		(sleep 1.5; for key in "$@"; do printf '%s' "$key"; sleep 0.5; done; printf q) |
			TERM=xterm timeout 30 script -qec "stty rows 16 cols 60; ${before:-} $qosctl --socket $work/sock top" \
				/dev/null | tr -d '\r' > "$work/out"
		awk -v RS='\033\\[H\033\\[J' 'NR > 1' ORS='\f' "$work/out" | sed 's/\x1b\[[0-9;?]*[a-zA-Z]//g' > "$work/frames"
	}
	last_frame()
	{
		awk -v RS='\f' 'NF { last = $0 } END { print last }' "$work/frames"
	}
	fits() # ROWS COLUMNS
	{
		[ "$(last_frame | wc -l)" -le "$1" ] || complain "top draws more than $1 lines: $(last_frame)"
		[ "$(last_frame | wc -L)" -le "$2" ] || complain "top draws more than $2 columns: $(last_frame)"
	}
	keys
	fits 16 60
	grep -q "3 more" <<< "$(last_frame)" || complain "top does not tell of guests that do not fit: $(last_frame)"
	keys k r
	grep -q "by class reversed" "$work/frames" || complain "top does not sort by class, reversed"
	keys g i
	grep -q "^GUEST *NIC *WAY *MAY *WANTS" <<< "$(last_frame)" || complain "top shows no cards: $(last_frame)"
	fits 16 60
	before="(sleep 2.5; stty rows 12 cols 30 < /dev/tty) &" keys w w w w
	fits 12 30
fi

# ---- completion ---------------------------------------------------------------------------------
# offers LINE EXPECTED: candidates for the last word of the line, on one line
offers()
{
	local COMP_WORDS COMP_CWORD COMPREPLY
	count=$((count + 1))
	read -ra COMP_WORDS <<< "$1"
	[ "${1: -1}" = " " ] && COMP_WORDS+=("")
	COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
	COMP_WORDS[0]=$qosctl
	COMP_WORDS=("$qosctl" --socket "$work/sock" "${COMP_WORDS[@]:1}")
	COMP_CWORD=$((COMP_CWORD + 2))
	_qosctl
	[ "${COMPREPLY[*]}" = "$2" ] || complain "completion of \"$1\": ${COMPREPLY[*]}"
}
# shellcheck source=/dev/null
. "$source/tools/completion/qosctl.bash"
offers "qosctl st" "status"
offers "qosctl re" "reload release"
offers "qosctl show w" "web1"
offers "qosctl show gr" "$(printf '%q' grün)"
offers "qosctl show bad" ""
offers "qosctl class web1 " "gold bronze"
offers "qosctl class web1 gold " ""
offers "qosctl throttle bronze " "cpu memory net disk"
offers "qosctl throttle bronze cpu " ""
offers "qosctl throttle --for 1s b" "bronze"
offers "qosctl throttle --f" "--for"
offers "qosctl mode e" "enforce"
offers "qosctl reload --c" "--canary"
offers "qosctl reload --canary 1" ""
offers "qosctl episodes --f" "--follow"
offers "qosctl --json he" "help"
offers "qosctl help un" "undo"
offers "qosctl plan " ""
offers "qosctl nonsense " ""

# Every verb is offered, and is in the man page exactly once as an item.
verbs=$("$qosctl" --json help | sed -n 's/^ *"name": "\(.*\)",$/\1/p')
[ "$(wc -w <<< "$verbs")" -ge 18 ] || complain "verbs: $verbs"
offered=$("$qosctl" complete "")
for verb in $verbs; do
	count=$((count + 1))
	grep -qx "$verb" <<< "$offered" || complain "completion does not offer $verb"
	[ "$(grep -c "^\.It Cm $verb\b" "$source/man/qosctl.8")" = 1 ] || complain "man page: $verb"
done
if command -v mandoc > /dev/null; then
	mandoc -Tlint -W warning "$source/man/qosctl.8" >&2 || complain "mandoc finds fault with the man page"
fi

# ---- empty and refused --------------------------------------------------------------------------
start_daemon "$fixtures/quiet"
golden quiet-status 0 status
golden quiet-list 0 list
golden quiet-plan 0 plan
golden quiet-episodes 0 episodes
golden quiet-hold 0 hold web1 --for 0s
golden quiet-doctor 0 doctor
golden quiet-explain 0 explain web1
run version
expect_status 0 "version without libvirt's"
grep -q '^libvirt' "$work/out" && complain "version without libvirt's: $(cat "$work/out")"

start_daemon "$fixtures/bad"
golden bad-reload 1 reload
golden bad-reload-json 1 --json reload
error 1 '^(proposed):12: ' plan new.conf
printf 'classes = ( { name = "gold"; rank = 0; } );\n' > "$work/part.conf"
error 1 '^(proposed): host' plan whole.conf
error 1 "there is no guest ?\[1mweb9" show web9
error 4 "qosd-admin" undo
error 1 "restart it after an update" doctor
error 1 "no fixture" version --json
error 3 "does not answer within 5 s" status
error 3 "hung up without an answer" list
stop_daemon
rm -f "$work/sock" "$work/ready"
mkfifo "$work/ready"
"$fake" --raw "$work/sock" 'hello' '[]' '{"parameters":[]}' '{"error":"x.Y"}' > "$work/ready" &
daemon=$!
read -r -t 10 < "$work/ready"
error 1 "cannot be read" status
error 1 "cannot be read" status
error 1 "cannot be read" status
error 1 "x.Y" status
stop_daemon

# ---- check: needs no daemon ---------------------------------------------------------------------
cat > "$work/good.conf" <<- 'END'
	mode = "observe";
	classes = ( { name = "gold"; rank = 0; } );
	default_class = "gold";
END
cat > "$work/bad.conf" <<- 'END'
	mode = "perhaps";
	colour = "red";
	classes = ( { name = "gold"; rank = 0; } );
	default_class = "gold";
END
run check good.conf
expect_status 0 "check good.conf"
run check good.conf bad.conf
expect_status 5 "check bad.conf"
grep -q '^bad.conf:1: .*; ' "$work/out" || complain "check: no finding with a fix for line 1: $(cat "$work/out")"
grep -q '^bad.conf:2: ' "$work/out" || complain "check: no finding for line 2: $(cat "$work/out")"
grep -q '^good.conf' "$work/out" && complain "check: a finding on the good file"
run --json check bad.conf
expect_status 5 "--json check"
for member in '"file": "bad.conf"' '"severity": "error"' '"line": 1' '"line": 2' '"message": ' '"fix": '; do
	grep -q "$member" "$work/out" || complain "--json check: no $member in $(cat "$work/out")"
done
run check nowhere.conf
expect_status 5 "check of a missing file"
grep -q nowhere.conf "$work/out" || complain "check: no word of the missing file"

# ---- one interface, three places: its text, the daemon's table, the fake's table -----------------
# "Name parameter TYPE optional ..." of each method, sorted by name
methods_of_text()
{
	sed -n 's/^method \([A-Za-z]*\)(\(.*\)) -> (.*/\1 \2/p' "$1" |
		sed 's/\([a-z]*\): ?\([a-z]*\)/\1 \2 true/g; s/\([a-z]*\): \([a-z]*\)/\1 \2 false/g
		     s/,//g; s/ string / STRING /g; s/ int / INT /g; s/ float / NUMBER /g; s/ bool / BOOL /g; s/ $//' | sort
}
methods_of_table()
{
	tr -d '\n' < "$1" |
		grep -oE '"[A-Za-z]+",[[:space:]]*(\.right|CONTROL_[A-Z]+, (REQUIRED|OPTIONAL))' |
		sed -E 's/"([A-Z][A-Za-z]*)",.*/;\1/; s/"([a-z]*)",[[:space:]]*CONTROL_([A-Z]*), /\1 \2 /
			s/REQUIRED/false/; s/OPTIONAL/true/' |
		tr '\n;' ' \n' | sed 's/ *$//; /^$/d' | sort
}
methods_of_text "$source/qosd/daemon/qosd.varlink" > "$work/text"
[ "$(wc -l < "$work/text")" -ge 18 ] || complain "methods of the interface: $(cat "$work/text")"
count=$((count + 1))
methods_of_table "$source/qosd/daemon/methods.c" | diff "$work/text" - >&2 ||
	complain "methods.c and qosd.varlink tell different methods"

echo "$count runs, $failed failures"
[ "$failed" = 0 ]
