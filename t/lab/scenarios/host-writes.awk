# SPDX-License-Identifier: GPL-2.0-or-later
#
# host-writes - what of a traced qosd is a write to the host: one line for each, its kind first.
#
#   awk -f host-writes.awk TRACE      (a trace by traced_start in lib.sh: strace -f -yy -x)
#
# Everything that could change something is a write, whether the kernel let it pass or not, but for
# qosd's own files and threads, its PSI triggers (they only wake qosd), and what is known to only ask:
#   file     opening for writing, writing, making, renaming or removing anything else
#   netlink  a request that is no RTM_GET*
#   bpf      a command that pins or attaches, or changes a map that others hold, too. What qosd alone
#            holds is gone with its file descriptor: programs loaded, maps made, the iterator over
#            threads (bpf/vcpu.bpf.c), which runs only while qosd reads it
#   libvirt  a procedure that is not in the list below (numbers: libvirt's remote_protocol.x; those
#            listed need no more than its access rights getattr, read and search_domains)
#   other    affinity, priority, limits, signals, mounts, modules, programs, and bytes to anyone else
#            that qosd has connected to
# With -v asked=1 it prints what was asked of libvirt, netlink and bpf instead, with counts.

BEGIN {
	own = "^(/var/lib/qosd|/run/qosd|/lab/qosd\\.log|/dev/null|/proc/self/task|/proc/pressure)(/|$)"
	split("RTM_GETLINK RTM_GETQDISC RTM_GETTFILTER RTM_GETADDR NLMSG_DONE", words, " ")
	for (i in words) harmless[words[i]] = 1
	split("BPF_OBJ_GET BPF_OBJ_GET_INFO_BY_FD BPF_MAP_LOOKUP_ELEM BPF_MAP_GET_NEXT_KEY " \
		"BPF_PROG_GET_NEXT_ID BPF_PROG_QUERY BPF_PROG_LOAD BPF_BTF_LOAD BPF_MAP_CREATE BPF_ITER_CREATE", words, " ")
	for (i in words) harmless[words[i]] = 1
	reads["00000001"] = "CONNECT_OPEN"
	reads["00000002"] = "CONNECT_CLOSE"
	reads["0000000e"] = "DOMAIN_GET_XML_DESC"
	reads["00000018"] = "DOMAIN_LOOKUP_BY_UUID"
	reads["0000003c"] = "CONNECT_SUPPORTS_FEATURE"
	reads["00000042"] = "AUTH_LIST"
	reads["0000009d"] = "CONNECT_GET_LIB_VERSION"
	reads["00000111"] = "CONNECT_LIST_ALL_DOMAINS"
	reads["0000013c"] = "CONNECT_DOMAIN_EVENT_CALLBACK_REGISTER_ANY"
	reads["0000013d"] = "CONNECT_DOMAIN_EVENT_CALLBACK_DEREGISTER_ANY"
	reads["00000168"] = "CONNECT_REGISTER_CLOSE_CALLBACK"
	reads["00000169"] = "CONNECT_UNREGISTER_CLOSE_CALLBACK"
}

# The text between the fd's brackets: "7</a/b>, ..." -> "/a/b".
function fd_name(text,    end) {
	if (text !~ /^[A-Z0-9_]+</) return ""
	sub(/^[A-Z0-9_]+</, "", text)
	end = match(text, />[,) ]/)
	return end ? substr(text, 1, end - 1) : text
}

function quoted(text,    begin) { # the first string in it
	begin = index(text, "\"")
	if (!begin) return ""
	text = substr(text, begin + 1)
	return substr(text, 1, index(text "\"", "\"") - 1)
}

