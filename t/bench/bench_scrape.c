/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bench_scrape - what one scrape of the metrics costs: 1000 guests (2 vCPUs, 1 NIC).
 *
 *	status   the daemon answers Status: in its loop, as text
 *	list     the daemon answers a brief List: the same
 *	page     the exporter reads both answers and writes the page
 *	shaper   the part of `list` that asks the kernel for counters of the shaper, in real maps;
 *	         only where BPF may be used (root, and bpffs at /sys/fs/bpf)
 *
 *	bench_scrape [GUESTS [RUNS]]
 *
 * A table goes to standard error, one JSON object to standard output. Times are CPU time of this
 * process in ms.
 */
#include "qosd/daemon/varlink.h"
#include "qosd/daemon/view.h"
#include "qosd/host/net_bpf.h"
#include "t/bench/measure.h"
#include "t/unit/overload_bench.h"
#include "tools/exporter.h"

enum part { STATUS, LIST, PAGE, SHAPER, PARTS };

static const char *const names[PARTS] = { "status", "list", "page", "shaper" };

struct scrape {
	struct storm *s;
	struct net_bpf maps;
	bool have_maps;
	json_t *status, *list; /* as they came to the exporter */
	size_t bytes[PARTS];   /* of each text */
};

static struct scrape *scrape; /* for the sampler, whose context is the storm's */

/* ---- counters of the shaper ---- */

static void read_way(const struct guest_nic *nic, enum edt_direction d, struct nic_reading *ret)
{
	struct edt_state state;

	*ret = (struct nic_reading){ .bytes = 123456789012, .counted = true };
	if (scrape->have_maps &&
	    net_bpf_get_state(&scrape->maps, EDT_KEY(nic->ifindex, d), &state) == 0)
		ret->shaper.offered_bytes = state.bytes;
}

static void read_nic(void *ctx, const struct guest_nic *nic, struct nic_reading *ret_in,
		     struct nic_reading *ret_out)
{
	(void)ctx;
	read_way(nic, EDT_IN, ret_in);
	read_way(nic, EDT_OUT, ret_out);
}

static void open_maps(struct scrape *x, uint32_t guests)
{
	struct qerr err = { 0 };
	struct edt_cfg cfg = net_bpf_profile(1000000, 0);
	bool replaced;
	int r = net_bpf_init(&x->maps, "/sys/fs/bpf/qosd-bench", &err);

	if (r == 0)
		r = net_bpf_ready(&x->maps, &replaced, &err);
	for (uint32_t id = 1; r == 0 && id <= guests; id++)
		for (int d = 0; r == 0 && d < 2; d++)
			r = net_bpf_set_cfg(&x->maps, EDT_KEY(100 + id, d), &cfg, &err);
	x->have_maps = r == 0;
	if (r < 0)
		fprintf(stderr, "without real maps: %s\n", err.text);
}

/* ---- the parts ---- */

static json_t *over_the_wire(json_t *answer, size_t *ret_bytes)
{
	struct varlink_buffer text = { 0 };
	json_t *came;

	if (varlink_append(&text, answer, SIZE_MAX) < 0)
		abort();
	*ret_bytes = varlink_buffer_size(&text);
	came = must(json_loads(text.data + text.begin, 0, NULL));
	varlink_buffer_done(&text);
	json_decref(answer);
	return came;
}

/* As the daemon does it: the answer and its text. */
static void answer(json_t *reply)
{
	struct varlink_buffer text = { 0 };

	if (!reply || varlink_append(&text, reply, SIZE_MAX) < 0)
		abort();
	varlink_buffer_done(&text);
	json_decref(reply);
}

