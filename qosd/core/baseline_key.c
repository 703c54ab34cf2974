/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * baseline_key - targets to texts and back.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "qosd/core/baseline_private.h"

#define UUID_LEN (GUEST_UUID_MAX - 1)

static bool uuid_valid(const char *uuid, size_t len)
{
	if (len != UUID_LEN)
		return false;
	for (size_t i = 0; i < len; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;
		char c = uuid[i];

		if (dash ? c != '-' : !((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
			return false;
	}
	return true;
}

static bool device_valid(const char *device)
{
	if (!device[0] || strlen(device) >= GUEST_DEVICE_MAX)
		return false;
	for (; *device; device++)
		if ((unsigned char)*device <= ' ' || *device == '/' || *device == '#' ||
		    *device == 0x7f)
			return false;
	return true;
}

static bool path_valid(const char *path)
{
	return path[0] == '/' && path[1] && strlen(path) < BASELINE_KEY_MAX;
}

static int nic_identity(const struct guest *g, uint32_t index, struct identity *ret)
{
	const struct guest_nic *nic;

	if (index >= g->nnics)
		return -EINVAL;
	nic = &g->nics[index];
	if (nic->vf && device_valid(nic->pci)) { /* ifindex 0 */
		memcpy(ret->device, nic->pci, sizeof(ret->device));
		return 0;
	}
	if (!device_valid(nic->device) || !nic->ifindex)
		return -EINVAL;
	memcpy(ret->device, nic->device, sizeof(ret->device));
	ret->ifindex = nic->ifindex;
	return 0;
}

static int disk_identity(const struct guest *g, uint32_t index, struct identity *ret)
{
	if (index >= g->ndisks || !device_valid(g->disks[index].target))
		return -EINVAL;
	memcpy(ret->device, g->disks[index].target, sizeof(ret->device));
	return 0;
}

int identity_of(const struct target *t, struct identity *ret)
{
	const struct guest *g = t->guest;

	*ret = (struct identity){ .kind = t->kind };
	if (t->kind == TARGET_CGROUP) {
		ret->path = t->path;
		return t->path && path_valid(t->path) ? 0 : -EINVAL;
	}
	if (!g || !uuid_valid(g->uuid, strnlen(g->uuid, sizeof(g->uuid))))
		return -EINVAL;
	memcpy(ret->uuid, g->uuid, sizeof(ret->uuid));
	ret->start_ticks = g->start_ticks;
	if (t->kind == TARGET_VCPU)
		ret->index = t->index;
	if (t->kind == TARGET_DISK)
		return disk_identity(g, t->index, ret);
	return t->kind == TARGET_NIC ? nic_identity(g, t->index, ret) : 0;
}

int identity_format(const struct identity *id, char key[BASELINE_KEY_MAX])
{
	char owner[GUEST_UUID_MAX + 24];
	int n = -1;

	snprintf(owner, sizeof(owner), "%s@%llu", id->uuid, (unsigned long long)id->start_ticks);
	switch (id->kind) {
	case TARGET_CGROUP:
		n = snprintf(key, BASELINE_KEY_MAX, "%s", id->path);
		break;
	case TARGET_GUEST:
		n = snprintf(key, BASELINE_KEY_MAX, "%s", owner);
		break;
	case TARGET_VCPU:
		n = snprintf(key, BASELINE_KEY_MAX, "%s/vcpu%u", owner, id->index);
		break;
	case TARGET_EMULATOR:
		n = snprintf(key, BASELINE_KEY_MAX, "%s/emulator", owner);
		break;
	case TARGET_DISK:
		n = snprintf(key, BASELINE_KEY_MAX, "%s/disk/%s", owner, id->device);
		break;
	case TARGET_NIC:
		if (!id->ifindex) {
			n = snprintf(key, BASELINE_KEY_MAX, "%s" BASELINE_VF "%s", owner,
				     id->device);
			break;
		}
		n = snprintf(key, BASELINE_KEY_MAX, "%s/nic/%s#%u", owner, id->device, id->ifindex);
		break;
	}
	return n > 0 && n < BASELINE_KEY_MAX ? 0 : -EINVAL;
}

/* Decimal without leading zeros up to max; *p moves behind it. */
static bool take_number(const char **p, uint64_t max, uint64_t *ret)
{
	const char *q = *p;
	uint64_t n = 0;

	if (*q < '0' || *q > '9' || (*q == '0' && q[1] >= '0' && q[1] <= '9'))
		return false;
	for (; *q >= '0' && *q <= '9'; q++)
		if (__builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, (uint64_t)(*q - '0'), &n))
			return false;
	*p = q;
	*ret = n;
	return n <= max;
}

static bool take_u32(const char **p, uint32_t *ret)
{
	uint64_t n;

	if (!take_number(p, UINT32_MAX, &n))
		return false;
	*ret = (uint32_t)n;
	return true;
}

static bool take_word(const char **p, const char *word)
{
	size_t len = strlen(word);

	if (strncmp(*p, word, len) != 0)
		return false;
	*p += len;
	return true;
}

static bool take_nic(const char **p, struct identity *id)
{
	const char *hash = strchr(*p, '#');
	size_t len = hash ? (size_t)(hash - *p) : 0;

	if (!len || len >= sizeof(id->device))
		return false;
	memcpy(id->device, *p, len);
	*p = hash + 1;
	return device_valid(id->device) && take_u32(p, &id->ifindex) && id->ifindex;
}

/* The name of a disk, or the address of a virtual function. */
static bool take_name(const char **p, struct identity *id)
{
	size_t len = strlen(*p);

	if (len >= sizeof(id->device))
		return false;
	memcpy(id->device, *p, len);
	*p += len;
	return device_valid(id->device);
}

/* What stands behind UUID@TICKS. */
static bool take_part(const char **p, struct identity *id)
{
	if (!**p) {
		id->kind = TARGET_GUEST;
		return true;
	}
	if (take_word(p, "/emulator")) {
		id->kind = TARGET_EMULATOR;
		return true;
	}
	if (take_word(p, "/vcpu")) {
		id->kind = TARGET_VCPU;
		return take_u32(p, &id->index);
	}
	if (take_word(p, "/disk/")) {
		id->kind = TARGET_DISK;
		return take_name(p, id);
	}
	id->kind = TARGET_NIC;
	if (take_word(p, BASELINE_VF))
		return take_name(p, id);
	return take_word(p, "/nic/") && take_nic(p, id);
}

int identity_parse(const char *key, struct identity *ret)
{
	const char *p = key;

	*ret = (struct identity){ .kind = TARGET_CGROUP };
	if (*p == '/') {
		ret->path = key;
		return path_valid(key) ? 0 : -EINVAL;
	}
	if (!uuid_valid(key, strnlen(key, UUID_LEN)))
		return -EINVAL;
	memcpy(ret->uuid, key, UUID_LEN);
	p += UUID_LEN;
	if (*p++ != '@' || !take_number(&p, UINT64_MAX, &ret->start_ticks) || !take_part(&p, ret) ||
	    *p)
		return -EINVAL;
	return 0;
}

bool identity_is_guest(const struct identity *id, const struct guest *g)
{
	return id->kind != TARGET_CGROUP && id->start_ticks == g->start_ticks &&
	       strcmp(id->uuid, g->uuid) == 0;
}

bool entry_is_vf(const struct baseline_entry *e)
{
	const char *part = e->knob == KNOB_NET_OUT ? strchr(e->key, '/') : NULL;

	return part && strncmp(part, BASELINE_VF, sizeof(BASELINE_VF) - 1) == 0;
}

size_t guest_scope_len(const struct guest *g)
{
	const char *slash = g->systemd && g->cgroup ? strrchr(g->cgroup, '/') : NULL;

	return slash ? (size_t)(slash - g->cgroup) : 0;
}