function absolute(text,    dir, path) { # of a directory's fd and a path, or of a path
	path = quoted(text)
	if (path ~ /^\//) return path
	dir = fd_name(text)
	return path == "" ? dir : dir "/" path
}

function foreign(path) {
	return path !~ own && index(path, "/proc/" qosd "/task/") != 1
}

function wrote(kind) { if (!asked) print kind ": " $0 }
function saw(what) { if (asked) times[what]++ }

# One message to libvirt: length, program, version, procedure, four bytes each.
function judge_libvirt(text,    bytes, program, procedure) {
	bytes = quoted(text)
	gsub(/\\x/, "", bytes)
	program = substr(bytes, 9, 8)
	procedure = substr(bytes, 25, 8)
	if (program == "6b656570") { saw("libvirt keepalive"); return } # "keep"
	saw("libvirt " program " " (procedure in reads ? reads[procedure] : procedure))
	if (program != "20008086" || !(procedure in reads)) wrote("libvirt")
}

function judge_netlink(text,    n, i, parts, word) {
	n = split(text, parts, "nlmsg_type=")
	if (n < 2) wrote("netlink")
	for (i = 2; i <= n; i++) {
		word = parts[i]
		sub(/[^A-Z_0-9].*/, "", word)
		saw("netlink " word)
		if (!(word in harmless)) wrote("netlink")
	}
}

function judge_bytes(args,    name, peer) {
	name = fd_name(args)
	if (name ~ /^\//) {
		if (foreign(name)) wrote("file")
	} else if (name ~ /^NETLINK/) {
		judge_netlink(args)
	} else if (name ~ /^UNIX/) {
		peer = name
		sub(/^[^[]*\[/, "", peer)
		sub(/[^0-9].*/, "", peer)
		if (connected[peer] ~ /libvirt/) judge_libvirt(args)
		else if (connected[peer] !~ /^(\/run\/systemd\/(journal|notify).*)?$/) wrote("other")
	} else if (name !~ /^(pipe:|anon_inode:\[eventfd\])/) {
		wrote("other")
	}
}

{
	call = $0
	if (call !~ /^[0-9]+ +[a-z_0-9]+\(/) next # resumed calls, signals, exits
	sub(/^[0-9]+ +/, "", call)
	sub(/ <unfinished \.\.\.>$/, ") = ?", call)
	args = call
	sub(/\(.*/, "", call)
	sub(/^[a-z_0-9]+\(/, "", args)
	if (!qosd) qosd = $1
}
call ~ /^open/ {
	if (args ~ /O_WRONLY|O_RDWR|O_CREAT|O_TRUNC|O_APPEND|O_TMPFILE/ && foreign(absolute(args))) wrote("file")
	next
}
call == "connect" {
	inode = fd_name(args)
	sub(/^[^[]*\[/, "", inode)
	sub(/[^0-9].*/, "", inode)
	if (args ~ /AF_UNIX/) connected[inode] = quoted(args)
	else if (args !~ /AF_NETLINK/) wrote("other")
	next
}
call ~ /^(write|pwrite|writev|pwritev|sendto|sendmsg|sendmmsg|sendfile|splice)/ { judge_bytes(args); next }
call == "bpf" {
	word = args
	sub(/[^A-Z_0-9].*/, "", word)
	saw("bpf " word)
	if (word == "BPF_OBJ_PIN" || (word == "BPF_OBJ_GET" && args !~ /= -1 /)) shared = 1 # others may hold it
	if (word in harmless) next
	if (word ~ /^BPF_MAP_(UPDATE|DELETE)_ELEM$/ && !shared) next
	if (word == "BPF_LINK_CREATE" && args ~ /BPF_TRACE_ITER/) next
	wrote("bpf")
	next
}
call == "ioctl" {
	if (args !~ /> *, *(TCGETS|FIONREAD|FIONBIO|FIOCLEX|SIOCGIF[A-Z]*|TIOCGWINSZ)/) wrote("other")
	next
}
call ~ /^(ftruncate|fallocate|fchmod|fchown|fsetxattr)$/ {
	if (fd_name(args) !~ /^UNIX/ && foreign(fd_name(args))) wrote("file") # its own socket before it has a name
	next
}
call ~ /^(mkdir|rmdir|unlink|rename|link|symlink|mknod|truncate|chmod|chown|lchown|fchmodat|fchownat|setxattr|lsetxattr|utime)/ {
	n = split(args, parts, "\"") # a second path, as rename has
	if (foreign(absolute(args)) || (n > 4 && parts[4] ~ /^\// && foreign(parts[4]))) wrote("file")
	next
}
call == "execve" && !programs++ { next } # qosd itself
call ~ /kill$/ && args ~ /, 0\) / { next } # is it there?
call == "prlimit64" && args ~ /, NULL, / { next } # reading
call == "sched_setaffinity" && args ~ /^0,/ { next } # its own thread: hwloc looks at each CPU from there
{ wrote("other") }

END {
	for (what in times) print times[what], what
	if (!qosd) print "other: the trace is empty"
}
