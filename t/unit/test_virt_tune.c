/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Limits of disks and the balloon through libvirt's test driver, which has both; and how limits
 * that cannot stand together are resolved.
 */
#include "t/unit/virt_bench.h"

#define S UINT64_C(1000000)

#define DOMAIN                                                                                     \
	"<domain type='test'><name>tuned</name><uuid>" UUID_A "</uuid>"                            \
	"<memory unit='MiB'>64</memory><currentMemory unit='MiB'>64</currentMemory>"               \
	"<vcpu>1</vcpu><os><type>hvm</type></os><devices>"                                         \
	"<disk type='file' device='disk'><source file='/tmp/a'/><target dev='vda'/>"               \
	"<iotune><total_iops_sec>500</total_iops_sec>"                                             \
	"<total_iops_sec_max>9000</total_iops_sec_max>"                                            \
	"<read_bytes_sec_max>900000</read_bytes_sec_max></iotune></disk>"                          \
	"<disk type='file' device='cdrom'><target dev='hdc' bus='ide'/></disk>"                    \
	"<memballoon model='virtio' autodeflate='on'/></devices></domain>"

/* ---- what goes together ---- */

static void assert_resolved(const char *now, const char *wanted, unsigned int set,
			    const char *expected)
{
	unsigned long n[3], w[3];
	uint64_t from[GUEST_TUNES] = { 0 }, to[GUEST_TUNES] = { 0 }, ret[GUEST_TUNES];
	char text[64];

	sscanf(now, "%lu %lu %lu", &n[0], &n[1], &n[2]);
	sscanf(wanted, "%lu %lu %lu", &w[0], &w[1], &w[2]);
	for (int unit = 0; unit < 2; unit++) {
		for (int i = 0; i < 3; i++) {
			from[3 * unit + i] = n[i];
			to[3 * unit + i] = w[i];
		}
		virt_tune_resolve(from, to, set << 3 * unit, ret);
		snprintf(text, sizeof(text), "%lu %lu %lu", ret[3 * unit], ret[3 * unit + 1],
			 ret[3 * unit + 2]);
		ASSERT_STR(text, expected);
	}
}

static void test_resolve(void)
{
	assert_resolved("0 0 0", "7 0 0", 1, "7 0 0");
	assert_resolved("0 5 0", "7 0 0", 1, "7 5 0");
	assert_resolved("0 0 9", "7 0 0", 1, "7 0 0"); /* a part instead of the total */
	assert_resolved("7 5 0", "0 0 9", 4, "0 0 9"); /* and back */
	assert_resolved("7 5 0", "0 0 0", 4, "7 5 0"); /* no total: the others stay */
	assert_resolved("0 0 9", "0 0 0", 1, "0 0 9");
	assert_resolved("0 0 9", "7 5 0", 7, "7 5 0");
	assert_resolved("7 5 0", "7 5 9", 7, "0 0 9"); /* nobody asks for that */
}

/* ---- through libvirt ---- */

struct operator
{ /* a second connection, which plays somebody else */
	virConnectPtr conn;
	virDomainPtr dom;
};

static bool has_tuned(struct fixture *f)
{
	return find(f, "tuned") != NULL;
}

static struct fixture start_tuned(struct operator* op)
{
	struct fixture f = start_default();

	op->conn = virConnectOpen(URI);
	CU_ASSERT_PTR_NOT_NULL_FATAL(op->conn);
	op->dom = virDomainCreateXML(op->conn, DOMAIN, 0);
	CU_ASSERT_PTR_NOT_NULL_FATAL(op->dom);
	virt_refresh(f.v, NULL);
	CU_ASSERT_FATAL(until(&f, has_tuned));
	return f;
}

static void stop_tuned(struct fixture *f, struct operator* op)
{
	virDomainDestroy(op->dom);
	virDomainFree(op->dom);
	stop(f);
	virConnectClose(op->conn);
}

static struct change change_of(struct fixture *f, enum target_kind kind, enum knob_id knob,
			       uint64_t value)
{
	const struct guest *g = find(f, "tuned");

	return (struct change){ .target = { .kind = kind, .guest_id = g->id, .guest = g },
				.knob = knob,
				.to = knob_u64(value) };
}