/* As the exporter does it, from the texts. */
static void make_page(struct scrape *x)
{
	struct reading r = { .readings = 1 };
	char *page = NULL;
	FILE *out;

	r.status = over_the_wire(json_incref(x->status), &x->bytes[STATUS]);
	r.list = over_the_wire(json_incref(x->list), &x->bytes[LIST]);
	out = must(open_memstream(&page, &x->bytes[PAGE]));
	metrics_write(out, &r, EXPOSITION_OPENMETRICS);
	fclose(out);
	free(page);
	json_decref(r.status);
	json_decref(r.list);
}

static void read_all_counters(struct scrape *x)
{
	struct nic_reading in, out;

	for (size_t i = 0; i < x->s->b->running->count; i++)
		read_nic(NULL, &x->s->b->running->guests[i]->nics[0], &in, &out);
}

static void run_part(struct scrape *x, enum part part)
{
	if (part == STATUS)
		answer(view_status(x->s->b->e));
	else if (part == LIST)
		answer(view_list(x->s->b->e, true));
	else if (part == PAGE)
		make_page(x);
	else
		read_all_counters(x);
}

static struct measured measure(struct scrape *x, enum part part, size_t runs)
{
	double *ms = must(calloc(runs, sizeof(*ms)));
	struct measured ret;

	for (size_t i = 0; i < runs; i++) {
		double began;

		storm_pass(x->s, 1000000); /* new samples each time */
		began = measure_now_ms();
		run_part(x, part);
		ms[i] = measure_now_ms() - began;
	}
	ret = measure_percentiles(ms, runs);
	free(ms);
	return ret;
}

/* ---- all of it ---- */

static void add_guests(struct storm *s, uint32_t guests)
{
	for (uint32_t id = 1; id <= guests; id++) {
		char name[32];

		measure_name(id, name);
		measure_settle_guest(bench_guest(s->b, name, id, 2, 2 * GIB, measure_class(id)));
		s->loads[id] = (struct storm_load){ .run = 0.1 + id % 17 * 0.1 };
	}
	bench_publish(s->b);
	storm_settle(s->b);
	storm_pass(s, 3000000);
}

static void report(const struct scrape *x, const struct measured *times, uint32_t guests,
		   size_t runs)
{
	printf("{ \"guests\": %u, \"runs\": %zu", guests, runs);
	fprintf(stderr, "%u guests, %zu runs, CPU time\n%-8s %9s %9s %10s\n", guests, runs, "",
		"p50 ms", "p99 ms", "bytes");
	for (int p = 0; p < PARTS; p++) {
		if (p == SHAPER && !x->have_maps)
			continue;
		fprintf(stderr, "%-8s %9.2f %9.2f %10zu\n", names[p], times[p].p50_ms,
			times[p].p99_ms, x->bytes[p]);
		printf(", \"%s\": { \"p50_ms\": %.3f, \"p99_ms\": %.3f, \"bytes\": %zu }", names[p],
		       times[p].p50_ms, times[p].p99_ms, x->bytes[p]);
	}
	puts(" }");
}

int main(int argc, char **argv)
{
	uint32_t guests = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 1000;
	size_t runs = argc > 2 ? strtoul(argv[2], NULL, 10) : 100, bytes;
	struct measured times[PARTS];
	struct scrape x = { 0 };
	struct qerr err;

	if (!guests || guests >= STORM_GUESTS || !runs)
		return 2;
	measure_begin();
	scrape = &x;
	x.s = storm_new(bench_new_on(BENCH_ENFORCE, measure_host, measure_cells(guests)));
	x.s->b->e->protection->sampler.nic = read_nic;
	open_maps(&x, guests);
	add_guests(x.s, guests);
	x.status = over_the_wire(must(view_status(x.s->b->e)), &bytes);
	x.list = over_the_wire(must(view_list(x.s->b->e, true)), &bytes);
	for (int p = 0; p < PARTS; p++)
		times[p] = measure(&x, (enum part)p, runs);
	report(&x, times, guests, runs);
	if (x.have_maps)
		(void)net_bpf_unpin(&x.maps, &err);
	json_decref(x.status);
	json_decref(x.list);
	storm_free(x.s);
	return 0;
}
