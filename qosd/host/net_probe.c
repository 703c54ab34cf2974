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

static const struct part {
	const char *module, *symbol, *use;
	bool found;
} all_parts[] = {
	{ "sch_fq", "fq_enqueue", "the fq qdisc, which delays packets", false },
	{ "sch_ingress", "clsact_init", "the clsact qdisc, which carries the shaper", false },
	{ "cls_bpf", "cls_bpf_classify", "eBPF filters", false },
	{ "cls_matchall", "mall_classify", "the matchall filter", false },
	{ "act_mirred", "tcf_mirred_init", "the mirred action, which redirects to the ifb", false },
	{ "ifb", "ifb_xmit", "the ifb device, which delays what guests send", false },
};
#define PARTS ARRAY_SIZE(all_parts)

static void find_loaded(struct part *parts)
{
	char path[64];

	for (size_t i = 0; i < PARTS; i++) {
		snprintf(path, sizeof(path), "/sys/module/%s", parts[i].module);
		parts[i].found = access(path, F_OK) == 0;
	}
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
	char path[256], name[32], *line = NULL;
	size_t size = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/lib/modules/%.64s/%s", release, list);
	f = fopen(path, "re");
	if (!f)
		return;
	while (getline(&line, &size, f) > 0)
		for (size_t i = 0; i < PARTS; i++) {
			snprintf(name, sizeof(name), "/%s.ko", parts[i].module);
			line[strcspn(line, ":")] = '\0';
			parts[i].found |= strstr(line, name) != NULL;
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
			parts[i].found |= strcmp(symbol, parts[i].symbol) == 0;
	}
	free(line);
	fclose(f);
}

static void probe_parts(struct diag_list *findings, const char *release)
{
	struct part parts[PARTS];
	char fix[160];

	memcpy(parts, all_parts, sizeof(parts));
	find_loaded(parts);
	if (!all_found(parts)) {
		find_in_list(parts, release, "modules.builtin");
		find_in_list(parts, release, "modules.dep");
	}
	if (!all_found(parts))
		find_symbols(parts);
	for (size_t i = 0; i < PARTS; i++) {
		if (parts[i].found)
			continue;
		snprintf(fix, sizeof(fix),
			 "install the rest of the kernel's modules, then run: modprobe %s",
			 parts[i].module);
		diag_add(findings, DIAG_ERROR, NULL, 0, TOPIC, fix,
			 "the kernel lacks %s (%s), so NICs cannot be limited", parts[i].use,
			 parts[i].module);
	}
}

static void probe_bpf(struct net *n, struct diag_list *findings)
{
	char parent[sizeof(n->bpf.dir)], *slash;
	struct statfs fs;
	uint32_t id;

	if (bpf_prog_get_next_id(0, &id) < 0 && errno != ENOENT)
		diag_add(findings, DIAG_ERROR, NULL, 0, TOPIC,
			 errno == EPERM ? "run qosd as root or with CAP_BPF and CAP_NET_ADMIN"
					: "use a kernel with CONFIG_BPF_SYSCALL",
			 "eBPF cannot be used: %s", strerror(errno));
	snprintf(parent, sizeof(parent), "%s", n->bpf.dir);
	for (;;) { /* the nearest directory that is there */
		if (statfs(parent, &fs) == 0)
			break;
		slash = strrchr(parent, '/');
		if (!slash || slash == parent)
			return;
		*slash = '\0';
	}
	if (fs.f_type != BPFFS_MAGIC)
		diag_add(findings, DIAG_ERROR, NULL, 0, TOPIC, "mount -t bpf bpf /sys/fs/bpf",
			 "no bpffs is mounted where %s would be", n->bpf.dir);
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

void net_probe(struct net *n, struct diag_list *findings)
{
	const struct net_ifb *ifb = net_watch_ifb(n->watch);
	struct utsname host;

	if (uname(&host) < 0)
		return;
	probe_bpf(n, findings);
	probe_parts(findings, host.release);
	probe_release(findings, host.release);
	if (net_watch_drain(n->watch, NULL) == 0 && ifb->ifindex && !ifb->is_ifb)
		diag_add(findings, DIAG_ERROR, NULL, 0, TOPIC, "rename or remove that device",
			 "%s is no ifb, but qosd needs the name", n->ifb_name);
}
