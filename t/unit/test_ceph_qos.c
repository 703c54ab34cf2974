/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_ceph_qos - limits by librbd's admin socket, against a stand-in for librbd in this process.
 */
#include "qosd/host/ceph_qos.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "qosd/host/ceph_limits.h"
#include "t/unit/harness.h"
#include "t/unit/make.h"

#define WAIT_MS 20000
#define SICK_US UINT64_C(2000000) /* ceph_qos.c: who did not answer is left alone so long */

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* ---- librbd ---- */

struct librbd {
	char dir[64], path[108];
	int fd;
	pthread_t thread;
	pthread_mutex_t lock;
	char image[32];      /* that it has open */
	json_t *set;         /* overrides by `config set` */
	json_t *mon;         /* what the cluster says */
	unsigned int unsets; /* calls of `config unset` */
	atomic_bool silent;  /* stands still: answers nothing */
	atomic_uint clients; /* that came */
	bool stalled;        /* its cluster does not answer */
	bool deaf;           /* says "success" and does nothing */
};

static json_t *entry_of(const struct librbd *l, const char *key)
{
	json_t *entry = json_pack("{s:i}", "default", 0),
	       *final = json_object_get(entry, "default");

	if (json_object_get(l->mon, key)) {
		final = json_object_get(l->mon, key);
		json_object_set(entry, "mon", final);
	}
	if (json_object_get(l->set, key)) {
		final = json_object_get(l->set, key);
		json_object_set(entry, "override", final);
	}
	json_object_set(entry, "final", final);
	return entry;
}

static json_t *diff_of(const struct librbd *l)
{
	json_t *diff = json_object(), *layers[] = { l->mon, l->set }, *value;
	const char *key;

	for (int i = 0; i < 2; i++)
		json_object_foreach (layers[i], key, value)
			json_object_set_new(diff, key, entry_of(l, key));
	return json_pack("{s:o}", "diff", diff);
}

static json_t *answer_to(struct librbd *l, const json_t *request)
{
	const char *prefix = json_string_value(json_object_get(request, "prefix"));
	const char *key = json_string_value(json_object_get(request, "var"));
	const char *value = json_string_value(json_array_get(json_object_get(request, "val"), 0));
	json_t *entry, *reply;

	if (strcmp(prefix, "perf dump") == 0)
		return json_pack("{s+:{}}", "librbd-10ab-rbd-", l->image);
	if (strcmp(prefix, "objecter_requests") == 0)
		return json_pack("{s:[{s:f}, {s:f}]}", "ops", "age", 0.01, "age",
				 l->stalled ? 31.5 : 0.5);
	if (strcmp(prefix, "config diff") == 0)
		return diff_of(l);
	if (strcmp(prefix, "config unset") == 0) {
		l->unsets++;
		json_object_del(l->set, key);
		return NULL;
	}
	if (strcmp(prefix, "config set") == 0) {
		if (!l->deaf)
			json_object_set_new(l->set, key, json_integer(atoll(value)));
		return json_pack("{s:s}", "success", "");
	}
	entry = entry_of(l, key);
	reply = json_pack(
		"{s:o}", key,
		json_sprintf("%lld", json_integer_value(json_object_get(entry, "final"))));
	json_decref(entry);
	return reply;
}

static void serve_one(struct librbd *l, int fd)
{
	char request[512] = "", *text;
	json_t *in, *out;
	size_t len;

	for (size_t i = 0; i < sizeof(request) - 1; i++)
		if (read(fd, &request[i], 1) != 1 || request[i] == '\0')
			break;
	in = json_loads(request, 0, NULL);
	if (!in)
		return;
	pthread_mutex_lock(&l->lock);
	out = answer_to(l, in);
	pthread_mutex_unlock(&l->lock);
	text = out ? json_dumps(out, 0) : strdup("");
	len = strlen(text);
	send(fd, (unsigned char[]){ 0, 0, (unsigned char)(len >> 8), (unsigned char)len }, 4,
	     MSG_NOSIGNAL);
	send(fd, text, len, MSG_NOSIGNAL);
	free(text);
	json_decref(in);
	json_decref(out);
}

static void *serve(void *arg)
{
	struct librbd *l = arg;
	int fd;

	while ((fd = accept(l->fd, NULL, NULL)) >= 0) {
		atomic_fetch_add(&l->clients, 1);
		while (atomic_load(&l->silent))
			usleep(1000);
		serve_one(l, fd);
		close(fd);
	}
	return NULL;
}

