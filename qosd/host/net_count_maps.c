/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "qosd/host/net_count_maps.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bpf/hostcount.skel.h"
#include "qosd/core/mem.h"

#define PORT_BYTES (HOSTCOUNT_PORTS * sizeof(uint64_t))

static const char *const map_pins[NET_COUNT_MAPS] = {
	[NET_COUNT_RULES] = "rules", [NET_COUNT_UPLINKS] = "uplinks", [NET_COUNT_PORTS] = "ports",
	[NET_COUNT_KEYS] = "keys",   [NET_COUNT_FLOWS] = "flows",     [NET_COUNT_BYTES] = "bytes",
};
static const char *const prog_pins[2] = { [HOSTCOUNT_IN] = "in", [HOSTCOUNT_OUT] = "out" };

/* ---- pins ---- */

int net_count_maps_init(struct net_count_maps *m, const char *pin_dir, struct qerr *err)
{
	int n = snprintf(m->dir, sizeof(m->dir), "%s/host%d", pin_dir, HOSTCOUNT_LAYOUT);

	memset(m->map_fd, 0xff, sizeof(m->map_fd));
	memset(m->prog_fd, 0xff, sizeof(m->prog_fd));
	memset(m->prog_id, 0, sizeof(m->prog_id));
	m->loaded = m->knows_groups = false;
	if (n < 0 || (size_t)n >= sizeof(m->dir))
		return qerr_set(err, -EINVAL, "the name of the pin directory is too long");
	return 0;
}

void net_count_maps_done(struct net_count_maps *m)
{
	for (int i = 0; i < NET_COUNT_MAPS; i++)
		net_pin_close(&m->map_fd[i]);
	for (int i = 0; i < 2; i++) {
		net_pin_close(&m->prog_fd[i]);
		m->prog_id[i] = 0;
	}
	m->loaded = false;
}

int net_count_maps_look(struct net_count_maps *m)
{
	char path[NET_PIN_PATH_BYTES];
	struct bpf_prog_info info;

	if (m->map_fd[NET_COUNT_UPLINKS] >= 0)
		return 0;
	for (int i = 0; i < NET_COUNT_MAPS; i++)
		m->map_fd[i] = bpf_obj_get(net_pin_path(m->dir, map_pins[i], path));
	for (int i = 0; i < 2; i++) {
		m->prog_fd[i] = bpf_obj_get(net_pin_path(m->dir, prog_pins[i], path));
		if (m->prog_fd[i] >= 0 && net_pin_prog_info(m->prog_fd[i], &info) == 0)
			m->prog_id[i] = info.id;
	}
	if (m->map_fd[NET_COUNT_UPLINKS] >= 0)
		return 0;
	net_count_maps_done(m);
	return -ENOENT;
}

static void list_maps(const struct hostcount *skel, struct bpf_map *ret[NET_COUNT_MAPS])
{
	ret[NET_COUNT_RULES] = skel->maps.qosd_hrules;
	ret[NET_COUNT_UPLINKS] = skel->maps.qosd_hup;
	ret[NET_COUNT_PORTS] = skel->maps.qosd_hport;
	ret[NET_COUNT_KEYS] = skel->maps.qosd_hkey;
	ret[NET_COUNT_FLOWS] = skel->maps.qosd_hflow;
	ret[NET_COUNT_BYTES] = skel->maps.qosd_hcount;
}

static int open_and_load(const struct net_count_maps *m, bool groups, struct hostcount **ret)
{
	struct hostcount *skel = hostcount__open();
	struct bpf_map *maps[NET_COUNT_MAPS];
	char path[NET_PIN_PATH_BYTES];
	int r = 0;

	if (!skel)
		return -errno;
	list_maps(skel, maps);
	skel->rodata->knows_groups = groups;
	for (int i = 0; r == 0 && i < NET_COUNT_MAPS; i++)
		r = bpf_map__set_pin_path(maps[i], net_pin_path(m->dir, map_pins[i], path));
	if (r == 0)
		r = hostcount__load(skel);
	if (r < 0) {
		hostcount__destroy(skel);
		return r;
	}
	*ret = skel;
	return 0;
}

