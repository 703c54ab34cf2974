/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bench_watch - what watching guests costs: the daemon's ticks with its own sensor.
 *
 *	bench_watch [SECONDS]     (none: 10 for each row)
 *
 * 200 and 1000 guests of 2 vCPUs. vCPUs are threads that sleep, and there is one more thread for
 * each guest, as QEMU's main loop; groups are files in memory; NICs and disks are left out. A look
 * reads all of it (sensor), finds pressures and caps (core), and has nothing to change. Looks come
 * at the daemon's own pace in real time, so caches are as cold and memory is read as seldom as
 * there.
 *
 *	calm     a look a second, as when nothing is pressed
 *	pressed  ten looks a second, with every guest throttled
 *
 * A table goes to standard error, one JSON object to standard output. CPU time of this process.
 * Exit status 1 when a goal of design.md is missed (0.2 % of a core calm at 200, 5 % pressed at
 * 1000).
 */
#include <sys/stat.h>

#include "qosd/host/cgroup.h"
#include "qosd/host/cgroup_text.h"
#include "qosd/host/sensor.h"
#include "t/bench/crowd.h"
#include "t/bench/group_files.h"
#include "t/bench/measure.h"
#include "t/unit/overload_bench.h"

#define VCPUS   2
#define THREADS 3 /* of a guest */

static const struct row {
	uint32_t guests;
	bool pressed;
	double goal_percent; /* of one core; 0: none */
} rows[] = {
	{ 200, false, 0.2 },
	{ 200, true, 0 },
	{ 1000, false, 0 },
	{ 1000, true, 5 },
};

#define WATCH_POLICY                                                                               \
	"mode = \"enforce\";\nhost = { reserve = { memory = \"1GiB\"; cpus = \"0\"; }; };\n"       \
	"classes = ( { name = \"gold\"; rank = 0; }, { name = \"bronze\"; rank = 1; } );\n"        \
	"default_class = \"bronze\";\noverload = { lease = \"1h\"; };\n"

struct watch {
	struct crowd crowd;
	struct storm *storm;
	struct adapter *files;
	struct sensor *sensor;
	char root[64];
};

static int read_sensor(void *ctx, const struct inventory *inv, const struct policy *policy,
		       struct sample *ret, struct qerr *err)
{
	struct watch *w = ctx;

	return sensor_read(w->sensor, inv, policy, ret, err);
}

static uint64_t own_start_ticks(void)
{
	char text[1024];
	uint64_t ticks = 0;
	FILE *f = fopen("/proc/self/stat", "r");
	size_t n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;

	if (f)
		fclose(f);
	text[n] = '\0';
	if (cgroup_text_start_ticks(text, &ticks) < 0)
		abort();
	return ticks;
}

static void add_guests(struct watch *w, uint32_t guests)
{
	uint64_t start_ticks = own_start_ticks();

	for (uint32_t id = 1; id <= guests; id++) {
		struct guest *g;
		char name[32];

		measure_name(id, name);
		g = bench_guest(w->storm->b, name, id, VCPUS, 2 * GIB, "bronze");
		measure_settle_guest(g);
		group_files_make(w->root, g);
		g->pid = getpid();
		g->start_ticks = start_ticks;
		free(g->vcpu_tids);
		g->nvcpu_tids = VCPUS;
		g->vcpu_tids = must(calloc(VCPUS, sizeof(*g->vcpu_tids)));
		for (uint32_t v = 0; v < VCPUS; v++)
			g->vcpu_tids[v] = w->crowd.tids[(id - 1) * THREADS + v];
	}
}

static void watch_begin(struct watch *w, uint32_t guests)
{
	struct cgroup_config groups = { .root = w->root };
	struct sensor_config config = { .groups = cgroup_sample };
	struct qerr err = { 0 };

	crowd_start(&w->crowd, (size_t)guests * THREADS);
	snprintf(w->root, sizeof(w->root), "/dev/shm/qosd-watch-%d", (int)getpid());
	group_files_begin(w->root);
	w->storm = storm_new(bench_new_on(WATCH_POLICY, measure_host, measure_cells(guests)));
	add_guests(w, guests);
	if (lease_open(w->storm->b->state_dir, &w->storm->b->e->protection->lease, &err) < 0 ||
	    cgroup_new(&groups, &w->files, &err) < 0)
		goto failed;
	config.groups_ctx = w->files;
	if (sensor_new(&config, &w->sensor, &err) < 0)
		goto failed;
	w->storm->b->e->protection->sampler = (struct sampler){ .read = read_sensor, .ctx = w };
	bench_publish(w->storm->b);
	storm_settle(w->storm->b);
	return;
failed:
	fprintf(w->storm->b->real_stderr, "bench_watch: %s\n", err.text);
	exit(2);
}

static void watch_end(struct watch *w)
{
	sensor_free(w->sensor);
	cgroup_adapter_free(w->files);
	group_files_end(w->root);
	storm_free(w->storm);
	crowd_end(&w->crowd);
}

/* CPU milliseconds of a look, the mean: memory is read in one of a second. */
static double look(struct watch *w, bool pressed, unsigned int seconds)
{
	size_t looks = seconds * (pressed ? 10 : 1);
	double *ms = must(calloc(looks, sizeof(*ms))), mean = 0;
	struct qerr err = { 0 };

	if (pressed && engine_throttle(w->storm->b->e, "bronze", RESOURCE_CPU, 200,
				       UINT64_C(100000000000), &err) < 0)
		abort();
	for (size_t i = 0; i < looks + 3; i++) { /* three to become steady */
		double began = measure_now_ms();

		overload_tick(w->storm->b->e);
		if (i >= 3)
			ms[i - 3] = measure_now_ms() - began;
		storm_settle(w->storm->b);
		usleep(pressed ? 100000 : 1000000);
	}
	for (size_t i = 0; i < looks; i++)
		mean += ms[i] / (double)looks;
	free(ms);
	return mean;
}

int main(int argc, char **argv)
{
	unsigned int seconds = argc > 1 ? (unsigned int)strtoul(argv[1], NULL, 10) : 10;
	bool missed = false;

	if (!seconds || seconds > 3600)
		return 2;
	measure_begin();
	fprintf(stderr, "guests           looks/s  ms a look  us a guest  %% of a core   goal\n");
	printf("{ \"rows\": [");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *r = &rows[i];
		struct watch w = { 0 };
		double ms, percent;

		watch_begin(&w, r->guests);
		ms = look(&w, r->pressed, seconds);
		watch_end(&w);
		percent = ms * (r->pressed ? 10 : 1) / 10;
		missed |= r->goal_percent > 0 && percent > r->goal_percent;
		fprintf(stderr, "%6u %-9s %7d %10.3f %11.2f %12.3f %6.1f\n", r->guests,
			r->pressed ? "pressed" : "calm", r->pressed ? 10 : 1, ms,
			ms * 1000 / r->guests, percent, r->goal_percent);
		printf("%s { \"guests\": %u, \"pressed\": %s, \"ms\": %.4f, \"percent\": %.4f }",
		       i ? "," : "", r->guests, r->pressed ? "true" : "false", ms, percent);
	}
	printf(" ] }\n");
	return missed;
}