static void librbd_start(struct librbd *l)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	memset(l, 0, sizeof(*l));
	strcpy(l->dir, "/tmp/qosd-librbd-XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(l->dir));
	snprintf(l->path, sizeof(l->path), "%s/c.asok", l->dir);
	strcpy(l->image, "vm1");
	l->set = json_object();
	l->mon = json_object();
	pthread_mutex_init(&l->lock, NULL);
	l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	memcpy(a.sun_path, l->path, sizeof(a.sun_path));
	CU_ASSERT_EQUAL_FATAL(bind(l->fd, (struct sockaddr *)&a, sizeof(a)), 0);
	CU_ASSERT_EQUAL_FATAL(listen(l->fd, 16), 0);
	pthread_create(&l->thread, NULL, serve, l);
}

/* Somebody has come, and all who came have been taken in. */
static void librbd_drain(struct librbd *l)
{
	struct pollfd next = { .fd = l->fd, .events = POLLIN };

	for (int i = 0; i < 10000; i++) {
		if (atomic_load(&l->clients) > 0 && poll(&next, 1, 0) == 0)
			return;
		usleep(1000);
	}
	CU_FAIL("nobody has come");
}

static void librbd_stop(struct librbd *l)
{
	atomic_store(&l->silent, false);
	shutdown(l->fd, SHUT_RDWR);
	pthread_join(l->thread, NULL);
	close(l->fd);
	unlink(l->path);
	rmdir(l->dir);
	json_decref(l->set);
	json_decref(l->mon);
}

/* What librbd has of its own; -1: no override. */
static long long override_of(struct librbd *l, const char *key)
{
	long long value = -1;

	pthread_mutex_lock(&l->lock);
	if (json_object_get(l->set, key))
		value = json_integer_value(json_object_get(l->set, key));
	pthread_mutex_unlock(&l->lock);
	return value;
}

/* ---- the daemon's side ---- */

struct bench {
	struct librbd librbd;
	struct ceph_qos *qos;
	struct inventory *inv;
	struct guest *guest;
	struct target disk;
	int result; /* of the last completion; 1: none yet */
	struct qerr err;
};

static void on_done(void *user, uint64_t ticket, int result, const struct qerr *err)
{
	struct bench *b = user;

	CU_ASSERT_EQUAL(ticket, 7);
	b->result = result;
	b->err = *err;
}

/* Until `until` holds. */
static bool collect(struct bench *b, bool (*until)(struct bench *b))
{
	for (int ms = 0; ms < WAIT_MS && !until(b); ms += 10) {
		struct pollfd p = { .fd = ceph_qos_fd(b->qos), .events = POLLIN };

		(void)poll(&p, 1, 10);
		ceph_qos_collect(b->qos, on_done, b);
	}
	return until(b);
}

static bool looked(struct bench *b)
{
	return ceph_qos_looked(b->qos);
}

static bool done(struct bench *b)
{
	return b->result <= 0;
}

/* The guest has this one image, as vda. */
static void bench_plug(struct bench *b, int pid, const char *image)
{
	struct guest *g = must(guest_new());

	g->id = 5;
	g->pid = pid;
	g->name = strdup("web");
	g->ndisks = g->nrbds = 1;
	g->disks = must(calloc(1, sizeof(*g->disks)));
	g->rbds = must(calloc(1, sizeof(*g->rbds)));
	g->disks[0] = (struct guest_disk){ .target = "vda", .rbd = true, .fixed = true };
	g->rbds[0] = (struct guest_rbd){ .pool = "rbd" };
	snprintf(g->rbds[0].image, sizeof(g->rbds[0].image), "%s", image);
	inventory_free(b->inv);
	guest_unref(b->guest);
	b->inv = must(inventory_new(0));
	b->guest = g;
	inventory_add(b->inv, g);
	b->disk = (struct target){ .kind = TARGET_DISK, .guest_id = 5, .guest = g };
}

static void bench_start(struct bench *b, bool with_socket)
{
	memset(b, 0, sizeof(*b));
	librbd_start(&b->librbd);
	bench_plug(b, with_socket ? getpid() : 1, "vm1");
	CU_ASSERT_EQUAL_FATAL(ceph_qos_new(&b->qos, NULL), 0);
}

static void bench_look(struct bench *b)
{
	ceph_qos_watch(b->qos, b->inv);
	CU_ASSERT_TRUE(collect(b, looked));
}

