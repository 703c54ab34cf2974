/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_rbd - which settings win, what texts Ceph takes, what the rules find. */
#include <errno.h>

#include "qosd/core/rbd_lint.h"
#include "t/unit/harness.h"

#define MIB (UINT64_C(1) << 20)

/* ---- texts ---- */

static void test_texts(void)
{
	/* All measured with ceph-conf of 16.2.15. */
	static const struct {
		enum rbd_key key;
		const char *text;
		int64_t value; /* -1: not taken */
	} cases[] = {
		{ RBD_CACHE_SIZE, "64M", 64 << 20 },
		{ RBD_CACHE_SIZE, "64MB", 64 << 20 },
		{ RBD_CACHE_SIZE, "64Mi", 64 << 20 },
		{ RBD_CACHE_SIZE, "64MiB", -1 },
		{ RBD_CACHE_SIZE, "64m", -1 },
		{ RBD_CACHE_SIZE, "67108864", 64 << 20 },
		{ RBD_CACHE_SIZE, "64 M", -1 },
		{ RBD_CACHE_SIZE, "1.5M", -1 },
		{ RBD_CACHE_SIZE, "64K", 64 << 10 },
		{ RBD_CACHE_SIZE, "0x100", -1 },
		{ RBD_CACHE_SIZE, "-1", -1 },
		{ RBD_CACHE_SIZE, "1T", INT64_C(1) << 40 },
		{ RBD_CACHE_SIZE, "64B", 64 },
		{ RBD_CACHE_SIZE, "garbage", -1 },
		{ RBD_CACHE_SIZE, "", -1 },
		{ RBD_CACHE_SIZE, "64MBx", -1 },
		{ RBD_CACHE_SIZE, "+5", 5 },
		{ RBD_CACHE_SIZE, "99999999999999999999", -1 },
		{ RBD_CACHE_SIZE, "16E", -1 },
		{ RBD_CACHE, "true", 1 },
		{ RBD_CACHE, "TRUE", 1 },
		{ RBD_CACHE, "yes", -1 },
		{ RBD_CACHE, "on", -1 },
		{ RBD_CACHE, "2", 1 },
		{ RBD_CACHE, "-1", 1 },
		{ RBD_CACHE, "false", 0 },
		{ RBD_CACHE, "no", -1 },
		{ RBD_CACHE, "off", -1 },
		{ RBD_CACHE, "0", 0 },
		{ RBD_CACHE_MAX_DIRTY_AGE, "1", 1000000 },
		{ RBD_CACHE_MAX_DIRTY_AGE, "2.5", 2500000 },
		{ RBD_CACHE_MAX_DIRTY_AGE, "1s", -1 },
		{ RBD_CACHE_MAX_DIRTY_AGE, "-1", 0 },
		{ RBD_CACHE_MAX_DIRTY_AGE, "2m", -1 },
		{ RBD_QOS_IOPS, "1M", 1000000 },
		{ RBD_QOS_IOPS, "1Mi", -1 },
		{ RBD_QOS_IOPS, "1K", 1000 },
		{ RBD_QOS_IOPS, "1k", -1 },
		{ RBD_PWL_SIZE, "1M", -1 }, /* below Ceph's least */
		{ RBD_PWL_SIZE, "2G", 2000000000 },
		{ RBD_CACHE_POLICY, "writeback", RBD_POLICY_WRITEBACK },
		{ RBD_CACHE_POLICY, "Writeback", -1 },
		{ RBD_PLUGINS, "whatever", 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t value = 0;
		int r = rbd_parse(cases[i].key, cases[i].text, &value);

		CU_ASSERT_EQUAL(r, cases[i].value < 0 ? -EINVAL : 0);
		CU_ASSERT(cases[i].value < 0 || value == (uint64_t)cases[i].value);
		if (r != (cases[i].value < 0 ? -EINVAL : 0))
			fprintf(stderr, "\n%s: \"%s\"\n", rbd_keys[cases[i].key].name,
				cases[i].text);
	}
	for (int k = 0; k < RBD_KEYS; k++) {
		uint64_t value;

		CU_ASSERT_EQUAL(rbd_parse((enum rbd_key)k, rbd_keys[k].fallback, &value), 0);
		CU_ASSERT_EQUAL(rbd_key_find(rbd_keys[k].name), k);
	}
	CU_ASSERT_EQUAL(rbd_key_find("rbd_nonsense"), -1);
}

/* ---- layers ---- */

/* What each layer says of two keys; NULL: nothing. */
struct combination {
	const char *cache;                     /* QEMU's mode */
	const char *image, *pool, *file, *mon; /* "key=value ..." */
	enum rbd_mode mode;
	uint64_t size_mib, max_dirty_mib;
	enum rbd_layer cache_from, size_from;
};

static void set_layer(struct rbd_layers *l, enum rbd_layer layer, const char *settings)
{
	char text[256], *save = NULL;

	l->known[layer] = true;
	snprintf(text, sizeof(text), "%s", settings ? settings : "");
	for (char *one = strtok_r(text, " ", &save); one; one = strtok_r(NULL, " ", &save)) {
		char *value = strchr(one, '=');

		*value++ = '\0';
		CU_ASSERT_EQUAL(rbd_layers_set(l, layer, one, value), 0);
	}
}

#define WB "rbd_cache_policy=writeback "

static const struct combination combinations[] = {
	{ "", 0, 0, 0, 0, RBD_MODE_WRITEAROUND, 32, 24, RBD_QEMU, RBD_DEFAULT },
	{ "none", 0, 0, 0, 0, RBD_MODE_NONE, 32, 24, RBD_QEMU, RBD_DEFAULT },
	{ "directsync", 0, 0, 0, 0, RBD_MODE_NONE, 32, 24, RBD_QEMU, RBD_DEFAULT },
	{ "writethrough", 0, 0, 0, 0, RBD_MODE_WRITEAROUND, 32, 24, RBD_QEMU, RBD_DEFAULT },
	{ "unsafe", 0, 0, WB, 0, RBD_MODE_WRITEBACK, 32, 24, RBD_QEMU, RBD_DEFAULT },
	{ "writeback", 0, 0, WB, 0, RBD_MODE_WRITEBACK, 32, 24, RBD_QEMU, RBD_DEFAULT },
	{ "writeback", 0, 0, "rbd_cache=false " WB, 0, RBD_MODE_WRITEBACK, 32, 24, RBD_QEMU,
	  RBD_DEFAULT },
	{ "none", 0, 0, "rbd_cache=true " WB, 0, RBD_MODE_NONE, 32, 24, RBD_QEMU, RBD_DEFAULT },
	{ "none", "rbd_cache=true", 0, WB, 0, RBD_MODE_WRITEBACK, 32, 24, RBD_IMAGE, RBD_DEFAULT },
	{ "none", 0, "rbd_cache=true", WB, 0, RBD_MODE_WRITEBACK, 32, 24, RBD_POOL, RBD_DEFAULT },
	{ "writeback", "rbd_cache=false", "rbd_cache=true", WB, 0, RBD_MODE_NONE, 32, 24, RBD_IMAGE,
	  RBD_DEFAULT },
	{ "writeback", 0, 0, 0, WB "rbd_cache_size=20M", RBD_MODE_WRITEBACK, 20, 24, RBD_QEMU,
	  RBD_MON },
	{ "writeback", 0, 0, "rbd_cache_size=28M", WB "rbd_cache_size=20M", RBD_MODE_WRITEBACK, 28,
	  24, RBD_QEMU, RBD_FILE },
	{ "writeback", 0, "rbd_cache_size=40M", "rbd_cache_size=28M", WB "rbd_cache_size=20M",
	  RBD_MODE_WRITEBACK, 40, 24, RBD_QEMU, RBD_POOL },
	{ "writeback", "rbd_cache_size=48M", "rbd_cache_size=40M", "rbd_cache_size=28M",
	  WB "rbd_cache_size=20M", RBD_MODE_WRITEBACK, 48, 24, RBD_QEMU, RBD_IMAGE },
	/* A text that Ceph does not take leaves the layer below in force. */
	{ "writeback", "rbd_cache_size=48MiB", 0, "rbd_cache_size=much", WB "rbd_cache_size=20M",
	  RBD_MODE_WRITEBACK, 20, 24, RBD_QEMU, RBD_MON },
	{ "none", "rbd_cache=yes", 0, 0, 0, RBD_MODE_NONE, 32, 24, RBD_QEMU, RBD_DEFAULT },
	{ "writeback", 0, 0, WB "rbd_cache_max_dirty=0", 0, RBD_MODE_WRITETHROUGH, 32, 0, RBD_QEMU,
	  RBD_DEFAULT },
	{ "writeback", 0, 0, "rbd_cache_max_dirty=0", 0, RBD_MODE_NONE, 32, 0, RBD_QEMU,
	  RBD_DEFAULT },
	{ "writeback", 0, 0, "rbd_cache_policy=writethrough", 0, RBD_MODE_WRITETHROUGH, 32, 24,
	  RBD_QEMU, RBD_DEFAULT },
	{ "writeback", "rbd_cache_policy=writearound", 0, WB, 0, RBD_MODE_WRITEAROUND, 32, 24,
	  RBD_QEMU, RBD_DEFAULT },
	{ "writeback", "rbd_nonsense=1", 0, WB "mon_host=x", 0, RBD_MODE_WRITEBACK, 32, 24,
	  RBD_QEMU, RBD_DEFAULT },
};

static void test_layers(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(combinations); i++) {
		const struct combination *c = &combinations[i];
		struct rbd_effective e;
		struct rbd_layers l;

		CU_ASSERT_EQUAL_FATAL(rbd_layers_init(&l), 0);
		set_layer(&l, RBD_MON, c->mon);
		set_layer(&l, RBD_FILE, c->file);
		rbd_layers_qemu(&l, c->cache);
		set_layer(&l, RBD_POOL, c->pool);
		rbd_resolve(&l, &e);
		CU_ASSERT_FALSE(e.values[RBD_CACHE_SIZE].sure);
		set_layer(&l, RBD_IMAGE, c->image);
		rbd_resolve(&l, &e);
		CU_ASSERT_TRUE(e.values[RBD_CACHE_SIZE].sure);
		CU_ASSERT_EQUAL(e.mode, c->mode);
		CU_ASSERT_EQUAL(e.values[RBD_CACHE_SIZE].number, c->size_mib * MIB);
		CU_ASSERT_EQUAL(e.values[RBD_CACHE_MAX_DIRTY].number, c->max_dirty_mib * MIB);
		CU_ASSERT_EQUAL(e.values[RBD_CACHE].layer, c->cache_from);
		CU_ASSERT_EQUAL(e.values[RBD_CACHE_SIZE].layer, c->size_from);
		rbd_layers_done(&l);
	}
}

