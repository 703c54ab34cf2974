/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net_bpf - loads, pins and adopts the shaper, and reads and writes its maps.
 *
 * If the program of this build is the one that is pinned, that one stays and ours is let go.
 */
#include "qosd/host/net_bpf.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/edt.skel.h"
#include "qosd/core/mem.h"
#include "qosd/host/net_pin.h"

static const char *const prog_pins[NET_PROGS] = {
	[NET_PROG_IN] = "in",
	[NET_PROG_OUT] = "out",
	[NET_PROG_DIVERT] = "divert",
};

static const struct {
	const char *pin, *name;
	uint32_t value_bytes;
} arrays[NET_ARRAYS] = {
	[NET_ARRAY_LINE] = { "line", "qosd_line", sizeof(struct edt_line_cfg) },
	[NET_ARRAY_LINE_STATE] = { "line_st", "qosd_line_st", sizeof(struct edt_line_state) },
	[NET_ARRAY_IFB] = { "ifb", "qosd_ifb", sizeof(uint32_t) },
};

/* ---- the entry for a rate ---- */

/*
 * Why these numbers. Horizon: the queue's hard end, half of it for one flow: room for TCP's bursts,
 * and for 64 flows with two packets each. CoDel's target: the standing queue of bulk traffic, less
 * than 10 ms at 100 Mbit/s with what TCP adds until it notices; a lone TCP flow over 60 ms of round
 * trip then keeps 93 % of the line. What must be quick takes the sparse lane anyway.
 * Burst: what a sender that was late for a moment may catch up. Packets: a burst of any real
 * sender, and a 48th of what the ifb's fq takes at the least, which all guests share.
 */

#define NSEC_PER_SEC   1000000000ULL
#define NSEC_PER_MSEC  1000000ULL
#define MTU_BITS       (1514 * 8)
#define HORIZON_NS     (200 * NSEC_PER_MSEC)
#define HORIZON_MTUS   128
#define HORIZON_MAX_NS (5 * NSEC_PER_SEC) /* fq drops what is stamped 10 s ahead */
#define TARGET_NS      (7 * NSEC_PER_MSEC)
#define INTERVAL_NS    (100 * NSEC_PER_MSEC)
#define BURST_NS       (5 * NSEC_PER_MSEC)
#define SPARSE_BYTES   200
#define QUEUE_PACKETS  4096
#define LINE_BURST_NS  (1 * NSEC_PER_MSEC)

static uint64_t larger(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

struct edt_cfg net_bpf_profile(uint64_t rate_bps, uint32_t flags)
{
	uint64_t mtu_ns = rate_bps ? MTU_BITS * NSEC_PER_SEC / rate_bps : 0;
	struct edt_cfg cfg = {
		.rate_bps = rate_bps,
		.horizon_ns = larger(HORIZON_NS, HORIZON_MTUS * mtu_ns),
		.target_ns = larger(TARGET_NS, 2 * mtu_ns),
		.interval_ns = larger(INTERVAL_NS, 2 * mtu_ns),
		.burst_ns = BURST_NS,
		.sparse_bytes = SPARSE_BYTES,
		.queue_packets = QUEUE_PACKETS,
		.packet_ns = (uint32_t)(mtu_ns < UINT32_MAX ? mtu_ns : UINT32_MAX),
		.flags = flags,
	};

	if (cfg.horizon_ns > HORIZON_MAX_NS)
		cfg.horizon_ns = HORIZON_MAX_NS;
	return cfg;
}

/* ---- pins ---- */

int net_bpf_init(struct net_bpf *b, const char *pin_dir, struct qerr *err)
{
	int n = snprintf(b->dir, sizeof(b->dir), "%s/v%d", pin_dir, EDT_LAYOUT);

	b->cfg_fd = b->st_fd = -1;
	memset(b->array_fd, 0xff, sizeof(b->array_fd));
	memset(b->prog_fd, 0xff, sizeof(b->prog_fd));
	memset(b->prog_id, 0, sizeof(b->prog_id));
	b->loaded = false;
	if (n < 0 || (size_t)n >= sizeof(b->dir))
		return qerr_set(err, -EINVAL, "the name of the pin directory is too long");
	return 0;
}

void net_bpf_done(struct net_bpf *b)
{
	net_pin_close(&b->cfg_fd);
	net_pin_close(&b->st_fd);
	for (int i = 0; i < NET_ARRAYS; i++)
		net_pin_close(&b->array_fd[i]);
	for (int i = 0; i < NET_PROGS; i++)
		net_pin_close(&b->prog_fd[i]);
	b->loaded = false;
}

bool net_bpf_is_open(const struct net_bpf *b)
{
	return b->cfg_fd >= 0 && b->st_fd >= 0;
}

static bool map_fits(int fd, enum bpf_map_type type, uint32_t value_bytes)
{
	struct bpf_map_info info = { 0 };
	uint32_t size = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &size) == 0 && info.type == type &&
	       info.key_size == sizeof(uint32_t) && info.value_size == value_bytes;
}

