#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# test_exporter - qos-exporter against canned answers: the page in both formats, HTTP, a daemon that
# is away, slow, or talks nonsense, and that alerts, dashboard and manual name metrics that exist.
#
#   QOS_EXPORTER, FAKE_QOSD   the programs (default: of the build in the current folder)
#   PROMTOOL                  Prometheus' own checker (default: promtool of PATH or of this folder)
#   srcdir                    the source tree (default: the current folder)
#   UPDATE_GOLDEN=1           write the expected pages instead of comparing with them
set -u
export LC_ALL=C.UTF-8

exporter=$(realpath "${QOS_EXPORTER:-tools/qos-exporter}")
fake=$(realpath "${FAKE_QOSD:-t/unit/fake_qosd}") || exit 1
source=$(realpath "${srcdir:-.}") || exit 1
fixtures=$source/t/fixtures/json
promtool=${PROMTOOL:-$(command -v promtool || realpath promtool)}
if [ ! -x "$exporter" ]; then
	echo "# SKIP qos-exporter is not built (no libmicrohttpd, or --disable-exporter)"
	exit 77
fi
work=$(mktemp -d) || exit 1
chmod 755 "$work"
failed=0
count=0
daemon=
server=

stop() { # PID
	[ -n "$1" ] && kill "$1" 2> /dev/null && wait "$1" 2> /dev/null
}
trap '' PIPE # the server may hang up on what is too long
trap 'stop "$daemon"; stop "$server"; rm -rf "$work"' EXIT

# It does not serve as root: a user without rights does, in a group that the fake daemon lets read.
FAKE_QOSD_READERS=$(id -gn)
user=()
if [ "$(id -u)" = 0 ]; then
	FAKE_QOSD_READERS=$(id -gn nobody)
	user=(setpriv --reuid nobody --regid nobody --clear-groups)
	[ "$FAKE_QOSD_READERS" = nobody ] || user=(setpriv --reuid nobody --regid "$FAKE_QOSD_READERS" --clear-groups)
	cp "$exporter" "$work/qos-exporter" # out of folders that are root's alone
	chmod 755 "$work/qos-exporter"
	exporter=$work/qos-exporter
fi
export FAKE_QOSD_READERS

# start_daemon ARGUMENT...: of fake_qosd, from its folder or --raw texts
start_daemon()
{
	stop "$daemon"
	rm -f "$work/ready" "$work/sock"
	mkfifo "$work/ready"
	: > "$work/log"
	"$fake" "$@" > "$work/ready" &
	daemon=$!
	read -r -t 10 < "$work/ready" || { echo "the fake daemon does not start"; exit 1; }
	[ "$1" != --raw ] || chmod 666 "$work/sock"
}

canned() # FOLDER
{
	start_daemon "$work/sock" "$1" "$work/log"
}

complain()
{
	echo "not ok: $*" >&2
	failed=$((failed + 1))
}

# is NAME GOT WANTED
is()
{
	count=$((count + 1))
	[ "$2" = "$3" ] || complain "$1: got \"$2\", wanted \"$3\""
}

# start_exporter ARGUMENT...: serves on $port
start_exporter()
{
	stop "$server"
	rm -f "$work/said"
	"${user[@]}" "$exporter" --socket "$work/sock" --listen 127.0.0.1:0 "$@" 2> "$work/said" &
	server=$!
	for _ in {1..200}; do
		port=$(sed -n 's/^qos-exporter: port \([0-9]*\) serves.*/\1/p' "$work/said")
		[ -z "$port" ] || return 0
		sleep 0.05
	done
	complain "the exporter does not start: $(cat "$work/said")"
	exit 1
}

# request METHOD PATH [HEADER]: head (without \r) and body of the answer in files of these names
request()
{
	local fd
	exec {fd}<> "/dev/tcp/127.0.0.1/$port"
	printf '%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n' "$1" "$2" "${3:+$3$'\r\n'}" >&"$fd"
	timeout 30 cat <&"$fd" > "$work/answer"
	exec {fd}>&-
	sed '/^\r$/,$d' "$work/answer" | tr -d '\r' > "$work/head"
	sed '1,/^\r$/d' "$work/answer" > "$work/body"
}

status()
{
	sed -n '1s/^HTTP[^ ]* \([0-9]*\).*/\1/p' "$work/head"
}

type_of()
{
	sed -n 's/^Content-Type: //p' "$work/head"
}

value() # NAME-WITH-LABELS
{
	awk -v name="$1" 'index($0, name " ") == 1 { print $NF }' "$work/body"
}

later() # what was read before is old
{
	sleep 1.1
}

# golden NAME FILE: with what differs from run to run taken out
golden()
{
	sed -E 's/^(qosd_exporter_reading(_seconds|s_total)) .*/\1 SOME/' "$2" > "$work/page"
	count=$((count + 1))
	if [ -n "${UPDATE_GOLDEN:-}" ]; then
		cp "$work/page" "$fixtures/expected/$1.txt"
	else
		diff -u "$fixtures/expected/$1.txt" "$work/page" >&2 || complain "page $1"
	fi
}

