/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_ceph_look - looks at RBD disks as values, whose cluster an image is in, and the queue. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "qosd/host/ceph_priv.h"
#include "t/unit/harness.h"
#include "t/unit/make.h"

#define WAIT_MS 20000

/* ---- QEMU's descriptors and threads ---- */

static void test_process(void)
{
	struct rbd_process before, after, none;
	struct rlimit limit, less;
	int fds[2];

	CU_ASSERT_EQUAL_FATAL(getrlimit(RLIMIT_NOFILE, &limit), 0);
	less = limit;
	less.rlim_cur = 200;
	CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_NOFILE, &less), 0);
	ceph_process_read(getpid(), &before);
	CU_ASSERT_EQUAL_FATAL(pipe(fds), 0);
	ceph_process_read(getpid(), &after);
	CU_ASSERT_EQUAL(after.pid, getpid());
	CU_ASSERT_EQUAL(after.files, before.files + 2);
	CU_ASSERT_EQUAL(after.files_max, 200);
	CU_ASSERT(!after.threads_max || (after.threads > 0 && after.threads <= after.threads_max));
	close(fds[0]);
	close(fds[1]);
	(void)setrlimit(RLIMIT_NOFILE, &limit);
	ceph_process_read(0, &none); /* not known */
	CU_ASSERT_EQUAL(none.files + none.files_max + none.threads + none.threads_max, 0);
}

/* ---- which cluster ---- */

static const struct same_case {
	const char *monitors, *path, *fsid,
		*mon_host; /* of the domain; of the file that QEMU reads */
	enum ceph_same same;
} same_cases[] = {
	{ "", "/etc/ceph/ceph.conf", "", "", CEPH_SAME }, /* the very file that qosd asks by */
	{ "", "/etc/ceph/two.conf", "f-1", "", CEPH_SAME },
	{ "", "/etc/ceph/two.conf", "f-2", "", CEPH_OTHER },
	{ "", "/etc/ceph/ceph.conf", "f-2", "", CEPH_OTHER },
	{ "10.0.0.1", "/etc/ceph/two.conf", "f-2", "", CEPH_OTHER },
	{ "", "/etc/ceph/two.conf", "", "10.0.0.2", CEPH_SAME },
	{ "", "/etc/ceph/two.conf", "", "[v2:10.9.0.1:3300/0,v1:10.9.0.1:6789/0]", CEPH_OTHER },
	{ "", "/etc/ceph/two.conf", "", "[v2:10.9.0.1:3300/0,v1:10.0.0.1:6789/0]", CEPH_SAME },
	{ "", "/etc/ceph/two.conf", "", "mon1.example", CEPH_UNTOLD },
	{ "", "/etc/ceph/two.conf", "", "", CEPH_UNTOLD },
	/* Monitors that the domain lists go before what the file says. */
	{ "10.0.0.1:6789,10.9.0.9", "/etc/ceph/ceph.conf", "f-1", "", CEPH_SAME },
	{ "10.9.0.1:6789,10.9.0.2", "/etc/ceph/ceph.conf", "f-1", "", CEPH_OTHER },
	{ "10.0.0.1:7000", "/etc/ceph/ceph.conf", "f-1", "", CEPH_OTHER },
	{ "fd00::1:6789", "/etc/ceph/ceph.conf", "", "", CEPH_SAME },
	{ "mon1.example:6789", "/etc/ceph/ceph.conf", "f-1", "", CEPH_UNTOLD },
};

static void test_same_cluster(void)
{
	struct ceph_origin ours = { .path = "/etc/ceph/ceph.conf", .fsid = "f-1" };

	ceph_origin_add(&ours, "10.0.0.1:3300/0");
	ceph_origin_add(&ours, "10.0.0.1:6789/0");
	ceph_origin_add(&ours, "10.0.0.2:6789");
	ceph_origin_add(&ours, "[fd00::1]:6789/0");
	for (size_t i = 0; i < ARRAY_SIZE(same_cases); i++) {
		const struct same_case *c = &same_cases[i];
		struct ceph_origin file = { .path = c->path };
		struct guest_rbd rbd = { .pool = "rbd", .image = "vm1" };
		enum ceph_same same;

		strcpy(rbd.monitors, c->monitors);
		strcpy(file.fsid, c->fsid);
		strcpy(file.monitors, c->mon_host);
		same = ceph_same_cluster(&rbd, &file, &ours);
		if (same != c->same)
			fprintf(stderr, "\n%s, %s, %s, %s: %d\n", c->monitors, c->path, c->fsid,
				c->mon_host, (int)same);
		CU_ASSERT_EQUAL(same, c->same);
	}
	/* Nobody told where the monitors of our cluster are. */
	ours.monitors[0] = '\0';
	CU_ASSERT_EQUAL(ceph_same_cluster(&(struct guest_rbd){ .monitors = "10.9.0.1" },
					  &(struct ceph_origin){ .path = "" }, &ours),
			CEPH_UNTOLD);
}

