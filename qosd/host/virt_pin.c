/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virt_pin - KNOB_CPU_AFFINITY: read from the kernel, written through libvirt.
 *
 * Bare sched_setaffinity() would be lost at any change of a cpuset above, and libvirt's XML would
 * be wrong after migration; so libvirt writes, and reading never asks it. The emulator's set is
 * also that of the I/O threads.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "qosd/core/cpuset.h"
#include "qosd/host/virt_priv.h"

#define CPUMAP_BYTES (CPUSET_MAX / 8)

/* ---- read ---- */

static int thread_of(const struct target *t, int *ret_tid, struct qerr *err)
{
	const struct guest *g = t->guest;
	int tid = -1;

	if (!g)
		return qerr_set(err, -EINVAL, "affinity belongs to a guest");
	if (t->kind == TARGET_EMULATOR)
		tid = g->pid;
	else if (t->kind == TARGET_VCPU && t->index < g->nvcpu_tids)
		tid = g->vcpu_tids[t->index];
	else if (t->kind != TARGET_VCPU)
		return qerr_set(err, -EINVAL, "affinity belongs to vCPUs and the emulator");
	if (tid <= 0 || g->pid <= 0)
		return qerr_set(err, -ESRCH, "%s: the thread is not known", g->name);
	/* A thread id used again by another process is not ours. */
	if (syscall(SYS_tgkill, g->pid, tid, 0) < 0 && errno == ESRCH)
		return qerr_set(err, -ESRCH, "%s: the thread has gone", g->name);
	*ret_tid = tid;
	return 0;
}

int virt_pin_read(struct adapter *a, const struct target *t, enum knob_id knob,
		  struct knob_value *ret, struct qerr *err)
{
	struct cpuset *cpus = &virt_of_adapter(a)->cpus_read;
	cpu_set_t mask;
	int tid = 0, r;

	(void)knob;
	r = thread_of(t, &tid, err);
	if (r < 0)
		return r;
	CPU_ZERO(&mask);
	if (sched_getaffinity(tid, sizeof(mask), &mask) < 0) {
		r = -errno;
		return qerr_set(err, r, "%s: CPU affinity cannot be read: %s", t->guest->name,
				strerror(-r));
	}
	*cpus = (struct cpuset){ 0 };
	for (unsigned int cpu = 0; cpu < CPUSET_MAX && cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &mask))
			cpuset_add(cpus, cpu);
	*ret = knob_cpuset(cpus);
	return 0;
}

/* ---- apply ---- */

int virt_pin_apply(struct adapter *a, const struct change *c, uint64_t ticket, struct qerr *err)
{
	const struct target *t = &c->target;
	struct virt_job *job;
	int r;

	if (!t->guest || (t->kind != TARGET_VCPU && t->kind != TARGET_EMULATOR))
		return qerr_set(err, -EINVAL, "affinity belongs to vCPUs and the emulator");
	if (cpuset_empty(c->to.cpuset))
		return qerr_set(err, -EINVAL, "%s: no CPU is left to pin to", t->guest->name);
	job = virt_job_new(VIRT_JOB_PIN, ticket);
	if (!job)
		return qerr_set(err, -ENOMEM, "out of memory");
	job->guest_id = t->guest->id;
	job->target_kind = t->kind;
	job->index = t->kind == TARGET_VCPU ? t->index : 0;
	job->cpus = *c->to.cpuset;
	r = virt_job_submit(virt_of_adapter(a), job, err);
	return r < 0 ? r : -EINPROGRESS;
}

/* ---- on the calls thread ---- */

/* libvirt's map: one bit a CPU, lowest first; returns the bytes used. */
static int cpumap_of(const struct cpuset *cpus, unsigned char map[CPUMAP_BYTES])
{
	unsigned int cpu, last = 0;

	memset(map, 0, CPUMAP_BYTES);
	for (cpu = cpuset_next(cpus, 0); cpu < CPUSET_MAX; cpu = cpuset_next(cpus, cpu + 1)) {
		map[cpu / 8] |= (unsigned char)(1u << (cpu % 8));
		last = cpu;
	}
	return VIR_CPU_MAPLEN((int)last + 1);
}

