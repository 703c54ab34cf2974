/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * main - qosd's command line. Everything else is in the engine.
 */
#include <errno.h>
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "qosd/core/policy.h"
#include "qosd/daemon/engine.h"
#include "qosd/host/conf.h"
#include "qosd/host/topology.h"

#define FINDING_TEXT_MAX 512

enum option_id { OPT_SOCKET = 256, OPT_STATE_DIR, OPT_LIBVIRT };

static const struct option long_options[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "observe", no_argument, NULL, 'o' },
	{ "check", no_argument, NULL, 'n' },
	{ "socket", required_argument, NULL, OPT_SOCKET },
	{ "state-dir", required_argument, NULL, OPT_STATE_DIR },
	{ "libvirt-uri", required_argument, NULL, OPT_LIBVIRT },
	{ "verbose", no_argument, NULL, 'v' },
	{ "version", no_argument, NULL, 'V' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static void usage(FILE *out)
{
	fputs("Usage: qosd [OPTION]...\n"
	      "Keeps the service classes of this KVM host's guests. Runs in the foreground; talk to it\n"
	      "with qosctl.\n\n"
	      "  -c, --config FILE       the policy (" QOSD_SYSCONFDIR "/qosd/qosd.conf)\n"
	      "  -o, --observe           never write, whatever the policy says\n"
	      "  -n, --check             check the policy against this host and exit (5: findings)\n"
	      "      --socket PATH       control socket (/run/qosd/control.sock)\n"
	      "      --state-dir DIR     baselines and policy generations (" QOSD_LOCALSTATEDIR
	      "/lib/qosd)\n"
	      "      --libvirt-uri URI   libvirt to manage (qemu:///system)\n"
	      "  -v, --verbose           tell every change\n"
	      "  -V, --version           print the version\n"
	      "  -h, --help              this text\n",
	      out);
}

/* Exit status 0, 1 (cannot check), or 5 (findings), as qosctl check. */
static int check_policy(const char *path)
{
	struct diag_list findings = { 0 };
	struct qerr err = { 0 };
	struct host *host = NULL;
	struct policy *p;
	char text[FINDING_TEXT_MAX];
	int status;

	if (topology_read(NULL, &host, &err) < 0)
		fprintf(stderr, "qosd: %s; checked without this host\n", err.text);
	p = conf_load(path, host, &findings);
	for (size_t i = 0; i < findings.count; i++)
		fprintf(stderr, "%s\n", diag_format(&findings.items[i], text, sizeof(text)));
	status = p ? 0 : 5;
	policy_free(p);
	host_free(host);
	diag_clear(&findings);
	return status;
}

/* 0 go on, 1 done (*status is set). */
static int parse_options(int argc, char **argv, struct engine_options *o, bool *check, int *status)
{
	int c;

	while ((c = getopt_long(argc, argv, "c:onvVh", long_options, NULL)) != -1) {
		switch (c) {
		case 'c':
			o->config_path = optarg;
			break;
		case 'o':
			o->observe = true;
			break;
		case 'n':
			*check = true;
			break;
		case OPT_SOCKET:
			o->socket_path = optarg;
			break;
		case OPT_STATE_DIR:
			o->state_dir = optarg;
			break;
		case OPT_LIBVIRT:
			o->libvirt_uri = optarg;
			break;
		case 'v':
			o->verbose = true;
			break;
		case 'V':
			puts("qosd " PACKAGE_VERSION);
			*status = 0;
			return 1;
		case 'h':
			usage(stdout);
			*status = 0;
			return 1;
		default:
			usage(stderr);
			*status = 2;
			return 1;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "qosd: unexpected argument \"%s\"; see qosd --help\n",
			argv[optind]);
		*status = 2;
		return 1;
	}
	return 0;
}

/* The directory of the default socket; systemd makes it from RuntimeDirectory=. */
static void make_run_directory(const struct engine_options *o)
{
	if (!o->socket_path)
		(void)mkdir("/run/qosd", 0755);
}

/*
 * Each turn makes and drops a plan of the same size: memory given back to the kernel in between
 * would only be faulted in again (about half the time of a turn for 1000 guests).
 */
static void keep_memory(void)
{
	(void)mallopt(M_MMAP_THRESHOLD, 64 << 20);
	(void)mallopt(M_TRIM_THRESHOLD, 64 << 20);
}

int main(int argc, char **argv)
{
	struct engine_options options = { .state_dir = QOSD_LOCALSTATEDIR "/lib/qosd" };
	struct engine *e = NULL;
	struct qerr err = { 0 };
	bool check = false;
	int status;

	if (parse_options(argc, argv, &options, &check, &status))
		return status;
	if (check)
		return check_policy(options.config_path ? options.config_path
							: QOSD_SYSCONFDIR "/qosd/qosd.conf");
	signal(SIGPIPE, SIG_IGN);
	keep_memory();
	make_run_directory(&options);
	if (engine_new(&options, &e, &err) < 0) {
		fprintf(stderr, "qosd: %s\n", err.text);
		return 1;
	}
	status = engine_run(e);
	engine_free(e);
	return status;
}
