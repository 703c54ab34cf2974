/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lab-cgctl - the cgroup adapter by hand, to try it on a real host.
 *
 *	lab-cgctl probe | meminfo
 *	lab-cgctl bind|usage|effective PID
 *	lab-cgctl read PID|/GROUP KNOB
 *	lab-cgctl apply PID|/GROUP KNOB VALUE
 *	lab-cgctl reclaim PID BYTES	one step towards that much memory; prints what is left
 *	lab-cgctl follow PID		read and write until the guest has gone; says why it stopped
 *
 * A target is the process id of a guest's QEMU, or the path of a group. Exit status: 0 done,
 * 1 refused, 2 usage.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qosd/core/diag.h"
#include "qosd/core/mem.h"
#include "qosd/host/cgroup.h"

#define WORKER_LIMIT_MS  5000
#define RECLAIM_LIMIT_MS 60000
#define FOLLOW_PAUSE_MS  2
#define FOLLOW_TURNS     30000

struct tool {
	struct adapter *adapter;
	struct worker *worker, *reclaimer;
	struct guest *guest; /* of the target, or NULL */
	struct target target;
};

static int complain(const char *what, int r, const struct qerr *err)
{
	fprintf(stderr, "lab-cgctl: %s: %s\n", what, err && err->code ? err->text : strerror(-r));
	return 1;
}

static int set_target(struct tool *t, const char *text)
{
	int r;

	if (text[0] == '/') {
		t->target = (struct target){ .kind = TARGET_CGROUP, .path = text };
		return 0;
	}
	t->guest = guest_new();
	if (!t->guest)
		return -ENOMEM;
	t->guest->id = 1;
	t->guest->pid = atoi(text);
	t->guest->name = strdup("guest");
	r = cgroup_bind_guest(t->adapter, t->guest);
	t->guest->vcpus = (uint32_t)t->guest->nvcpu_tids;
	t->target = (struct target){ .kind = TARGET_GUEST, .guest_id = 1, .guest = t->guest };
	return r;
}

static int cmd_probe(struct tool *t, char **argv)
{
	struct diag_list list = { 0 };
	char line[1024];

	(void)argv;
	t->adapter->ops->probe(t->adapter, &list);
	for (size_t i = 0; i < list.count; i++)
		printf("%s: %s\n", diag_severity_name(list.items[i].severity),
		       diag_format(&list.items[i], line, sizeof(line)));
	diag_clear(&list);
	return 0;
}

static int cmd_meminfo(struct tool *t, char **argv)
{
	uint64_t total, available;
	int r = cgroup_read_meminfo(t->adapter, &total, &available);

	(void)argv;
	if (r < 0)
		return complain("meminfo", r, NULL);
	printf("total %" PRIu64 " available %" PRIu64 "\n", total, available);
	return 0;
}

static int cmd_bind(struct tool *t, char **argv)
{
	const struct guest *g = t->guest;

	(void)argv;
	printf("cgroup %s\nmemory %s\nsystemd %d\nstart %" PRIu64 "\nthreads", g->cgroup,
	       g->cgroup_memory, g->systemd, g->start_ticks);
	for (size_t i = 0; i < g->nvcpu_tids; i++)
		printf(" %d", g->vcpu_tids[i]);
	printf("\n");
	return 0;
}

static int cmd_usage(struct tool *t, char **argv)
{
	struct cgroup_usage u;
	int r = cgroup_read_usage(t->adapter, t->guest, &u);

	(void)argv;
	if (r < 0)
		return complain("usage", r, NULL);
	printf("cpu_us %" PRIu64 "\nvcpu_run_ns %" PRIu64 "\nvcpu_wait_ns %" PRIu64 "\n", u.cpu_us,
	       u.vcpu_run_ns, u.vcpu_wait_ns);
	printf("memory_bytes %" PRIu64 "\nswap_bytes %" PRIu64 "\nnr_throttled %" PRIu64 "\n",
	       u.memory_bytes, u.swap_bytes, u.nr_throttled);
	return 0;
}

static int cmd_effective(struct tool *t, char **argv)
{
	uint64_t bytes;
	int r = cgroup_effective_min(t->adapter, t->guest, &bytes);

	(void)argv;
	if (r < 0)
		return complain("effective", r, NULL);
	printf("%" PRIu64 "\n", bytes);
	return 0;
}

static int cmd_read(struct tool *t, char **argv)
{
	char text[KNOB_TEXT_MAX];
	struct qerr err = { 0 };
	struct knob_value v;
	enum knob_id knob;
	int r = knob_find(argv[0], &knob);

	if (r == 0)
		r = t->adapter->ops->read(t->adapter, &t->target, knob, &v, &err);
	if (r < 0)
		return complain(argv[0], r, &err);
	printf("%s\n", knob_value_format(&v, text, sizeof(text)));
	return 0;
}

struct outcome {
	bool done;
	int result;
	struct qerr err;
};

static void take_outcome(void *user, uint64_t ticket, int result, const struct qerr *err)
{
	struct outcome *o = user;

	o->done = ticket == 1;
	o->result = result;
	o->err = *err;
}

static int wait_outcome(struct worker *w, int limit_ms, struct qerr *err)
{
	struct pollfd p = { .fd = worker_fd(w), .events = POLLIN };
	struct outcome o = { 0 };

	while (!o.done) {
		if (poll(&p, 1, limit_ms) <= 0)
			return -ETIMEDOUT;
		worker_collect(w, take_outcome, &o);
	}
	*err = o.err;
	return o.result;
}

