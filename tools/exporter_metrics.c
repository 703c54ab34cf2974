/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * exporter_metrics - the daemon's answers as metrics, in OpenMetrics 1.0 or Prometheus' older text.
 *
 * Every metric is a row of the table at the end: name, type, unit, help, and where in the answers
 * its values are. A new column of the daemon's is a new row. What an answer lacks makes no sample,
 * so that an older daemon is readable, and so that "not known" is never shown as 0.
 *
 * Names of guests and devices come from tenants: label values are escaped, and two cards of a guest
 * with the same name give one series, as two would make the page invalid.
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "qosd/core/mem.h"
#include "tools/exporter.h"
#include "tools/json.h"

enum metric_type { GAUGE, COUNTER, INFO, HISTOGRAM };

struct page {
	FILE *out;
	enum exposition form;
	const struct reading *reading;
};

struct metric {
	const char *name; /* of the family: without _total or _info */
	enum metric_type type;
	const char *unit; /* the end of the name; NULL: none */
	const char *help;
	void (*emit)(const struct page *p, const struct metric *m);
	const char *path;   /* of the value, from where emit begins; NULL: it is there */
	const char *member; /* of what is there for each resource or direction */
	const char *equal;  /* the value is 1 if the text there is this, else 0 */
	double scale;       /* the value times this; 0: as it is */
};

struct label {
	const char *name, *value;
};

#define LABELS_MAX  4
#define EXACT_BELOW 9007199254740992.0 /* 2^53: whole numbers below have a double of their own */

static const char *const resources[] = { "cpu", "memory", "net", "disk" };
static const char *const directions[] = { "in", "out" };

/* ---- the text ---- */

static const char *suffix(const struct metric *m)
{
	return m->type == COUNTER ? "_total" : m->type == INFO ? "_info" : "";
}

static void put_head(const struct page *p, const struct metric *m)
{
	static const char *const types[] = { "gauge", "counter", "info", "histogram" };
	bool open = p->form == EXPOSITION_OPENMETRICS;
	const char *type = m->type == INFO && !open ? "gauge" : types[m->type];
	const char *end = open ? "" : suffix(m);

	fprintf(p->out, "# HELP %s%s %s\n# TYPE %s%s %s\n", m->name, end, m->help, m->name, end,
		type);
	if (open && m->unit)
		fprintf(p->out, "# UNIT %s %s\n", m->name, m->unit);
}

static void put_escaped(FILE *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '\n')
			fputs("\\n", out);
		else if (*text == '"' || *text == '\\')
			fprintf(out, "\\%c", *text);
		else
			putc(*text, out);
	}
}

/* Labels up to the first without a name. */
static void put_name(const struct page *p, const struct metric *m, const char *end,
		     const struct label labels[LABELS_MAX])
{
	fprintf(p->out, "%s%s", m->name, end);
	for (size_t i = 0; i < LABELS_MAX && labels[i].name; i++) {
		fprintf(p->out, "%s%s=\"", i ? "," : "{", labels[i].name);
		put_escaped(p->out, labels[i].value);
		putc('"', p->out);
	}
	if (labels[0].name)
		putc('}', p->out);
}

/* The fewest digits that read back as the same number. */
static void put_double(FILE *out, double value)
{
	char text[40];

	if (fabs(value) < EXACT_BELOW && value == floor(value)) {
		fprintf(out, "%" PRId64, (int64_t)value);
		return;
	}
	snprintf(text, sizeof(text), "%.15g", value);
	if (strtod(text, NULL) != value)
		snprintf(text, sizeof(text), "%.17g", value);
	fputs(text, out);
}

static void put_line(const struct page *p, const struct metric *m, const char *end,
		     const struct label labels[LABELS_MAX], double value)
{
	put_name(p, m, end, labels);
	putc(' ', p->out);
	put_double(p->out, value);
	putc('\n', p->out);
}

static void put_sample(const struct page *p, const struct metric *m,
		       const struct label labels[LABELS_MAX], double value)
{
	put_line(p, m, suffix(m), labels, value);
}

static const struct label no_labels[LABELS_MAX];

/* ---- values ---- */

/* The value that the row asks for; false: the answer has none. */
static bool value_at(const struct metric *m, const json_t *from, const char *path, double *ret)
{
	const json_t *value = json_at(from, path);

	if (m->equal) {
		*ret = value && strcmp(json_text(from, path), m->equal) == 0;
		return value != NULL;
	}
	if (!json_is_number(value))
		return false;
	*ret = json_number_value(value) * (m->scale != 0 ? m->scale : 1);
	return isfinite(*ret) && !(m->type == COUNTER && *ret < 0);
}

