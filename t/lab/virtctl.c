/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lab-virtctl - the libvirt adapter by hand: says what changes, obeys lines on standard input.
 *
 *	lab-virtctl [URI]
 *
 * Output, each line after the seconds since the start:
 *	state NAME
 *	inventory COUNT
 *	+ NAME id=N pid=N vcpus=N threads=N class=C group=G nic=DEVICE/IFINDEX ...	(new or
 *changed)
 *	- NAME id=N
 *	done TICKET RESULT SENTENCE
 * Input:
 *	pin GUEST emulator|VCPU CPUS	read GUEST emulator|VCPU	class GUEST CLASS|-
 *	set GUEST DISK|- KNOB VALUE	get GUEST DISK|- KNOB		(-: a knob of the guest)
 *	stats GUEST	balloon GUEST
 *	refresh		probe		quit
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "qosd/core/diag.h"
#include "qosd/core/mem.h"
#include "qosd/host/cgroup.h"
#include "qosd/host/virt.h"

#define TURN_MS 50 /* how often the state is looked at */

struct tool {
	struct virt *virt;
	struct adapter *cgroup;
	struct inventory *inventory;
	enum virt_state state;
	uint64_t ticket;
	uint64_t start_us;
	bool quit;
};

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void stamp(const struct tool *t)
{
	printf("%.3f ", (double)(now_us() - t->start_us) / 1e6);
}

static void show_guest(const struct tool *t, const struct guest *g)
{
	stamp(t);
	printf("+ %s id=%u pid=%d vcpus=%u threads=%zu class=%s group=%s", g->name, g->id, g->pid,
	       g->vcpus, g->nvcpu_tids, g->class_name ? g->class_name : "-",
	       g->cgroup ? g->cgroup : "-");
	for (size_t i = 0; i < g->nnics; i++)
		printf(" nic=%s/%u", g->nics[i].device, g->nics[i].ifindex);
	for (size_t i = 0; i < g->noverrides; i++)
		printf(" %s=%s", g->overrides[i].key, g->overrides[i].value);
	putchar('\n');
}

static const struct guest *same_in(const struct inventory *inv, const struct guest *g)
{
	return inv ? inventory_by_id(inv, g->id) : NULL;
}

static void show_changes(struct tool *t, struct inventory *new)
{
	stamp(t);
	printf("inventory %zu\n", new->count);
	for (size_t i = 0; t->inventory && i < t->inventory->count; i++) {
		const struct guest *g = t->inventory->guests[i];

		if (!same_in(new, g)) {
			stamp(t);
			printf("- %s id=%u\n", g->name, g->id);
		}
	}
	for (size_t i = 0; i < new->count; i++)
		if (same_in(t->inventory, new->guests[i]) != new->guests[i])
			show_guest(t, new->guests[i]);
	inventory_free(t->inventory);
	t->inventory = new;
}

static void show_done(void *user, uint64_t ticket, int r, const struct qerr *err)
{
	stamp(user);
	printf("done %" PRIu64 " %d %s\n", ticket, r, err->text);
}

static void show_state(struct tool *t)
{
	enum virt_state now = virt_state(t->virt);

	if (now == t->state)
		return;
	t->state = now;
	stamp(t);
	printf("state %s\n", virt_state_name(now));
}

/* ---- commands ---- */

static int target_of(const struct tool *t, const char *name, const char *thread, struct target *ret)
{
	const struct guest *g = t->inventory ? inventory_find(t->inventory, name) : NULL;

	if (!g)
		return -ENOENT;
	*ret = (struct target){ .kind = TARGET_EMULATOR, .guest_id = g->id, .guest = g };
	if (strcmp(thread, "emulator") != 0) {
		ret->kind = TARGET_VCPU;
		ret->index = (uint32_t)strtoul(thread, NULL, 10);
	}
	return 0;
}

