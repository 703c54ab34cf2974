/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * netctl - the network adapter by hand, for the lab's tests.
 *
 *	netctl [-r] [-p PIN_DIR] [-i IFB] [-w auto|edt|htb] COMMAND [ARG...] [, COMMAND [ARG...]]...
 *
 *	set DEVICE in|out BPS|max	read DEVICE	stat DEVICE	forget DEVICE
 *	set DEVICE burst US
 *	watch SECONDS			probe		teardown
 *	readall COUNT DEVICE...		(time of COUNT rounds of reading all)
 *	occupy DEVICE			(a TCX program of somebody else's; rm /sys/fs/bpf/occupied)
 *
 * DEVICE may be the PCI address of a virtual function, "0000:3b:02.1", for set and read.
 *
 * All commands run in one process with one adapter; the first failure ends it with status 1.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <inttypes.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "qosd/core/guest.h"
#include "qosd/core/knob.h"
#include "qosd/core/mem.h"
#include "qosd/host/net.h"
#include "qosd/host/virt.h"

struct line { /* one command */
	char **args;
	int count;
};

static int fail(const struct qerr *err, int code)
{
	fprintf(stderr, "netctl: %s (%s)\n", err->code ? err->text : "failed", strerror(-code));
	return code;
}

/* A guest with this one NIC. */
static void make_guest(struct guest *g, struct guest_nic *nic, const char *device)
{
	memset(g, 0, sizeof(*g));
	memset(nic, 0, sizeof(*nic));
	snprintf(nic->device, sizeof(nic->device), "%s", device);
	snprintf(nic->type, sizeof(nic->type), "bridge");
	nic->ifindex = if_nametoindex(device);
	snprintf(nic->pci, sizeof(nic->pci), "%s", device);
	virt_find_vf(NULL, nic);
	if (nic->vf) {
		nic->device[0] = '\0';
		snprintf(nic->type, sizeof(nic->type), "hostdev");
	}
	g->id = 1;
	g->nics = nic;
	g->nnics = 1;
}

static struct target target_of(const struct guest *g)
{
	return (struct target){ .kind = TARGET_NIC, .guest_id = g->id, .guest = g };
}

static enum knob_id knob_of(const char *name)
{
	if (strcmp(name, "burst") == 0)
		return KNOB_NET_BURST;
	return strcmp(name, "in") == 0 ? KNOB_NET_IN : KNOB_NET_OUT;
}

static int do_set(struct adapter *a, const struct line *l)
{
	struct guest_nic nic;
	struct guest g;
	struct change c = { 0 };
	struct qerr err = { 0 };
	int r;

	if (l->count != 4)
		return -EINVAL;
	make_guest(&g, &nic, l->args[1]);
	c.target = target_of(&g);
	c.knob = knob_of(l->args[2]);
	c.to.type = KNOB_U64;
	c.to.u64 = strcmp(l->args[3], "max") == 0 ? KNOB_MAX : strtoull(l->args[3], NULL, 10);
	r = a->ops->apply(a, &c, 0, &err);
	return r < 0 ? fail(&err, r) : 0;
}

static void print_value(const char *name, uint64_t v)
{
	if (v == KNOB_MAX)
		printf(" %s max", name);
	else
		printf(" %s %" PRIu64, name, v);
}

static int do_read(struct adapter *a, const struct line *l)
{
	struct knob_value in, out, burst;
	struct guest_nic nic;
	struct guest g;
	struct target t;
	struct qerr err = { 0 };
	int r;

	if (l->count != 2)
		return -EINVAL;
	make_guest(&g, &nic, l->args[1]);
	t = target_of(&g);
	r = a->ops->read(a, &t, KNOB_NET_IN, &in, &err);
	if (r == 0)
		r = a->ops->read(a, &t, KNOB_NET_OUT, &out, &err);
	if (r == 0)
		r = a->ops->read(a, &t, KNOB_NET_BURST, &burst, &err);
	if (r < 0)
		return fail(&err, r);
	printf("%s", l->args[1]);
	print_value("in", in.u64);
	print_value("out", out.u64);
	if (burst.u64 != KNOB_NET_BURST_US)
		print_value("burst", burst.u64);
	printf("\n");
	return 0;
}

static int do_stat(struct adapter *a, const struct line *l)
{
	static const char *const names[] = { "out", "in" };
	struct net_counters c;
	uint64_t in, out;

	if (l->count != 2)
		return -EINVAL;
	for (int i = 1; i >= 0; i--)
		if (net_read_counters(a, if_nametoindex(l->args[1]), i, &c) == 0)
			printf("%s %s bytes %" PRIu64 " packets %" PRIu64 " dropped %" PRIu64
			       " marked %" PRIu64 " delayed %" PRIu64 " offered %" PRIu64
			       " queue_us %" PRIu64 "\n",
			       l->args[1], names[i], c.bytes, c.packets, c.dropped_packets,
			       c.marked_packets, c.delayed_packets, c.offered_bytes,
			       c.queue_ns_max / 1000);
	if (net_read_link_bytes(l->args[1], &in, &out) == 0)
		printf("%s link in %" PRIu64 " out %" PRIu64 "\n", l->args[1], in, out);
	return 0;
}

static int do_forget(struct adapter *a, const struct line *l)
{
	struct guest_nic nic;
	struct guest g;

	if (l->count != 2)
		return -EINVAL;
	make_guest(&g, &nic, l->args[1]);
	a->ops->forget(a, &g);
	return 0;
}

static void on_lost(void *user, uint32_t ifindex)
{
	char name[IF_NAMESIZE];

	(void)user;
	printf("lost %s\n", if_indextoname(ifindex, name) ? name : "a device that has gone");
	fflush(stdout);
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int do_watch(struct adapter *a, const struct line *l)
{
	double end = seconds() + (l->count > 1 ? atof(l->args[1]) : 1);
	struct pollfd p = { .fd = net_watch_fd(a), .events = POLLIN };
	double left;

	net_watch_handle(a, on_lost, NULL);
	while ((left = end - seconds()) > 0)
		if (poll(&p, 1, (int)(left * 1000) + 1) > 0)
			net_watch_handle(a, on_lost, NULL);
	return 0;
}

static int do_probe(struct adapter *a, const struct line *l)
{
	struct diag_list findings = { 0 };
	char text[512];

	(void)l;
	a->ops->probe(a, &findings);
	for (size_t i = 0; i < findings.count; i++)
		printf("%s: %s\n", diag_severity_name(findings.items[i].severity),
		       diag_format(&findings.items[i], text, sizeof(text)));
	diag_clear(&findings);
	return 0;
}

static int do_teardown(struct adapter *a, const struct line *l)
{
	struct qerr err = { 0 };
	int r = net_teardown(a, &err);

	(void)l;
	return r < 0 ? fail(&err, r) : 0;
}

static int do_readall(struct adapter *a, const struct line *l)
{
	int count = l->count > 2 ? atoi(l->args[1]) : 0, n = l->count - 2;
	struct guest_nic *nics = calloc((size_t)(n > 0 ? n : 1), sizeof(*nics));
	struct guest *guests = calloc((size_t)(n > 0 ? n : 1), sizeof(*guests));
	struct knob_value v;
	double start;

	for (int i = 0; nics && guests && i < n; i++)
		make_guest(&guests[i], &nics[i], l->args[i + 2]);
	for (int round = 0; nics && guests && round < count; round++) {
		start = seconds();
		for (int i = 0; i < n; i++) {
			struct target t = target_of(&guests[i]);

			a->ops->read(a, &t, KNOB_NET_IN, &v, NULL);
			a->ops->read(a, &t, KNOB_NET_OUT, &v, NULL);
		}
		printf("round %d: %d NICs %.0f us\n", round, n, (seconds() - start) * 1e6);
	}
	free(nics);
	free(guests);
	return 0;
}

/* It lets all packets go on to the next program, from the ingress hook. */
static int do_occupy(struct adapter *a, const struct line *l)
{
	static const struct bpf_insn next[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = -1 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	enum bpf_attach_type tcx_ingress = 46; /* linux/bpf.h of 6.6 */
	int program, link;

	(void)a;
	if (l->count != 2)
		return -EINVAL;
	program =
		bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "next", "GPL", next, ARRAY_SIZE(next), NULL);
	link = bpf_link_create(program, (int)if_nametoindex(l->args[1]), tcx_ingress, NULL);
	return link < 0 || bpf_obj_pin(link, "/sys/fs/bpf/occupied") < 0 ? -errno : 0;
}

static const struct {
	const char *name;
	int (*run)(struct adapter *a, const struct line *l);
} commands[] = {
	{ "set", do_set },           { "read", do_read },       { "stat", do_stat },
	{ "forget", do_forget },     { "watch", do_watch },     { "probe", do_probe },
	{ "teardown", do_teardown }, { "readall", do_readall }, { "occupy", do_occupy },
};

static int run_line(struct adapter *a, const struct line *l)
{
	for (size_t i = 0; l->count > 0 && i < ARRAY_SIZE(commands); i++)
		if (strcmp(commands[i].name, l->args[0]) == 0)
			return commands[i].run(a, l);
	fprintf(stderr, "netctl: unknown command\n");
	return -EINVAL;
}

static int run_all(struct adapter *a, char **args, int count)
{
	struct line l = { .args = args };
	int r = 0;

	for (int i = 0; r == 0 && i <= count; i++) {
		if (i < count && strcmp(args[i], ",") != 0)
			continue;
		l.count = (int)(&args[i] - l.args);
		r = run_line(a, &l);
		fflush(stdout);
		l.args = &args[i + 1];
	}
	return r;
}

static enum net_way way_named(const char *name)
{
	return strcmp(name, "htb") == 0 ? NET_WAY_HTB : strcmp(name, "edt") == 0 ? NET_WAY_EDT : 0;
}

int main(int argc, char **argv)
{
	struct net_config config = { 0 };
	struct qerr err = { 0 };
	struct adapter *a;
	int opt, r;

	while ((opt = getopt(argc, argv, "+rp:i:w:")) != -1) {
		if (opt == 'r')
			config.readonly = true;
		else if (opt == 'p')
			config.pin_dir = optarg;
		else if (opt == 'i')
			config.ifb_name = optarg;
		else if (opt == 'w')
			config.way = way_named(optarg);
		else
			return 2;
	}
	r = net_new(&config, &a, &err);
	if (r < 0)
		return fail(&err, r), 1;
	r = run_all(a, argv + optind, argc - optind);
	net_free(a);
	return r < 0 ? 1 : 0;
}
