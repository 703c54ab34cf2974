/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net_probe - looks for the kernel's parts without creating anything.
 *
 * The kernel loads modules by itself when a qdisc or a filter of that kind is made, so a part is
 * there if it is loaded, built in, or installed: /sys/module, modules.builtin, modules.dep, and
 * for kernels without module files a symbol of it in kallsyms.
 */
#include "qosd/host/net_probe.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "qosd/core/mem.h"

#define BPFFS_MAGIC 0xcafe4a11L
#define TOPIC       "net"

/* Which of the two ways of net_plane.h needs it. */
#define FOR_EDT     1u
#define FOR_HTB     2u
#define FOR_FILTERS 4u /* eBPF, where the kernel has no TCX */

static const struct part {
	const char *module, *symbol;     /* one will do */
	const char *module_2, *symbol_2; /* in place of it, if not NULL */
	unsigned int ways;
	const char *use;
	bool found;
} all_parts[] = {
	{ "sch_fq", "fq_enqueue", NULL, NULL, FOR_EDT, "the fq qdisc, which delays packets",
	  false },
	{ "cls_bpf", "cls_bpf_classify", NULL, NULL, FOR_FILTERS, "eBPF filters", false },
	{ "sch_htb", "htb_enqueue", NULL, NULL, FOR_HTB, "the htb qdisc", false },
	{ "sch_ingress", "clsact_init", NULL, NULL, FOR_FILTERS | FOR_HTB,
	  "the clsact qdisc, which carries the filters", false },
	{ "cls_matchall", "mall_classify", "cls_u32", "u32_classify", FOR_FILTERS | FOR_HTB,
	  "the matchall or u32 filter", false },
	{ "act_mirred", "tcf_mirred_init", NULL, NULL, FOR_FILTERS | FOR_HTB,
	  "the mirred action, which redirects to the ifb", false },
	{ "ifb", "ifb_xmit", NULL, NULL, FOR_EDT | FOR_HTB,
	  "the ifb device, which delays what guests send", false },
};
#define PARTS ARRAY_SIZE(all_parts)

static bool is_either(const char *name, const char *a, const char *b)
{
	return strcmp(name, a) == 0 || (b && strcmp(name, b) == 0);
}

static bool is_loaded(const char *module)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/module/%s", module);
	return access(path, F_OK) == 0;
}

static void find_loaded(struct part *parts)
{
	for (size_t i = 0; i < PARTS; i++)
		parts[i].found = is_loaded(parts[i].module) ||
				 (parts[i].module_2 && is_loaded(parts[i].module_2));
}

static bool all_found(const struct part *parts)
{
	for (size_t i = 0; i < PARTS; i++)
		if (!parts[i].found)
			return false;
	return true;
}

/* modules.dep and modules.builtin: "kernel/net/sched/sch_fq.ko.xz: ..." */
static void find_in_list(struct part *parts, const char *release, const char *list)
{
	char path[256], *line = NULL, *name;
	size_t size = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/lib/modules/%.64s/%s", release, list);
	f = fopen(path, "re");
	if (!f)
		return;
	while (getline(&line, &size, f) > 0) {
		line[strcspn(line, ":")] = '\0';
		name = strrchr(line, '/');
		name = name ? name + 1 : line;
		name[strcspn(name, ".")] = '\0';
		for (size_t i = 0; i < PARTS; i++)
			parts[i].found |= is_either(name, parts[i].module, parts[i].module_2);
	}
	free(line);
	fclose(f);
}

/* "ffffffff81000000 t fq_enqueue" */
static void find_symbols(struct part *parts)
{
	FILE *f = fopen("/proc/kallsyms", "re");
	char *line = NULL, symbol[128];
	size_t size = 0;

	if (!f)
		return;
	while (getline(&line, &size, f) > 0) {
		if (sscanf(line, "%*s %*s %127s", symbol) != 1)
			continue;
		for (size_t i = 0; i < PARTS; i++)
			parts[i].found |= is_either(symbol, parts[i].symbol, parts[i].symbol_2);
	}
	free(line);
	fclose(f);
}

static void find_parts(struct part *parts, const char *release)
{
	memcpy(parts, all_parts, sizeof(all_parts));
	find_loaded(parts);
	if (!all_found(parts)) {
		find_in_list(parts, release, "modules.builtin");
		find_in_list(parts, release, "modules.dep");
	}
	if (!all_found(parts))
		find_symbols(parts);
}