static void cmd_pin(struct tool *t, char **words)
{
	struct adapter *a = virt_adapter(t->virt);
	struct cpuset cpus = { 0 };
	struct change c = { .knob = KNOB_CPU_AFFINITY, .to = knob_cpuset(&cpus) };
	struct qerr err = { 0 };
	int r = target_of(t, words[1], words[2], &c.target);

	if (r == 0)
		r = cpuset_parse(words[3], &cpus);
	if (r == 0)
		r = a->ops->apply(a, &c, ++t->ticket, &err);
	stamp(t);
	printf("pin %" PRIu64 " %d %s\n", t->ticket, r, err.text);
}

static void cmd_read(struct tool *t, char **words)
{
	struct adapter *a = virt_adapter(t->virt);
	char text[KNOB_TEXT_MAX] = "";
	struct knob_value value;
	struct qerr err = { 0 };
	struct target target;
	int r = target_of(t, words[1], words[2], &target);

	if (r == 0)
		r = a->ops->read(a, &target, KNOB_CPU_AFFINITY, &value, &err);
	if (r == 0)
		knob_value_format(&value, text, sizeof(text));
	stamp(t);
	printf("read %s %s %d %s%s\n", words[1], words[2], r, text, err.text);
}

/* A disk by its name, or (-) the guest. */
static int disk_target(const struct tool *t, char **words, struct target *ret, enum knob_id *knob)
{
	const struct guest *g = t->inventory ? inventory_find(t->inventory, words[1]) : NULL;

	if (!g || knob_find(words[3], knob) < 0)
		return -ENOENT;
	*ret = (struct target){ .kind = TARGET_GUEST, .guest_id = g->id, .guest = g };
	if (strcmp(words[2], "-") == 0)
		return 0;
	ret->kind = TARGET_DISK;
	while (ret->index < g->ndisks && strcmp(g->disks[ret->index].target, words[2]) != 0)
		ret->index++;
	return ret->index < g->ndisks ? 0 : -ENOENT;
}

static void cmd_set(struct tool *t, char **words)
{
	struct adapter *a = virt_adapter(t->virt);
	struct change c = { 0 };
	struct cpuset room;
	struct qerr err = { 0 };
	int r = disk_target(t, words, &c.target, &c.knob);

	if (r == 0)
		r = knob_value_parse(knob_get(c.knob)->type, words[4], &room, &c.to);
	if (r == 0)
		r = a->ops->apply(a, &c, ++t->ticket, &err);
	stamp(t);
	printf("set %" PRIu64 " %d %s\n", t->ticket, r, err.text);
}

static void cmd_get(struct tool *t, char **words)
{
	struct adapter *a = virt_adapter(t->virt);
	char text[KNOB_TEXT_MAX] = "";
	struct knob_value value;
	struct qerr err = { 0 };
	struct target target;
	enum knob_id knob;
	int r = disk_target(t, words, &target, &knob);

	if (r == 0)
		r = a->ops->read(a, &target, knob, &value, &err);
	if (r == 0)
		knob_value_format(&value, text, sizeof(text));
	stamp(t);
	printf("get %s %s %s %d %s%s\n", words[1], words[2], words[3], r, text, err.text);
}

static void cmd_stats(struct tool *t, char **words)
{
	const struct guest *g = t->inventory ? inventory_find(t->inventory, words[1]) : NULL;
	struct sample_guest s = { 0 };
	int r = g ? virt_disk_stats(t->virt, g, &s) : -ENOENT;

	virt_disk_stats_want(t->virt, UINT64_C(5000000));
	stamp(t);
	printf("stats %s %d %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", words[1], r, s.disk_ops,
	       s.disk_bytes, s.disk_wait_ns);
}

static void cmd_balloon(struct tool *t, char **words)
{
	const struct guest *g = t->inventory ? inventory_find(t->inventory, words[1]) : NULL;
	struct qerr err = { 0 };
	int r = g ? virt_balloon_check(t->virt, g, &err) : -ENOENT;

	stamp(t);
	printf("balloon %s %d %s\n", words[1], r, err.text);
}