/* The figures measured in QEMU and fio stay below the bound. */
static void test_memory(void)
{
	static const struct {
		enum rbd_mode mode;
		uint64_t size_mib, dirty_mib, inflight_mib, seen_mib;
	} seen[] = {
		{ RBD_MODE_NONE, 32, 24, 32, 72 },         { RBD_MODE_WRITEAROUND, 32, 24, 32, 96 },
		{ RBD_MODE_WRITEAROUND, 32, 100, 1, 107 }, { RBD_MODE_WRITEBACK, 32, 24, 1, 76 },
		{ RBD_MODE_WRITEBACK, 128, 96, 1, 279 },   { RBD_MODE_WRITEBACK, 128, 96, 1, 349 },
		{ RBD_MODE_WRITEBACK, 512, 384, 1, 934 },  { RBD_MODE_WRITEBACK, 32, 200, 1, 242 },
		{ RBD_MODE_WRITETHROUGH, 128, 0, 1, 271 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(seen); i++) {
		struct rbd_effective e = { .mode = seen[i].mode };

		e.values[RBD_CACHE_SIZE].number = seen[i].size_mib * MIB;
		e.values[RBD_CACHE_MAX_DIRTY].number = seen[i].dirty_mib * MIB;
		CU_ASSERT(rbd_memory_bytes(&e, seen[i].inflight_mib * MIB) >=
			  seen[i].seen_mib * MIB);
	}
}

/* ---- the rules ---- */

struct scene {
	struct guest_disk disk;
	struct guest_rbd rbd;
	struct rbd_layers layers;
	struct class_rbd wish;
	struct rbd_subject s;
};

/* A disk with nothing to find. */
static void scene_make(struct scene *c, const char *cache, const char *file)
{
	memset(c, 0, sizeof(*c));
	strcpy(c->disk.target, "vda");
	snprintf(c->disk.cache, sizeof(c->disk.cache), "%s", cache);
	strcpy(c->rbd.pool, "vms");
	strcpy(c->rbd.image, "disk-1");
	strcpy(c->rbd.user, "libvirt");
	c->wish = (struct class_rbd){ .cache = RBD_CACHE_KEEP,
				      .cache_size_bytes = POLICY_NONE_U64,
				      .max_dirty_bytes = POLICY_NONE_U64,
				      .target_dirty_bytes = POLICY_NONE_U64,
				      .max_dirty_age_us = POLICY_NONE_U64 };
	CU_ASSERT_EQUAL_FATAL(rbd_layers_init(&c->layers), 0);
	set_layer(&c->layers, RBD_FILE, file);
	for (int layer = RBD_MON; layer < RBD_LAYERS; layer++)
		c->layers.known[layer] = true;
	rbd_layers_qemu(&c->layers, c->disk.cache);
	c->s = (struct rbd_subject){ .guest = "web1",
				     .disk = &c->disk,
				     .rbd = &c->rbd,
				     .layers = &c->layers,
				     .now_known = true,
				     .file = RBD_FILE_READ,
				     .socket = RBD_SOCKET_FINE,
				     .cluster = RBD_CLUSTER_FINE,
				     .class_name = "gold",
				     .wish = &c->wish };
	rbd_resolve(&c->layers, &c->s.next);
	c->s.now = c->s.next;
}

static const struct rbd_finding *find(const struct scene *c, const char *id)
{
	static struct rbd_finding list[64];
	size_t n = rbd_lint(&c->s, list, ARRAY_SIZE(list));

	for (size_t i = 0; i < n; i++) {
		CU_ASSERT(list[i].what[0] && list[i].fix[0] && list[i].rule->why[0]);
		if (strcmp(list[i].rule->id, id) == 0)
			return &list[i];
	}
	return NULL;
}

static size_t findings(const struct scene *c)
{
	struct rbd_finding list[64];

	return rbd_lint(&c->s, list, ARRAY_SIZE(list));
}

/* Each rule by the settings alone: what the fix says is told as well. */
static void test_rules_of_settings(void)
{
	static const struct {
		const char *id, *cache, *file, *fix;
	} cases[] = {
		{ "RBD-CACHE-IGNORED", "writeback", "rbd_cache=false",
		  "take rbd_cache out of /etc/ceph/ceph.conf" },
		{ "RBD-UNSAFE", "unsafe", "", "virsh edit web1" },
		{ "RBD-WTUF-OFF", "writeback", WB "rbd_cache_writethrough_until_flush=false",
		  "take rbd_cache_writethrough_until_flush out" },
		{ "RBD-DIRTY-ORDER", "writeback", WB "rbd_cache_size=16M",
		  "write rbd_cache_max_dirty = 12582912 under [client.libvirt]" },
		{ "RBD-SIZE-UNUSED", "writeback", "rbd_cache_size=64M", "take rbd_cache_size out" },
		{ "RBD-WRITEBACK-INTENT", "writeback", "", "write rbd_cache_policy = writeback" },
		{ "RBD-WRITETHROUGH", "writeback", WB "rbd_cache_max_dirty=0",
		  "take rbd_cache_max_dirty out" },
		{ "RBD-DIRTY-AGE", "writeback", WB "rbd_cache_max_dirty_age=120",
		  "take rbd_cache_max_dirty_age out" },
		{ "RBD-GARBAGE", "writeback", WB "rbd_cache_size=64MiB",
		  "write rbd_cache_size = 33554432" },
		{ "RBD-PWL-HOST", "writeback", WB "rbd_persistent_cache_mode=ssd",
		  "write rbd_persistent_cache_mode = disabled" },
		{ "RBD-ASOK-SHARED", "writeback", WB "admin_socket=/run/one.asok", "$cctid" },
	};
	struct scene c;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct rbd_finding *f;

		scene_make(&c, cases[i].cache, cases[i].file);
		f = find(&c, cases[i].id);
		if (!f || !strstr(f->fix, cases[i].fix))
			fprintf(stderr, "\n%s: %s\n", cases[i].id, f ? f->fix : "not found");
		CU_ASSERT(f && strstr(f->fix, cases[i].fix));
		rbd_layers_done(&c.layers);
	}
	scene_make(&c, "writeback", WB);
	CU_ASSERT_EQUAL(findings(&c), 0);
	rbd_layers_done(&c.layers);
	scene_make(&c, "none", "");
	CU_ASSERT_EQUAL(findings(&c), 0);
	rbd_layers_done(&c.layers);
}