static bool has_all(const struct part *parts, unsigned int way)
{
	for (size_t i = 0; i < PARTS; i++)
		if ((parts[i].ways & way) && !parts[i].found)
			return false;
	return true;
}

/* What a lack means: HTB takes over, or nothing can. */
struct verdict {
	struct net *n;
	struct diag_list *findings;
	enum diag_severity severity;
	const char *so;
};

static void probe_parts(const struct verdict *v, const struct part *parts, unsigned int ways)
{
	char fix[160];

	for (size_t i = 0; i < PARTS; i++) {
		if (parts[i].found || !(parts[i].ways & ways))
			continue;
		snprintf(fix, sizeof(fix),
			 "install the rest of the kernel's modules, then run: modprobe %s",
			 parts[i].module);
		diag_add(v->findings, v->severity, NULL, 0, TOPIC, fix,
			 "the kernel lacks %s (%s), so NICs %s", parts[i].use, parts[i].module,
			 v->so);
	}
}

/* The nearest directory above the pins that is there is on bpffs. */
static bool on_bpffs(const struct net_bpf *b)
{
	char parent[sizeof(b->dir)], *slash;
	struct statfs fs;

	snprintf(parent, sizeof(parent), "%s", b->dir);
	for (;;) {
		if (statfs(parent, &fs) == 0)
			return fs.f_type == BPFFS_MAGIC;
		slash = strrchr(parent, '/');
		if (!slash || slash == parent)
			return true; /* nothing is known */
		*slash = '\0';
	}
}

static void probe_bpf(const struct verdict *v)
{
	uint32_t id;

	if (bpf_prog_get_next_id(0, &id) < 0 && errno != ENOENT)
		diag_add(v->findings, v->severity, NULL, 0, TOPIC,
			 errno == EPERM ? "run qosd as root or with CAP_BPF and CAP_NET_ADMIN"
					: "use a kernel with CONFIG_BPF_SYSCALL",
			 "eBPF cannot be used (%s), so NICs %s", strerror(errno), v->so);
	else if (!on_bpffs(&v->n->bpf))
		diag_add(v->findings, v->severity, NULL, 0, TOPIC, "mount -t bpf bpf /sys/fs/bpf",
			 "no bpffs is mounted where %s would be, so NICs %s", v->n->bpf.dir, v->so);
}

static void probe_release(struct diag_list *findings, const char *release)
{
	int major, minor;

	if (sscanf(release, "%d.%d", &major, &minor) == 2 &&
	    (major < 5 || (major == 5 && minor < 18)))
		diag_add(findings, DIAG_WARNING, NULL, 0, TOPIC, "use Linux 5.18 or later",
			 "on Linux %s packets from limited guests to the host itself carry a wrong "
			 "time of reception, which time services on the host would see",
			 release);
}

static void probe_ways(struct net *n, struct diag_list *findings, const char *release)
{
	struct part parts[PARTS];
	struct verdict v = { n, findings, DIAG_WARNING, "are limited by HTB, with longer queues" };

	find_parts(parts, release);
	if (n->way == NET_WAY_EDT || !has_all(parts, FOR_HTB)) {
		v.severity = DIAG_ERROR;
		v.so = "cannot be limited";
	}
	if (n->way != NET_WAY_HTB)
		probe_bpf(&v);
	probe_parts(&v, parts,
		    n->way == NET_WAY_HTB    ? FOR_HTB
		    : net_tcx_there(&n->tcx) ? FOR_EDT
					     : FOR_EDT | FOR_FILTERS);
	if (n->lack[0])
		diag_add(findings, DIAG_WARNING, NULL, 0, TOPIC,
			 "put that right and restart qosd; what HTB limits now, it limits until "
			 "the guest stops",
			 "NICs are limited by HTB: %s", n->lack);
}

void net_probe(struct net *n, struct diag_list *findings)
{
	const struct net_ifb *ifb = net_watch_ifb(n->watch);
	struct utsname host;

	if (uname(&host) < 0)
		return;
	probe_ways(n, findings, host.release);
	probe_release(findings, host.release);
	if (net_watch_drain(n->watch, NULL) == 0 && ifb->ifindex && !ifb->is_ifb)
		diag_add(findings, DIAG_ERROR, NULL, 0, TOPIC, "rename or remove that device",
			 "%s is no ifb, but qosd needs the name", n->ifb_name);
}
