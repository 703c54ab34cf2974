/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_domain_xml - any bytes as a domain XML, and as the metadata element that is edited.
 *
 * What was accepted must keep the promises of guest.h. Built with -fsanitize=fuzzer and
 * -DFUZZ_ENGINE it is a fuzzer; without, it runs the files named on the command line.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qosd/core/guest.h"
#include "qosd/core/mem.h"
#include "qosd/host/virt_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(int holds)
{
	if (!holds)
		abort();
}

static void check_guest(const struct guest *g)
{
	demand(g->name && g->name[0] && strlen(g->name) < GUEST_NAME_MAX);
	demand(strlen(g->uuid) == GUEST_UUID_MAX - 1);
	demand(g->vcpus > 0);
	demand(g->noverrides <= 32);
	for (size_t i = 0; i < g->nnics; i++)
		demand(!strchr(g->nics[i].device, '/') &&
		       memchr(g->nics[i].device, '\0', GUEST_DEVICE_MAX));
	for (size_t i = 0; i < g->ndisks; i++)
		demand(memchr(g->disks[i].source, '\0', sizeof(g->disks[i].source)) != NULL);
}

static void edit(const uint8_t *data, size_t size)
{
	char *text CLEANUP_FREE = strndup((const char *)data, size);
	char *edited = NULL;

	if (text && virt_metadata_edit(text, "gold", &edited) == 0)
		demand(edited != NULL);
	free(edited);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct guest *g = NULL;
	struct qerr err = { 0 };
	int r = virt_parse_domain_xml((const char *)data, size, &g, &err);

	demand(r == 0 ? g != NULL : r == err.code && err.text[0]);
	if (r == 0)
		check_guest(g);
	guest_unref(g);
	edit(data, size);
	return 0;
}
