/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The table of verbs. */
#include "t/lab/netio/netio.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

static const struct verb {
	const char *name, *usage;
	int (*run)(int argc, char **argv);
} verbs[] = {
	{ "rate",
	  "--from NETNS --to NETNS --address IP [--udp] [--offered BPS] [--flows N]"
	  " [--seconds S] [--warm-up-ms MS] [--json]",
	  verb_rate },
	{ "series", "NETNS NETNS IP FLOWS INTERVAL-MS COUNT [UDP-BPS]", verb_series },
	{ "stream", "NETNS IP NETNS IP", verb_stream },
	{ "blast", "--taps PREFIX [--nics N] [--threads N] [--bytes N] [--ms N] [--pps N]",
	  verb_blast },
	{ "ping", "--from NETNS --address IP [--count N] [--json]", verb_ping },
	{ "say", "SOCKET LINE [SECONDS]", verb_say },
	{ "stat", "GUEST [NETNS]", verb_stat },
	{ "inside", "GUEST TAPS", verb_inside },
	{ "connect", "GUEST [TAP ADDRESS MAC GATEWAY]...", verb_connect },
};

int main(int argc, char **argv)
{
	size_t i;

	signal(SIGPIPE, SIG_IGN);
	for (i = 0; argc > 1 && i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (!strcmp(argv[1], verbs[i].name))
			return verbs[i].run(argc - 1, argv + 1);
	for (i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		fprintf(stderr, "usage: lab-netio %s %s\n", verbs[i].name, verbs[i].usage);
	return 2;
}