static const char *read_value(struct fixture *f, enum target_kind kind, enum knob_id knob)
{
	static char text[KNOB_TEXT_MAX];
	struct change c = change_of(f, kind, knob, 1);
	struct adapter *a = virt_adapter(f->v);
	struct knob_value v;

	if (a->ops->read(a, &c.target, knob, &v, NULL) < 0)
		return "?";
	return knob_value_format(&v, text, sizeof(text));
}

static int apply(struct fixture *f, enum target_kind kind, enum knob_id knob, uint64_t value,
		 uint64_t ticket)
{
	struct change c = change_of(f, kind, knob, value);
	struct adapter *a = virt_adapter(f->v);

	return a->ops->apply(a, &c, ticket, NULL);
}

static unsigned long long libvirt_has(const struct operator* op, const char *field)
{
	virTypedParameter params[32];
	unsigned long long value = 0;
	int n = 32;

	memset(params, 0, sizeof(params));
	if (virDomainGetBlockIoTune(op->dom, "vda", params, &n, VIR_DOMAIN_AFFECT_LIVE) == 0)
		(void)virTypedParamsGetULLong(params, n, field, &value);
	virTypedParamsClear(params, n);
	return value;
}

static bool two_done(struct fixture *f)
{
	return f->done >= 2;
}

static bool three_done(struct fixture *f)
{
	return f->done >= 3;
}

static bool four_done(struct fixture *f)
{
	return f->done >= 4;
}

static void test_tune(void)
{
	struct operator op;
	struct fixture f = start_tuned(&op);

	ASSERT_STR(read_value(&f, TARGET_DISK, KNOB_DISK_TOTAL_IOPS), "500");
	ASSERT_STR(read_value(&f, TARGET_DISK, KNOB_DISK_WRITE_BPS), "max");
	CU_ASSERT_TRUE(find(&f, "tuned")->disks[0].fixed);
	CU_ASSERT_FALSE(find(&f, "tuned")->disks[1].fixed);
	CU_ASSERT_EQUAL(apply(&f, TARGET_DISK, KNOB_DISK_TOTAL_IOPS, 300, 1), -EINPROGRESS);
	CU_ASSERT_EQUAL(apply(&f, TARGET_DISK, KNOB_DISK_READ_BPS, 4096, 2), -EINPROGRESS);
	CU_ASSERT_FATAL(until(&f, two_done));
	CU_ASSERT_EQUAL(f.results[0], 0);
	ASSERT_STR(f.texts[0], "");
	CU_ASSERT_EQUAL(f.results[1], 0);
	CU_ASSERT_EQUAL(libvirt_has(&op, VIR_DOMAIN_BLOCK_IOTUNE_TOTAL_IOPS_SEC), 300);
	CU_ASSERT_EQUAL(libvirt_has(&op, VIR_DOMAIN_BLOCK_IOTUNE_TOTAL_IOPS_SEC_MAX), 9000);
	CU_ASSERT_EQUAL(libvirt_has(&op, VIR_DOMAIN_BLOCK_IOTUNE_READ_BYTES_SEC), 4096);
	ASSERT_STR(read_value(&f, TARGET_DISK, KNOB_DISK_TOTAL_IOPS), "300");
	ASSERT_STR(read_value(&f, TARGET_DISK, KNOB_DISK_READ_BPS), "4096");
	CU_ASSERT_EQUAL(apply(&f, TARGET_DISK, KNOB_DISK_TOTAL_IOPS, KNOB_MAX, 3), -EINPROGRESS);
	CU_ASSERT_FATAL(until(&f, three_done));
	CU_ASSERT_EQUAL(libvirt_has(&op, VIR_DOMAIN_BLOCK_IOTUNE_TOTAL_IOPS_SEC), 0);
	/* What libvirt refuses (this driver: more than the burst) is not taken for done. */
	CU_ASSERT_EQUAL(apply(&f, TARGET_DISK, KNOB_DISK_READ_BPS, 900001, 4), -EINPROGRESS);
	CU_ASSERT_FATAL(until(&f, four_done));
	CU_ASSERT_EQUAL(f.results[3], -EINVAL);
	ASSERT_STR(read_value(&f, TARGET_DISK, KNOB_DISK_READ_BPS), "4096");
	stop_tuned(&f, &op);
}