static void test_image_wins(void)
{
	const struct rbd_finding *f;
	struct scene c;

	scene_make(&c, "none", "");
	set_layer(&c.layers, RBD_IMAGE, "rbd_cache=true");
	rbd_resolve(&c.layers, &c.s.next);
	c.s.now = c.s.next;
	f = find(&c, "RBD-CACHE-IMAGE-WINS");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	ASSERT_STR(f->fix, "rbd config image rm vms/disk-1 rbd_cache");
	rbd_layers_done(&c.layers);
	scene_make(&c, "writeback", WB);
	set_layer(&c.layers, RBD_POOL, "rbd_cache=0");
	rbd_resolve(&c.layers, &c.s.next);
	f = find(&c, "RBD-CACHE-IMAGE-WINS");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	ASSERT_STR(f->fix, "rbd config pool rm vms rbd_cache");
	/* It also differs from what is in force. */
	CU_ASSERT_PTR_NOT_NULL(find(&c, "RBD-LIVE-STALE"));
	rbd_layers_done(&c.layers);
}

/* A cluster that is away, or is not asked, has no say: neither in what was nor in what will be. */
static void test_unknown_layers(void)
{
	struct scene c;

	scene_make(&c, "writeback", WB);
	set_layer(&c.layers, RBD_IMAGE, "rbd_cache_size=64M");
	rbd_resolve(&c.layers, &c.s.now);
	c.layers.values[RBD_IMAGE][RBD_CACHE_SIZE] = NULL;
	rbd_resolve(&c.layers, &c.s.next);
	CU_ASSERT_PTR_NOT_NULL(find(&c, "RBD-LIVE-STALE"));
	c.wish.cache_size_bytes = 64 * MIB;
	CU_ASSERT_PTR_NOT_NULL(find(&c, "RBD-CLASS"));
	c.layers.known[RBD_IMAGE] = false;
	rbd_resolve(&c.layers, &c.s.next);
	CU_ASSERT_PTR_NULL(find(&c, "RBD-LIVE-STALE"));
	CU_ASSERT_PTR_NULL(find(&c, "RBD-CLASS"));
	/* What stands above the unknown layer is a fact. */
	c.layers.known[RBD_IMAGE] = true;
	c.layers.known[RBD_MON] = false;
	set_layer(&c.layers, RBD_FILE, WB "rbd_cache_size=40M");
	rbd_resolve(&c.layers, &c.s.next);
	CU_ASSERT_TRUE(c.s.next.values[RBD_CACHE_SIZE].sure);
	CU_ASSERT_FALSE(c.s.next.values[RBD_CACHE_MAX_DIRTY].sure);
	CU_ASSERT_PTR_NOT_NULL(find(&c, "RBD-LIVE-STALE"));
	CU_ASSERT_PTR_NOT_NULL(find(&c, "RBD-CLASS"));
	rbd_layers_done(&c.layers);
}