static void cmd_class(struct tool *t, char **words)
{
	const struct guest *g = t->inventory ? inventory_find(t->inventory, words[1]) : NULL;
	const char *class_name = strcmp(words[2], "-") == 0 ? NULL : words[2];
	int r = g ? virt_set_class(t->virt, g->uuid, class_name, ++t->ticket) : -ENOENT;

	stamp(t);
	printf("class %" PRIu64 " %d\n", t->ticket, r);
}

static void cmd_refresh(struct tool *t, char **words)
{
	(void)words;
	virt_refresh(t->virt, NULL);
}

static void cmd_probe(struct tool *t, char **words)
{
	struct adapter *a = virt_adapter(t->virt);
	struct diag_list findings = { 0 };
	char text[512];

	(void)words;
	a->ops->probe(a, &findings);
	for (size_t i = 0; i < findings.count; i++) {
		stamp(t);
		printf("%s %s\n", diag_severity_name(findings.items[i].severity),
		       diag_format(&findings.items[i], text, sizeof(text)));
	}
	diag_clear(&findings);
}

static void cmd_quit(struct tool *t, char **words)
{
	(void)words;
	t->quit = true;
}

static const struct {
	const char *name;
	int words;
	void (*run)(struct tool *t, char **words);
} commands[] = {
	{ "set", 5, cmd_set },         { "get", 4, cmd_get },         { "stats", 2, cmd_stats },
	{ "balloon", 2, cmd_balloon }, { "pin", 4, cmd_pin },         { "read", 3, cmd_read },
	{ "class", 3, cmd_class },     { "refresh", 1, cmd_refresh }, { "probe", 1, cmd_probe },
	{ "quit", 1, cmd_quit },
};

static void obey(struct tool *t, char *line)
{
	char *words[6] = { NULL }, *save = NULL;
	int n = 0;

	for (char *w = strtok_r(line, " \n", &save); w && n < 5; w = strtok_r(NULL, " \n", &save))
		words[n++] = w;
	for (size_t i = 0; n > 0 && i < ARRAY_SIZE(commands); i++) {
		if (strcmp(words[0], commands[i].name) == 0 && n == commands[i].words) {
			commands[i].run(t, words);
			return;
		}
	}
	fprintf(stderr, "lab-virtctl: not understood: %s\n", n > 0 ? words[0] : "");
}

static void read_commands(struct tool *t)
{
	char text[4096], *save = NULL;
	ssize_t n = read(STDIN_FILENO, text, sizeof(text) - 1);

	if (n <= 0) {
		t->quit = true;
		return;
	}
	text[n] = '\0';
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		obey(t, line);
}

static void serve(struct tool *t)
{
	struct pollfd fds[] = { { .fd = virt_fd(t->virt), .events = POLLIN },
				{ .fd = STDIN_FILENO, .events = POLLIN } };
	struct inventory *inv;

	while (!t->quit) {
		poll(fds, 2, TURN_MS);
		inv = virt_take_inventory(t->virt);
		if (inv)
			show_changes(t, inv);
		virt_collect(t->virt, show_done, t);
		show_state(t);
		if (fds[1].revents)
			read_commands(t);
		fflush(stdout);
	}
}

int main(int argc, char **argv)
{
	struct tool t = { .state = (enum virt_state) - 1, .start_us = now_us() };
	struct virt_config config = { .uri = argc > 1 ? argv[1] : NULL };
	struct qerr err = { 0 };

	if (cgroup_new(&(struct cgroup_config){ 0 }, &t.cgroup, &err) == 0) {
		config.bind = cgroup_bind_guest;
		config.bind_ctx = t.cgroup;
	} else {
		fprintf(stderr, "lab-virtctl: guests have no groups: %s\n", err.text);
	}
	if (virt_new(&config, &t.virt, &err) < 0) {
		fprintf(stderr, "lab-virtctl: %s\n", err.text);
		return 1;
	}
	serve(&t);
	virt_free(t.virt, 2000000);
	inventory_free(t.inventory);
	if (t.cgroup)
		cgroup_adapter_free(t.cgroup);
	return 0;
}