static void emit_value(const struct page *p, const struct metric *m, const json_t *from,
		       const char *path, const struct label labels[LABELS_MAX])
{
	double value;

	if (value_at(m, from, path, &value))
		put_sample(p, m, labels, value);
}

/* ---- the exporter itself ---- */

static void emit_up(const struct page *p, const struct metric *m)
{
	put_sample(p, m, no_labels, p->reading->status != NULL);
}

static void emit_took(const struct page *p, const struct metric *m)
{
	put_sample(p, m, no_labels, p->reading->took_s);
}

static void emit_readings(const struct page *p, const struct metric *m)
{
	put_sample(p, m, no_labels, (double)p->reading->readings);
}

static void emit_errors(const struct page *p, const struct metric *m)
{
	put_sample(p, m, no_labels, (double)p->reading->errors);
}

/* ---- the host and its classes ---- */

static void emit_host(const struct page *p, const struct metric *m)
{
	emit_value(p, m, p->reading->status, m->path, no_labels);
}

/* 1 if there is anything at the path. */
static void emit_host_any(const struct page *p, const struct metric *m)
{
	put_sample(p, m, no_labels, json_at(p->reading->status, m->path) != NULL);
}

static void emit_version(const struct page *p, const struct metric *m)
{
	const struct label labels[LABELS_MAX] = { { "version",
						    json_text(p->reading->status, m->path) } };

	put_sample(p, m, labels, 1);
}

static void emit_resources(const struct page *p, const struct metric *m)
{
	for (size_t i = 0; i < ARRAY_SIZE(resources); i++) {
		const struct label labels[LABELS_MAX] = { { "resource", resources[i] } };
		const json_t *all = json_at(p->reading->status, m->path);

		if (m->member)
			emit_value(p, m, json_at(all, resources[i]), m->member, labels);
		else
			emit_value(p, m, all, resources[i], labels);
	}
}

static void emit_classes(const struct page *p, const struct metric *m)
{
	const json_t *class;
	size_t i;

	json_array_foreach (json_at(p->reading->status, "classes"), i, class) {
		const struct label labels[LABELS_MAX] = { { "class", json_text(class, "name") } };

		emit_value(p, m, class, m->path, labels);
	}
}

static void emit_levels(const struct page *p, const struct metric *m)
{
	const json_t *class;
	size_t i;

	json_array_foreach (json_at(p->reading->status, "classes"), i, class) {
		for (size_t r = 0; r < ARRAY_SIZE(resources); r++) {
			const struct label labels[LABELS_MAX] = {
				{ "class", json_text(class, "name") }, { "resource", resources[r] }
			};

			emit_value(p, m, json_at(class, m->path), resources[r], labels);
		}
	}
}

/* A sample of the histogram, whose end of the name is not its type's. */
static void put_part(const struct page *p, const struct metric *m, const char *end, const char *le,
		     double value)
{
	const struct label labels[LABELS_MAX] = { { le ? "le" : NULL, le } };

	put_line(p, m, end, labels, value);
}

/* The daemon counts each rung by itself, the histogram all up to a bound. */
static void emit_ticks(const struct page *p, const struct metric *m)
{
	const json_t *tick = json_at(p->reading->status, m->path), *rung;
	double count = 0;
	size_t i;

	if (!json_at(tick, "rungs"))
		return;
	json_array_foreach (json_at(tick, "rungs"), i, rung) {
		char le[32];

		count += fmax(json_number(rung, "count"), 0);
		if (!json_at(rung, "up_to_s"))
			continue;
		snprintf(le, sizeof(le), "%.9g", json_number(rung, "up_to_s"));
		put_part(p, m, "_bucket", le, count);
	}
	put_part(p, m, "_bucket", "+Inf", count);
	put_part(p, m, "_sum", NULL, fmax(json_number(tick, "sum_s"), 0));
	put_part(p, m, "_count", NULL, count);
}

/* ---- guests ---- */

static void each_guest(const struct page *p, const struct metric *m,
		       void (*emit)(const struct page *p, const struct metric *m,
				    const json_t *guest))
{
	const json_t *guest;
	size_t i;

	json_array_foreach (json_at(p->reading->list, "guests"), i, guest)
		emit(p, m, guest);
}

static void put_guest(const struct page *p, const struct metric *m, const json_t *guest)
{
	const struct label labels[LABELS_MAX] = { { "guest", json_text(guest, "name") } };

	emit_value(p, m, guest, m->path, labels);
}