static int load(struct net_count_maps *m, struct hostcount **ret, struct qerr *err)
{
	libbpf_print_fn_t print = net_pin_hush();
	int r = open_and_load(m, true, ret);

	m->knows_groups = r == 0;
	if (r < 0 && r != -EPERM)
		r = open_and_load(m, false, ret);
	libbpf_set_print(print);
	if (r < 0)
		return qerr_set(
			err, r,
			"cannot load the counters of the host's traffic into the kernel: %s",
			strerror(-r));
	return 0;
}

int net_count_maps_ready(struct net_count_maps *m, struct qerr *err)
{
	struct bpf_map *maps[NET_COUNT_MAPS];
	bool replaced = false; /* who attaches sees it by the id */
	struct hostcount *skel;
	int r;

	if (m->loaded)
		return 0;
	(void)net_count_maps_look(m);
	r = net_pin_make_dirs(m->dir, err);
	if (r == 0)
		r = load(m, &skel, err);
	if (r < 0)
		return r;
	list_maps(skel, maps);
	for (int i = 0; i < NET_COUNT_MAPS; i++) {
		net_pin_close(&m->map_fd[i]);
		m->map_fd[i] = fcntl(bpf_map__fd(maps[i]), F_DUPFD_CLOEXEC, 0);
	}
	r = net_pin_settle(m->dir, prog_pins[HOSTCOUNT_IN],
			   bpf_program__fd(skel->progs.hostcount_in), &m->prog_fd[HOSTCOUNT_IN],
			   &m->prog_id[HOSTCOUNT_IN], &replaced, err);
	if (r == 0)
		r = net_pin_settle(m->dir, prog_pins[HOSTCOUNT_OUT],
				   bpf_program__fd(skel->progs.hostcount_out),
				   &m->prog_fd[HOSTCOUNT_OUT], &m->prog_id[HOSTCOUNT_OUT],
				   &replaced, err);
	hostcount__destroy(skel);
	m->loaded = r == 0;
	return r;
}

int net_count_maps_unpin(struct net_count_maps *m, struct qerr *err)
{
	const char *names[NET_COUNT_MAPS + 2];

	net_count_maps_done(m);
	if (access(m->dir, F_OK) < 0)
		return 0;
	memcpy(names, map_pins, sizeof(map_pins));
	memcpy(names + NET_COUNT_MAPS, prog_pins, sizeof(prog_pins));
	return net_pin_remove(m->dir, names, ARRAY_SIZE(names), err);
}

/* ---- rules ---- */

static int write_failed(struct qerr *err)
{
	return qerr_set(err, -errno, "cannot write the rules of the host's traffic: %s",
			strerror(errno));
}