static void test_copy(void)
{
	struct rbd_layers copy;
	struct scene c;

	scene_make(&c, "none", WB "rbd_cache_size=40M");
	c.layers.known[RBD_POOL] = false;
	CU_ASSERT_EQUAL_FATAL(rbd_layers_copy(&copy, &c.layers), 0);
	rbd_layers_done(&c.layers);
	ASSERT_STR(copy.values[RBD_FILE][RBD_CACHE_SIZE], "40M");
	ASSERT_STR(copy.values[RBD_QEMU][RBD_CACHE], "false");
	ASSERT_STR(copy.values[RBD_DEFAULT][RBD_CACHE_POLICY], "writearound");
	CU_ASSERT_PTR_NULL(copy.values[RBD_IMAGE][RBD_CACHE_SIZE]);
	CU_ASSERT(copy.known[RBD_FILE] && copy.known[RBD_QEMU] && !copy.known[RBD_POOL]);
	rbd_layers_done(&copy);
}

static void test_rules_of_places(void)
{
	struct scene c;

	scene_make(&c, "writeback", WB);
	c.s.live[RBD_CACHE_SIZE] = "67108864";
	CU_ASSERT_PTR_NOT_NULL(find(&c, "RBD-LIVE-STALE"));
	c.s.live[RBD_CACHE_SIZE] = NULL;
	c.s.plugin_missing = true;
	c.s.plugin = "pwl_cache";
	CU_ASSERT_PTR_NOT_NULL(find(&c, "RBD-PLUGIN-MISSING"));
	c.s.plugin_missing = false;
	strcpy(c.rbd.conf, "/home/me/ceph.conf");
	CU_ASSERT_PTR_NOT_NULL(find(&c, "RBD-CONF-PATH"));
	strcpy(c.rbd.conf, "/etc/ceph/web1.conf");
	CU_ASSERT_EQUAL(findings(&c), 0);
	c.s.file = RBD_FILE_MISSING;
	CU_ASSERT_PTR_NOT_NULL(find(&c, "RBD-CONF-FILE"));
	c.s.file = RBD_FILE_BROKEN;
	CU_ASSERT_PTR_NOT_NULL(find(&c, "RBD-CONF-FILE"));
	c.s.file = RBD_FILE_READ;
	c.s.socket = RBD_SOCKET_NONE;
	CU_ASSERT_PTR_NOT_NULL(find(&c, "RBD-NO-ASOK"));
	c.s.socket = RBD_SOCKET_SILENT;
	CU_ASSERT_PTR_NOT_NULL(find(&c, "RBD-ASOK-SILENT"));
	c.s.socket = RBD_SOCKET_UNKNOWN;
	for (int state = RBD_CLUSTER_AWAY; state <= RBD_CLUSTER_ODD; state++) {
		c.s.cluster = (enum rbd_cluster_state)state;
		CU_ASSERT_PTR_NOT_NULL(find(&c, "RBD-CLUSTER"));
	}
	c.s.cluster = RBD_CLUSTER_OFF;
	CU_ASSERT_EQUAL(findings(&c), 0);
	c.s.cluster_full = c.s.cluster_strong = true;
	CU_ASSERT_PTR_NOT_NULL(find(&c, "RBD-FULL"));
	CU_ASSERT_PTR_NOT_NULL(find(&c, "RBD-CAPS"));
	c.s.memory_have_bytes = 10;
	c.s.memory_need_bytes = 11;
	CU_ASSERT_PTR_NOT_NULL(find(&c, "RBD-MEM"));
	c.s.process = (struct rbd_process){ .files = 767, .files_max = 1024, .threads = 900 };
	CU_ASSERT_PTR_NULL(find(&c, "RBD-FILES"));
	CU_ASSERT_PTR_NULL(find(&c, "RBD-THREADS")); /* no limit */
	c.s.process.files = 768;
	CU_ASSERT_PTR_NOT_NULL(strstr(find(&c, "RBD-FILES")->fix, "--nofile=32768 "));
	c.s.process.files = c.s.process.files_max = 65536; /* never less than there is */
	CU_ASSERT_PTR_NOT_NULL(strstr(find(&c, "RBD-FILES")->fix, "--nofile=131072 "));
	c.s.process.threads_max = 1000;
	CU_ASSERT_PTR_NOT_NULL(find(&c, "RBD-FILES"));
	CU_ASSERT_PTR_NOT_NULL(find(&c, "RBD-THREADS"));
	set_layer(&c.layers, RBD_IMAGE, "rbd_qos_iops_limit=500");
	rbd_resolve(&c.layers, &c.s.next);
	CU_ASSERT_PTR_NULL(find(&c, "RBD-QOS-CLASH"));
	c.s.iotune = true;
	CU_ASSERT_PTR_NOT_NULL(find(&c, "RBD-QOS-CLASH"));
	rbd_layers_done(&c.layers);
}

