/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One reading, from all sources, guest by guest in order of id.
 *
 * A guest is immutable, so the guests of a reading are those of the reading before as long as the
 * pointers are the same; references keep an address from being used again.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#include "qosd/core/mem.h"
#include "qosd/host/sensor_priv.h"

#define GAUGES_AGE_US 950000 /* a gauge is at most a calm tick old */

/* Cost in ns of what either source of vCPU times reads (t/bench/bench_sensor). */
#define ITERATOR_THREAD_NS 320  /* each thread of the host */
#define SCHEDSTAT_NS       700  /* each vCPU thread */
#define CPU_STAT_NS        1100 /* each vCPU's group with a quota: all, in a storm */

/* ---- life ---- */

static void drop_guests(struct sensor *s)
{
	for (size_t i = 0; i < s->nslots; i++)
		guest_unref(s->slots[i].guest);
	free(s->slots);
	s->slots = NULL;
	s->nslots = 0;
}

/* The iterator is not to be had: schedstat from now on. */
static void give_up_vcpu(struct sensor *s, const char *why)
{
	sensor_vcpu_close(&s->vcpu);
	s->iterate = false;
	snprintf(s->vcpu_why, sizeof(s->vcpu_why), "%s", why);
	for (size_t i = 0; i < s->nslots; i++)
		s->slots[i].shown = false;
}

void sensor_set_readonly(struct sensor *s, bool readonly)
{
	struct qerr err = { 0 };

	s->config.readonly = readonly;
	if (readonly) {
		sensor_host_drop_triggers(&s->host);
		give_up_vcpu(s, "mode observe puts nothing into the kernel");
	} else if (s->config.no_bpf) {
		give_up_vcpu(s, "it is not wanted");
	} else if (sensor_vcpu_open(&s->vcpu, &err) < 0) {
		give_up_vcpu(s, err.text);
	} else {
		s->vcpu_why[0] = '\0';
	}
	s->stale = true;
}