/* 1: something was another one, 0, or negative errno. */
static int tell_ports(const struct net_count_maps *m, const uint64_t *want, struct qerr *err)
{
	int fd = m->map_fd[NET_COUNT_PORTS], changed;
	void *map = mmap(NULL, PORT_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (map == MAP_FAILED)
		return write_failed(err);
	changed = memcmp(map, want, PORT_BYTES) != 0;
	if (changed)
		memcpy(map, want, PORT_BYTES);
	munmap(map, PORT_BYTES);
	return changed;
}

static const struct net_count_key *find_key(const struct net_count_told *told,
					    const struct hostcount_key *key)
{
	for (size_t i = 0; i < told->nkeys; i++)
		if (memcmp(&told->keys[i].key, key, sizeof(*key)) == 0)
			return &told->keys[i];
	return NULL;
}

/* 1: a mark was another rule's or nobody's. A group has its own sockets, whatever its id is. */
static int drop_keys(const struct net_count_maps *m, const struct net_count_told *told)
{
	struct hostcount_key key, gone[HOSTCOUNT_KEYS], *last = NULL;
	int fd = m->map_fd[NET_COUNT_KEYS], changed = 0;
	size_t count = 0;

	while (count < HOSTCOUNT_KEYS && bpf_map_get_next_key(fd, last, &key) == 0) {
		if (!find_key(told, &key))
			gone[count++] = key;
		last = &key;
	}
	for (size_t i = 0; i < count; i++) {
		changed |= gone[i].kind == HOSTCOUNT_MARK;
		bpf_map_delete_elem(fd, &gone[i]);
	}
	return changed;
}

static int tell_keys(const struct net_count_maps *m, const struct net_count_told *told,
		     struct qerr *err)
{
	int fd = m->map_fd[NET_COUNT_KEYS], changed = drop_keys(m, told);

	for (size_t i = 0; i < told->nkeys; i++) {
		const struct net_count_key *want = &told->keys[i];
		uint64_t rules;

		if (bpf_map_lookup_elem(fd, &want->key, &rules) == 0 && rules == want->rules)
			continue;
		if (bpf_map_update_elem(fd, &want->key, &want->rules, BPF_ANY) < 0)
			return write_failed(err);
		changed |= want->key.kind == HOSTCOUNT_MARK;
	}
	return changed;
}

int net_count_maps_tell(const struct net_count_maps *m, const struct net_count_told *told,
			struct qerr *err)
{
	struct hostcount_rules head = told->head, old;
	int fd = m->map_fd[NET_COUNT_RULES], ports, keys;
	uint32_t zero = 0;

	if (bpf_map_lookup_elem(fd, &zero, &old) < 0)
		return write_failed(err);
	ports = tell_ports(m, told->ports, err);
	if (ports < 0)
		return ports;
	keys = tell_keys(m, told, err);
	if (keys < 0)
		return keys;
	head.generation = old.generation;
	if (ports || keys || memcmp(&head, &old, sizeof(head)) != 0)
		head.generation++;
	if (bpf_map_update_elem(fd, &zero, &head, BPF_ANY) < 0)
		return write_failed(err);
	return 0;
}

int net_count_maps_read(const struct net_count_maps *m, uint32_t rule, uint64_t ret[2])
{
	int cpus = libbpf_num_possible_cpus(), r = 0;
	uint64_t *sums CLEANUP_FREE = cpus > 0 ? calloc((size_t)cpus, sizeof(*sums)) : NULL;

	if (!sums)
		return -ENOMEM;
	for (uint32_t d = 0; r == 0 && d < 2; d++) {
		uint32_t slot = HOSTCOUNT_SLOT(rule, d);

		ret[d] = 0;
		if (bpf_map_lookup_elem(m->map_fd[NET_COUNT_BYTES], &slot, sums) < 0)
			r = -errno;
		for (int i = 0; r == 0 && i < cpus; i++)
			ret[d] += sums[i];
	}
	return r;
}

/* ---- uplinks ---- */

int net_count_maps_uplink(const struct net_count_maps *m, uint32_t ifindex,
			  struct hostcount_uplink *ret)
{
	return bpf_map_lookup_elem(m->map_fd[NET_COUNT_UPLINKS], &ifindex, ret) < 0 ? -errno : 0;
}

int net_count_maps_set_uplink(const struct net_count_maps *m, uint32_t ifindex,
			      const struct hostcount_uplink *up, struct qerr *err)
{
	if (bpf_map_update_elem(m->map_fd[NET_COUNT_UPLINKS], &ifindex, up, BPF_ANY) < 0)
		return write_failed(err);
	return 0;
}

void net_count_maps_delete_uplink(const struct net_count_maps *m, uint32_t ifindex)
{
	bpf_map_delete_elem(m->map_fd[NET_COUNT_UPLINKS], &ifindex);
}

size_t net_count_maps_uplinks(const struct net_count_maps *m, uint32_t ret[HOSTCOUNT_UPLINKS])
{
	uint32_t key, *last = NULL;
	size_t count = 0;

	while (count < HOSTCOUNT_UPLINKS &&
	       bpf_map_get_next_key(m->map_fd[NET_COUNT_UPLINKS], last, &key) == 0) {
		ret[count++] = key;
		last = &ret[count - 1];
	}
	return count;
}