static void test_tune_refused(void)
{
	struct operator op;
	struct fixture f = start_tuned(&op);
	struct change c = change_of(&f, TARGET_DISK, KNOB_DISK_READ_IOPS, 300);
	struct adapter *a = virt_adapter(f.v);

	CU_ASSERT_EQUAL(apply(&f, TARGET_DISK, KNOB_DISK_READ_IOPS, 0, 1), -EINVAL);
	CU_ASSERT_EQUAL(apply(&f, TARGET_NIC, KNOB_DISK_READ_IOPS, 5, 1), -EINVAL);
	CU_ASSERT_EQUAL(apply(&f, TARGET_GUEST, KNOB_FREEZE, 1, 1), -EOPNOTSUPP);
	c.target.index = 7;
	CU_ASSERT_EQUAL(a->ops->apply(a, &c, 1, NULL), -EINVAL);
	CU_ASSERT_EQUAL(f.done, 0);
	stop_tuned(&f, &op);
}

static bool knows_900(struct fixture *f)
{
	return strcmp(read_value(f, TARGET_DISK, KNOB_DISK_TOTAL_IOPS), "900") == 0;
}

/* A change by somebody else is seen when the guest is looked at again. */
static void test_foreign(void)
{
	struct operator op;
	struct fixture f = start_tuned(&op);
	virTypedParameterPtr params = NULL;
	unsigned int taken = f.taken;
	const struct guest *g = find(&f, "tuned");
	int n = 0, room = 0;

	CU_ASSERT_EQUAL(virTypedParamsAddULLong(&params, &n, &room,
						VIR_DOMAIN_BLOCK_IOTUNE_TOTAL_IOPS_SEC, 900),
			0);
	CU_ASSERT_EQUAL(virDomainSetBlockIoTune(op.dom, "vda", params, (unsigned int)n,
						VIR_DOMAIN_AFFECT_LIVE),
			0);
	virTypedParamsFree(params, n);
	virt_refresh(f.v, UUID_A);
	CU_ASSERT(until(&f, knows_900));
	/* The guest itself is no other for that. */
	CU_ASSERT_TRUE(f.taken == taken || find(&f, "tuned") == g);
	stop_tuned(&f, &op);
}

static void test_balloon(void)
{
	struct operator op;
	struct fixture f = start_tuned(&op);
	const struct guest *g = find(&f, "tuned");
	struct qerr err = { 0 };
	struct virt_known *k;

	CU_ASSERT_EQUAL(g->balloon, GUEST_BALLOON_SAFE);
	ASSERT_STR(read_value(&f, TARGET_GUEST, KNOB_BALLOON), "67108864");
	CU_ASSERT_EQUAL(virt_balloon_check(f.v, g, &err), 0);
	CU_ASSERT_EQUAL(apply(&f, TARGET_GUEST, KNOB_BALLOON, 33554432, 1), -EINPROGRESS);
	CU_ASSERT_FATAL(until(&f, one_done));
	CU_ASSERT_EQUAL(f.results[0], 0);
	ASSERT_STR(read_value(&f, TARGET_GUEST, KNOB_BALLOON), "33554432");
	CU_ASSERT_EQUAL(virt_balloon_check(f.v, g, &err), 0); /* it has time */

	pthread_mutex_lock(&f.v->lock); /* as if it had been asked long ago, and stayed */
	k = virt_known_find(f.v, g->id);
	k->asked_at_us -= 2 * VIRT_BALLOON_US;
	k->balloon_bytes = 64 * MIB;
	pthread_mutex_unlock(&f.v->lock);
	CU_ASSERT_EQUAL(virt_balloon_check(f.v, g, &err), -ETIMEDOUT);
	ASSERT_STR(err.text, "tuned does not follow its memory balloon: it was asked to have 32MiB "
			     "and has 64MiB");
	ASSERT_STR(read_value(&f, TARGET_GUEST, KNOB_BALLOON), "33554432"); /* not asked again */
	stop_tuned(&f, &op);
}

static bool knows_48_mib(struct fixture *f)
{
	return strcmp(read_value(f, TARGET_GUEST, KNOB_BALLOON), "50331648") == 0;
}

static bool asks_nothing(struct fixture *f)
{
	bool nothing;

	pthread_mutex_lock(&f->v->lock);
	nothing = virt_known_find(f->v, find(f, "tuned")->id)->asked_bytes == 0;
	pthread_mutex_unlock(&f->v->lock);
	return nothing;
}

static bool has_48_mib(struct fixture *f)
{
	bool has;

	pthread_mutex_lock(&f->v->lock);
	has = virt_known_find(f->v, find(f, "tuned")->id)->balloon_bytes == 48 * MIB;
	pthread_mutex_unlock(&f->v->lock);
	return has;
}

