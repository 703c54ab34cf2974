/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_virt - the libvirt adapter against libvirt's own test driver (test:///default).
 *
 * The driver runs in this process, keeps one domain "test" at first, has events, metadata and
 * emulator pins, and shares its state among the connections of a process: so a second connection
 * plays the operator. A process id comes from a pid file that the test writes for a child.
 */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "qosd/host/virt_priv.h"
#include "t/unit/harness.h"

#define URI     "test:///default"
#define WAIT_MS 5000
#define XML(name, uuid)                                                                            \
	"<domain type='test'><name>" name "</name><uuid>" uuid "</uuid>"                           \
	"<memory unit='MiB'>16</memory><vcpu>2</vcpu><os><type>hvm</type></os></domain>"
#define UUID_A "11111111-2222-3333-4444-555555555555"

struct fixture {
	struct virt *v;
	struct inventory *inv; /* the newest taken */
	unsigned int taken;
	/* completions */
	unsigned int done;
	uint64_t tickets[16];
	int results[16];
	char texts[16][QERR_TEXT_MAX];
};

static void note_done(void *user, uint64_t ticket, int r, const struct qerr *err)
{
	struct fixture *f = user;

	if (f->done < ARRAY_SIZE(f->tickets)) {
		f->tickets[f->done] = ticket;
		f->results[f->done] = r;
		strcpy(f->texts[f->done], err->text);
	}
	f->done++;
}

static void collect(struct fixture *f)
{
	struct inventory *inv = virt_take_inventory(f->v);

	if (inv) {
		inventory_free(f->inv);
		f->inv = inv;
		f->taken++;
	}
	virt_collect(f->v, note_done, f);
}

/* Serve the eventfd, as the loop does, until the condition holds. */
static bool until(struct fixture *f, bool (*holds)(struct fixture *f))
{
	uint64_t end = virt_now_us() + WAIT_MS * 1000;
	struct pollfd p = { .fd = virt_fd(f->v), .events = POLLIN };

	do {
		collect(f);
		if (holds(f))
			return true;
		poll(&p, 1, 50);
	} while (virt_now_us() < end);
	return false;
}

static bool has_inventory(struct fixture *f)
{
	return f->inv != NULL;
}

static bool one_done(struct fixture *f)
{
	return f->done >= 1;
}

static struct guest *find(struct fixture *f, const char *name)
{
	return f->inv ? inventory_find(f->inv, name) : NULL;
}

static struct fixture start(const struct virt_config *config)
{
	struct fixture f = { 0 };
	struct qerr err = { 0 };

	CU_ASSERT_EQUAL(virt_new(config, &f.v, &err), 0);
	ASSERT_STR(err.text, "");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f.v);
	return f;
}

static struct fixture start_default(void)
{
	struct fixture f = start(&(struct virt_config){ .uri = URI, .run_dir = "/nonexistent" });

	CU_ASSERT_FATAL(until(&f, has_inventory));
	return f;
}

static void stop(struct fixture *f)
{
	virt_free(f->v, 5000000);
	inventory_free(f->inv);
}

/* ---- inventory ---- */

static void test_connects(void)
{
	struct fixture f = start_default();
	struct guest *g = find(&f, "test");

	CU_ASSERT_EQUAL(virt_state(f.v), VIRT_CONNECTED);
	ASSERT_STR(virt_state_name(virt_state(f.v)), "connected");
	CU_ASSERT_EQUAL(f.inv->count, 1);
	CU_ASSERT_PTR_NOT_NULL_FATAL(g);
	CU_ASSERT_EQUAL(g->id, 1);
	CU_ASSERT_EQUAL(g->vcpus, 2);
	CU_ASSERT_EQUAL(g->memory_bytes, UINT64_C(8) << 30);
	stop(&f);
}

static bool has_a(struct fixture *f)
{
	return find(f, "a") != NULL;
}

static bool lacks_a(struct fixture *f)
{
	return find(f, "a") == NULL;
}

