/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sensor_tree - a sensor on a tree of ordinary files that looks like a host with one guest
 * (cgroup_tree.h), fed by the cgroup adapter.
 */
#ifndef QOSD_T_SENSOR_TREE_H
#define QOSD_T_SENSOR_TREE_H

#include "cgroup_tree.h"
#include "qosd/host/sensor_priv.h"

#define HEAD                                                                                       \
	"Inter-|   Receive                                                |  Transmit\n"           \
	" face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs\n"

struct bench {
	struct tree t;
	struct inventory *inv;
	struct policy *policy;
	struct sensor *sensor;
	struct sample sample;
};

static inline void put_pressure(const struct tree *t, int cpu, int memory, int io)
{
	static const char *const names[] = { "cpu", "memory", "io" };
	const int totals[] = { cpu, memory, io };
	char file[64];

	for (int i = 0; i < 3; i++) {
		snprintf(file, sizeof(file), "proc/pressure/%s", names[i]);
		put(t, file,
		    "some avg10=1.00 avg60=0.00 avg300=0.00 total=%d\n"
		    "full avg10=0.00 avg60=0.00 avg300=0.00 total=7\n",
		    totals[i]);
	}
}

static inline void put_guest_pressure(const struct tree *t, int memory, int io)
{
	put(t, "cg" TOP_V2 "/memory.pressure",
	    "some avg10=0.00 avg60=0.00 avg300=0.00 total=%d\nfull avg10=0.00 total=1\n", memory);
	put(t, "cg" TOP_V2 "/io.pressure",
	    "some avg10=0.00 avg60=0.00 avg300=0.00 total=%d\nfull avg10=0.00 total=1\n", io);
}

static inline void put_host(const struct tree *t)
{
	put_pressure(t, 100, 200, 300);
	put(t, "proc/meminfo",
	    "MemTotal: 4096 kB\nMemFree: 1 kB\nMemAvailable: 1024 kB\n"
	    "SwapFree: 16 kB\n");
	put(t, "proc/net/dev",
	    HEAD "    lo: 5 1 0 0 0 0 0 0 5 1 0 0 0 0 0 0\n"
		 " vnet0: 1000 9 0 0 0 0 0 0 2000 9 0 0 0 0 0 0\n"
		 "eth0:70000 9 0 0 0 0 0 0 80000 9 0 0 0 0 0 0\n");
	put(t, "proc/self/schedstat", "5 6 7\n");
	put(t, "sys/class/net/eth0/speed", "10000\n");
}

static inline void put_v2_host(const struct tree *t)
{
	put_v2(t);
	put_guest_pressure(t, 11, 22);
	put_host(t);
}

static inline void put_v1_host(const struct tree *t)
{
	put_v1(t);
	put(t, "cg/cpu" TOP_V1 "/cpu.stat", "nr_periods 9\nnr_throttled 4\nthrottled_time 9\n");
	put(t, "cg/cpu" TOP_V1 "/vcpu0/cpu.stat", "nr_throttled 2\n");
	put_host(t);
}

static inline void add_nic(struct guest *g, const char *device, const char *type)
{
	struct guest_nic *nic;

	g->nics = realloc(g->nics, (g->nnics + 1) * sizeof(*g->nics));
	if (!g->nics)
		abort();
	nic = &g->nics[g->nnics++];
	memset(nic, 0, sizeof(*nic));
	snprintf(nic->device, sizeof(nic->device), "%s", device);
	snprintf(nic->type, sizeof(nic->type), "%s", type);
}

static inline struct sensor *new_sensor(const struct bench *b, bool readonly)
{
	char proc[128], sys[128];
	struct sensor_config config = { .proc = proc,
					.sys = sys,
					.readonly = readonly,
					.no_bpf = true,
					.groups = cgroup_sample,
					.groups_ctx = b->t.adapter };
	struct sensor *s = NULL;

	snprintf(proc, sizeof(proc), "%s/proc", b->t.root);
	snprintf(sys, sizeof(sys), "%s/sys", b->t.root);
	CU_ASSERT_EQUAL_FATAL(sensor_new(&config, &s, NULL), 0);
	return s;
}

static inline void bench_open(struct bench *b, void (*fill)(const struct tree *t))
{
	memset(b, 0, sizeof(*b));
	tree_open(&b->t, fill);
	add_nic(b->t.guest, "vnet0", "bridge");
	b->policy = policy_new();
	b->inv = inventory_new(1);
	CU_ASSERT_EQUAL_FATAL(inventory_add(b->inv, b->t.guest), 0);
	b->sensor = new_sensor(b, false);
}

static inline void bench_close(struct bench *b)
{
	sensor_free(b->sensor);
	sample_done(&b->sample);
	inventory_free(b->inv);
	policy_free(b->policy);
	tree_close(&b->t);
}

static inline void read_sample(struct bench *b)
{
	CU_ASSERT_EQUAL(sensor_read(b->sensor, b->inv, b->policy, &b->sample, NULL), 0);
}

static inline const struct sample_guest *read_guest(struct bench *b, uint32_t id)
{
	const struct sample_guest *g;

	read_sample(b);
	g = sample_find(&b->sample, id);
	CU_ASSERT_PTR_NOT_NULL_FATAL(g);
	return g;
}

static inline bool says(const struct sensor *s, const char *what)
{
	struct diag_list list = { 0 };
	char line[512];
	bool found = false;

	sensor_probe(s, &list);
	for (size_t i = 0; i < list.count; i++)
		found |= strstr(diag_format(&list.items[i], line, sizeof(line)), what) != NULL;
	diag_clear(&list);
	return found;
}

#endif
