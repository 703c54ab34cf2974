/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lab-sensorctl - the sensor by hand, to try it on a real host.
 *
 *	lab-sensorctl probe
 *	lab-sensorctl iterator|schedstat GUEST...	one sample, a line a field: NAME.FIELD VALUE
 *	lab-sensorctl cost SECONDS GUEST...	CPU time of a sample by either source
 *	lab-sensorctl trigger RESOURCE SECONDS	milliseconds until it fires
 *
 * GUEST is the name of a libvirt domain of QEMU. Uplinks: devices in $UPLINKS. Exit status: 0 done,
 * 1 refused (trigger: it did not fire), 2 usage.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "qosd/core/mem.h"
#include "qosd/host/cgroup.h"
#include "qosd/host/sensor_priv.h"

struct tool {
	struct adapter *cgroup;
	struct inventory *inv;
	struct policy *policy;
	struct sensor *sensor;
	struct sample sample;
};

static int complain(const char *what, int r, const struct qerr *err)
{
	fprintf(stderr, "lab-sensorctl: %s: %s\n", what,
		err && err->code ? err->text : strerror(-r));
	return 1;
}

static double now_ms(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* ---- guests by name ---- */

static int pid_of(const char *name)
{
	char path[300];
	int pid = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/run/libvirt/qemu/%s.pid", name);
	f = fopen(path, "r");
	if (!f)
		return -1;
	if (fscanf(f, "%d", &pid) != 1)
		pid = -1;
	fclose(f);
	return pid;
}

/* The taps of its QEMU, as its descriptors tell: lines "iff: vnet0". The private one is "lg...". */
static int add_nics(struct guest *g)
{
	char command[128], device[GUEST_DEVICE_MAX];
	size_t capacity = 0;
	int r = 0;
	FILE *f;

	snprintf(command, sizeof(command),
		 "sed -n 's/^iff:[[:space:]]*//p' /proc/%d/fdinfo/* 2>/dev/null", g->pid);
	f = popen(command, "r");
	if (!f)
		return -errno;
	while (r == 0 && fscanf(f, "%15s", device) == 1) {
		if (strncmp(device, "vnet", 4) != 0)
			continue;
		r = mem_grow(&g->nics, &capacity, g->nnics + 1, sizeof(*g->nics));
		if (r == 0) {
			memset(&g->nics[g->nnics], 0, sizeof(*g->nics));
			memcpy(g->nics[g->nnics++].device, device, sizeof(device));
		}
	}
	pclose(f);
	return r;
}

static int add_guest(struct tool *t, const char *name, uint32_t id)
{
	struct guest *g = guest_new();
	int r;

	if (!g)
		return -ENOMEM;
	g->id = id;
	g->name = strdup(name);
	g->pid = pid_of(name);
	r = cgroup_bind_guest(t->cgroup, g);
	g->vcpus = (uint32_t)g->nvcpu_tids;
	if (r == 0)
		r = add_nics(g);
	if (r == 0)
		r = inventory_add(t->inv, g);
	guest_unref(g);
	return r;
}

static int add_guests(struct tool *t, char **names)
{
	for (uint32_t id = 1; names[id - 1]; id++) {
		int r = add_guest(t, names[id - 1], id);

		if (r < 0)
			return complain(names[id - 1], r, NULL);
	}
	return 0;
}

static int add_uplinks(struct tool *t)
{
	char *list = getenv("UPLINKS"), *device, *save = NULL;

	if (!list)
		return 0;
	for (device = strtok_r(list, " ", &save); device; device = strtok_r(NULL, " ", &save)) {
		struct network *n = policy_add_network(t->policy);

		if (!n)
			return -ENOMEM;
		n->uplink = device;
		n->rate_bps = POLICY_NONE_U64;
	}
	return 0;
}

static int take(struct tool *t)
{
	struct qerr err = { 0 };
	int r = sensor_read(t->sensor, t->inv, t->policy, &t->sample, &err);

	return r < 0 ? complain("sample", r, &err) : 0;
}

/* From here on the source is this one, whichever is cheaper; -1: there is no iterator. */
static int choose(struct tool *t, bool iterator)
{
	if (take(t) != 0)
		return -1;
	if (iterator && t->sensor->vcpu.link_fd < 0) {
		fprintf(stderr, "lab-sensorctl: no iterator: %s\n", t->sensor->vcpu_why);
		return -1;
	}
	t->sensor->iterate = iterator;
	return 0;
}

/* ---- commands ---- */

static void show(const char *name, const char *field, uint64_t value)
{
	if (value == SAMPLE_UNKNOWN)
		printf("%s.%s unknown\n", name, field);
	else
		printf("%s.%s %" PRIu64 "\n", name, field, value);
}

static void show_guest(const char *name, const struct sample_guest *g)
{
	show(name, "run_ns", g->run_ns);
	show(name, "wait_ns", g->wait_ns);
	show(name, "throttled", g->throttled);
	show(name, "memory_stall_us", g->memory_stall_us);
	show(name, "disk_stall_us", g->disk_stall_us);
	show(name, "in_bytes", g->in_bytes);
	show(name, "out_bytes", g->out_bytes);
	show(name, "memory_bytes", g->memory_bytes);
	show(name, "swap_bytes", g->swap_bytes);
}

static void show_host(const struct tool *t)
{
	const struct sample *s = &t->sample;

	for (int r = 0; r < RESOURCE_COUNT; r++)
		show("psi", resource_names[r], s->psi_some_us[r]);
	show("memory", "total", s->memory_total_bytes);
	show("memory", "available", s->memory_available_bytes);
	show("swap", "free", s->swap_free_bytes);
	for (size_t i = 0; i < s->nuplinks; i++) {
		const char *name = t->sensor->link.uplinks[i].device;

		show(name, "rate_bps", s->uplinks[i].rate_bps);
		show(name, "in_bytes", s->uplinks[i].in_bytes);
		show(name, "out_bytes", s->uplinks[i].out_bytes);
	}
}

static int cmd_sample(struct tool *t, char **argv)
{
	if (add_guests(t, argv + 1) != 0 || choose(t, strcmp(argv[0], "iterator") == 0) != 0 ||
	    take(t) != 0)
		return 1;
	show_host(t);
	for (size_t i = 0; i < t->sample.nguests; i++)
		show_guest(t->inv->by_id[i]->name, &t->sample.guests[i]);
	return 0;
}

static int cmd_probe(struct tool *t, char **argv)
{
	static const enum resource measured[] = { RESOURCE_CPU, RESOURCE_MEMORY, RESOURCE_DISK };
	struct diag_list list = { 0 };
	char line[1024];

	if (add_guests(t, argv + 1) != 0 || take(t) != 0)
		return 1;
	for (size_t i = 0; i < ARRAY_SIZE(measured); i++)
		(void)sensor_trigger_fd(t->sensor, measured[i], &t->policy->overload, NULL);
	sensor_probe(t->sensor, &list);
	for (size_t i = 0; i < list.count; i++)
		printf("%s: %s\n", diag_severity_name(list.items[i].severity),
		       diag_format(&list.items[i], line, sizeof(line)));
	diag_clear(&list);
	return 0;
}

static int cost_of(struct tool *t, bool iterator, double seconds)
{
	double began, end;
	unsigned int count = 0;

	if (choose(t, iterator) != 0 || take(t) != 0)
		return 1;
	began = now_ms(CLOCK_PROCESS_CPUTIME_ID);
	end = now_ms(CLOCK_MONOTONIC) + seconds * 1e3;
	for (; now_ms(CLOCK_MONOTONIC) < end; count++)
		if (take(t) != 0)
			return 1;
	printf("%s: %.3f ms a sample (%u)\n", iterator ? "iterator" : "schedstat",
	       (now_ms(CLOCK_PROCESS_CPUTIME_ID) - began) / count, count);
	return 0;
}

static int cmd_cost(struct tool *t, char **argv)
{
	if (!argv[1] || add_guests(t, argv + 2) != 0)
		return 1;
	return cost_of(t, true, atof(argv[1])) | cost_of(t, false, atof(argv[1]));
}

static int cmd_trigger(struct tool *t, char **argv)
{
	struct pollfd p = { .events = POLLPRI };
	struct qerr err = { 0 };
	double began;
	int r = 0;

	while (r < RESOURCE_COUNT && argv[1] && strcmp(argv[1], resource_names[r]) != 0)
		r++;
	if (r == RESOURCE_COUNT || !argv[1] || !argv[2])
		return 1;
	p.fd = sensor_trigger_fd(t->sensor, (enum resource)r, &t->policy->overload, &err);
	if (p.fd < 0)
		return complain(argv[1], p.fd, &err);
	printf("armed\n");
	fflush(stdout);
	began = now_ms(CLOCK_MONOTONIC);
	if (poll(&p, 1, atoi(argv[2]) * 1000) <= 0 || !(p.revents & POLLPRI)) {
		printf("quiet\n");
		return 1;
	}
	printf("fired after %.0f ms\n", now_ms(CLOCK_MONOTONIC) - began);
	return 0;
}

/* ---- main ---- */

static const struct command {
	const char *name;
	int (*run)(struct tool *t, char **argv);
} commands[] = {
	{ "probe", cmd_probe }, { "iterator", cmd_sample }, { "schedstat", cmd_sample },
	{ "cost", cmd_cost },   { "trigger", cmd_trigger },
};

static int run(struct tool *t, const struct command *c, char **argv)
{
	struct cgroup_config cgroup = { 0 };
	struct sensor_config config = { .groups = cgroup_sample };
	struct qerr err = { 0 };
	int r = cgroup_new(&cgroup, &t->cgroup, &err);

	if (r < 0)
		return complain("cgroup", r, &err);
	config.groups_ctx = t->cgroup;
	r = sensor_new(&config, &t->sensor, &err);
	if (r < 0)
		return complain("sensor", r, &err);
	t->inv = inventory_new(8);
	t->policy = policy_new();
	r = t->inv && t->policy ? add_uplinks(t) : -ENOMEM;
	return r < 0 ? complain("start", r, NULL) : c->run(t, argv);
}

int main(int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < ARRAY_SIZE(commands); i++) {
		struct tool t = { 0 };
		int r;

		if (strcmp(argv[1], commands[i].name) != 0)
			continue;
		r = run(&t, &commands[i], argv + 1);
		sensor_free(t.sensor);
		sample_done(&t.sample);
		inventory_free(t.inv);
		policy_free(t.policy);
		cgroup_adapter_free(t.cgroup);
		return r;
	}
	fprintf(stderr, "usage: lab-sensorctl probe [GUEST...] | iterator|schedstat GUEST... |\n"
			"       cost SECONDS GUEST... | trigger cpu|memory|disk SECONDS\n");
	return 2;
}