# Every line is a comment or one sample; a family's lines are together, after its own comments.
well_formed()
{
	LC_ALL=C awk '
		function family(name) { sub(/_(total|info|bucket|sum|count)$/, "", name); return name }
		/^# (HELP|TYPE|UNIT) [a-z_]+ ./ {
			now = family($3)
			if ($2 == "HELP" && seen[now]++) { print "twice: " $0; bad = 1 }
			next
		}
		/^# EOF$/ { next }
		/^[a-z_]+(\{[a-z]+="([^"\\]|\\["\\n])*"(,[a-z]+="([^"\\]|\\["\\n])*")*\})? -?[0-9.e+-]+$/ {
			name = $0; sub(/[{ ].*/, "", name)
			if (family(name) != now) { print "not of " now ": " $0; bad = 1 }
			sample = $0; sub(/ [^ ]*$/, "", sample)
			if (samples[sample]++) { print "twice: " $0; bad = 1 }
			next
		}
		{ print "no sample: " $0; bad = 1 }
		END { exit bad }' "$1"
}

# ---- wrong usage -----------------------------------------------------------------------------------
for words in "--frob" "now" "--limit never" "--limit 2min" "--limit 0s"; do
	# shellcheck disable=SC2086
	"$exporter" $words > "$work/out" 2>&1
	is "exit status of $words" $? 2
done
"$exporter" --help | grep -q -- --listen || complain "no help"
if [ "$(id -u)" = 0 ]; then
	"$exporter" --listen 127.0.0.1:0 > "$work/out" 2>&1
	is "exit status as root" $? 1
	grep -q "does not serve as root" "$work/out" || complain "as root: $(cat "$work/out")"
fi
for address in "" 9717 ":" "127.0.0.1:x" "127.0.0.1:70000" "localhost:1" "[::1:1" "::1:1"; do
	"${user[@]}" "$exporter" --listen "$address" > "$work/out" 2>&1
	is "exit status of --listen $address" $? 1
	grep -q "is no address to listen at" "$work/out" || complain "--listen $address: $(cat "$work/out")"
done

# ---- both formats ----------------------------------------------------------------------------------
canned "$fixtures/busy"
"${user[@]}" "$exporter" --once --socket "$work/sock" > "$work/once"
is "exit status of --once" $? 0
golden metrics-text "$work/once"
well_formed "$work/once" >&2 || complain "the text page is not well formed"
canned "$fixtures/busy"
start_exporter
request GET /metrics "Accept: application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
is "type of OpenMetrics" "$(type_of)" "application/openmetrics-text; version=1.0.0; charset=utf-8"
golden metrics-openmetrics "$work/body"
well_formed "$work/body" >&2 || complain "the OpenMetrics page is not well formed"
is "the last line of OpenMetrics" "$(tail -n 1 "$work/body")" "# EOF"
is "TYPE of a counter in OpenMetrics" "$(grep '^# TYPE qosd_guest_net_bits' "$work/body")" "# TYPE qosd_guest_net_bits counter"
is "units are the ends of names" "$(awk '$2 == "UNIT" && $3 !~ "_" $4 "$"' "$work/body")" ""
cp "$work/body" "$work/openmetrics"
request GET /metrics
is "type of the text" "$(type_of)" "text/plain; version=0.0.4; charset=utf-8"
golden metrics-text "$work/body"
is "calls for a page" "$(head -n 2 "$work/log" | xargs)" 'Status {} List {brief:true}'
for _ in {1..20}; do # on a busy machine a second may be over too soon
	: > "$work/log"
	later
	request GET /metrics
	request GET /metrics
	[ "$(wc -l < "$work/log")" != 2 ] || break
done
is "calls for two pages within a second" "$(wc -l < "$work/log")" 2
is "bits" "$(value 'qosd_guest_net_bits_total{guest="web1",device="vnet0",direction="out"}')" 987648
is "a limit in bytes" "$(value 'qosd_guest_net_limit_bytes_per_second{guest="web1",device="vnet0",direction="in"}')" 625000000
is "a level" "$(value 'qosd_class_level_ratio{class="bronze",resource="net"}')" 0.755
is "a bucket counts those below, too" "$(value 'qosd_tick_seconds_bucket{le="0.524288"}')" 99
is "the last bucket and the count" "$(value 'qosd_tick_seconds_bucket{le="+Inf"}') $(value qosd_tick_seconds_count)" "100 100"
is "a counter below 0 is none" "$(grep -c 'dropped_packets_total.*-' "$work/body")" 0

# ---- HTTP ------------------------------------------------------------------------------------------
request GET /nowhere
is "no such page" "$(status)" 404
request GET /
is "the first page" "$(status)" 200
request POST /metrics "Content-Length: 0"
is "POST" "$(status) $(sed -n 's/^Allow: //p' "$work/head")" "405 GET, HEAD"
request HEAD /metrics
is "HEAD" "$(status) $(stat -c %s "$work/body")" "200 0"
request GET /metrics "X: $(printf 'x%.0s' {1..40000})"
[[ $(status) == 4* || ! -s $work/head ]] || complain "40000 bytes of headers: $(status)"

