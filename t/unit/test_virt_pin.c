/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_virt_pin - CPU affinity: read, written in turn, while libvirt hangs, of guests that go. */
#include <sched.h>

#include "t/unit/virt_bench.h"

/* ---- pins ---- */

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
	const struct cpuset none = { 0 };
	struct qerr err = { 0 };

	c.to.cpuset = &none;
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
	CU_ASSERT_EQUAL(cpuset_count(value.cpuset), (unsigned int)CPU_COUNT(&mask));
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
static struct fixture start_held(struct process *p, uint64_t hung_us)
{
	unsigned int calls;
	struct fixture f;

	process_new(p);
	f = start_with(p, hung_us);
	CU_ASSERT_FATAL(until(&f, is_bound));
	pthread_mutex_lock(&p->binder.lock);
	calls = atomic_load(&p->binder.calls);
	virt_refresh(f.v, NULL);
	for (int i = 0; i < 100 && atomic_load(&p->binder.calls) == calls; i++)
		usleep(5000);
	return f;
}

static void test_queue_and_hung(void)
{
	struct process p;
	struct fixture f = start_held(&p, 50000);
	struct adapter *a = virt_adapter(f.v);
	struct qerr err = { 0 };
	struct change c;

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
	pthread_mutex_unlock(&p.binder.lock);
	CU_ASSERT(until(&f, is_connected));
	CU_ASSERT_FATAL(until(&f, three_done));
	CU_ASSERT_EQUAL(f.tickets[1], 2);
	CU_ASSERT_EQUAL(f.results[1], 0);
	CU_ASSERT_EQUAL(f.tickets[2], 3);
	stop(&f);
	process_end(&p);
}

static void test_forget(void)
{
	struct process p;
	struct fixture f = start_held(&p, 0);
	struct adapter *a = virt_adapter(f.v);
	struct change c;

	c = pin_to(find(&f, "test"), TARGET_EMULATOR, 0, 0);
	CU_ASSERT_EQUAL(a->ops->apply(a, &c, 1, NULL), -EINPROGRESS);
	a->ops->forget(a, find(&f, "test"));
	CU_ASSERT(until(&f, one_done));
	CU_ASSERT_EQUAL(f.results[0], -ESRCH);
	CU_ASSERT_EQUAL(a->ops->apply(a, &c, 2, NULL), -EINPROGRESS);
	pthread_mutex_unlock(&p.binder.lock);
	f.done = 0;
	CU_ASSERT(until(&f, one_done));
	CU_ASSERT_EQUAL(f.tickets[0], 2);
	CU_ASSERT_EQUAL(f.results[0], 0);
	stop(&f);
	process_end(&p);
}

static const struct test tests[] = {
	{ "pins", test_pin },
	{ "pins that make no sense", test_pin_refused },
	{ "reading affinity", test_read },
	{ "queue while hung", test_queue_and_hung },
	{ "forgotten guests", test_forget },
};

int main(void)
{
	return harness_run("virt pins", tests, ARRAY_SIZE(tests));
}