static int cmd_apply(struct tool *t, char **argv)
{
	struct change c = { .target = t->target };
	struct qerr err = { 0 };
	struct cpuset room;
	int r = knob_find(argv[0], &c.knob);

	if (r == 0)
		r = knob_value_parse(knob_get(c.knob)->type, argv[1], &room, &c.to);
	if (r == 0)
		r = t->adapter->ops->apply(t->adapter, &c, 1, &err);
	if (r == -EINPROGRESS)
		r = wait_outcome(t->worker, WORKER_LIMIT_MS, &err);
	return r < 0 ? complain(argv[0], r, &err) : 0;
}

static int cmd_reclaim(struct tool *t, char **argv)
{
	uint64_t down_to = strtoull(argv[0], NULL, 10);
	struct cgroup_usage u;
	struct qerr err = { 0 };
	int r = cgroup_reclaim(t->adapter, t->guest, down_to, 1, &err);

	if (r == -EINPROGRESS)
		r = wait_outcome(t->reclaimer, RECLAIM_LIMIT_MS, &err);
	if (r < 0 && r != -EAGAIN)
		return complain("reclaim", r, &err);
	if (r == -EAGAIN)
		fprintf(stderr, "lab-cgctl: %s\n", err.text);
	r = cgroup_read_usage(t->adapter, t->guest, &u);
	if (r < 0)
		return complain("usage", r, NULL);
	printf("%" PRIu64 "\n", u.memory_bytes);
	return 0;
}

/* Read every knob and write the quota, over and over, as the daemon would. */
static int visit(struct tool *t, int turn, struct qerr *err)
{
	static const enum knob_id knobs[] = { KNOB_CPU_WEIGHT, KNOB_CPU_MAX, KNOB_MEMORY_MIN,
					      KNOB_MEMORY_LOW };
	struct change c = { .target = t->target, .knob = KNOB_CPU_MAX };
	struct cgroup_usage u;
	struct knob_value v;
	int r = cgroup_read_usage(t->adapter, t->guest, &u);

	if (r < 0)
		return qerr_set(err, r, "no usage");
	for (size_t i = 0; i < ARRAY_SIZE(knobs); i++) {
		r = t->adapter->ops->read(t->adapter, &t->target, knobs[i], &v, err);
		if (r < 0)
			return r;
	}
	c.to = knob_quota(turn % 2 ? 150000 : 160000, 100000);
	return t->adapter->ops->apply(t->adapter, &c, 1, err);
}

static int cmd_follow(struct tool *t, char **argv)
{
	struct qerr err = { 0 };
	int r, turn = 0;

	(void)argv;
	while ((r = visit(t, turn, &err)) == 0 && turn < FOLLOW_TURNS) {
		if (turn++ == 0) {
			printf("following\n");
			fflush(stdout);
		}
		poll(NULL, 0, FOLLOW_PAUSE_MS);
	}
	t->adapter->ops->forget(t->adapter, t->guest);
	printf("%s: %s\n", r < 0 ? strerrorname_np(-r) : "still there", err.text);
	return r == -ENOENT || r == -ESRCH ? 0 : 1;
}

static const struct command {
	const char *name;
	int target, operands; /* how many of each */
	int (*run)(struct tool *t, char **argv);
} commands[] = {
	{ "probe", 0, 0, cmd_probe },         { "meminfo", 0, 0, cmd_meminfo },
	{ "bind", 1, 0, cmd_bind },           { "usage", 1, 0, cmd_usage },
	{ "effective", 1, 0, cmd_effective }, { "read", 1, 1, cmd_read },
	{ "apply", 1, 2, cmd_apply },         { "follow", 1, 0, cmd_follow },
	{ "reclaim", 1, 1, cmd_reclaim },
};

static int run(struct tool *t, const struct command *c, char **argv)
{
	struct cgroup_config config = { 0 };
	struct qerr err = { 0 };
	int r = worker_new("cgctl", 16, &t->worker);

	if (r == 0)
		r = worker_new("reclaim", 4, &t->reclaimer);
	if (r < 0)
		return complain("worker", r, NULL);
	config.worker = t->worker;
	config.reclaimer = t->reclaimer;
	r = cgroup_new(&config, &t->adapter, &err);
	if (r < 0)
		return complain("cgroup", r, &err);
	if (c->target) {
		r = set_target(t, argv[0]);
		if (r < 0)
			return complain(argv[0], r, NULL);
		if (!t->guest && c->operands == 0)
			return complain(argv[0], -ESRCH, NULL);
	}
	return c->run(t, argv + c->target);
}

int main(int argc, char **argv)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		const struct command *c = &commands[i];
		struct tool t = { 0 };
		int r;

		if (argc < 2 || strcmp(argv[1], c->name) != 0 ||
		    argc != 2 + c->target + c->operands)
			continue;
		r = run(&t, c, argv + 2);
		cgroup_adapter_free(t.adapter);
		worker_free(t.worker, 1000000);
		worker_free(t.reclaimer, 1000000);
		guest_unref(t.guest);
		return r;
	}
	fprintf(stderr, "usage: lab-cgctl probe | meminfo | bind|usage|effective|follow PID |\n"
			"       read PID|/GROUP KNOB | apply PID|/GROUP KNOB VALUE | "
			"reclaim PID BYTES\n");
	return 2;
}