static void bench_stop(struct bench *b)
{
	atomic_store(&b->librbd.silent, false);
	ceph_qos_free(b->qos, 5000000);
	librbd_stop(&b->librbd);
	inventory_free(b->inv);
	guest_unref(b->guest);
}

static int apply(struct bench *b, enum knob_id knob, uint64_t value)
{
	struct adapter *a = ceph_qos_adapter(b->qos);
	struct change c = { .target = b->disk, .knob = knob, .to = knob_u64(value) };
	int r;

	b->result = 1;
	r = a->ops->apply(a, &c, 7, &b->err);
	if (r != -EINPROGRESS)
		return r;
	CU_ASSERT_TRUE(collect(b, done));
	return b->result;
}

/* "60", "max", or the error's number. */
static const char *actual(struct bench *b, enum knob_id knob)
{
	struct adapter *a = ceph_qos_adapter(b->qos);
	static char text[KNOB_TEXT_MAX];
	struct knob_value value;
	int r = a->ops->read(a, &b->disk, knob, &value, NULL);

	if (r < 0)
		snprintf(text, sizeof(text), "%s", strerrorname_np(-r));
	else
		knob_value_format(&value, text, sizeof(text));
	return text;
}

static void test_limit(void)
{
	struct bench b;

	bench_start(&b, true);
	ASSERT_STR(actual(&b, KNOB_RBD_TOTAL_IOPS), "EAGAIN");
	CU_ASSERT_EQUAL(ceph_qos_live(b.qos, b.guest), 0);
	bench_look(&b);
	CU_ASSERT_EQUAL(ceph_qos_live(b.qos, b.guest), 1);
	ASSERT_STR(actual(&b, KNOB_RBD_TOTAL_IOPS), "max");
	CU_ASSERT_EQUAL(apply(&b, KNOB_RBD_TOTAL_IOPS, 60), 0);
	CU_ASSERT_EQUAL(override_of(&b.librbd, "rbd_qos_iops_limit"), 60);
	ASSERT_STR(actual(&b, KNOB_RBD_TOTAL_IOPS), "60");
	CU_ASSERT_EQUAL(apply(&b, KNOB_RBD_WRITE_BPS, 5000000000), 0);
	CU_ASSERT_EQUAL(override_of(&b.librbd, "rbd_qos_write_bps_limit"), 5000000000);
	/* Given back: no override is left. */
	CU_ASSERT_EQUAL(apply(&b, KNOB_RBD_TOTAL_IOPS, KNOB_MAX), 0);
	CU_ASSERT_EQUAL(override_of(&b.librbd, "rbd_qos_iops_limit"), -1);
	CU_ASSERT_EQUAL(b.librbd.unsets, 1);
	ASSERT_STR(actual(&b, KNOB_RBD_TOTAL_IOPS), "max");
	bench_stop(&b);
}

static void test_cluster_value(void)
{
	struct bench b;

	bench_start(&b, true);
	json_object_set_new(b.librbd.mon, "rbd_qos_iops_limit", json_integer(300));
	bench_look(&b);
	ASSERT_STR(actual(&b, KNOB_RBD_TOTAL_IOPS), "300");
	CU_ASSERT_EQUAL(apply(&b, KNOB_RBD_TOTAL_IOPS, 60), 0);
	CU_ASSERT_EQUAL(apply(&b, KNOB_RBD_TOTAL_IOPS, 300), 0);
	CU_ASSERT_EQUAL(override_of(&b.librbd, "rbd_qos_iops_limit"), -1);
	/* None at all, where the cluster has one, is an override. */
	CU_ASSERT_EQUAL(apply(&b, KNOB_RBD_TOTAL_IOPS, KNOB_MAX), 0);
	CU_ASSERT_EQUAL(override_of(&b.librbd, "rbd_qos_iops_limit"), 0);
	bench_stop(&b);
}

static void test_burst(void)
{
	struct bench b;

	bench_start(&b, true);
	bench_look(&b);
	ASSERT_STR(actual(&b, KNOB_RBD_BURST_S), "1");
	CU_ASSERT_EQUAL(apply(&b, KNOB_RBD_BURST_IOPS, 900), 0);
	CU_ASSERT_EQUAL(override_of(&b.librbd, "rbd_qos_iops_burst"), 900);
	CU_ASSERT_EQUAL(override_of(&b.librbd, "rbd_qos_read_iops_burst"), 900);
	CU_ASSERT_EQUAL(override_of(&b.librbd, "rbd_qos_write_iops_burst"), 900);
	CU_ASSERT_EQUAL(apply(&b, KNOB_RBD_BURST_S, 5), 0);
	CU_ASSERT_EQUAL(override_of(&b.librbd, "rbd_qos_bps_burst_seconds"), 5);
	CU_ASSERT_EQUAL(apply(&b, KNOB_RBD_BURST_S, 1), 0);
	CU_ASSERT_EQUAL(override_of(&b.librbd, "rbd_qos_bps_burst_seconds"), -1);
	bench_stop(&b);
}