/* ---- errors, and names that no JSON was made for ---- */

static void test_errors(void)
{
	static const int odd[] = { -ERANGE, -ENOSYS, -ENOEXEC, -EINVAL, -EIO, -EPROTO, -ENOMEM };

	for (size_t i = 0; i < ARRAY_SIZE(odd); i++)
		CU_ASSERT_EQUAL(ceph_image_state(odd[i]), RBD_CLUSTER_ODD);
	CU_ASSERT_EQUAL(ceph_image_state(-ENOENT), RBD_CLUSTER_GONE);
	CU_ASSERT_EQUAL(ceph_image_state(-EPERM), RBD_CLUSTER_DENIED);
	CU_ASSERT_EQUAL(ceph_image_state(-ETIMEDOUT), RBD_CLUSTER_AWAY);
	CU_ASSERT_EQUAL(ceph_image_state(-ENOTCONN), RBD_CLUSTER_AWAY);
}

static void test_request(void)
{
	char *text = must(ceph_mons_request("client.a\"b\\"));
	json_t *json = json_loads(text, 0, NULL);

	CU_ASSERT_PTR_NOT_NULL_FATAL(json);
	ASSERT_STR(json_string_value(json_object_get(json, "who")), "client.a\"b\\");
	ASSERT_STR(json_string_value(json_object_get(json, "prefix")), "config get");
	json_decref(json);
	free(text);
	CU_ASSERT_PTR_NULL(ceph_mons_request("client.\xff"));
}

/* ---- what is in force ---- */

/* A look at images, one letter each; of all of them this cache size is found, "": not looked at. */
static struct ceph_look *make_look(const char *images, const char *size)
{
	size_t n = strlen(images);
	struct ceph_look *l = must(calloc(1, sizeof(*l) + n * sizeof(l->images[0])));

	l->guest_id = 3;
	l->count = n;
	for (size_t i = 0; i < n; i++) {
		struct ceph_image *image = &l->images[i];

		image->rbd = (struct guest_rbd){ .disk = (uint32_t)i, .pool = "rbd" };
		image->rbd.image[0] = images[i];
		CU_ASSERT_EQUAL_FATAL(rbd_layers_init(&image->layers), 0);
		CU_ASSERT_EQUAL_FATAL(rbd_layers_init(&image->open), 0);
		image->layers.known[RBD_IMAGE] = *size != '\0';
		if (*size)
			CU_ASSERT_EQUAL(
				rbd_layers_set(&image->layers, RBD_IMAGE, "rbd_cache_size", size),
				0);
	}
	return l;
}

static const char *size_of(const struct ceph_look *l, const char *image)
{
	struct guest_rbd rbd = { .pool = "rbd" };
	const struct ceph_image *found;

	strcpy(rbd.image, image);
	found = ceph_look_find(l, &rbd);
	if (!found)
		return "none";
	return found->layers.known[RBD_IMAGE] ? found->layers.values[RBD_IMAGE][RBD_CACHE_SIZE]
					      : "unknown";
}

/* The next look; what is found then is dropped at once, as its texts must not be needed. */
static struct ceph_look *next(struct ceph_look *in_force, const char *images, const char *size,
			      bool changed)
{
	struct ceph_look *latest = make_look(images, size);
	bool other;

	in_force = must(ceph_look_in_force(in_force, latest, &other));
	CU_ASSERT_EQUAL(other, changed);
	CU_ASSERT_EQUAL(in_force->count, strlen(images));
	ceph_look_free(latest);
	return in_force;
}

static void test_in_force(void)
{
	struct ceph_look *l = next(NULL, "ab", "", true);

	ASSERT_STR(size_of(l, "a"), "unknown");
	l = next(l, "ab", "1M", true); /* the cluster answers */
	l = next(l, "ab", "2M", false);
	ASSERT_STR(size_of(l, "a"), "1M");
	/* A disk is plugged: the others stay as they were opened. */
	l = next(l, "abc", "3M", true);
	ASSERT_STR(size_of(l, "a"), "1M");
	ASSERT_STR(size_of(l, "b"), "1M");
	ASSERT_STR(size_of(l, "c"), "3M");
	/* One is unplugged, and another comes in its place. */
	l = next(l, "acd", "4M", true);
	ASSERT_STR(size_of(l, "a"), "1M");
	ASSERT_STR(size_of(l, "b"), "none");
	ASSERT_STR(size_of(l, "c"), "3M");
	ASSERT_STR(size_of(l, "d"), "4M");
	l = next(l, "acd", "", false); /* the cluster is away */
	ASSERT_STR(size_of(l, "d"), "4M");
	l = next(l, "ac", "5M", true);
	l = next(l, "acb", "6M", true);
	ASSERT_STR(size_of(l, "b"), "6M");
	ceph_look_free(l);
}

