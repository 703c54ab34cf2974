/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * `blast`: frames from many guests at once, written to their taps (PREFIX0, PREFIX1, ..., made
 * before) as an emulator does, one of each in turn. Prints how many, how fast, and the time that
 * all CPUs were busy for each: with the lab's virtual clock that is the number of instructions.
 */
#include "t/lab/netio/netio.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define MAX_NICS    4096
#define MAX_THREADS 64
#define MAX_BYTES   1514
#define BURST       8

struct blast {
	const char *taps;
	long nics, threads, bytes, ms, packets_a_second; /* 0: as fast as possible */
	int fd[MAX_NICS];
};

struct gun { /* one thread: every threads-th NIC, from `first` on */
	const struct blast *blast;
	long first;
	uint64_t sent;
	pthread_t thread;
};

static int open_tap(const char *prefix, long i)
{
	struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);

	if (snprintf(request.ifr_name, sizeof(request.ifr_name), "%s%ld", prefix, i) >=
	    (int)sizeof(request.ifr_name))
		fail("--taps is too long.");
	if (fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0)
		fail("Cannot open the tap %s: %s.", request.ifr_name, strerror(errno));
	return fd;
}

/* An IPv4 UDP frame for nobody here; each NIC has an address of its own. */
static void make_frame(unsigned char *frame, const struct blast *b, long nic)
{
	static const unsigned char head[] = { 2, 0, 0, 9, 9, 9, 2, 0, 0, 0, 0, 1, 8, 0, 0x45 };
	long ip_bytes = b->bytes - 14, udp_bytes = ip_bytes - 20;
	unsigned int sum = 0;

	memset(frame, 0, (size_t)b->bytes);
	memcpy(frame, head, sizeof(head));
	frame[10] = frame[28] = (unsigned char)(nic >> 8);
	frame[11] = frame[29] = (unsigned char)nic;
	frame[16] = (unsigned char)(ip_bytes >> 8);
	frame[17] = (unsigned char)ip_bytes;
	frame[22] = 64;
	frame[23] = IPPROTO_UDP;
	frame[26] = frame[30] = 10;
	frame[34] = frame[36] = 9;
	frame[38] = (unsigned char)(udp_bytes >> 8);
	frame[39] = (unsigned char)udp_bytes;
	for (int i = 14; i < 34; i += 2)
		sum += (unsigned int)frame[i] << 8 | frame[i + 1];
	sum = ~((sum >> 16) + (sum & 0xffff));
	frame[24] = (unsigned char)(sum >> 8);
	frame[25] = (unsigned char)sum;
}

static void stay_on_cpu(long i)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((int)(i % sysconf(_SC_NPROCESSORS_ONLN)), &set);
	sched_setaffinity(0, sizeof(set), &set);
}

/* Sleeps until the packets sent so far are due. */
static void keep_pace(const struct gun *g, double began)
{
	double rate = (double)g->blast->packets_a_second / (double)g->blast->threads;
	double wait = began + (double)g->sent / rate - now_s();
	struct timespec t = { 0, (long)(wait * 1e9) };

	if (wait > 0)
		nanosleep(&t, NULL);
}

static void *fire(void *arg)
{
	struct gun *g = arg;
	const struct blast *b = g->blast;
	unsigned char frame[MAX_BYTES];
	double began = now_s(), end = began + (double)b->ms / 1e3;
	long nic = g->first;

	stay_on_cpu(g->first);
	while (now_s() < end) {
		for (int i = 0; i < BURST; i++, nic += b->threads) {
			if (nic >= b->nics)
				nic = g->first;
			make_frame(frame, b, nic);
			if (write(b->fd[nic], frame, (size_t)b->bytes) != b->bytes)
				fail("Cannot send from %s%ld: %s.", b->taps, nic, strerror(errno));
			g->sent++;
		}
		if (b->packets_a_second)
			keep_pace(g, began);
	}
	return NULL;
}

/* Of all CPUs. /proc/stat has the same, but in hundredths of a second. */
static double idle_s(void)
{
	unsigned long long ns, sum = 0;
	char line[200];
	FILE *f = fopen("/proc/timer_list", "re");

	if (!f)
		fail("Cannot read /proc/timer_list: %s.", strerror(errno));
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, " .idle_sleeptime : %llu nsecs", &ns) == 1)
			sum += ns;
	fclose(f);
	return (double)sum / 1e9;
}

static double own_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void parse(int argc, char **argv, struct blast *b)
{
	static const struct option options[] = {
		{ "taps", 1, 0, 'd' },  { "nics", 1, 0, 'n' }, { "threads", 1, 0, 't' },
		{ "bytes", 1, 0, 'b' }, { "ms", 1, 0, 's' },   { "pps", 1, 0, 'p' },
		{ 0, 0, 0, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
		switch (c) {
		case 'd':
			b->taps = optarg;
			break;
		case 'n':
			b->nics = number_arg("--nics", optarg, 1, MAX_NICS);
			break;
		case 't':
			b->threads = number_arg("--threads", optarg, 1, MAX_THREADS);
			break;
		case 'b':
			b->bytes = number_arg("--bytes", optarg, 60, MAX_BYTES);
			break;
		case 's':
			b->ms = number_arg("--ms", optarg, 1, 600000);
			break;
		case 'p':
			b->packets_a_second = number_arg("--pps", optarg, 1, 10000000);
			break;
		default:
			exit(2);
		}
	if (!b->taps || b->threads > b->nics)
		fail("blast needs --taps, and at least one NIC for each thread.");
}

int verb_blast(int argc, char **argv)
{
	static struct blast b = { .nics = 1, .threads = 1, .bytes = 1000, .ms = 1000 };
	struct gun guns[MAX_THREADS];
	double began, idle, own, took;
	uint64_t sent = 0;
	long i;

	parse(argc, argv, &b);
	for (i = 0; i < b.nics; i++)
		b.fd[i] = open_tap(b.taps, i);
	began = now_s();
	idle = idle_s();
	own = own_s();
	for (i = 0; i < b.threads; i++) {
		guns[i] = (struct gun){ .blast = &b, .first = i };
		if (pthread_create(&guns[i].thread, NULL, fire, &guns[i]))
			fail("Cannot start a thread.");
	}
	for (i = 0; i < b.threads; i++) {
		pthread_join(guns[i].thread, NULL);
		sent += guns[i].sent;
	}
	took = now_s() - began;
	idle = idle_s() - idle;
	own = own_s() - own;
	printf("packets %llu kpps %.1f busy_ns %.0f own_ns %.0f\n", (unsigned long long)sent,
	       (double)sent / took / 1e3,
	       (took * (double)sysconf(_SC_NPROCESSORS_ONLN) - idle) * 1e9 / (double)sent,
	       own * 1e9 / (double)sent);
	return 0;
}