# As many connections as there may be say nothing: the next one waits until one of them goes.
idle=()
for _ in {1..16}; do
	exec {fd}<> "/dev/tcp/127.0.0.1/$port"
	idle+=("$fd")
done
request GET / & 
asker=$!
sleep 0.5
kill -0 $asker 2> /dev/null || complain "more connections than there may be"
for fd in "${idle[@]}"; do exec {fd}>&-; done
wait $asker
is "served when a connection is free" "$(status)" 200

# ---- away, and back --------------------------------------------------------------------------------
stop "$daemon"
daemon=
later
request GET /metrics
is "without a daemon" "$(status) $(value qosd_up) $(value qosd_exporter_reading_errors_total)" "200 0 1"
is "no word of guests without a daemon" "$(grep -c -e qosd_guest -e qosd_class "$work/body")" 0
request GET /metrics "Accept: application/openmetrics-text"
is "OpenMetrics without a daemon" "$(tail -n 1 "$work/body") $(value qosd_up)" "# EOF 0"
errors=$(value qosd_exporter_reading_errors_total)
later
request GET /metrics
is "it is told once" "$(grep -c 'is not running' "$work/said")" 1
is "and counted each time" "$(value qosd_exporter_reading_errors_total)" $((errors + 1))
canned "$fixtures/busy"
later
request GET /metrics
is "the daemon is back" "$(value qosd_up)" 1
is "that is told, too" "$(grep -c 'answers again' "$work/said")" 1
kill -TERM "$server"
wait "$server"
is "exit status after SIGTERM" $? 0
server=

# ---- slow, refusing, and nonsense ------------------------------------------------------------------
canned "$fixtures/hang"
start_exporter --limit 300ms
request GET /metrics
is "a daemon that hangs" "$(status) $(value qosd_up)" "200 0"
grep -q "does not answer within 0.3 s" "$work/said" || complain "a hang is told as: $(cat "$work/said")"
if [ "$(id -u)" = 0 ]; then
	(export FAKE_QOSD_READERS=root; canned "$fixtures/busy"; echo "$daemon" > "$work/pid")
	later
	request GET /metrics
	is "who may not read" "$(value qosd_up)" 0
	stop "$(cat "$work/pid")"
fi
status='{"parameters":{"version":"1","classes":[7,{"name":3,"level":[]}],"tick":{"rungs":{}},"pressure":9}}'
start_daemon --raw "$work/sock" hello '[]' "$status"
for what in "no JSON" "no object" "half an answer"; do
	later
	request GET /metrics
	is "$what" "$(status) $(value qosd_up)" "200 0"
done

# ---- what others say of the metrics ----------------------------------------------------------------
names() # what it exports, as Prometheus names it
{
	awk '$2 == "TYPE" { end = ($4 == "counter") ? "_total" : ($4 == "info") ? "_info" : ""; print $3 end }' \
		"$work/openmetrics" | sort -u
}
names > "$work/names"
[ "$(wc -l < "$work/names")" -ge 30 ] || complain "metrics: $(cat "$work/names")"
for file in etc/qosd.rules.yml etc/qosd.dashboard.json man/qos-exporter.8 README.md; do
	count=$((count + 1))
	grep -oE '\bqosd_[a-z_]+' "$source/$file" | sed -E 's/^(qosd_tick_seconds)_(bucket|sum|count)$/\1/' | sort -u |
		comm -23 - "$work/names" > "$work/unknown"
	[ ! -s "$work/unknown" ] || complain "$file names what does not exist: $(xargs < "$work/unknown")"
done
is "metrics that the manual lacks" \
	"$(grep -oE '\bqosd_[a-z_]+' "$source/man/qos-exporter.8" | sort -u | comm -13 - "$work/names" | xargs)" ""
jq -e '[.panels[].targets[].expr] | length > 10 and all(length > 0)' "$source/etc/qosd.dashboard.json" > "$work/out" ||
	complain "the dashboard has no panels"
jq -e '[.panels[].id] | length == (unique | length)' "$source/etc/qosd.dashboard.json" > "$work/out" ||
	complain "two panels of the dashboard have the same number"

# Prometheus' linter wants bytes, and the name with bits is fixed: that one line, and no other.
if [ -x "$promtool" ]; then
	"$promtool" check metrics < "$work/once" > "$work/out" 2>&1
	is "promtool check metrics" "$(cat "$work/out")" 'qosd_guest_net_bits_total use base unit "bytes" instead of "bits"'
	cp "$source/etc/qosd.rules.yml" "$source/t/fixtures/qosd.rules.test.yml" "$work"
	(cd "$work" && "$promtool" check rules qosd.rules.yml && "$promtool" test rules qosd.rules.test.yml) > "$work/out" 2>&1 ||
		complain "promtool: $(cat "$work/out")"
	count=$((count + 1))
else
	echo "# SKIP promtool check: no promtool here (Debian: package prometheus)"
fi

echo "$count checks, $failed failures"
[ "$failed" = 0 ]