static int setup(struct sensor *s, const struct sensor_config *config)
{
	int r;

	s->config = *config;
	s->config.proc = s->config.sys = NULL;
	s->proc_fd = open(config->proc ? config->proc : "/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	sensor_vcpu_init(&s->vcpu);
	sensor_host_open(&s->host, s->proc_fd);
	r = sensor_link_open(&s->link, s->proc_fd, config->sys ? config->sys : "/sys");
	for (int i = 0; i < RESOURCE_COUNT; i++)
		s->psi_before_us[i] = SAMPLE_UNKNOWN;
	sensor_set_readonly(s, config->readonly);
	return r;
}

int sensor_new(const struct sensor_config *config, struct sensor **ret, struct qerr *err)
{
	struct sensor *s = calloc(1, sizeof(*s));

	if (!s)
		return qerr_set(err, -ENOMEM, "no memory for the sensor");
	if (setup(s, config) < 0) {
		sensor_free(s);
		return qerr_set(err, -ENOMEM, "no memory for the sensor");
	}
	*ret = s;
	return 0;
}

void sensor_free(struct sensor *s)
{
	if (!s)
		return;
	drop_guests(s);
	sensor_vcpu_close(&s->vcpu);
	sensor_host_close(&s->host);
	sensor_link_close(&s->link);
	if (s->proc_fd >= 0)
		close(s->proc_fd);
	free(s);
}

/* ---- the guests of this reading ---- */

static bool same_guests(const struct sensor *s, const struct inventory *inv)
{
	if (s->nslots != (inv ? inv->count : 0))
		return false;
	for (size_t i = 0; i < s->nslots; i++)
		if (s->slots[i].guest != inv->by_id[i])
			return false;
	return true;
}

static void let_go(struct sensor *s, struct sensor_slot *slot)
{
	if (slot->shown)
		sensor_vcpu_remove(&s->vcpu, slot->guest);
	guest_unref(slot->guest);
	slot->guest = NULL;
	slot->shown = false;
}

/* Both are sorted by id; what is known of a guest that is still there moves over. */
static int replace_slots(struct sensor *s, const struct inventory *inv)
{
	size_t count = inv ? inv->count : 0, old = 0;
	struct sensor_slot *slots = calloc(count + 1, sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		struct guest *g = inv->by_id[i];

		while (old < s->nslots && s->slots[old].guest->id < g->id)
			let_go(s, &s->slots[old++]);
		if (old < s->nslots && s->slots[old].guest->id == g->id) {
			struct sensor_slot *was = &s->slots[old++];

			if (was->guest == g) {
				slots[i] = *was;
				continue;
			}
			slots[i].kept = was->kept;
			let_go(s, was);
		}
		slots[i].guest = guest_ref(g);
	}
	while (old < s->nslots)
		let_go(s, &s->slots[old++]);
	free(s->slots);
	s->slots = slots;
	s->nslots = count;
	return 0;
}

static void show_threads(struct sensor *s)
{
	for (size_t i = 0; s->vcpu.link_fd >= 0 && i < s->nslots; i++) {
		int r = 0;

		if (!s->slots[i].shown)
			r = sensor_vcpu_add(&s->vcpu, s->slots[i].guest);
		s->slots[i].shown = true;
		if (r == -E2BIG)
			give_up_vcpu(s, "there are more vCPUs than it has room for");
		else if (r < 0)
			give_up_vcpu(s, strerror(-r));
	}
}

bool sensor_iterator_pays(size_t host_threads, size_t vcpus)
{
	return host_threads * ITERATOR_THREAD_NS <= vcpus * (SCHEDSTAT_NS + CPU_STAT_NS);
}

static void choose_source(struct sensor *s)
{
	struct sysinfo host;
	size_t vcpus = 0;

	for (size_t i = 0; i < s->nslots; i++)
		vcpus += s->slots[i].guest->nvcpu_tids;
	s->iterate = s->vcpu.link_fd >= 0 && sysinfo(&host) == 0 &&
		     sensor_iterator_pays(host.procs, vcpus);
}

static int take_inventory(struct sensor *s, const struct inventory *inv,
			  const struct policy *policy)
{
	bool uplinks = sensor_link_take_uplinks(&s->link, policy);
	bool guests = !same_guests(s, inv);
	int r = 0;

	if (!uplinks && !guests && !s->stale)
		return 0;
	s->stale = true; /* until all of it is done */
	if (guests)
		r = replace_slots(s, inv);
	if (r == 0)
		r = sensor_link_index(&s->link, inv);
	if (r < 0)
		return r;
	show_threads(s);
	choose_source(s);
	s->stale = false;
	return 0;
}

/* ---- vCPU threads by the iterator ---- */

struct counting {
	struct sensor *s;
	struct sample *sample;
	size_t last; /* threads of a guest mostly follow one another */
};

static struct sample_guest *guest_of(struct counting *c, uint32_t id)
{
	const struct sample_guest *g;

	if (c->last < c->sample->nguests && c->sample->guests[c->last].id == id)
		return &c->sample->guests[c->last];
	g = sample_find(c->sample, id);
	if (!g)
		return NULL;
	c->last = (size_t)(g - c->sample->guests);
	return &c->sample->guests[c->last];
}

static void count_thread(void *user, const struct vcpu_times *t)
{
	struct counting *c = user;
	struct sample_guest *g = guest_of(c, t->guest_id);
	struct sensor_slot *slot;

	if (!g)
		return;
	slot = &c->s->slots[c->last];
	if (g->run_ns == SAMPLE_UNKNOWN) {
		g->run_ns = g->wait_ns = g->throttled = 0;
		slot->above = 0;
	}
	g->run_ns += t->run_ns;
	g->wait_ns += t->wait_ns;
	g->throttled += t->throttled;
	/* All threads hang below the same groups: counted once. */
	if (t->throttled_above > slot->above) {
		g->throttled += t->throttled_above - slot->above;
		slot->above = t->throttled_above;
	}
}

static void forget_runs(struct sample *ret)
{
	for (size_t i = 0; i < ret->nguests; i++)
		ret->guests[i].run_ns = ret->guests[i].wait_ns = ret->guests[i].throttled =
			SAMPLE_UNKNOWN;
}

static void read_iterator(struct sensor *s, struct sample *ret)
{
	struct counting c = { .s = s, .sample = ret };
	int r;

	if (!s->iterate)
		return;
	r = sensor_vcpu_read(&s->vcpu, count_thread, &c);
	if (r < 0) {
		forget_runs(ret);
		give_up_vcpu(s, strerror(-r));
	}
}

/* ---- guests by the other adapters ---- */

static bool moved(uint64_t before, uint64_t now)
{
	return now == SAMPLE_UNKNOWN || now != before;
}

/* Where the host has nothing in swap no guest has. */
static bool swap_in_use(const struct sensor *s, const struct sample *now)
{
	return now->swap_free_bytes == SAMPLE_UNKNOWN || now->swap_free_bytes < s->host.swap_bytes;
}

static unsigned int parts_to_read(struct sensor *s, const struct sample *now)
{
	unsigned int parts = s->iterate ? 0 : SAMPLE_RUN | SAMPLE_THROTTLED;

	if (moved(s->psi_before_us[RESOURCE_MEMORY], now->psi_some_us[RESOURCE_MEMORY]))
		parts |= SAMPLE_MEMORY_STALL;
	if (moved(s->psi_before_us[RESOURCE_DISK], now->psi_some_us[RESOURCE_DISK]))
		parts |= SAMPLE_DISK_STALL;
	if (now->at_us - s->gauges_at_us >= GAUGES_AGE_US) {
		parts |= SAMPLE_QUOTAS | SAMPLE_MEMORY | (swap_in_use(s, now) ? SAMPLE_SWAP : 0);
		s->gauges_at_us = now->at_us;
	}
	memcpy(s->psi_before_us, now->psi_some_us, sizeof(s->psi_before_us));
	return parts;
}

/* What is not read this time is as it was. */
static void keep_rest(const struct sample_guest *kept, unsigned int parts, struct sample_guest *g)
{
	if (!(parts & SAMPLE_MEMORY))
		g->memory_bytes = kept->memory_bytes;
	if (!(parts & SAMPLE_SWAP))
		g->swap_bytes = parts & SAMPLE_MEMORY ? 0 : kept->swap_bytes;
	if (!(parts & SAMPLE_MEMORY_STALL))
		g->memory_stall_us = kept->memory_stall_us;
	if (!(parts & SAMPLE_DISK_STALL))
		g->disk_stall_us = kept->disk_stall_us;
}

static void read_guest(const struct sensor *s, struct sensor_slot *slot, unsigned int parts,
		       struct sample_guest *g)
{
	const struct sensor_config *c = &s->config;

	if (slot->kept.id != slot->guest->id) /* for the first time */
		parts |= SAMPLE_MEMORY | SAMPLE_SWAP | SAMPLE_MEMORY_STALL | SAMPLE_DISK_STALL;
	keep_rest(&slot->kept, parts, g);
	if (c->groups && parts)
		(void)c->groups(c->groups_ctx, slot->guest, parts, g);
	if (c->disk)
		(void)c->disk(c->disk_ctx, slot->guest, g);
	if (c->drops)
		(void)c->drops(c->drops_ctx, slot->guest, g);
	slot->kept = *g;
}

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

int sensor_read(struct sensor *s, const struct inventory *inv, const struct policy *policy,
		struct sample *ret, struct qerr *err)
{
	unsigned int parts;
	int r = take_inventory(s, inv, policy);

	sample_reset(ret, now_us());
	for (size_t i = 0; r == 0 && i < s->nslots; i++)
		if (!sample_add(ret, s->slots[i].guest->id))
			r = -ENOMEM;
	if (r < 0)
		return qerr_set(err, r, "no memory for a sample of %zu guests", s->nslots);
	read_iterator(s, ret);
	sensor_host_read(&s->host, ret);
	parts = parts_to_read(s, ret);
	for (size_t i = 0; i < s->nslots; i++)
		read_guest(s, &s->slots[i], parts, &ret->guests[i]);
	sensor_link_read(&s->link, ret);
	return 0;
}

int sensor_nic_bytes(const struct sensor *s, const char *device, uint64_t *ret_in,
		     uint64_t *ret_out)
{
	return sensor_link_bytes(&s->link, device, ret_in, ret_out);
}

int sensor_trigger_fd(struct sensor *s, enum resource r, const struct overload *o, struct qerr *err)
{
	if (s->config.readonly)
		return qerr_set(err, -EROFS, "mode observe puts nothing into the kernel");
	return sensor_host_trigger(&s->host, s->proc_fd, r, o, err);
}