static void test_start_stop(void)
{
	struct fixture f = start_default();
	virConnectPtr operator= virConnectOpen(URI);
	struct guest *test = guest_ref(find(&f, "test"));
	virDomainPtr dom;
	uint32_t first;

	dom = virDomainCreateXML(operator, XML("a", UUID_A), 0);
	CU_ASSERT_FATAL(until(&f, has_a));
	CU_ASSERT_EQUAL(f.inv->count, 2);
	CU_ASSERT_PTR_EQUAL(find(&f, "test"), test); /* unchanged: the very same */
	first = find(&f, "a")->id;
	virDomainDestroy(dom);
	virDomainFree(dom);
	CU_ASSERT_FATAL(until(&f, lacks_a));
	CU_ASSERT_PTR_EQUAL(find(&f, "test"), test);

	dom = virDomainCreateXML(operator, XML("a", UUID_A), 0);
	CU_ASSERT_FATAL(until(&f, has_a));
	CU_ASSERT(find(&f, "a")->id > first); /* another incarnation */
	virDomainSuspend(dom);
	virt_refresh(f.v, NULL);
	usleep(3 * VIRT_COALESCE_US);
	collect(&f);
	CU_ASSERT(find(&f, "a") != NULL); /* paused guests are guests */
	virDomainDestroy(dom);
	virDomainFree(dom);
	CU_ASSERT(until(&f, lacks_a));
	guest_unref(test);
	virConnectClose(operator);
	stop(&f);
}

/* Destroyed again before it can be looked at: nothing but its absence. */
static void test_short_lives(void)
{
	struct fixture f = start_default();
	virConnectPtr operator= virConnectOpen(URI);

	for (int i = 0; i < 50; i++) {
		virDomainPtr dom = virDomainCreateXML(operator, XML("a", UUID_A), 0);

		CU_ASSERT_PTR_NOT_NULL_FATAL(dom);
		virDomainDestroy(dom);
		virDomainFree(dom);
	}
	usleep(2 * VIRT_COALESCE_US);
	CU_ASSERT(until(&f, lacks_a));
	CU_ASSERT_EQUAL(virt_state(f.v), VIRT_CONNECTED);
	CU_ASSERT(f.taken < 30); /* 100 events, coalesced */
	virConnectClose(operator);
	stop(&f);
}

static void test_no_change_no_inventory(void)
{
	struct fixture f = start_default();
	unsigned int taken = f.taken;

	for (int i = 0; i < 3; i++) {
		virt_refresh(f.v, i ? find(&f, "test")->uuid : NULL);
		usleep(3 * VIRT_COALESCE_US);
		collect(&f);
	}
	CU_ASSERT_EQUAL(f.taken, taken);
	virt_refresh(f.v, "no uuid");
	virt_refresh(f.v, "much too long for a uuid, which makes it a refresh of all guests");
	usleep(3 * VIRT_COALESCE_US);
	collect(&f);
	CU_ASSERT_EQUAL(virt_state(f.v), VIRT_CONNECTED);
	stop(&f);
}

#define MANY 300 /* more than are remembered one by one */

static bool has_many(struct fixture *f)
{
	return f->inv && f->inv->count == MANY + 1;
}

static bool has_one(struct fixture *f)
{
	return f->inv && f->inv->count == 1;
}

static void test_many_guests(void)
{
	struct fixture f = start_default();
	virConnectPtr operator= virConnectOpen(URI);
	virDomainPtr doms[MANY];
	char xml[512];

	for (int i = 0; i < MANY; i++) {
		snprintf(xml, sizeof(xml), XML("g%d", "11111111-2222-3333-4444-%012d"), i, i);
		doms[i] = virDomainCreateXML(operator, xml, 0);
		CU_ASSERT_PTR_NOT_NULL_FATAL(doms[i]);
	}
	CU_ASSERT(until(&f, has_many));
	for (size_t i = 1; i < f.inv->count; i++)
		CU_ASSERT(strcmp(f.inv->guests[i - 1]->name, f.inv->guests[i]->name) < 0);
	for (int i = 0; i < MANY; i++) {
		virDomainDestroy(doms[i]);
		virDomainFree(doms[i]);
	}
	CU_ASSERT(until(&f, has_one));
	virConnectClose(operator);
	stop(&f);
}