int net_bpf_look(struct net_bpf *b, struct qerr *err)
{
	struct bpf_prog_info info;
	char path[NET_PIN_PATH_BYTES];
	int r = 0;

	if (net_bpf_is_open(b))
		return 0;
	net_bpf_done(b);
	b->cfg_fd = bpf_obj_get(net_pin_path(b->dir, "cfg", path));
	if (b->cfg_fd < 0)
		return -ENOENT;
	b->st_fd = bpf_obj_get(net_pin_path(b->dir, "st", path));
	for (int i = 0; i < NET_ARRAYS; i++) {
		b->array_fd[i] = bpf_obj_get(net_pin_path(b->dir, arrays[i].pin, path));
		if (!map_fits(b->array_fd[i], BPF_MAP_TYPE_ARRAY, arrays[i].value_bytes))
			net_pin_close(&b->array_fd[i]);
	}
	for (int i = 0; i < NET_PROGS; i++) {
		b->prog_fd[i] = bpf_obj_get(net_pin_path(b->dir, prog_pins[i], path));
		if (b->prog_fd[i] >= 0 && net_pin_prog_info(b->prog_fd[i], &info) == 0)
			b->prog_id[i] = info.id;
	}
	if (!net_bpf_is_open(b))
		r = -ENOENT;
	else if (!map_fits(b->cfg_fd, BPF_MAP_TYPE_HASH, sizeof(struct edt_cfg)) ||
		 !map_fits(b->st_fd, BPF_MAP_TYPE_HASH, sizeof(struct edt_state)))
		r = qerr_set(err, -EINVAL, "%s holds maps that are not qosd's; remove it", b->dir);
	if (r < 0)
		net_bpf_done(b);
	return r;
}

/* ---- without pins ---- */

/* The map of this name and size among those of a program: a descriptor, or -ENOENT. */
static int map_of(const uint32_t *ids, uint32_t count, const char *name, enum bpf_map_type type,
		  uint32_t value_bytes)
{
	for (uint32_t i = 0; i < count; i++) {
		int fd = bpf_map_get_fd_by_id(ids[i]);
		struct bpf_map_info info = { 0 };
		uint32_t size = sizeof(info);

		if (fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &size) == 0 &&
		    strcmp(info.name, name) == 0 && map_fits(fd, type, value_bytes))
			return fd;
		net_pin_close(&fd);
	}
	return -ENOENT;
}

int net_bpf_recover(struct net_bpf *b, enum net_prog prog, uint32_t program_id)
{
	uint32_t ids[8];
	struct bpf_prog_info info = { .nr_map_ids = ARRAY_SIZE(ids),
				      .map_ids = (uint64_t)(uintptr_t)ids };
	uint32_t size = sizeof(info), count;
	int fd = bpf_prog_get_fd_by_id(program_id);

	if (fd < 0)
		return -errno;
	if (bpf_obj_get_info_by_fd(fd, &info, &size) < 0) {
		net_pin_close(&fd);
		return -ENOENT;
	}
	count = info.nr_map_ids < ARRAY_SIZE(ids) ? info.nr_map_ids : ARRAY_SIZE(ids);
	if (b->cfg_fd < 0)
		b->cfg_fd =
			map_of(ids, count, "qosd_cfg", BPF_MAP_TYPE_HASH, sizeof(struct edt_cfg));
	if (b->st_fd < 0)
		b->st_fd =
			map_of(ids, count, "qosd_st", BPF_MAP_TYPE_HASH, sizeof(struct edt_state));
	for (int i = 0; i < NET_ARRAYS; i++)
		if (b->array_fd[i] < 0)
			b->array_fd[i] = map_of(ids, count, arrays[i].name, BPF_MAP_TYPE_ARRAY,
						arrays[i].value_bytes);
	if (prog == NET_PROG_DIVERT ? b->array_fd[NET_ARRAY_IFB] < 0 : !net_bpf_is_open(b)) {
		net_pin_close(&fd);
		return -ENOENT;
	}
	net_pin_close(&b->prog_fd[prog]);
	b->prog_fd[prog] = fd;
	b->prog_id[prog] = program_id;
	return 0;
}

