/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which sources feed overload protection, and why not the better ones.
 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "qosd/core/mem.h"
#include "qosd/host/sensor_priv.h"

#define TOPIC "sensor"

static void note(struct diag_list *list, enum diag_severity severity, const char *text,
		 const char *fix)
{
	diag_add(list, severity, NULL, 0, TOPIC, fix, "%s", text);
}

/* Without CONFIG_SCHED_INFO the file is not there, or all is zero. */
static bool kernel_counts_waits(const struct sensor *s)
{
	char text[96];
	int fd = openat(s->proc_fd, "self/schedstat", O_RDONLY | O_CLOEXEC);
	int r = fd < 0 ? -1 : sensor_read_fd(fd, text, sizeof(text));

	if (fd >= 0)
		close(fd);
	return r > 0 && strncmp(text, "0 0 0", 5) != 0;
}

static void probe_threads(const struct sensor *s, struct diag_list *list)
{
	if (!kernel_counts_waits(s))
		note(list, DIAG_WARNING,
		     "the kernel does not count how long threads wait for a CPU, so that a guest that "
		     "is short of CPU cannot be seen",
		     "a kernel with CONFIG_SCHED_INFO");
	if (s->iterate)
		note(list, DIAG_INFO, "vCPU times: one BPF read for all guests", NULL);
	else if (!s->vcpu_why[0])
		note(list, DIAG_INFO,
		     "vCPU times: each thread's schedstat, the cheaper way with few vCPUs", NULL);
	else
		diag_add(list, DIAG_INFO, NULL, 0, TOPIC,
			 s->config.readonly || s->config.no_bpf
				 ? NULL
				 : "root, or CAP_BPF and CAP_PERFMON, and a kernel with "
				   "CONFIG_DEBUG_INFO_BTF",
			 "vCPU times: each thread's schedstat, which costs more with many guests; "
			 "not by BPF: %s",
			 s->vcpu_why);
}

static void probe_pressure(const struct sensor *s, struct diag_list *list)
{
	static const enum resource measured[] = { RESOURCE_CPU, RESOURCE_MEMORY, RESOURCE_DISK };

	for (size_t i = 0; i < ARRAY_SIZE(measured); i++) {
		enum resource r = measured[i];

		if (s->host.psi_fd[r] < 0)
			diag_add(list, DIAG_WARNING, NULL, 0, TOPIC,
				 "boot with psi=1, with a kernel that has CONFIG_PSI",
				 "the kernel does not tell of the host's pressure on %s",
				 resource_names[r]);
		else if (s->host.trigger_error[r])
			diag_add(list, DIAG_INFO, NULL, 0, TOPIC, "run as root (CAP_SYS_RESOURCE)",
				 "no trigger wakes qosd when the host runs short of %s (%s): the "
				 "next tick, up to 1 s later, notices it",
				 resource_names[r], strerror(-s->host.trigger_error[r]));
	}
}

/* Is it the same for all guests, it is the host's doing. */
static void probe_groups(const struct sensor *s, struct diag_list *list)
{
	size_t unknown = 0, read = 0;

	for (size_t i = 0; i < s->nslots; i++) {
		read += s->slots[i].kept.id != 0;
		unknown +=
			s->slots[i].kept.id && s->slots[i].kept.memory_stall_us == SAMPLE_UNKNOWN;
	}
	if (read && unknown == read)
		note(list, DIAG_WARNING,
		     "the kernel does not tell which guests stall for memory or disks: that pressure "
		     "is known for the whole host only",
		     "cgroup v2 (systemd.unified_cgroup_hierarchy=1) and psi=1");
}

void sensor_probe(const struct sensor *s, struct diag_list *findings)
{
	probe_threads(s, findings);
	probe_pressure(s, findings);
	probe_groups(s, findings);
	if (s->link.dev_fd < 0)
		note(findings, DIAG_WARNING,
		     "/proc/net/dev cannot be read: use of networks is not known", "mount /proc");
}
