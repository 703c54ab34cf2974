/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * `stat GUEST`: the work that a guest did, as JSON. vCPU time and waiting time come from the
 * threads that the emulator names "CPU n/...", memory and disk work from the work page in the
 * guest's RAM (t/lab/guest/page.h), bytes from the interfaces in the guest's namespace.
 */
#include "t/lab/netio/netio.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "t/lab/guest/page.h"

struct threads {
	int vcpus;
	double cpu_s[LAB_MAX_CPUS], wait_s[LAB_MAX_CPUS];
};

static pid_t find_pid(const char *guest)
{
	char path[300];
	FILE *f;
	int pid;

	snprintf(path, sizeof(path), "/run/libvirt/qemu/%s.pid", guest);
	f = fopen(path, "re");
	if (!f || fscanf(f, "%d", &pid) != 1)
		fail("The guest %s is not running.", guest);
	fclose(f);
	return pid;
}

/* Returns the thread's vCPU number, or -1. */
static int vcpu_of_thread(pid_t pid, const char *tid)
{
	char path[300], name[32] = "";
	int vcpu;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%s/comm", pid, tid);
	f = fopen(path, "re");
	if (!f)
		return -1;
	if (!fgets(name, sizeof(name), f) || sscanf(name, "CPU %d/", &vcpu) != 1)
		vcpu = -1;
	fclose(f);
	return vcpu < LAB_MAX_CPUS ? vcpu : -1;
}

static void read_schedstat(pid_t pid, const char *tid, double *cpu_s, double *wait_s)
{
	uint64_t run_ns, wait_ns;
	char path[300];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%s/schedstat", pid, tid);
	f = fopen(path, "re");
	if (!f)
		return;
	if (fscanf(f, "%" SCNu64 " %" SCNu64, &run_ns, &wait_ns) == 2) {
		*cpu_s = (double)run_ns / 1e9;
		*wait_s = (double)wait_ns / 1e9;
	}
	fclose(f);
}

static void read_threads(pid_t pid, struct threads *t)
{
	struct dirent *entry;
	char path[64];
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	if (!dir)
		fail("The guest's process %d has gone.", pid);
	while ((entry = readdir(dir))) {
		int vcpu = vcpu_of_thread(pid, entry->d_name);

		if (vcpu < 0)
			continue;
		read_schedstat(pid, entry->d_name, &t->cpu_s[vcpu], &t->wait_s[vcpu]);
		if (vcpu >= t->vcpus)
			t->vcpus = vcpu + 1;
	}
	closedir(dir);
}

static bool read_page_at(pid_t pid, uint64_t start, struct lab_page *page)
{
	struct iovec here = { page, sizeof(*page) };
	struct iovec there = { (void *)(uintptr_t)(start + LAB_PAGE_ADDRESS), sizeof(*page) };

	return process_vm_readv(pid, &here, 1, &there, 1, 0) == (ssize_t)sizeof(*page) &&
	       page->magic == LAB_PAGE_MAGIC && page->version == LAB_PAGE_VERSION;
}

/* Guest RAM is a mapping of its own; the work page is at a fixed place in it. */
static void read_page(pid_t pid, struct lab_page *page)
{
	char path[64], line[512], rights[8];
	uint64_t start, end;
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	f = fopen(path, "re");
	if (!f)
		fail("Cannot read the memory map of the guest's process %d: %s.", pid,
		     strerror(errno));
	while (!found && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s", &start, &end, rights) != 3)
			continue;
		if (!strncmp(rights, "rw", 2) && end - start >= 2 * 1024 * 1024)
			found = read_page_at(pid, start, page);
	}
	fclose(f);
	if (!found)
		fail("Process %d is no lab guest, or it has not begun to run.", pid);
}

static uint64_t status_kib(pid_t pid, const char *key)
{
	char path[64], line[200];
	uint64_t kib = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, key, strlen(key)))
			kib = strtoull(line + strlen(key), NULL, 10);
	if (f)
		fclose(f);
	return kib;
}