/* ---- the class's wish ---- */

static void test_wish(void)
{
	struct rbd_wanted w;
	struct scene c;

	scene_make(&c, "writeback", "");
	c.wish.cache = RBD_CACHE_WRITEBACK;
	c.wish.cache_size_bytes = 64 * MIB;
	c.wish.max_dirty_age_us = 2500000;
	CU_ASSERT_TRUE(rbd_wish_fails(&c.wish, &c.s.next));
	CU_ASSERT_PTR_NOT_NULL(find(&c, "RBD-CLASS"));
	rbd_wanted(&c.wish, "writeback", &w);
	CU_ASSERT_TRUE(w.any);
	ASSERT_STR(w.text[RBD_CACHE_POLICY], "writeback");
	ASSERT_STR(w.text[RBD_CACHE_SIZE], "67108864");
	ASSERT_STR(w.text[RBD_CACHE_MAX_DIRTY_AGE], "2.500000");
	CU_ASSERT_FALSE(w.set[RBD_CACHE_MAX_DIRTY]);
	CU_ASSERT_FALSE(w.set[RBD_CACHE]);
	/* What is wanted, once written, holds. */
	for (int k = 0; k < RBD_KEYS; k++)
		if (w.set[k])
			rbd_layers_set(&c.layers, RBD_IMAGE, rbd_keys[k].name, w.text[k]);
	rbd_resolve(&c.layers, &c.s.next);
	CU_ASSERT_FALSE(rbd_wish_fails(&c.wish, &c.s.next));
	CU_ASSERT_PTR_NOT_NULL(find(&c, "RBD-CLASS")); /* from the next start only */
	c.s.now = c.s.next;
	CU_ASSERT_PTR_NULL(find(&c, "RBD-CLASS"));
	rbd_layers_done(&c.layers);
}