/* ---- the queue ---- */

static struct guest *make_rbd_guest(uint32_t id)
{
	struct guest *g = must(guest_new());

	g->id = id;
	g->pid = 1;
	g->ndisks = g->nrbds = 1;
	g->disks = must(calloc(1, sizeof(*g->disks)));
	g->rbds = must(calloc(1, sizeof(*g->rbds)));
	g->rbds[0] = (struct guest_rbd){ .pool = "rbd", .image = "vm1" };
	return g;
}

struct order {
	unsigned int looks, writes;
};

static void collect(struct ceph *c, struct order *o)
{
	struct ceph_written w;
	struct ceph_look *look;

	ceph_collect(c);
	while (ceph_take_written(c, &w)) {
		CU_ASSERT_EQUAL(w.result, -EAGAIN); /* no cluster is asked */
		o->writes++;
	}
	while ((look = ceph_take_look(c))) {
		o->looks++;
		ceph_look_free(look);
	}
}

static int put_and_wait(struct ceph *c, const struct ceph_put *put)
{
	struct ceph_written w;

	CU_ASSERT_EQUAL(ceph_put(c, put), 0);
	for (int ms = 0; ms < WAIT_MS; ms += 10) {
		struct pollfd p = { .fd = ceph_fd(c), .events = POLLIN };

		(void)poll(&p, 1, 10);
		ceph_collect(c);
		if (ceph_take_written(c, &w))
			return w.result;
	}
	return -ETIMEDOUT;
}

/* However often a guest is asked for, one look of it waits; writes pass all of them. */
static void test_queue(void)
{
	struct guest *g[3] = { make_rbd_guest(1), make_rbd_guest(2), make_rbd_guest(3) };
	struct ceph_put put = { .place = CEPH_IMAGE, .rbd = g[0]->rbds[0] };
	struct order o = { 0 };
	int quiet_ms = 0;
	struct ceph *c;

	CU_ASSERT_EQUAL_FATAL(ceph_new(&c, NULL), 0);
	for (int i = 0; i < 3000; i++)
		CU_ASSERT_EQUAL(ceph_look_at(c, g[i % 3]), 0);
	CU_ASSERT_EQUAL(ceph_put(c, &put), 0);
	while (quiet_ms < 200 || (quiet_ms < WAIT_MS && (!o.writes || o.looks < 3))) {
		struct pollfd p = { .fd = ceph_fd(c), .events = POLLIN };

		quiet_ms = poll(&p, 1, 10) > 0 ? 0 : quiet_ms + 10;
		collect(c, &o);
	}
	CU_ASSERT_EQUAL(o.writes, 1);
	CU_ASSERT(o.looks >= 3 && o.looks < 1000);
	ceph_free(c, 5000000);
	for (int i = 0; i < 3; i++) {
		CU_ASSERT_EQUAL(atomic_load(&g[i]->refs), 1);
		guest_unref(g[i]);
	}
}

/* A guest's file is written there, too; given back, only one that is there and ours. */
static void test_file_by_thread(void)
{
	char dir[] = "/tmp/qosd-look-XXXXXX";
	struct ceph_put put = { .place = CEPH_FILE, .wanted.any = true };
	struct ceph *c;
	FILE *f;

	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
	snprintf(put.base, sizeof(put.base), "%s/base.conf", dir);
	snprintf(put.rbd.conf, sizeof(put.rbd.conf), "%s/own.conf", dir);
	f = must(fopen(put.base, "we"));
	fputs("[client]\n", f);
	fclose(f);
	CU_ASSERT_EQUAL_FATAL(ceph_new(&c, NULL), 0);
	CU_ASSERT_EQUAL(put_and_wait(c, &put), 1);
	CU_ASSERT_TRUE(ceph_file_ours(put.rbd.conf));
	put.wanted.any = false;
	put.back = true;
	CU_ASSERT_EQUAL(put_and_wait(c, &put), 1);
	CU_ASSERT_EQUAL(unlink(put.rbd.conf), 0);
	CU_ASSERT_EQUAL(put_and_wait(c, &put), 0);
	CU_ASSERT_EQUAL(access(put.rbd.conf, F_OK), -1);
	ceph_free(c, 5000000);
	unlink(put.base);
	CU_ASSERT_EQUAL(rmdir(dir), 0);
}

static const struct test tests[] = {
	{ "descriptors and threads of a process", test_process },
	{ "whose cluster an image is in", test_same_cluster },
	{ "one image's error is not the cluster's", test_errors },
	{ "names are quoted", test_request },
	{ "what is in force stays with its image", test_in_force },
	{ "one look of a guest waits", test_queue },
	{ "a guest's file, written by the thread", test_file_by_thread },
};

int main(void)
{
	return harness_run("ceph_look", tests, ARRAY_SIZE(tests));
}
