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
#include <sys/mman.h>
#include <sys/stat.h>

#include "qosd/core/policy.h"
#include "qosd/daemon/engine.h"
#include "qosd/daemon/record.h"
#include "qosd/host/conf.h"
#include "qosd/host/topology.h"

#define FINDING_TEXT_MAX  512
#define DEFAULT_STATE_DIR QOSD_LOCALSTATEDIR "/lib/qosd"
#define RUN_DIR           "/run/qosd"

enum option_id { OPT_SOCKET = 256, OPT_STATE_DIR, OPT_LIBVIRT, OPT_RECORD, OPT_REPLAY };

struct command {
	bool check;
	const char *replay_path; /* NULL: run as the daemon */
};

static const struct option long_options[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "observe", no_argument, NULL, 'o' },
	{ "check", no_argument, NULL, 'n' },
	{ "socket", required_argument, NULL, OPT_SOCKET },
	{ "state-dir", required_argument, NULL, OPT_STATE_DIR },
	{ "libvirt-uri", required_argument, NULL, OPT_LIBVIRT },
	{ "record", required_argument, NULL, OPT_RECORD },
	{ "replay", required_argument, NULL, OPT_REPLAY },
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
	      "  -n, --check             check the policy against this host and exit (5: errors)\n"
	      "      --socket PATH       control socket (/run/qosd/control.sock)\n"
	      "      --state-dir DIR     baselines and policy generations (" QOSD_LOCALSTATEDIR
	      "/lib/qosd)\n"
	      "      --libvirt-uri URI   libvirt to manage (qemu:///system)\n"
	      "      --record FILE       what overload protection sees goes to FILE, too\n"
	      "      --replay FILE       print what the policy decides of a record, and exit\n"
	      "  -v, --verbose           tell every change\n"
	      "  -V, --version           print the version\n"
	      "  -h, --help              this text\n",
	      out);
}

/* Exit status 0 (warnings at the most), or 5. */
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

static const char *policy_path(const struct engine_options *o)
{
	return o->config_path ? o->config_path : QOSD_SYSCONFDIR "/qosd/qosd.conf";
}

/* Exit status 0, 1 (cannot replay), or 5 (findings on the policy). Records come from any host, so
 * the policy is not checked against this one. */
static int replay_record(const struct engine_options *o, const char *path)
{
	struct diag_list findings = { 0 };
	struct policy *p = conf_load(policy_path(o), NULL, &findings);
	struct qerr err = { 0 };
	char text[FINDING_TEXT_MAX];
	int r = 0;

	for (size_t i = 0; !p && i < findings.count; i++)
		fprintf(stderr, "%s\n", diag_format(&findings.items[i], text, sizeof(text)));
	if (p)
		r = replay(path, p, o->verbose, stdout, &err);
	if (r < 0)
		fprintf(stderr, "qosd: %s\n", err.text);
	if (fflush(stdout) != 0)
		r = -errno;
	diag_clear(&findings);
	if (!p)
		return 5;
	policy_free(p);
	return r < 0 ? 1 : 0;
}

/* 0 go on, 1 done (*status is set). */
static int parse_options(int argc, char **argv, struct engine_options *o, struct command *command,
			 int *status)
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
			command->check = true;
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
		case OPT_RECORD:
			o->record_path = optarg;
			break;
		case OPT_REPLAY:
			command->replay_path = optarg;
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

/*
 * What lasts until the host boots: beside the default socket, in the directory that systemd makes
 * from RuntimeDirectory=. A daemon with a state directory of its own keeps it there.
 */
static void make_run_directory(struct engine_options *o)
{
	bool own_state = strcmp(o->state_dir, DEFAULT_STATE_DIR) != 0;

	if (!o->socket_path || !own_state)
		(void)mkdir(RUN_DIR, 0755);
	o->run_dir = own_state ? NULL : RUN_DIR;
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
	struct engine_options options = { .state_dir = DEFAULT_STATE_DIR };
	struct engine *e = NULL;
	struct qerr err = { 0 };
	struct command command = { 0 };
	int status;

	if (parse_options(argc, argv, &options, &command, &status))
		return status;
	if (command.check)
		return check_policy(policy_path(&options));
	if (command.replay_path)
		return replay_record(&options, command.replay_path);
	signal(SIGPIPE, SIG_IGN);
	keep_memory();
	make_run_directory(&options);
	if (engine_new(&options, &e, &err) < 0) {
		fprintf(stderr, "qosd: %s\n", err.text);
		return 1;
	}
	/*
	 * Seen in a memory storm without swap: with its own code dropped from memory again and
	 * again, the daemon did not answer for half a minute. What it has used once stays; it goes
	 * on without.
	 */
	(void)mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
	status = engine_run(e);
	engine_free(e);
	return status;
}