/* ---- loading ---- */

static struct bpf_map *array_of(const struct edt *skel, enum net_array array)
{
	return bpf_object__find_map_by_name(skel->obj, arrays[array].name);
}

static int open_and_load(const struct net_bpf *b, bool delivery_time, struct edt **ret)
{
	struct edt *skel = edt__open();
	char path[NET_PIN_PATH_BYTES];
	int r;

	if (!skel)
		return -errno;
	skel->rodata->delivery_time = delivery_time;
	r = bpf_map__set_pin_path(skel->maps.qosd_cfg, net_pin_path(b->dir, "cfg", path));
	if (r == 0)
		r = bpf_map__set_pin_path(skel->maps.qosd_st, net_pin_path(b->dir, "st", path));
	for (int i = 0; r == 0 && i < NET_ARRAYS; i++)
		r = bpf_map__set_pin_path(array_of(skel, i),
					  net_pin_path(b->dir, arrays[i].pin, path));
	if (r == 0)
		r = edt__load(skel);
	if (r < 0) {
		edt__destroy(skel);
		return r;
	}
	*ret = skel;
	return 0;
}

static int load(const struct net_bpf *b, struct edt **ret, struct qerr *err)
{
	int r = open_and_load(b, true, ret);

	if (r < 0 && r != -EPERM) /* before 5.18: stamp without saying what it is */
		r = open_and_load(b, false, ret);
	if (r < 0)
		return qerr_set(err, r, "cannot load the network shaper into the kernel: %s",
				strerror(-r));
	return 0;
}

static int settle(struct net_bpf *b, const struct edt *skel, bool *ret_replaced, struct qerr *err)
{
	const struct bpf_program *fresh[NET_PROGS] = {
		[NET_PROG_IN] = skel->progs.edt_in,
		[NET_PROG_OUT] = skel->progs.edt_out,
		[NET_PROG_DIVERT] = skel->progs.edt_divert,
	};
	int r = 0;

	for (int i = 0; r == 0 && i < NET_PROGS; i++)
		r = net_pin_settle(b->dir, prog_pins[i], bpf_program__fd(fresh[i]), &b->prog_fd[i],
				   &b->prog_id[i], ret_replaced, err);
	return r;
}

int net_bpf_pin_again(struct net_bpf *b, struct qerr *err)
{
	int r = net_pin_make_dirs(b->dir, err);

	if (r == 0)
		r = net_pin_replace(b->dir, "cfg", b->cfg_fd, err);
	if (r == 0)
		r = net_pin_replace(b->dir, "st", b->st_fd, err);
	for (int i = 0; r == 0 && i < NET_ARRAYS; i++)
		if (b->array_fd[i] >= 0)
			r = net_pin_replace(b->dir, arrays[i].pin, b->array_fd[i], err);
	for (int i = 0; r == 0 && i < NET_PROGS; i++)
		if (b->prog_fd[i] >= 0)
			r = net_pin_replace(b->dir, prog_pins[i], b->prog_fd[i], err);
	return r;
}

static void take_arrays(struct net_bpf *b, const struct edt *skel)
{
	for (int i = 0; i < NET_ARRAYS; i++)
		if (b->array_fd[i] < 0)
			b->array_fd[i] = fcntl(bpf_map__fd(array_of(skel, i)), F_DUPFD_CLOEXEC, 0);
}

int net_bpf_ready(struct net_bpf *b, bool *ret_replaced, struct qerr *err)
{
	libbpf_print_fn_t print;
	struct edt *skel;
	int r;

	*ret_replaced = false;
	if (b->loaded)
		return 0;
	r = net_bpf_look(b, err);
	if (r < 0 && r != -ENOENT)
		return r;
	if (r == -ENOENT && (r = net_pin_make_dirs(b->dir, err)) < 0)
		return r;
	print = net_pin_hush();
	r = load(b, &skel, err);
	libbpf_set_print(print);
	if (r < 0)
		return r;
	r = settle(b, skel, ret_replaced, err);
	if (r == 0 && b->cfg_fd < 0) {
		b->cfg_fd = fcntl(bpf_map__fd(skel->maps.qosd_cfg), F_DUPFD_CLOEXEC, 0);
		b->st_fd = fcntl(bpf_map__fd(skel->maps.qosd_st), F_DUPFD_CLOEXEC, 0);
	}
	if (r == 0)
		take_arrays(b, skel);
	edt__destroy(skel);
	b->loaded = r == 0;
	return r;
}