static void set_memory(struct operator* op, struct fixture *f, unsigned long mib)
{
	CU_ASSERT_EQUAL(virDomainSetMemoryFlags(op->dom, mib << 10, VIR_DOMAIN_AFFECT_LIVE), 0);
	virt_refresh(f->v, UUID_A);
}

/* What it had is given back; later the operator gives it less: that is what it has. */
static void test_balloon_after_us(void)
{
	struct operator op;
	struct fixture f = start_tuned(&op);
	struct change c = { .knob = KNOB_BALLOON,
			    .to = knob_u64(64 * MIB),
			    .why = { .kind = WHY_BASELINE } };
	struct adapter *a = virt_adapter(f.v);

	CU_ASSERT_EQUAL(apply(&f, TARGET_GUEST, KNOB_BALLOON, 33554432, 1), -EINPROGRESS);
	CU_ASSERT_FATAL(until(&f, one_done));
	c.target = (struct target){ .kind = TARGET_GUEST,
				    .guest_id = find(&f, "tuned")->id,
				    .guest = find(&f, "tuned") };
	CU_ASSERT_EQUAL(a->ops->apply(a, &c, 2, NULL), -EINPROGRESS);
	CU_ASSERT_FATAL(until(&f, two_done));
	ASSERT_STR(read_value(&f, TARGET_GUEST, KNOB_BALLOON), "67108864");
	virt_refresh(f.v, UUID_A);
	CU_ASSERT(until(&f, asks_nothing));
	set_memory(&op, &f, 48);
	CU_ASSERT(until(&f, knows_48_mib));
	stop_tuned(&f, &op);
}

/* It is still on its way when the operator says otherwise; after its time that is what counts. */
static void test_balloon_on_its_way(void)
{
	struct operator op;
	struct fixture f = start_tuned(&op);
	struct virt_known *k;

	set_memory(&op, &f, 48);
	CU_ASSERT(until(&f, knows_48_mib));
	pthread_mutex_lock(&f.v->lock);
	k = virt_known_find(f.v, find(&f, "tuned")->id);
	k->asked_bytes = 49 * MIB; /* less than a step away: it is not there yet */
	k->asked_at_us = virt_now_us();
	k->given_back = true;
	virt_balloon_heard(k, 48 * MIB);
	CU_ASSERT_EQUAL(k->asked_bytes, 49 * MIB);
	k->asked_at_us -= 2 * VIRT_BALLOON_US;
	virt_balloon_heard(k, 48 * MIB + 4096); /* slowly */
	CU_ASSERT_EQUAL(k->asked_bytes, 49 * MIB);
	k->asked_at_us -= 2 * VIRT_BALLOON_US;
	k->balloon_bytes = 40 * MIB; /* the next look finds it nearer */
	pthread_mutex_unlock(&f.v->lock);
	virt_refresh(f.v, UUID_A);
	CU_ASSERT(until(&f, has_48_mib));
	pthread_mutex_lock(&f.v->lock);
	k = virt_known_find(f.v, find(&f, "tuned")->id);
	CU_ASSERT_EQUAL(k->asked_bytes, 49 * MIB);
	k->asked_at_us -= 2 * VIRT_BALLOON_US;
	virt_balloon_heard(k, 48 * MIB);
	CU_ASSERT_EQUAL(k->asked_bytes, 0);
	pthread_mutex_unlock(&f.v->lock);
	CU_ASSERT(knows_48_mib(&f));
	stop_tuned(&f, &op);
}

/* Nobody waits for statistics, and where there are none that is said. */
static void test_no_statistics(void)
{
	struct operator op;
	struct fixture f = start_tuned(&op);
	struct sample_guest s = { .disk_ops = 5 };

	virt_disk_stats_want(f.v, S);
	CU_ASSERT_EQUAL(virt_disk_stats(f.v, find(&f, "tuned"), &s), -ENODATA);
	CU_ASSERT_EQUAL(s.disk_ops, 5);
	stop_tuned(&f, &op);
}

/* ---- the queue ---- */

/* Without threads: the calls thread does not take what is queued here. */
static struct virt_job *queued(struct virt *v, uint64_t ticket, unsigned int field, uint64_t value)
{
	struct virt_job *job = must(virt_job_new(VIRT_JOB_TUNE, ticket));