/* QEMU's mode is never gone against: nothing is written, and it is told. */
static void test_wish_against_qemu(void)
{
	struct rbd_wanted w;
	struct scene c;

	scene_make(&c, "none", "");
	c.wish.cache = RBD_CACHE_WRITEBACK;
	rbd_wanted(&c.wish, "none", &w);
	CU_ASSERT_FALSE(w.any);
	CU_ASSERT_PTR_NOT_NULL(find(&c, "RBD-CLASS-QEMU"));
	CU_ASSERT_PTR_NULL(find(&c, "RBD-CLASS"));
	rbd_layers_done(&c.layers);
	scene_make(&c, "writeback", WB);
	c.wish.cache = RBD_CACHE_NONE;
	rbd_wanted(&c.wish, "writeback", &w);
	CU_ASSERT_FALSE(w.any);
	CU_ASSERT_PTR_NOT_NULL(find(&c, "RBD-CLASS-QEMU"));
	rbd_layers_done(&c.layers);
}

/* ---- daemons ---- */

static void test_daemons(void)
{
	struct rbd_daemons d = { .nosds = 2, .nmons = 1 };
	struct diag_list list = { 0 };

	d.osds[0] = (struct rbd_osd){ .target_bytes = 1000 * MIB, .rss_bytes = 500 * MIB };
	d.osds[1] = (struct rbd_osd){ .target_bytes = 1000 * MIB,
				      .rss_bytes = 3000 * MIB,
				      .peak_bytes = 4000 * MIB,
				      .open_loop = true };
	CU_ASSERT_EQUAL(rbd_daemons_reserve(&d), 1200 * MIB + 4400 * MIB + 2048 * MIB);
	rbd_daemons_lint(&d, 16384 * MIB, 1000 * MIB, &list);
	CU_ASSERT_EQUAL(list.count, 2); /* no tcmalloc, over its target */
	CU_ASSERT_EQUAL(list.errors, 0);
	diag_clear(&list);
	rbd_daemons_lint(&d, 8000 * MIB, 1000 * MIB, &list);
	CU_ASSERT_EQUAL(list.errors, 1);
	diag_clear(&list);
	d = (struct rbd_daemons){ 0 };
	CU_ASSERT_EQUAL(rbd_daemons_reserve(&d), 0);
	rbd_daemons_lint(&d, 0, 1000 * MIB, &list);
	CU_ASSERT_EQUAL(list.count, 0);
	diag_clear(&list);
}

