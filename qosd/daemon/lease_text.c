/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lease_text - steady values as text: one line for each guest, device and value.
 *
 *	qosd-lease 1
 *	guest ID PID START_TICKS VCPUS UUID
 *	nic ID DEVICE IFINDEX         disk ID TARGET       (in the guest's order)
 *	rbd ID DISK POOL NAMESPACE IMAGE SNAPSHOT          ("-": none)
 *	set ID KIND INDEX KNOB VALUE
 *
 * Left out are the knobs that no throttle moves: pins, and what is reserved.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qosd/core/mem.h"
#include "qosd/daemon/lease.h"

#define LEASE_HEADER "qosd-lease 1"

bool lease_lapses(enum knob_id knob)
{
	switch (knob) {
	case KNOB_CPU_AFFINITY:
	case KNOB_MEMORY_MIN:
	case KNOB_MEMORY_LOW:
	case KNOB_SWAP_MAX:
		return false;
	default:
		return true;
	}
}

/* ---- printing ---- */

static bool word_safe(const char *word)
{
	for (; *word; word++)
		if (*word <= ' ' || *word == '/' || *word == 0x7f)
			return false;
	return true;
}

/* Where librbd's lever of a disk is found; images of other names keep what they have. */
static void print_rbd(FILE *f, const struct guest *g, const struct guest_rbd *rbd)
{
	if (!rbd->pool[0] || !rbd->image[0] || !word_safe(rbd->pool) || !word_safe(rbd->ns) ||
	    !word_safe(rbd->image) || !word_safe(rbd->snapshot))
		return;
	fprintf(f, "rbd %u %u %s %s %s %s\n", g->id, rbd->disk, rbd->pool,
		rbd->ns[0] ? rbd->ns : "-", rbd->image, rbd->snapshot[0] ? rbd->snapshot : "-");
}

static void print_guest(FILE *f, const struct guest *g)
{
	fprintf(f, "guest %u %d %" PRIu64 " %u %s\n", g->id, g->pid, g->start_ticks, g->vcpus,
		g->uuid);
	for (size_t i = 0; i < g->nnics; i++)
		fprintf(f, "nic %u %s %u\n", g->id, g->nics[i].device[0] ? g->nics[i].device : "-",
			g->nics[i].ifindex);
	for (size_t i = 0; i < g->ndisks; i++)
		fprintf(f, "disk %u %s\n", g->id, g->disks[i].target[0] ? g->disks[i].target : "-");
	for (size_t i = 0; i < g->nrbds; i++)
		print_rbd(f, g, &g->rbds[i]);
}

/* No throttle moves it. */
static bool is_of_vf(const struct plan_entry *x)
{
	const struct guest *g = x->target.guest;

	return x->target.kind == TARGET_NIC && x->target.index < g->nnics &&
	       g->nics[x->target.index].vf;
}

char *lease_text_print(const struct plan *steady, const struct inventory *inv, size_t *ret_len)
{
	char value[KNOB_TEXT_MAX], *text = NULL;
	FILE *f = open_memstream(&text, ret_len);

	if (!f)
		return NULL;
	fprintf(f, LEASE_HEADER "\n");
	for (size_t i = 0; i < inv->count; i++)
		print_guest(f, inv->guests[i]);
	for (size_t i = 0; i < steady->count; i++) {
		const struct plan_entry *x = &steady->entries[i];

		if (!x->target.guest || !lease_lapses(x->knob) || is_of_vf(x))
			continue;
		fprintf(f, "set %u %u %u %s %s\n", x->target.guest_id, x->target.kind,
			x->target.index, knob_get(x->knob)->name,
			knob_value_format(&x->want, value, sizeof(value)));
	}
	if (fclose(f) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

/* ---- parsing ---- */

static int parse_guest(const char *line, struct inventory *inv)
{
	struct guest *g = guest_new();
	int end = 0, r = -ENOMEM;

	if (!g)
		return -ENOMEM;
	if (sscanf(line, "guest %" SCNu32 " %d %" SCNu64 " %" SCNu32 " %36s%n", &g->id, &g->pid,
		   &g->start_ticks, &g->vcpus, g->uuid, &end) != 5 ||
	    line[end] || !g->id || g->pid < 0 || !g->vcpus || g->vcpus > GUEST_VCPUS_MAX ||
	    !word_safe(g->uuid) || inventory_by_id(inv, g->id))
		r = -EINVAL;
	else if ((g->name = strdup(g->uuid)))
		r = inventory_add(inv, g);
	guest_unref(g);
	return r;
}

static int parse_nic(const char *line, struct inventory *inv)
{
	struct guest_nic nic = { 0 }, *all;
	struct guest *g;
	uint32_t id;
	int end = 0;

	if (sscanf(line, "nic %" SCNu32 " %15s %" SCNu32 "%n", &id, nic.device, &nic.ifindex,
		   &end) != 3 ||
	    line[end] || !word_safe(nic.device) || !(g = inventory_by_id(inv, id)))
		return -EINVAL;
	if (strcmp(nic.device, "-") == 0)
		nic.device[0] = '\0';
	all = reallocarray(g->nics, g->nnics + 1, sizeof(*all));
	if (!all)
		return -ENOMEM;
	g->nics = all;
	g->nics[g->nnics++] = nic;
	return 0;
}

static int parse_disk(const char *line, struct inventory *inv)
{
	struct guest_disk disk = { 0 }, *all;
	struct guest *g;
	uint32_t id;
	int end = 0;

	if (sscanf(line, "disk %" SCNu32 " %15s%n", &id, disk.target, &end) != 2 || line[end] ||
	    !word_safe(disk.target) || !(g = inventory_by_id(inv, id)))
		return -EINVAL;
	all = reallocarray(g->disks, g->ndisks + 1, sizeof(*all));
	if (!all)
		return -ENOMEM;
	g->disks = all;
	g->disks[g->ndisks++] = disk;
	return 0;
}

static void clear_dash(char *word)
{
	if (strcmp(word, "-") == 0)
		word[0] = '\0';
}

static int parse_rbd(const char *line, struct inventory *inv)
{
	struct guest_rbd rbd = { 0 }, *all;
	struct guest *g;
	uint32_t id;
	int end = 0;

	if (sscanf(line, "rbd %" SCNu32 " %" SCNu32 " %63s %63s %95s %63s%n", &id, &rbd.disk,
		   rbd.pool, rbd.ns, rbd.image, rbd.snapshot, &end) != 6 ||
	    line[end] || !word_safe(rbd.pool) || !word_safe(rbd.ns) || !word_safe(rbd.image) ||
	    !word_safe(rbd.snapshot) || !(g = inventory_by_id(inv, id)) || rbd.disk >= g->ndisks ||
	    guest_rbd_of(g, rbd.disk))
		return -EINVAL;
	clear_dash(rbd.ns);
	clear_dash(rbd.snapshot);
	all = reallocarray(g->rbds, g->nrbds + 1, sizeof(*all));
	if (!all)
		return -ENOMEM;
	g->rbds = all;
	g->rbds[g->nrbds++] = rbd;
	return 0;
}

static bool target_exists(const struct target *t, enum knob_id knob)
{
	if (t->kind > 31 || !(knob_get(knob)->targets & 1U << t->kind))
		return false;
	if (t->kind == TARGET_NIC)
		return t->index < t->guest->nnics;
	if (t->kind == TARGET_DISK)
		return t->index < t->guest->ndisks;
	return t->kind != TARGET_VCPU || t->index < t->guest->vcpus;
}

static int parse_set(const char *line, const struct inventory *inv, struct plan *plan)
{
	struct target t = { 0 };
	struct knob_value value;
	struct cpuset room;
	enum knob_id knob;
	uint32_t kind;
	char name[32];
	int end = 0;

	if (sscanf(line, "set %" SCNu32 " %" SCNu32 " %" SCNu32 " %31s %n", &t.guest_id, &kind,
		   &t.index, name, &end) != 4 ||
	    !end || kind > UINT8_MAX || knob_find(name, &knob) < 0 || !lease_lapses(knob) ||
	    !(t.guest = inventory_by_id(inv, t.guest_id)))
		return -EINVAL;
	t.kind = (uint8_t)kind;
	if (!target_exists(&t, knob) ||
	    knob_value_parse(knob_get(knob)->type, line + end, &room, &value) < 0)
		return -EINVAL;
	return plan_add(plan, &t, knob, value, (struct reason){ .kind = WHY_BASELINE });
}

static int parse_line(const char *line, struct inventory *inv, struct plan *plan)
{
	if (strncmp(line, "set ", 4) == 0)
		return parse_set(line, inv, plan);
	if (strncmp(line, "nic ", 4) == 0)
		return parse_nic(line, inv);
	if (strncmp(line, "disk ", 5) == 0)
		return parse_disk(line, inv);
	if (strncmp(line, "rbd ", 4) == 0)
		return parse_rbd(line, inv);
	return parse_guest(line, inv);
}

int lease_text_parse(const char *text, struct inventory **ret_inv, struct plan **ret_plan,
		     struct qerr *err)
{
	struct inventory *inv = inventory_new(0);
	struct plan *plan = plan_new();
	char *copy CLEANUP_FREE = strdup(text), *rest = copy, *line;
	int r = inv && plan && copy ? 0 : -ENOMEM;
	unsigned int number = 0;

	while (r == 0 && (line = strsep(&rest, "\n"))) {
		if (number++ == 0)
			r = strcmp(line, LEASE_HEADER) == 0 ? 0 : -EINVAL;
		else if (rest)
			r = parse_line(line, inv, plan);
		else if (*line) /* behind the last newline is nothing */
			r = -EINVAL;
	}
	if (r < 0) {
		plan_free(plan);
		inventory_free(inv);
		return qerr_set(err, r, "line %u of the lease: %s", number, strerror(-r));
	}
	plan_sort(plan);
	*ret_inv = inv;
	*ret_plan = plan;
	return 0;
}
