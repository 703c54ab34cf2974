/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The stand-in's command line: of what libvirt gives QEMU it takes -smp, -m, -chardev (monitor and
 * serial port), -netdev, -blockdev, and leaves the rest. libvirt also runs the emulator to learn
 * what it can do; then the real QEMU takes over, so that the two look alike.
 */
#include "t/lab/light/light.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define REAL_QEMU "/usr/bin/qemu-system-x86_64"

void fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("lab-light: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	exit(1);
}

static bool is_probe(int argc, char **argv)
{
	int i;

	for (i = 1; i < argc; i++)
		if (!strcmp(argv[i], "-version") || !strcmp(argv[i], "-help") ||
		    !strcmp(argv[i], "-daemonize") || !strncmp(argv[i], "none,", 5))
			return true;
	return false;
}

/*
 * Copies the value of KEY out of "...,key=value,..." or JSON text "key":"value". Returns false when
 * there is none.
 */
static bool find_value(const char *text, const char *key, char *value, size_t size)
{
	char plain[40], quoted[40];
	const char *at, *end;

	snprintf(plain, sizeof(plain), "%s=", key);
	snprintf(quoted, sizeof(quoted), "\"%s\":\"", key);
	at = strstr(text, quoted);
	if (at) {
		at += strlen(quoted);
		end = strchr(at, '"');
	} else {
		for (at = strstr(text, plain); at && at != text && at[-1] != ',';)
			at = strstr(at + 1, plain);
		if (!at)
			return false;
		at += strlen(plain);
		end = strchr(at, ',');
	}
	if (!end)
		end = at + strlen(at);
	snprintf(value, size, "%.*s", (int)(end - at), at);
	return true;
}

static void take_vcpus(struct light_options *o, const char *text)
{
	o->vcpus = atoi(text);
	if (o->vcpus < 1 || o->vcpus > LAB_MAX_CPUS)
		fail("-smp %s: 1 to %d vCPUs are possible.", text, LAB_MAX_CPUS);
}

static void take_memory(struct light_options *o, const char *text)
{
	char size[40];
	char *unit;

	if (!find_value(text, "size", size, sizeof(size)))
		snprintf(size, sizeof(size), "%s", text);
	o->ram_bytes = strtoull(size, &unit, 10);
	o->ram_bytes <<= *unit == 'k' ? 10 : 20;
	if (o->ram_bytes < 8u << 20)
		fail("-m %s: a guest needs 8 MiB at least.", text);
}

static void take_chardev(struct light_options *o, const char *text)
{
	char id[40], fd[20];

	if (!find_value(text, "id", id, sizeof(id)) || !find_value(text, "fd", fd, sizeof(fd)))
		return;
	if (!strcmp(id, "charmonitor"))
		o->monitor_fd = atoi(fd);
	else if (!strcmp(id, "charserial0"))
		o->serial_fd = atoi(fd);
}

static void take_netdev(struct light_options *o, const char *text)
{
	char fd[20];

	if (find_value(text, "fd", fd, sizeof(fd)) && o->outer_nics < LIGHT_MAX_NICS)
		o->outer_fd[o->outer_nics++] = atoi(fd);
	else if (o->inner_nics < LIGHT_MAX_NICS &&
		 find_value(text, "ifname", o->inner_tap[o->inner_nics], sizeof(o->inner_tap[0])))
		o->inner_nics++;
}

static void take_blockdev(struct light_options *o, const char *text)
{
	find_value(text, "filename", o->disk, sizeof(o->disk));
}

static void parse(int argc, char **argv, struct light_options *o)
{
	static const struct {
		const char *name;
		void (*take)(struct light_options *o, const char *text);
	} options[] = {
		{ "-smp", take_vcpus },         { "-m", take_memory },
		{ "-chardev", take_chardev },   { "-netdev", take_netdev },
		{ "-blockdev", take_blockdev },
	};
	size_t k;
	int i;

	for (i = 1; i + 1 < argc; i++)
		for (k = 0; k < sizeof(options) / sizeof(options[0]); k++)
			if (!strcmp(argv[i], options[k].name))
				options[k].take(o, argv[i + 1]);
	if (o->monitor_fd < 0 || !o->ram_bytes)
		fail("The command line has no monitor socket or no memory size.");
}

static void map_ram(struct light *light)
{
	light->ram = mmap(NULL, light->options.ram_bytes, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (light->ram == MAP_FAILED)
		fail("Cannot map %zu bytes of guest RAM: %s.", light->options.ram_bytes,
		     strerror(errno));
	/* Not in core dumps; this also keeps the mapping apart from its neighbours. */
	madvise(light->ram, light->options.ram_bytes, MADV_DONTDUMP);
	light->page = (struct lab_page *)(void *)(light->ram + LAB_PAGE_ADDRESS);
	light->page->ram_kib = (unsigned int)(light->options.ram_bytes >> 10);
	light->page->version = LAB_PAGE_VERSION;
	light->page->magic = LAB_PAGE_MAGIC;
}

int main(int argc, char **argv)
{
	static struct light light = { .options = {
					      .vcpus = 1, .monitor_fd = -1, .serial_fd = -1 } };

	if (is_probe(argc, argv)) {
		execv(REAL_QEMU, argv);
		fail("Cannot run %s: %s.", REAL_QEMU, strerror(errno));
	}
	signal(SIGPIPE, SIG_IGN);
	parse(argc, argv, &light.options);
	map_ram(&light);
	vcpus_start(&light);
	nics_start(&light);
	serial_start(&light);
	qmp_serve(&light);
}