	job->guest_id = 1;
	job->target_kind = TARGET_DISK;
	strcpy(job->disk, "vda");
	job->tune_set = 1u << field;
	job->tune[field] = value;
	CU_ASSERT_EQUAL(virt_job_submit(v, job, NULL), 0);
	return job;
}

static struct virt *still_virt(void)
{
	struct virt *v = must(calloc(1, sizeof(*v)));

	pthread_mutex_init(&v->lock, NULL);
	pthread_cond_init(&v->wake, NULL);
	atomic_store(&v->state, VIRT_CONNECTED);
	v->hung_us = 1000000;
	atomic_store(&v->call_limit_us, v->hung_us);
	v->event_fd = -1;
	return v;
}

static void still_free(struct virt *v)
{
	free(v->counts);
	virt_jobs_free(v);
	pthread_cond_destroy(&v->wake);
	pthread_mutex_destroy(&v->lock);
	free(v);
}

static void test_merged(void)
{
	struct virt *v = still_virt();
	struct fixture f = { .v = v };
	struct virt_job *job;

	queued(v, 1, 0, 10);
	queued(v, 2, 3, 20);
	queued(v, 3, 0, 30);
	CU_ASSERT_EQUAL(v->jobs.count, 1);
	job = virt_job_take(v);
	CU_ASSERT_EQUAL(job->tune_set, 1 | 1 << 3);
	CU_ASSERT_EQUAL(job->tune[0], 30);
	CU_ASSERT_EQUAL(job->tune[3], 20);
	qerr_set(&job->err, -EIO, "no");
	virt_job_finish(v, job, -EIO);
	virt_collect(v, note_done, &f);
	CU_ASSERT_EQUAL(f.done, 3); /* each ticket once, with the one outcome */
	CU_ASSERT_EQUAL(f.tickets[0] + f.tickets[1] + f.tickets[2], 6);
	CU_ASSERT_EQUAL(f.results[2], -EIO);
	ASSERT_STR(f.texts[1], "no");

	f.done = 0;
	queued(v, 4, 0, 10);
	queued(v, 5, 1, 10);
	virt_jobs_cancel_guest(v, 1);
	queued(v, 6, 1, 10); /* not into the shell of the one that has gone */
	virt_jobs_fail_all(v, -EAGAIN, "lost");
	virt_collect(v, note_done, &f);
	CU_ASSERT_EQUAL(f.done, 3);
	CU_ASSERT_EQUAL(f.results[0], -ESRCH);
	CU_ASSERT_EQUAL(f.results[1], -ESRCH);
	CU_ASSERT_EQUAL(f.results[2], -EAGAIN);
	queued(v, 7, 0, 10);
	queued(v, 8, 1, 10); /* freed with the queue */
	still_free(v);
}

/* ---- statistics ---- */

static void reading(struct virt *v, const struct guest *g, uint64_t ops, uint64_t at_us)
{
	struct virt_disk_counts *c = must(calloc(1, sizeof(*c)));

	memcpy(c->uuid, g->uuid, sizeof(c->uuid));
	c->to = c->from = (struct virt_disk_sum){ ops, 4096 * ops, 1000 * ops };
	virt_stats_publish(v, c, 1, at_us);
}

static struct sample_guest shown(struct virt *v, const struct guest *g)
{
	struct sample_guest s = { 0 };

	CU_ASSERT_EQUAL(virt_disk_stats(v, g, &s), 0);
	return s;
}

/* `ops` of then, and 10000 a second since. */
static bool is_on_line(uint64_t is, uint64_t ops, uint64_t then_us)
{
	return is >= ops && is <= ops + (virt_now_us() - then_us) / 100 + 1;
}

/* They are read once a second: in between they climb, without a leap and without a rest. */
static void test_statistics_climb(void)
{
	struct virt *v = still_virt();
	struct guest *g = make_guest("web1", 1, 1, GIB);
	uint64_t then_us = virt_now_us();
	struct sample_guest s;

	reading(v, g, 5000, then_us - 18 * S / 10);
	CU_ASSERT_EQUAL(virt_disk_stats(v, g, &s), -ENODATA); /* one says nothing of a rate */
	reading(v, g, 15000, then_us - 8 * S / 10);
	s = shown(v, g);
	CU_ASSERT(is_on_line(s.disk_ops, 13000, then_us));
	CU_ASSERT(is_on_line(s.disk_bytes / 4096, 13000, then_us));
	CU_ASSERT(is_on_line(s.disk_wait_ns / 1000, 13000, then_us));
	reading(v, g, 15000, then_us - 3 * S / 10); /* early: 10000 and on, in half a second */
	CU_ASSERT(is_on_line(shown(v, g).disk_ops, 13000, then_us));
	reading(v, g, 100, then_us - S / 10); /* it is another process */
	CU_ASSERT_EQUAL(shown(v, g).disk_ops, 100);
	reading(v, g, 10100, then_us - S / 10 + S / 20);
	usleep(60000); /* it has arrived, and libvirt has said nothing new */
	CU_ASSERT_EQUAL(virt_disk_stats(v, g, &s), -ENODATA);
	still_free(v);
	guest_unref(g);
}

