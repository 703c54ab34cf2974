/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_ceph_conf - any file: refused with a line and a sentence, or read; look-ups stay inside.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "qosd/core/rbd.h"
#include "qosd/host/ceph_conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ceph_conf *c = NULL;
	struct qerr err = { 0 };
	unsigned int line = 0;
	uint64_t value;

	if (ceph_conf_parse((const char *)data, size, &c, &line, &err) < 0) {
		if (c || !line || !err.text[0])
			abort();
		return 0;
	}
	for (int k = 0; k < RBD_KEYS; k++) {
		const char *text = ceph_conf_get(c, "client.libvirt", rbd_keys[k].name);

		if (text && strlen(text) > size)
			abort();
		if (text)
			(void)rbd_parse((enum rbd_key)k, text, &value);
	}
	ceph_conf_free(c);
	return 0;
}