static void read_bytes(const char *netns, uint64_t *rx, uint64_t *tx)
{
	char line[400];
	FILE *f;

	ns_enter(netns);
	f = fopen("/proc/thread-self/net/dev", "re");
	while (f && fgets(line, sizeof(line), f)) {
		uint64_t in, out;

		if (sscanf(line, " eth%*u: %" SCNu64 " %*u %*u %*u %*u %*u %*u %*u %" SCNu64, &in,
			   &out) != 2)
			continue;
		*rx += in;
		*tx += out;
	}
	if (f)
		fclose(f);
}

/* Latency as a list of [microseconds, how many]. */
static void print_latency(const char *name, const lab_count *counts, lab_count ticks_per_ms)
{
	const char *comma = "";
	unsigned int i;

	printf(", \"%s\": [", name);
	for (i = 0; ticks_per_ms && i < LAB_LATENCY_BUCKETS; i++) {
		if (!counts[i])
			continue;
		printf("%s [%.0f, %llu]", comma, lab_latency_ticks(i) * 1000 / (double)ticks_per_ms,
		       counts[i]);
		comma = ",";
	}
	printf(" ]");
}

static void print(const char *guest, pid_t pid, const struct threads *t,
		  const struct lab_page *page, uint64_t rx, uint64_t tx)
{
	static const char *const loads[LAB_LOADS] = {
		"idle", "cpu", "net", "memory", "disk", "service", "disk-read", "disk-write"
	};
	double cpu_s = 0, wait_s = 0;
	uint64_t pages = 0, spins = 0;
	int i;

	for (i = 0; i < t->vcpus; i++) {
		cpu_s += t->cpu_s[i];
		wait_s += t->wait_s[i];
		pages += page->work[i].pages;
		spins += page->work[i].spins;
	}
	printf("{ \"name\": \"%s\", \"pid\": %d, \"load\": \"%s\", \"vcpus\": %d,"
	       " \"cpu_seconds\": %.6f, \"wait_seconds\": %.6f, \"rx_bytes\": %" PRIu64
	       ", \"tx_bytes\": %" PRIu64 ", \"touched_bytes\": %" PRIu64,
	       guest, pid, page->load < LAB_LOADS ? loads[page->load] : "?", t->vcpus, cpu_s,
	       wait_s, rx, tx, pages * LAB_TOUCH_BYTES);
	printf(", \"spins\": %" PRIu64 ", \"disk_read_bytes\": %llu, \"disk_write_bytes\": %llu"
	       ", \"packets_in\": %llu, \"packets_out\": %llu, \"fault\": %u",
	       spins, page->disk_reads * LAB_DISK_BYTES, page->disk_writes * LAB_DISK_BYTES,
	       page->packets_in, page->packets_out, page->fault);
	printf(", \"requests\": %llu, \"skipped_requests\": %llu", page->service.requests,
	       page->service.skipped);
	print_latency("latency_us", page->service.latency, page->service.ticks_per_ms);
	print_latency("disk_latency_us", page->disk_latency, page->service.ticks_per_ms);
	printf(", \"resident_bytes\": %" PRIu64 ", \"swapped_bytes\": %" PRIu64,
	       status_kib(pid, "VmRSS:") * 1024, status_kib(pid, "VmSwap:") * 1024);
	for (i = 0; i < t->vcpus; i++)
		printf("%s%.6f", i ? ", " : ", \"vcpu_cpu_seconds\": [ ", t->cpu_s[i]);
	for (i = 0; i < t->vcpus; i++)
		printf("%s%.6f", i ? ", " : " ], \"vcpu_wait_seconds\": [ ", t->wait_s[i]);
	puts(t->vcpus ? " ] }" : " }");
}

int verb_stat(int argc, char **argv)
{
	static struct threads threads;
	static struct lab_page page;
	uint64_t rx = 0, tx = 0;
	pid_t pid;

	if (argc < 2)
		fail("stat needs a guest.");
	pid = find_pid(argv[1]);
	read_threads(pid, &threads);
	read_page(pid, &page);
	if (argc > 2)
		read_bytes(argv[2], &rx, &tx);
	print(argv[1], pid, &threads, &page, rx, tx);
	return 0;
}