static void put_guest_any(const struct page *p, const struct metric *m, const json_t *guest)
{
	const struct label labels[LABELS_MAX] = { { "guest", json_text(guest, "name") } };

	put_sample(p, m, labels, json_at(guest, m->path) != NULL);
}

static void put_guest_info(const struct page *p, const struct metric *m, const json_t *guest)
{
	const struct label labels[LABELS_MAX] = { { "guest", json_text(guest, "name") },
						  { "uuid", json_text(guest, "uuid") },
						  { "class", json_text(guest, "class") } };

	put_sample(p, m, labels, 1);
}

static void emit_guests(const struct page *p, const struct metric *m)
{
	each_guest(p, m, put_guest);
}

static void emit_guests_any(const struct page *p, const struct metric *m)
{
	each_guest(p, m, put_guest_any);
}

static void emit_guests_info(const struct page *p, const struct metric *m)
{
	each_guest(p, m, put_guest_info);
}

/* ---- NICs ---- */

/* Is there another one of this name before it? */
static bool seen_before(const json_t *nics, size_t index)
{
	const char *device = json_text(json_array_get(nics, index), "device");

	for (size_t i = 0; i < index; i++)
		if (strcmp(json_text(json_array_get(nics, i), "device"), device) == 0)
			return true;
	return false;
}

static void put_nic(const struct page *p, const struct metric *m, const json_t *guest,
		    const json_t *nic)
{
	for (size_t d = 0; d < ARRAY_SIZE(directions); d++) {
		const struct label labels[LABELS_MAX] = { { "guest", json_text(guest, "name") },
							  { "device", json_text(nic, "device") },
							  { "direction", directions[d] } };
		char path[64];

		snprintf(path, sizeof(path), "%s_%s", directions[d], m->member);
		emit_value(p, m, nic, path, labels);
	}
}

static void put_guest_nics(const struct page *p, const struct metric *m, const json_t *guest)
{
	const json_t *nics = json_at(guest, "net");

	for (size_t i = 0; i < json_array_size(nics); i++)
		if (!seen_before(nics, i))
			put_nic(p, m, guest, json_array_get(nics, i));
}

static void emit_nics(const struct page *p, const struct metric *m)
{
	each_guest(p, m, put_guest_nics);
}

/* ---- the table ---- */

/* Of the exporter: there without the daemon, too. */
static const struct metric own_metrics[] = {
	{ "qosd_up", GAUGE, NULL, "Whether qosd answered.", .emit = emit_up },
	{ "qosd_exporter_reading_seconds", GAUGE, "seconds", "Time that qosd took to answer.",
	  .emit = emit_took },
	{ "qosd_exporter_readings", COUNTER, NULL, "How often qosd was asked.",
	  .emit = emit_readings },
	{ "qosd_exporter_reading_errors", COUNTER, NULL, "How often it did not answer.",
	  .emit = emit_errors },
};