/* A guest's disks together, and each by its name. */
static void test_statistics_of_each(void)
{
	static const char *const targets[] = { "vdb", "vda", "vda" };
	struct virt *v = still_virt();
	struct guest *g = make_guest("web1", 1, 1, GIB), *other = make_guest("web2", 2, 1, GIB);
	uint64_t then_us = virt_now_us() - S, ops = 0, bytes = 0, at_us = 0;

	g->disks = must(calloc(3, sizeof(*g->disks)));
	g->ndisks = 3;
	for (size_t i = 0; i < 3; i++)
		snprintf(g->disks[i].target, sizeof(g->disks[i].target), "vd%c", 'a' + (char)i);
	for (uint64_t n = 0; n < 2; n++) {
		struct virt_disk_counts *c = must(calloc(3, sizeof(*c)));

		for (size_t i = 0; i < 3; i++) {
			memcpy(c[i].uuid, i < 2 ? g->uuid : other->uuid, sizeof(c[i].uuid));
			strcpy(c[i].target, targets[i]);
			c[i].to.ops = i + 1;
			c[i].to.bytes = 10 * i + 10;
			c[i].from = c[i].to;
		}
		virt_stats_publish(v, c, 3, then_us + n * S);
	}
	CU_ASSERT_EQUAL(shown(v, g).disk_ops, 3);
	CU_ASSERT_EQUAL(shown(v, other).disk_bytes, 30);
	CU_ASSERT_EQUAL(virt_disk_count(v, g, 0, &ops, &bytes, &at_us), 0);
	CU_ASSERT_EQUAL(ops, 2);
	CU_ASSERT_EQUAL(at_us, then_us + S);
	CU_ASSERT_EQUAL(virt_disk_count(v, g, 1, &ops, &bytes, &at_us), 0);
	CU_ASSERT_EQUAL(bytes, 10);
	CU_ASSERT_EQUAL(virt_disk_count(v, g, 2, &ops, &bytes, &at_us), -ENODATA);
	CU_ASSERT_EQUAL(virt_disk_count(v, g, 3, &ops, &bytes, &at_us), -ENODATA);
	CU_ASSERT_EQUAL(virt_disk_count(v, other, 0, &ops, &bytes, &at_us), -ENODATA);
	still_free(v);
	guest_unref(g);
	guest_unref(other);
}

/* After a time without readings nothing is known of the time between. */
static void test_statistics_begin_anew(void)
{
	struct virt *v = still_virt();
	struct guest *g = make_guest("web1", 1, 1, GIB);
	struct sample_guest s;

	reading(v, g, 5000, virt_now_us() - 20 * S);
	CU_ASSERT_EQUAL(virt_disk_stats(v, g, &s), -ENODATA);
	reading(v, g, 15000, virt_now_us());
	CU_ASSERT_EQUAL(virt_disk_stats(v, g, &s), -ENODATA);
	still_free(v);
	guest_unref(g);
}

static const struct test tests[] = {
	{ "limits that go together", test_resolve },
	{ "limits of a disk", test_tune },
	{ "limits that make no sense", test_tune_refused },
	{ "limits by somebody else", test_foreign },
	{ "the balloon", test_balloon },
	{ "a balloon that is given back is the operator's again", test_balloon_after_us },
	{ "... also when it never gets there", test_balloon_on_its_way },
	{ "no statistics", test_no_statistics },
	{ "statistics climb from reading to reading", test_statistics_climb },
	{ "... and begin anew after a pause", test_statistics_begin_anew },
	{ "statistics of each disk", test_statistics_of_each },
	{ "limits of one disk are one job", test_merged },
};

int main(void)
{
	return harness_run("virt tune", tests, ARRAY_SIZE(tests));
}