static void test_names(void)
{
	struct guest_rbd rbd = { .pool = "p", .ns = "n", .image = "i", .snapshot = "s" };
	char text[RBD_SPEC_MAX];

	ASSERT_STR(rbd_spec(&rbd, text, sizeof(text)), "p/n/i@s");
	ASSERT_STR(rbd_conf_path(&rbd), "/etc/ceph/ceph.conf");
	ASSERT_STR(rbd_entity(&rbd, text, sizeof(text)), "client.admin");
	CU_ASSERT_TRUE(rbd_conf_path_ok("/etc/ceph/a.conf"));
	CU_ASSERT_FALSE(rbd_conf_path_ok("/etc/ceph/.conf"));
	CU_ASSERT_FALSE(rbd_conf_path_ok("/etc/ceph/../a.conf"));
	CU_ASSERT_FALSE(rbd_conf_path_ok("/etc/ceph/a"));
	CU_ASSERT_FALSE(rbd_conf_path_ok("/etc/a.conf"));
	CU_ASSERT_FALSE(rbd_conf_path_ok(""));
}

static const struct test tests[] = {
	{ "texts as Ceph takes them", test_texts },
	{ "22 combinations of layers", test_layers },
	{ "memory measured is within the bound", test_memory },
	{ "rules of settings", test_rules_of_settings },
	{ "image and pool turn the cache mode around", test_image_wins },
	{ "what is not known is no difference", test_unknown_layers },
	{ "layers are copied with their texts", test_copy },
	{ "rules of places", test_rules_of_places },
	{ "a class's wish", test_wish },
	{ "QEMU's mode is not gone against", test_wish_against_qemu },
	{ "Ceph's daemons on the host", test_daemons },
	{ "names", test_names },
};

int main(void)
{
	return harness_run("rbd", tests, ARRAY_SIZE(tests));
}