static const struct metric metrics[] = {
	{ "qosd_build", INFO, NULL, "The running qosd.", .emit = emit_version, .path = "version" },
	{ "qosd_uptime_seconds", GAUGE, "seconds", "Time since qosd was started.",
	  .emit = emit_host, .path = "uptime_s" },
	{ "qosd_enforcing", GAUGE, NULL, "Whether values are written; else qosd only observes.",
	  .emit = emit_host, .path = "mode", .equal = "enforce" },
	{ "qosd_libvirt_connected", GAUGE, NULL, "Whether libvirtd answers.", .emit = emit_host,
	  .path = "libvirt", .equal = "connected" },
	{ "qosd_trouble", GAUGE, NULL, "Whether something is wrong with qosd itself.",
	  .emit = emit_host_any, .path = "trouble" },
	{ "qosd_policy_generation", GAUGE, NULL, "Number of the policy in force.",
	  .emit = emit_host, .path = "policy.generation" },
	{ "qosd_policy_on_trial", GAUGE, NULL, "Whether a part of the guests has another policy.",
	  .emit = emit_host_any, .path = "trial" },
	{ "qosd_values_written", COUNTER, NULL, "Values written to the host.", .emit = emit_host,
	  .path = "written" },
	{ "qosd_values_repaired", COUNTER, NULL, "Values that others had changed, put right.",
	  .emit = emit_host, .path = "repaired" },
	{ "qosd_memory_bytes", GAUGE, "bytes", "Memory of the host.", .emit = emit_host,
	  .path = "host.memory_bytes" },
	{ "qosd_memory_reserved_bytes", GAUGE, "bytes", "Memory reserved for guests.",
	  .emit = emit_host, .path = "host.memory_reserved_bytes" },
	{ "qosd_memory_reservable_bytes", GAUGE, "bytes", "Memory that may be reserved in all.",
	  .emit = emit_host, .path = "host.memory_reservable_bytes" },
	{ "qosd_pressure_ratio", GAUGE, "ratio", "Pressure on a resource; 1 is at its target.",
	  .emit = emit_resources, .path = "pressure", .member = "value" },
	{ "qosd_overload_depth", GAUGE, NULL,
	  "How far lower classes have given way; 1 is one class at its floor.",
	  .emit = emit_resources, .path = "pressure", .member = "depth" },
	{ "qosd_overload_calm", GAUGE, NULL, "1 unless a resource is overloaded or recovering.",
	  .emit = emit_resources, .path = "pressure", .member = "state", .equal = "calm" },
	{ "qosd_episodes", COUNTER, NULL, "Overloads that began.", .emit = emit_resources,
	  .path = "episodes_begun" },
	{ "qosd_tick_seconds", HISTOGRAM, "seconds",
	  "How long each look of overload protection took.", .emit = emit_ticks, .path = "tick" },
	{ "qosd_class_level_ratio", GAUGE, "ratio",
	  "What a class is left with; 1 is its limit, 0 its floor.", .emit = emit_levels,
	  .path = "level", .scale = 1e-3 },
	{ "qosd_class_guests", GAUGE, NULL, "Guests of a class.", .emit = emit_classes,
	  .path = "guests" },
	{ "qosd_guest", INFO, NULL, "A guest and its class.", .emit = emit_guests_info },
	{ "qosd_guest_degraded", GAUGE, NULL,
	  "Whether a guest lacks something that its class promises.", .emit = emit_guests_any,
	  .path = "degraded" },
	{ "qosd_guest_throttled", GAUGE, NULL,
	  "Whether something is taken from a guest because of an overload.",
	  .emit = emit_guests_any, .path = "throttle" },
	{ "qosd_guest_vcpus", GAUGE, NULL, "vCPUs of a guest.", .emit = emit_guests,
	  .path = "vcpus" },
	{ "qosd_guest_memory_bytes", GAUGE, "bytes", "Memory of a guest.", .emit = emit_guests,
	  .path = "memory_bytes" },
	{ "qosd_guest_cpu_usage_seconds", COUNTER, "seconds", "Time that vCPUs ran.",
	  .emit = emit_guests, .path = "cpu.run_ms", .scale = 1e-3 },
	{ "qosd_guest_cpu_wait_seconds", COUNTER, "seconds", "Time that vCPUs waited for a CPU.",
	  .emit = emit_guests, .path = "cpu.wait_ms", .scale = 1e-3 },
	{ "qosd_guest_cpu_wait_ratio", GAUGE, "ratio",
	  "Share of the time in which vCPUs could run that they waited.", .emit = emit_guests,
	  .path = "cpu.wait" },
	{ "qosd_guest_net_bits", COUNTER, "bits", "Bits that passed a card; in is to the guest.",
	  .emit = emit_nics, .member = "bytes", .scale = 8 },
	{ "qosd_guest_net_offered_bytes", COUNTER, "bytes", "Bytes that came to the shaper.",
	  .emit = emit_nics, .member = "offered_bytes" },
	{ "qosd_guest_net_limit_bytes_per_second", GAUGE, NULL, "Limit in force; absent: none.",
	  .emit = emit_nics, .member = "limit_bps", .scale = 0.125 },
	{ "qosd_guest_net_dropped_packets", COUNTER, "packets", "Packets dropped by the shaper.",
	  .emit = emit_nics, .member = "dropped" },
	{ "qosd_guest_net_marked_packets", COUNTER, "packets",
	  "Packets that the shaper marked with congestion (ECN).", .emit = emit_nics,
	  .member = "marked" },
	{ "qosd_guest_net_queue_seconds", GAUGE, "seconds",
	  "Largest delay that the shaper gave in the last moment.", .emit = emit_nics,
	  .member = "queue_us", .scale = 1e-6 },
};

static void write_rows(const struct page *p, const struct metric *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		put_head(p, &rows[i]);
		rows[i].emit(p, &rows[i]);
	}
}

void metrics_write(FILE *out, const struct reading *r, enum exposition form)
{
	struct page p = { .out = out, .form = form, .reading = r };

	write_rows(&p, own_metrics, ARRAY_SIZE(own_metrics));
	if (r->status)
		write_rows(&p, metrics, ARRAY_SIZE(metrics));
	if (form == EXPOSITION_OPENMETRICS)
		fputs("# EOF\n", out);
}