static void test_deaf(void)
{
	struct bench b;

	bench_start(&b, true);
	bench_look(&b);
	b.librbd.deaf = true;
	CU_ASSERT_EQUAL(apply(&b, KNOB_RBD_TOTAL_IOPS, 60), 0);
	/* What is read is what is there: the engine sees that it does not hold. */
	ASSERT_STR(actual(&b, KNOB_RBD_TOTAL_IOPS), "max");
	bench_stop(&b);
}

static void test_silent(void)
{
	struct bench b;

	bench_start(&b, true);
	bench_look(&b);
	atomic_store(&b.librbd.silent, true);
	CU_ASSERT_EQUAL(apply(&b, KNOB_RBD_TOTAL_IOPS, 60), -ETIMEDOUT);
	CU_ASSERT_PTR_NOT_NULL(strstr(b.err.text, "does not answer"));
	/* It stands still: no reason to take the other lever. */
	CU_ASSERT_EQUAL(ceph_qos_live(b.qos, b.guest), 1);
	ASSERT_STR(actual(&b, KNOB_RBD_TOTAL_IOPS), "max");
	bench_stop(&b);
}

/*
 * A daemon that starts anew beside a QEMU that stands still: it may hold a limit of the daemon
 * before, so the disk is not one without a socket.
 */
static void test_silent_at_first(void)
{
	struct bench b;

	bench_start(&b, true);
	json_object_set_new(b.librbd.set, "rbd_qos_iops_limit", json_integer(60));
	atomic_store(&b.librbd.silent, true);
	bench_look(&b);
	CU_ASSERT_EQUAL(ceph_qos_live(b.qos, b.guest), 0);
	ASSERT_STR(actual(&b, KNOB_RBD_TOTAL_IOPS), "EAGAIN");
	CU_ASSERT_EQUAL(apply(&b, KNOB_RBD_TOTAL_IOPS, KNOB_MAX), -EAGAIN);
	atomic_store(&b.librbd.silent, false);
	bench_look(&b);
	CU_ASSERT_EQUAL(ceph_qos_live(b.qos, b.guest), 1);
	ASSERT_STR(actual(&b, KNOB_RBD_TOTAL_IOPS), "60");
	CU_ASSERT_EQUAL(apply(&b, KNOB_RBD_TOTAL_IOPS, KNOB_MAX), 0);
	CU_ASSERT_EQUAL(override_of(&b.librbd, "rbd_qos_iops_limit"), -1);
	bench_stop(&b);
}

/*
 * A QEMU that stands still costs the time limit once each SICK_US, however many disks it has. (All
 * eight take 0.2 s: so once, but where this machine itself stood still for longer.)
 */
static void test_silent_disks(void)
{
	struct bench b;
	struct guest *g;
	uint64_t began_us, took_us;

	bench_start(&b, true);
	g = b.guest;
	g->disks = must(realloc(g->disks, 8 * sizeof(*g->disks)));
	g->rbds = must(realloc(g->rbds, 8 * sizeof(*g->rbds)));
	for (uint32_t i = 1; i < 8; i++) {
		g->disks[i] = g->disks[0];
		g->rbds[i] = (struct guest_rbd){ .disk = i, .pool = "rbd", .image = "vm" };
		g->rbds[i].image[2] = (char)('1' + i);
	}
	g->ndisks = g->nrbds = 8;
	atomic_store(&b.librbd.silent, true);
	began_us = now_us();
	bench_look(&b);
	took_us = now_us() - began_us;
	CU_ASSERT_EQUAL(ceph_qos_live(b.qos, g), 0);
	atomic_store(&b.librbd.silent, false);
	ceph_qos_free(b.qos, 5000000);
	librbd_drain(&b.librbd);
	librbd_stop(&b.librbd);
	if (atomic_load(&b.librbd.clients) > 1)
		printf("%u clients within %" PRIu64 " us\n", atomic_load(&b.librbd.clients),
		       took_us);
	CU_ASSERT_TRUE(atomic_load(&b.librbd.clients) <= 1 + took_us / SICK_US);
	inventory_free(b.inv);
	guest_unref(b.guest);
}

