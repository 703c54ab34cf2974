/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lab-rbdctl - the daemon's eye for RBD disks on one QEMU, without libvirt: obeys lines on standard
 * input, answers each with one line of JSON.
 *
 *	lab-rbdctl CONFIG DOMAIN.xml PID STATEDIR
 *
 * Input:
 *	look		look anew and say what `qosctl show` and `doctor` would: rbd, findings, ceph
 *	prepare		the hook's news before a start (written: outcome for images)
 *	release		... after a stop
 *	back		as after `qosctl release` of the guest: values of before come back
 *	back-all	as after `qosctl release` of all guests
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qosd/core/mem.h"
#include "qosd/daemon/rbd.h"
#include "qosd/daemon/view.h"
#include "qosd/host/topology.h"

#define XML_MAX ((size_t)1 << 20)
#define WAIT_US UINT64_C(30000000)

static int complain(const char *what, const char *why)
{
	fprintf(stderr, "lab-rbdctl: %s: %s\n", what, why);
	return 1;
}

static struct guest *read_guest(const char *path, int pid)
{
	char *xml CLEANUP_FREE = malloc(XML_MAX);
	FILE *f = fopen(path, "re");
	size_t len = f && xml ? fread(xml, 1, XML_MAX, f) : 0;
	struct guest *g = NULL;
	struct qerr err = { 0 };

	if (f)
		fclose(f);
	if (virt_parse_domain_xml(xml, len, &g, &err) < 0) {
		complain(path, err.text);
		return NULL;
	}
	g->id = 1;
	g->pid = pid;
	return g;
}

/* Run the loop until `done` says so. */
static bool run_until(struct engine *e, bool (*done)(struct engine *e, uint64_t since_us))
{
	uint64_t start_us, now_us;

	sd_event_now(e->event, CLOCK_MONOTONIC, &start_us);
	do {
		if (sd_event_run(e->event, 100000) < 0)
			return false;
		sd_event_now(e->event, CLOCK_MONOTONIC, &now_us);
	} while (!done(e, start_us) && now_us < start_us + WAIT_US);
	return done(e, start_us);
}

static bool looked(struct engine *e, uint64_t since_us)
{
	const struct rbd_row *row = rbd_row_find(e->rbd, 1);

	return row && row->latest && row->latest->at_us > since_us && e->rbd->daemons_known;
}

static bool written(struct engine *e, uint64_t since_us)
{
	(void)since_us;
	return e->rbd->any_written;
}

static void print(json_t *answer)
{
	char *text = json_dumps(answer, JSON_COMPACT);

	puts(text ? text : "{}");
	fflush(stdout);
	free(text);
	json_decref(answer);
}

static void say_look(struct engine *e)
{
	struct diag_list findings = { 0 };

	rbd_settle(e);
	if (!run_until(e, looked)) {
		print(json_pack("{s:s}", "error", "no look within the time limit"));
		return;
	}
	rbd_doctor(e, &findings);
	print(json_pack("{s:o, s:o, s:o}", "rbd", view_rbd(e, 0), "findings",
			view_findings(&findings), "ceph", view_ceph(e)));
	diag_clear(&findings);
}

static void say_hook(struct engine *e, const char *phase)
{
	struct guest *g = e->inventory->guests[0];
	bool wait = e->policy->ceph.apply == CEPH_APPLY_IMAGE;

	e->rbd->any_written = false;
	rbd_hook(e, g, phase);
	if (!wait || !run_until(e, written))
		print(json_pack("{s:n}", "written"));
	else
		print(json_pack("{s:i, s:s}", "written", e->rbd->last.result, "error",
				e->rbd->last.err.text));
}

static void release_all(struct engine *e)
{
	e->mode = MODE_OBSERVE;
	e->giving_back = true;
	rbd_settle(e);
	e->giving_back = false;
}

static void obey(struct engine *e, const char *line)
{
	if (strcmp(line, "look") == 0)
		say_look(e);
	else if (strcmp(line, "prepare") == 0 || strcmp(line, "release") == 0)
		say_hook(e, line);
	else if (strcmp(line, "back") == 0)
		guests_find(&e->guests, 1)->released = true;
	else if (strcmp(line, "back-all") == 0)
		release_all(e);
	else
		complain(line, "not one of look, prepare, release, back, back-all");
}

static void on_gone(void *user, const struct guest_row *row)
{
	(void)user, (void)row;
}

static int start(const struct engine_options *options, struct guest *g, struct engine **ret)
{
	struct host *host = NULL;
	struct qerr err = { 0 };
	int r = topology_read(NULL, &host, &err);

	if (r >= 0)
		r = engine_new_bare(options, host, ret, &err);
	if (r >= 0)
		r = rbd_start(*ret, &err);
	if (r < 0)
		return complain("start", err.text);
	(*ret)->inventory = inventory_new(1);
	if (!(*ret)->inventory || inventory_add((*ret)->inventory, g) < 0 ||
	    guests_sync(&(*ret)->guests, (*ret)->inventory, on_gone, *ret) < 0)
		return complain("start", "out of memory");
	(*ret)->picture = engine_picture(*ret, (*ret)->policy);
	return (*ret)->picture ? 0 : complain("start", "no picture");
}

int main(int argc, char **argv)
{
	struct engine_options options = { 0 };
	struct engine *e = NULL;
	struct guest *g;
	char line[64];

	if (argc != 5) {
		fprintf(stderr, "usage: lab-rbdctl CONFIG DOMAIN.xml PID STATEDIR\n");
		return 2;
	}
	options.config_path = argv[1];
	options.state_dir = argv[4];
	g = read_guest(argv[2], atoi(argv[3]));
	if (!g || start(&options, g, &e))
		return 1;
	guest_unref(g);
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = '\0';
		obey(e, line);
	}
	engine_free(e);
	return 0;
}