/* ---- class ---- */

static bool is_gold(struct fixture *f)
{
	const char *class_name = find(f, "test") ? find(f, "test")->class_name : NULL;

	return class_name && strcmp(class_name, "gold") == 0;
}

static bool is_silver(struct fixture *f)
{
	const char *class_name = find(f, "test") ? find(f, "test")->class_name : NULL;

	return class_name && strcmp(class_name, "silver") == 0;
}

static bool is_classless(struct fixture *f)
{
	return find(f, "test") && !find(f, "test")->class_name;
}

static void test_class(void)
{
	struct fixture f = start_default();
	virConnectPtr operator= virConnectOpen(URI);
	virDomainPtr dom = virDomainLookupByName(operator, "test");
	uint32_t id = find(&f, "test")->id;
	char uuid[GUEST_UUID_MAX];

	strcpy(uuid, find(&f, "test")->uuid);
	CU_ASSERT_EQUAL(
		virDomainSetMetadata(dom, VIR_DOMAIN_METADATA_ELEMENT,
				     "<qos class='gold'><set key='cpu.limit' value='50%'/></qos>",
				     "qosd", VIRT_QOS_URI, VIR_DOMAIN_AFFECT_LIVE),
		0);
	CU_ASSERT_FATAL(until(&f, is_gold));
	CU_ASSERT_EQUAL(find(&f, "test")->id, id);
	CU_ASSERT_EQUAL(find(&f, "test")->noverrides, 1);

	CU_ASSERT_EQUAL(virt_set_class(f.v, uuid, "silver", 77), 0);
	CU_ASSERT_FATAL(until(&f, one_done));
	CU_ASSERT_EQUAL(f.tickets[0], 77);
	CU_ASSERT_EQUAL(f.results[0], 0);
	CU_ASSERT_FATAL(until(&f, is_silver));
	CU_ASSERT_EQUAL(find(&f, "test")->noverrides, 1);

	CU_ASSERT_EQUAL(virt_set_class(f.v, uuid, NULL, 78), 0);
	CU_ASSERT_FATAL(until(&f, is_classless));
	CU_ASSERT_EQUAL(find(&f, "test")->noverrides, 1);
	virDomainSetMetadata(dom, VIR_DOMAIN_METADATA_ELEMENT, NULL, "qosd", VIRT_QOS_URI,
			     VIR_DOMAIN_AFFECT_LIVE | VIR_DOMAIN_AFFECT_CONFIG);
	virDomainFree(dom);
	virConnectClose(operator);
	stop(&f);
}

static void test_class_of_nobody(void)
{
	struct fixture f = start_default();

	CU_ASSERT_EQUAL(virt_set_class(f.v, UUID_A, "gold", 5), 0);
	CU_ASSERT_FATAL(until(&f, one_done));
	CU_ASSERT_EQUAL(f.results[0], -ENOENT);
	CU_ASSERT(f.texts[0][0] != '\0');
	stop(&f);
}

/* ---- process ---- */

static pid_t make_child(const char *dir)
{
	char path[256];
	FILE *file;
	pid_t pid = fork();

	if (pid == 0) {
		for (;;)
			pause();
	}
	snprintf(path, sizeof(path), "%s/test.pid", dir);
	file = fopen(path, "w");
	fprintf(file, "%d", (int)pid);
	fclose(file);
	return pid;
}