static int pin_iothreads(struct virt *v, virDomainPtr dom, const char *name, unsigned char *map,
			 int len, struct qerr *err)
{
	virDomainIOThreadInfoPtr *info = NULL;
	int n, r = 0;

	virt_calling(v);
	n = virDomainGetIOThreadInfo(dom, &info, VIR_DOMAIN_AFFECT_LIVE);
	if (n < 0) {
		r = virt_failed(v, err, "guest:%s: I/O threads cannot be listed", name);
		return r == -EOPNOTSUPP ? 0 : r;
	}
	for (int i = 0; i < n; i++) {
		if (r == 0) {
			virt_calling(v);
			if (virDomainPinIOThread(dom, info[i]->iothread_id, map, len,
						 VIR_DOMAIN_AFFECT_LIVE) < 0)
				r = virt_failed(v, err, "guest:%s: I/O thread %u cannot be pinned",
						name, info[i]->iothread_id);
		}
		virDomainIOThreadInfoFree(info[i]);
	}
	free(info);
	return r;
}

static int pin_domain(struct virt *v, virDomainPtr dom, const char *name,
		      const struct virt_job *job, struct qerr *err)
{
	unsigned char map[CPUMAP_BYTES];
	char list[128];
	int len = cpumap_of(&job->cpus, map);

	cpuset_format(&job->cpus, list, sizeof(list));
	virt_calling(v);
	if (job->target_kind == TARGET_VCPU) {
		if (virDomainPinVcpuFlags(dom, job->index, map, len, VIR_DOMAIN_AFFECT_LIVE) < 0)
			return virt_failed(v, err, "guest:%s/vcpu%u: cannot be pinned to CPUs %s",
					   name, job->index, list);
		return 0;
	}
	if (virDomainPinEmulator(dom, map, len, VIR_DOMAIN_AFFECT_LIVE) < 0)
		return virt_failed(v, err, "guest:%s/emulator: cannot be pinned to CPUs %s", name,
				   list);
	return pin_iothreads(v, dom, name, map, len, err);
}

static bool stopped_meanwhile(struct virt *v, virDomainPtr dom)
{
	if (!virt_usable(v))
		return false;
	virt_calling(v);
	return virDomainIsActive(dom) == 0;
}

int virt_with_domain(struct virt *v, const struct virt_job *job,
		     int (*act)(struct virt *v, virDomainPtr dom, const char *name,
				const struct virt_job *job, struct qerr *err),
		     struct qerr *err)
{
	const struct virt_record *record = virt_record_of_guest(v, job->guest_id);
	virDomainPtr dom;
	int r;

	if (!record)
		return qerr_set(err, -ESRCH, "the guest has gone");
	if (job->kind != VIRT_JOB_PIN && virt_process_frozen(record->guest))
		return qerr_set(err, -EAGAIN, "guest:%s: it is frozen and could not answer",
				record->guest->name);
	virt_calling(v);
	dom = virDomainLookupByUUIDString(v->conn, record->uuid);
	if (!dom)
		return virt_failed(v, err, "guest:%s: not found", record->guest->name);
	if ((int)virDomainGetID(dom) != record->domain_id)
		r = qerr_set(err, -ESRCH, "guest:%s: it has stopped", record->guest->name);
	else
		r = act(v, dom, record->guest->name, job, err);
	if (r < 0 && r != -ESRCH && stopped_meanwhile(v, dom))
		r = qerr_set(err, -ESRCH, "guest:%s: it has stopped", record->guest->name);
	virDomainFree(dom);
	return r;
}

int virt_pin_run(struct virt *v, const struct virt_job *job, struct qerr *err)
{
	return virt_with_domain(v, job, pin_domain, err);
}