int net_bpf_unpin(struct net_bpf *b, struct qerr *err)
{
	const char *names[2 + NET_ARRAYS + NET_PROGS] = { "cfg", "st" };
	size_t count = 2;

	for (int i = 0; i < NET_ARRAYS; i++)
		names[count++] = arrays[i].pin;
	for (int i = 0; i < NET_PROGS; i++)
		names[count++] = prog_pins[i];
	net_bpf_done(b);
	return net_pin_remove(b->dir, names, count, err);
}

/* ---- the maps ---- */

int net_bpf_get_cfg(const struct net_bpf *b, uint32_t key, struct edt_cfg *ret)
{
	if (b->cfg_fd < 0)
		return -ENOENT;
	return bpf_map_lookup_elem(b->cfg_fd, &key, ret) < 0 ? -errno : 0;
}

int net_bpf_set_cfg(const struct net_bpf *b, uint32_t key, const struct edt_cfg *cfg,
		    struct qerr *err)
{
	if (bpf_map_update_elem(b->cfg_fd, &key, cfg, BPF_ANY) < 0)
		return qerr_set(err, -errno, "cannot write the limit of device %u: %s", key >> 1,
				strerror(errno));
	return 0;
}

int net_bpf_make_state(const struct net_bpf *b, uint32_t key, struct qerr *err)
{
	struct edt_state state = { 0 };

	if (bpf_map_update_elem(b->st_fd, &key, &state, BPF_NOEXIST) < 0 && errno != EEXIST)
		return qerr_set(err, -errno, "cannot make the clock of device %u: %s", key >> 1,
				strerror(errno));
	return 0;
}

int net_bpf_get_state(const struct net_bpf *b, uint32_t key, struct edt_state *ret)
{
	if (b->st_fd < 0)
		return -ENOENT;
	return bpf_map_lookup_elem_flags(b->st_fd, &key, ret, BPF_F_LOCK) < 0 ? -errno : 0;
}

int net_bpf_set_line(const struct net_bpf *b, uint32_t line, enum edt_direction direction,
		     uint64_t rate_bps, struct qerr *err)
{
	struct edt_line_cfg cfg = { .rate_bps = rate_bps, .burst_ns = LINE_BURST_NS };
	uint32_t key = EDT_LINE_KEY(line, direction);

	if (b->array_fd[NET_ARRAY_LINE] < 0)
		return qerr_set(err, -ENOENT, "the network shaper is not loaded");
	if (bpf_map_update_elem(b->array_fd[NET_ARRAY_LINE], &key, &cfg, BPF_ANY) < 0)
		return qerr_set(err, -errno, "cannot write the rate of line %u: %s", line,
				strerror(errno));
	return 0;
}

int net_bpf_set_ifb(const struct net_bpf *b, uint32_t ifindex, struct qerr *err)
{
	uint32_t first = 0;

	if (b->array_fd[NET_ARRAY_IFB] < 0)
		return qerr_set(err, -ENOENT, "the network shaper is not loaded");
	if (bpf_map_update_elem(b->array_fd[NET_ARRAY_IFB], &first, &ifindex, BPF_ANY) < 0)
		return qerr_set(err, -errno, "cannot write the index of the ifb: %s",
				strerror(errno));
	return 0;
}

uint32_t net_bpf_ifb(const struct net_bpf *b)
{
	uint32_t first = 0, ifindex;

	if (b->array_fd[NET_ARRAY_IFB] < 0 ||
	    bpf_map_lookup_elem(b->array_fd[NET_ARRAY_IFB], &first, &ifindex) < 0)
		return 0;
	return ifindex;
}

void net_bpf_delete(const struct net_bpf *b, uint32_t key)
{
	if (b->cfg_fd < 0)
		return;
	bpf_map_delete_elem(b->cfg_fd, &key);
	bpf_map_delete_elem(b->st_fd, &key);
}

int net_bpf_keys(const struct net_bpf *b, uint32_t **ret, size_t *ret_count)
{
	uint32_t *keys = NULL, key, *last = NULL;
	size_t count = 0, capacity = 0;
	int r = 0;

	while (b->cfg_fd >= 0 && bpf_map_get_next_key(b->cfg_fd, last, &key) == 0) {
		r = mem_grow(&keys, &capacity, count + 1, sizeof(*keys));
		if (r < 0) {
			free(keys);
			return r;
		}
		keys[count++] = key;
		last = &keys[count - 1];
	}
	*ret = keys;
	*ret_count = count;
	return 0;
}