/* Disks are told apart by their images: places in the guest's list are used again. */
static void test_other_image(void)
{
	struct bench b;

	bench_start(&b, true);
	bench_look(&b);
	CU_ASSERT_EQUAL(ceph_qos_live(b.qos, b.guest), 1);
	bench_plug(&b, getpid(), "vm2");
	bench_look(&b);
	CU_ASSERT_EQUAL(ceph_qos_live(b.qos, b.guest), 0);
	CU_ASSERT_EQUAL(apply(&b, KNOB_RBD_TOTAL_IOPS, 60), -EOPNOTSUPP);
	CU_ASSERT_EQUAL(override_of(&b.librbd, "rbd_qos_iops_limit"), -1);
	/* Plugged again, it is found anew. */
	bench_plug(&b, getpid(), "vm1");
	bench_look(&b);
	CU_ASSERT_EQUAL(apply(&b, KNOB_RBD_TOTAL_IOPS, 60), 0);
	CU_ASSERT_EQUAL(override_of(&b.librbd, "rbd_qos_iops_limit"), 60);
	bench_stop(&b);
}

/* The socket's name is used again, by the client of another image. */
static void test_other_client(void)
{
	struct ceph_limits limits;
	struct ceph_asok asok = { .pid = getpid() };
	struct bench b;

	bench_start(&b, true);
	memcpy(asok.path, b.librbd.path, sizeof(asok.path));
	CU_ASSERT_EQUAL(ceph_limits_read(getpid(), &b.guest->rbds[0], &asok, &limits), 0);
	pthread_mutex_lock(&b.librbd.lock);
	strcpy(b.librbd.image, "vm9");
	pthread_mutex_unlock(&b.librbd.lock);
	CU_ASSERT_EQUAL(ceph_limits_read(getpid(), &b.guest->rbds[0], &asok, &limits), -ENOENT);
	bench_stop(&b);
}

static void test_stalled(void)
{
	struct bench b;

	bench_start(&b, true);
	bench_look(&b);
	b.librbd.stalled = true;
	CU_ASSERT_EQUAL(apply(&b, KNOB_RBD_TOTAL_IOPS, 60), -EBUSY);
	CU_ASSERT_PTR_NOT_NULL(strstr(b.err.text, "cluster does not answer"));
	CU_ASSERT_EQUAL(override_of(&b.librbd, "rbd_qos_iops_limit"), -1);
	b.librbd.stalled = false;
	CU_ASSERT_EQUAL(apply(&b, KNOB_RBD_TOTAL_IOPS, 60), 0);
	bench_stop(&b);
}

static void test_no_socket(void)
{
	struct diag_list findings = { 0 };
	struct bench b;
	struct adapter *a;

	bench_start(&b, false);
	bench_look(&b);
	a = ceph_qos_adapter(b.qos);
	CU_ASSERT_EQUAL(ceph_qos_live(b.qos, b.guest), 0);
	ASSERT_STR(actual(&b, KNOB_RBD_TOTAL_IOPS), "EOPNOTSUPP");
	CU_ASSERT_EQUAL(apply(&b, KNOB_RBD_TOTAL_IOPS, 60), -EOPNOTSUPP);
	a->ops->probe(a, &findings);
	CU_ASSERT_EQUAL(findings.count, 1);
	diag_clear(&findings);
	a->ops->forget(a, b.guest);
	a->ops->probe(a, &findings);
	CU_ASSERT_EQUAL(findings.count, 0);
	bench_stop(&b);
}

static const struct test tests[] = {
	{ "a limit is set, read back and given back", test_limit },
	{ "a limit of the cluster's shows again", test_cluster_value },
	{ "a burst is that of all limits of its unit", test_burst },
	{ "what has no effect is seen", test_deaf },
	{ "a QEMU that stands still", test_silent },
	{ "... and did so before it was looked for", test_silent_at_first },
	{ "... with many disks", test_silent_disks },
	{ "another image at the same place", test_other_image },
	{ "another client at the same socket", test_other_client },
	{ "nothing is changed while the cluster is away", test_stalled },
	{ "a disk without a socket", test_no_socket },
};

int main(void)
{
	return harness_run("ceph_qos", tests, ARRAY_SIZE(tests));
}