static void end_child(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

struct binder {
	pthread_mutex_t lock; /* held: bind waits */
	atomic_uint calls;
	int result;
};

static int bind_guest(void *ctx, struct guest *g)
{
	struct binder *b = ctx;
	int result;

	atomic_fetch_add(&b->calls, 1);
	pthread_mutex_lock(&b->lock);
	result = b->result;
	pthread_mutex_unlock(&b->lock);
	if (result < 0)
		return result;
	g->cgroup = strdup("/machine.slice/test.scope/libvirt");
	g->vcpu_tids = calloc(1, sizeof(int));
	g->vcpu_tids[0] = g->pid;
	g->nvcpu_tids = 1;
	return 0;
}

static bool is_bound(struct fixture *f)
{
	return find(f, "test") && find(f, "test")->cgroup;
}

static uint32_t before_id;

static bool is_new_incarnation(struct fixture *f)
{
	return find(f, "test") && find(f, "test")->id != before_id;
}

static void test_incarnation(void)
{
	char dir[] = "/tmp/test_virt.XXXXXX", path[64];
	struct binder b = { .lock = PTHREAD_MUTEX_INITIALIZER };
	pid_t pid, second;
	struct fixture f;

	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
	pid = make_child(dir);
	f = start(&(struct virt_config){
		.uri = URI, .run_dir = dir, .bind = bind_guest, .bind_ctx = &b });
	CU_ASSERT_FATAL(until(&f, is_bound));
	CU_ASSERT_EQUAL(find(&f, "test")->pid, pid);
	CU_ASSERT_EQUAL(find(&f, "test")->start_ticks, virt_process_start_ticks(pid));
	CU_ASSERT(find(&f, "test")->start_ticks > 0);
	before_id = find(&f, "test")->id;

	/* Another process: seen at the next ping although no event tells of it. */
	end_child(pid);
	second = make_child(dir);
	CU_ASSERT(until(&f, is_new_incarnation));
	CU_ASSERT_EQUAL(find(&f, "test")->pid, second);
	end_child(second);
	stop(&f);
	snprintf(path, sizeof(path), "%s/test.pid", dir);
	unlink(path);
	rmdir(dir);
}

/* A guest whose group is not there yet is shown without, and looked at again by itself. */
static void test_bound_later(void)
{
	char dir[] = "/tmp/test_virt.XXXXXX", path[64];
	struct binder b = { .lock = PTHREAD_MUTEX_INITIALIZER, .result = -ENOENT };
	struct fixture f;
	pid_t pid;

	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
	pid = make_child(dir);
	f = start(&(struct virt_config){
		.uri = URI, .run_dir = dir, .bind = bind_guest, .bind_ctx = &b });
	CU_ASSERT_FATAL(until(&f, has_inventory));
	CU_ASSERT_FALSE(is_bound(&f));
	before_id = find(&f, "test")->id;
	pthread_mutex_lock(&b.lock);
	b.result = 0;
	pthread_mutex_unlock(&b.lock);
	CU_ASSERT(until(&f, is_bound));
	CU_ASSERT_EQUAL(find(&f, "test")->id, before_id);
	end_child(pid);
	stop(&f);
	snprintf(path, sizeof(path), "%s/test.pid", dir);
	unlink(path);
	rmdir(dir);
}

static void test_start_ticks(void)
{
	CU_ASSERT(virt_process_start_ticks(getpid()) > 0);
	CU_ASSERT_EQUAL(virt_process_start_ticks(0), 0);
	CU_ASSERT_EQUAL(virt_process_find("/nonexistent", "x"), 0);
	CU_ASSERT_EQUAL(virt_process_find("/proc", "../etc/x"), 0);
	CU_ASSERT_EQUAL(virt_device_ifindex("lo"), 1);
	CU_ASSERT_EQUAL(virt_device_ifindex("nosuchdevice"), 0);
	CU_ASSERT_EQUAL(virt_device_ifindex(""), 0);
}

/* ---- pins ---- */

static struct change pin_to(const struct guest *g, uint8_t kind, uint32_t index, unsigned int cpu)
{
	struct change c = {
		.target = { .kind = kind, .index = index, .guest = g, .guest_id = g->id },
		.knob = KNOB_CPU_AFFINITY
	};
	struct cpuset set = { 0 };

	cpuset_add(&set, cpu);
	c.to = knob_cpuset(&set);
	return c;
}

static void test_pin(void)
{
	struct fixture f = start_default();
	struct adapter *a = virt_adapter(f.v);
	struct change c = pin_to(find(&f, "test"), TARGET_EMULATOR, 0, 1);
	virConnectPtr operator= virConnectOpen(URI);
	virDomainPtr dom = virDomainLookupByName(operator, "test");
	unsigned char map[2] = { 0 };
	struct qerr err = { 0 };

	CU_ASSERT_EQUAL(a->ops->apply(a, &c, 9, &err), -EINPROGRESS);
	CU_ASSERT_FATAL(until(&f, one_done));
	CU_ASSERT_EQUAL(f.tickets[0], 9);
	CU_ASSERT_EQUAL(f.results[0], 0);
	ASSERT_STR(f.texts[0], "");
	CU_ASSERT(virDomainGetEmulatorPinInfo(dom, map, 2, VIR_DOMAIN_AFFECT_LIVE) >= 0);
	CU_ASSERT_EQUAL(map[0], 2);

	/* The test driver has no live pins of vCPUs: the error reaches the ticket. */
	c = pin_to(find(&f, "test"), TARGET_VCPU, 1, 0);
	CU_ASSERT_EQUAL(a->ops->apply(a, &c, 10, &err), -EINPROGRESS);
	f.done = 0;
	CU_ASSERT_FATAL(until(&f, one_done));
	CU_ASSERT_EQUAL(f.tickets[0], 10);
	CU_ASSERT(f.results[0] < 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(f.texts[0], "guest:test/vcpu1: cannot be pinned to CPUs 0"));
	virDomainFree(dom);
	virConnectClose(operator);
	stop(&f);
}

static void test_pin_refused(void)
{
	struct fixture f = start_default();
	struct adapter *a = virt_adapter(f.v);
	struct change c = pin_to(find(&f, "test"), TARGET_VCPU, 0, 0);
	struct guest gone = { .id = 999, .name = (char *)"gone" };
	struct qerr err = { 0 };

	c.to.cpuset = (struct cpuset){ 0 };
	CU_ASSERT_EQUAL(a->ops->apply(a, &c, 1, &err), -EINVAL);
	c = pin_to(find(&f, "test"), TARGET_NIC, 0, 0);
	CU_ASSERT_EQUAL(a->ops->apply(a, &c, 1, &err), -EINVAL);
	c.knob = KNOB_CPU_MAX;
	CU_ASSERT_EQUAL(a->ops->apply(a, &c, 1, &err), -EOPNOTSUPP);

	c = pin_to(&gone, TARGET_EMULATOR, 0, 0);
	CU_ASSERT_EQUAL(a->ops->apply(a, &c, 1, &err), -EINPROGRESS);
	CU_ASSERT_FATAL(until(&f, one_done));
	CU_ASSERT_EQUAL(f.results[0], -ESRCH);
	stop(&f);
}

static void test_read(void)
{
	struct fixture f = start_default();
	struct adapter *a = virt_adapter(f.v);
	int tids[2] = { getpid(), -1 };
	struct guest g = {
		.name = (char *)"self", .pid = getpid(), .vcpu_tids = tids, .nvcpu_tids = 2
	};
	struct target t = { .kind = TARGET_VCPU, .guest = &g };
	struct knob_value value;
	cpu_set_t mask;

	sched_getaffinity(0, sizeof(mask), &mask);
	CU_ASSERT_EQUAL(a->ops->read(a, &t, KNOB_CPU_AFFINITY, &value, NULL), 0);
	CU_ASSERT_EQUAL(value.type, KNOB_CPUSET);
	CU_ASSERT_EQUAL(cpuset_count(&value.cpuset), (unsigned int)CPU_COUNT(&mask));
	t.kind = TARGET_EMULATOR;
	CU_ASSERT_EQUAL(a->ops->read(a, &t, KNOB_CPU_AFFINITY, &value, NULL), 0);
	t.kind = TARGET_VCPU;
	t.index = 1;
	CU_ASSERT_EQUAL(a->ops->read(a, &t, KNOB_CPU_AFFINITY, &value, NULL), -ESRCH);
	t.index = 2;
	CU_ASSERT_EQUAL(a->ops->read(a, &t, KNOB_CPU_AFFINITY, &value, NULL), -ESRCH);
	tids[0] = 1; /* a thread of another process */
	t.index = 0;
	CU_ASSERT_EQUAL(a->ops->read(a, &t, KNOB_CPU_AFFINITY, &value, NULL), -ESRCH);
	CU_ASSERT_EQUAL(a->ops->read(a, &t, KNOB_CPU_WEIGHT, &value, NULL), -EOPNOTSUPP);
	stop(&f);
}

/* ---- a calls thread that is stuck ---- */

static bool is_hung(struct fixture *f)
{
	return virt_state(f->v) == VIRT_HUNG;
}

static bool is_connected(struct fixture *f)
{
	return virt_state(f->v) == VIRT_CONNECTED;
}

static bool three_done(struct fixture *f)
{
	return f->done >= 3;
}

/* The binder holds the calls thread, so what is queued meanwhile stays queued. */
static void test_queue_and_hung(void)
{
	char dir[] = "/tmp/test_virt.XXXXXX", path[64];
	struct binder b = { .lock = PTHREAD_MUTEX_INITIALIZER };
	struct qerr err = { 0 };
	struct adapter *a;
	struct change c;
	unsigned int calls;
	struct fixture f;
	pid_t pid;

	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
	pid = make_child(dir);
	f = start(&(struct virt_config){
		.uri = URI, .run_dir = dir, .bind = bind_guest, .bind_ctx = &b, .hung_us = 50000 });
	CU_ASSERT_FATAL(until(&f, is_bound));
	a = virt_adapter(f.v);

	pthread_mutex_lock(&b.lock);
	calls = atomic_load(&b.calls);
	virt_refresh(f.v, NULL);
	for (int i = 0; i < 100 && atomic_load(&b.calls) == calls; i++)
		usleep(5000);
	c = pin_to(find(&f, "test"), TARGET_EMULATOR, 0, 0);
	CU_ASSERT_EQUAL(a->ops->apply(a, &c, 1, &err), -EINPROGRESS);
	c = pin_to(find(&f, "test"), TARGET_EMULATOR, 0, 1);
	CU_ASSERT_EQUAL(a->ops->apply(a, &c, 2, &err), -EINPROGRESS);
	c = pin_to(find(&f, "test"), TARGET_VCPU, 0, 1);
	CU_ASSERT_EQUAL(a->ops->apply(a, &c, 3, &err), -EINPROGRESS);
	CU_ASSERT(until(&f, one_done));
	CU_ASSERT_EQUAL(f.tickets[0], 1);
	CU_ASSERT_EQUAL(f.results[0], -ECANCELED);

	CU_ASSERT(until(&f, is_hung));
	CU_ASSERT_EQUAL(a->ops->apply(a, &c, 4, &err), -EAGAIN);
	ASSERT_STR(err.text, "libvirt does not answer");
	pthread_mutex_unlock(&b.lock);
	CU_ASSERT(until(&f, is_connected));
	CU_ASSERT_FATAL(until(&f, three_done));
	CU_ASSERT_EQUAL(f.tickets[1], 2);
	CU_ASSERT_EQUAL(f.results[1], 0);
	CU_ASSERT_EQUAL(f.tickets[2], 3);
	end_child(pid);
	stop(&f);
	snprintf(path, sizeof(path), "%s/test.pid", dir);
	unlink(path);
	rmdir(dir);
}

static void test_forget(void)
{
	char dir[] = "/tmp/test_virt.XXXXXX", path[64];
	struct binder b = { .lock = PTHREAD_MUTEX_INITIALIZER };
	struct adapter *a;
	struct change c;
	unsigned int calls;
	struct fixture f;
	pid_t pid;

	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
	pid = make_child(dir);
	f = start(&(struct virt_config){
		.uri = URI, .run_dir = dir, .bind = bind_guest, .bind_ctx = &b });
	CU_ASSERT_FATAL(until(&f, is_bound));
	a = virt_adapter(f.v);
	pthread_mutex_lock(&b.lock);
	calls = atomic_load(&b.calls);
	virt_refresh(f.v, NULL);
	for (int i = 0; i < 100 && atomic_load(&b.calls) == calls; i++)
		usleep(5000);
	c = pin_to(find(&f, "test"), TARGET_EMULATOR, 0, 0);
	CU_ASSERT_EQUAL(a->ops->apply(a, &c, 1, NULL), -EINPROGRESS);
	a->ops->forget(a, find(&f, "test"));
	CU_ASSERT(until(&f, one_done));
	CU_ASSERT_EQUAL(f.results[0], -ESRCH);
	CU_ASSERT_EQUAL(a->ops->apply(a, &c, 2, NULL), -EINPROGRESS);
	pthread_mutex_unlock(&b.lock);
	f.done = 0;
	CU_ASSERT(until(&f, one_done));
	CU_ASSERT_EQUAL(f.tickets[0], 2);
	CU_ASSERT_EQUAL(f.results[0], 0);
	end_child(pid);
	stop(&f);
	snprintf(path, sizeof(path), "%s/test.pid", dir);
	unlink(path);
	rmdir(dir);
}

/* ---- life ---- */

static void test_unreachable(void)
{
	struct fixture f = start(&(struct virt_config){ .uri = "test:///nonexistent/node.xml" });
	struct diag_list findings = { 0 };
	uint64_t begin;
	struct qerr err = { 0 };
	struct guest g = { .id = 1, .name = (char *)"x" };
	struct change c = pin_to(&g, TARGET_EMULATOR, 0, 0);

	usleep(100000);
	collect(&f);
	CU_ASSERT_PTR_NULL(f.inv);
	CU_ASSERT_EQUAL(virt_state(f.v), VIRT_CONNECTING);
	virt_adapter(f.v)->ops->probe(virt_adapter(f.v), &findings);
	CU_ASSERT_FATAL(findings.count >= 1);
	CU_ASSERT_EQUAL(findings.items[0].severity, DIAG_ERROR);
	CU_ASSERT_PTR_NOT_NULL(
		strstr(findings.items[0].text, "cannot connect to test:///nonexistent"));
	diag_clear(&findings);
	CU_ASSERT_EQUAL(virt_adapter(f.v)->ops->apply(virt_adapter(f.v), &c, 1, &err), -EAGAIN);
	CU_ASSERT_EQUAL(virt_set_class(f.v, UUID_A, "gold", 1), -EAGAIN);
	begin = virt_now_us();
	stop(&f);
	CU_ASSERT(virt_now_us() - begin < 1000000); /* back-off does not delay the end */
}

static void test_one_at_a_time(void)
{
	struct fixture f = start_default();
	struct virt *second = NULL;
	struct qerr err = { 0 };

	CU_ASSERT_EQUAL(virt_new(&(struct virt_config){ .uri = URI }, &second, &err), -EBUSY);
	CU_ASSERT_PTR_NULL(second);
	stop(&f);
	virt_free(NULL, 0);
}

static void test_many_lives(void)
{
	for (int i = 0; i < 20; i++) {
		struct fixture f = start(&(struct virt_config){ .uri = URI });

		if (i % 2)
			CU_ASSERT(until(&f, has_inventory));
		stop(&f);
	}
}

static const struct test tests[] = {
	{ "connects and lists", test_connects },
	{ "guests start and stop", test_start_stop },
	{ "short lives", test_short_lives },
	{ "many guests", test_many_guests },
	{ "nothing new, nothing published", test_no_change_no_inventory },
	{ "the class in the metadata", test_class },
	{ "the class of a guest that is not there", test_class_of_nobody },
	{ "a new process is a new incarnation", test_incarnation },
	{ "bound later", test_bound_later },
	{ "process and device files", test_start_ticks },
	{ "pins", test_pin },
	{ "pins that make no sense", test_pin_refused },
	{ "reading affinity", test_read },
	{ "queue while hung", test_queue_and_hung },
	{ "forgotten guests", test_forget },
	{ "libvirt cannot be reached", test_unreachable },
	{ "one at a time", test_one_at_a_time },
	{ "many lives", test_many_lives },
};

int main(void)
{
	return harness_run("virt", tests, ARRAY_SIZE(tests));
}
