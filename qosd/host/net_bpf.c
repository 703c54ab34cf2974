/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net_bpf - loads, pins and adopts the shaper.
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
#include <sys/file.h>
#include <unistd.h>

#include "bpf/edt.skel.h"
#include "qosd/core/knob.h"
#include "qosd/core/mem.h"
#include "qosd/host/net_pin.h"

static const char *const prog_pins[NET_PROGS] = {
	[NET_PROG_IN] = "in",
	[NET_PROG_OUT] = "out",
	[NET_PROG_DIVERT] = "divert",
};

static const struct {
	const char *pin, *name;
	enum bpf_map_type type;
	uint32_t value_bytes, entries;
} maps[NET_MAPS] = {
	[NET_MAP_SLOT] = { "slot", "qosd_slot", BPF_MAP_TYPE_HASH, sizeof(uint32_t), EDT_SLOTS },
	[NET_MAP_NEAR] = { "near", "qosd_near", BPF_MAP_TYPE_ARRAY, sizeof(uint64_t), EDT_ENTRIES },
	[NET_MAP_CFG] = { "cfg", "qosd_cfg", BPF_MAP_TYPE_ARRAY, sizeof(struct edt_cfg),
			  EDT_ENTRIES },
	[NET_MAP_STATE] = { "st", "qosd_st", BPF_MAP_TYPE_ARRAY, sizeof(struct edt_state),
			    EDT_ENTRIES },
	[NET_MAP_LINE] = { "line", "qosd_line", BPF_MAP_TYPE_ARRAY, sizeof(struct edt_line_cfg),
			   EDT_LINES * 2 },
	[NET_MAP_LINE_STATE] = { "line_st", "qosd_line_st", BPF_MAP_TYPE_ARRAY,
				 sizeof(struct edt_line_state), EDT_LINES * 2 },
	[NET_MAP_IFB] = { "ifb", "qosd_ifb", BPF_MAP_TYPE_ARRAY, sizeof(uint32_t), 1 },
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
#define SPARSE_BYTES   200
#define QUEUE_PACKETS  4096

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
		.burst_ns = KNOB_NET_BURST_US * 1000,
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

	memset(b->map_fd, 0xff, sizeof(b->map_fd));
	memset(b->prog_fd, 0xff, sizeof(b->prog_fd));
	memset(b->prog_id, 0, sizeof(b->prog_id));
	b->slots = (struct net_slots){ 0 };
	b->loaded = false;
	if (n < 0 || (size_t)n >= sizeof(b->dir))
		return qerr_set(err, -EINVAL, "the name of the pin directory is too long");
	return 0;
}

void net_bpf_done(struct net_bpf *b)
{
	net_bpf_forget_slots(b);
	for (int i = 0; i < NET_MAPS; i++)
		net_pin_close(&b->map_fd[i]);
	for (int i = 0; i < NET_PROGS; i++)
		net_pin_close(&b->prog_fd[i]);
	b->loaded = false;
}

static bool all_there(const struct net_bpf *b)
{
	for (int i = 0; i < NET_MAPS_NEEDED; i++)
		if (b->map_fd[i] < 0)
			return false;
	return true;
}

bool net_bpf_is_open(const struct net_bpf *b)
{
	return b->slots.near != NULL;
}

static bool map_fits(int fd, enum net_map map)
{
	struct bpf_map_info info = { 0 };
	uint32_t size = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &size) == 0 && info.type == maps[map].type &&
	       info.key_size == sizeof(uint32_t) && info.value_size == maps[map].value_bytes &&
	       info.max_entries == maps[map].entries;
}

static int learn(struct net_bpf *b, struct qerr *err)
{
	int r = net_bpf_learn_slots(b);

	return r < 0 ? qerr_set(err, r, "cannot map the network shaper's %s/near: %s", b->dir,
				strerror(-r))
		     : 0;
}

static void look_at_programs(struct net_bpf *b)
{
	struct bpf_prog_info info;
	char path[NET_PIN_PATH_BYTES];

	for (int i = 0; i < NET_PROGS; i++) {
		b->prog_fd[i] = bpf_obj_get(net_pin_path(b->dir, prog_pins[i], path));
		if (b->prog_fd[i] >= 0 && net_pin_prog_info(b->prog_fd[i], &info) == 0)
			b->prog_id[i] = info.id;
	}
}

bool net_bpf_try_again(int r)
{
	return r == -ENOMEM || r == -EMFILE || r == -ENFILE || r == -EBUSY;
}

/* 0, -ENOENT: one that is needed is not there or not ours to open, -EINVAL: it is not qosd's. */
static int look_at_maps(struct net_bpf *b)
{
	char path[NET_PIN_PATH_BYTES];

	for (int i = 0; i < NET_MAPS; i++) {
		b->map_fd[i] = bpf_obj_get(net_pin_path(b->dir, maps[i].pin, path));
		if (b->map_fd[i] < 0 && i < NET_MAPS_NEEDED)
			return net_bpf_try_again(-errno) ? -errno : -ENOENT;
		if (b->map_fd[i] < 0 || map_fits(b->map_fd[i], i))
			continue;
		if (i < NET_MAPS_NEEDED)
			return -EINVAL;
		net_pin_close(&b->map_fd[i]);
	}
	return 0;
}

int net_bpf_look(struct net_bpf *b, struct qerr *err)
{
	int r;

	if (net_bpf_is_open(b))
		return 0;
	net_bpf_done(b);
	r = look_at_maps(b);
	if (r == -EINVAL)
		(void)qerr_set(err, r, "%s holds maps that are not qosd's; remove it", b->dir);
	else if (r < 0 && r != -ENOENT)
		(void)qerr_set(err, r, "cannot open the maps below %s: %s", b->dir, strerror(-r));
	if (r == 0)
		r = learn(b, err);
	if (r == 0)
		look_at_programs(b);
	else
		net_bpf_done(b);
	return r;
}

/* ---- without pins ---- */

/* The map among those of a program: a descriptor, or -ENOENT. */
static int map_of(const uint32_t *ids, uint32_t count, enum net_map map)
{
	for (uint32_t i = 0; i < count; i++) {
		int fd = bpf_map_get_fd_by_id(ids[i]);
		struct bpf_map_info info = { 0 };
		uint32_t size = sizeof(info);

		if (fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &size) == 0 &&
		    strcmp(info.name, maps[map].name) == 0 && map_fits(fd, map))
			return fd;
		net_pin_close(&fd);
	}
	return -ENOENT;
}

int net_bpf_recover(struct net_bpf *b, enum net_prog prog, uint32_t program_id)
{
	uint32_t ids[16];
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
	for (int i = 0; i < NET_MAPS; i++)
		if (b->map_fd[i] < 0)
			b->map_fd[i] = map_of(ids, count, i);
	if (prog == NET_PROG_DIVERT ? b->map_fd[NET_MAP_IFB] < 0 : !all_there(b)) {
		net_pin_close(&fd);
		return -ENOENT;
	}
	net_pin_close(&b->prog_fd[prog]);
	b->prog_fd[prog] = fd;
	b->prog_id[prog] = program_id;
	return all_there(b) ? net_bpf_learn_slots(b) : 0;
}

/* ---- loading ---- */

static struct bpf_map *loaded_map(const struct edt *skel, enum net_map map)
{
	return bpf_object__find_map_by_name(skel->obj, maps[map].name);
}

static int open_and_load(const struct net_bpf *b, bool delivery_time, struct edt **ret)
{
	struct edt *skel = edt__open();
	char path[NET_PIN_PATH_BYTES];
	int r = 0;

	if (!skel)
		return -errno;
	skel->rodata->delivery_time = delivery_time;
	for (int i = 0; r == 0 && i < NET_MAPS; i++) {
		struct bpf_map *map = loaded_map(skel, i);

		r = b->map_fd[i] >= 0
			    ? bpf_map__reuse_fd(map, b->map_fd[i])
			    : bpf_map__set_pin_path(map, net_pin_path(b->dir, maps[i].pin, path));
	}
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

	if (r < 0 && r != -EPERM &&
	    !net_bpf_try_again(r)) /* before 5.18: stamp without saying what it is */
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

	for (int i = 0; r == 0 && i < NET_MAPS; i++)
		if (b->map_fd[i] >= 0)
			r = net_pin_replace(b->dir, maps[i].pin, b->map_fd[i], err);
	for (int i = 0; r == 0 && i < NET_PROGS; i++)
		if (b->prog_fd[i] >= 0)
			r = net_pin_replace(b->dir, prog_pins[i], b->prog_fd[i], err);
	return r;
}

static int take_maps(struct net_bpf *b, const struct edt *skel, struct qerr *err)
{
	for (int i = 0; i < NET_MAPS; i++) {
		if (b->map_fd[i] >= 0)
			continue;
		b->map_fd[i] = fcntl(bpf_map__fd(loaded_map(skel, i)), F_DUPFD_CLOEXEC, 0);
		if (b->map_fd[i] < 0)
			return qerr_set(err, -errno, "cannot keep the network shaper's maps: %s",
					strerror(errno));
	}
	return learn(b, err);
}

/* Why the maps cannot be opened, though each has its pin. */
static int unopened(const struct net_bpf *b, struct qerr *err)
{
	char path[NET_PIN_PATH_BYTES];

	for (int i = 0; i < NET_MAPS_NEEDED; i++) {
		int fd = bpf_obj_get(net_pin_path(b->dir, maps[i].pin, path));

		if (fd < 0)
			return qerr_set(err, -errno, "cannot open %s: %s", path, strerror(errno));
		close(fd);
	}
	return qerr_set(err, -EBUSY, "the maps below %s have come just now", b->dir);
}

/*
 * Maps that could not be opened: are some pins missing? The rest is of no use then: programs keep
 * the maps that they have. 0: no map is pinned now.
 */
static int clear_rest(const struct net_bpf *b, struct qerr *err)
{
	char path[NET_PIN_PATH_BYTES];
	bool gone = false;

	for (int i = 0; i < NET_MAPS_NEEDED; i++)
		gone |= access(net_pin_path(b->dir, maps[i].pin, path), F_OK) < 0 &&
			errno == ENOENT;
	if (!gone)
		return unopened(b, err);
	for (int i = 0; i < NET_MAPS; i++)
		if (unlink(net_pin_path(b->dir, maps[i].pin, path)) < 0 && errno != ENOENT)
			return qerr_set(err, -errno, "cannot remove %s: %s", path, strerror(errno));
	return 0;
}

static int make_ready(struct net_bpf *b, bool *ret_replaced, struct qerr *err)
{
	libbpf_print_fn_t print;
	struct edt *skel;
	int r = net_bpf_look(b, err);

	if (r == -ENOENT)
		r = clear_rest(b, err);
	if (r < 0)
		return r;
	print = net_pin_hush();
	r = load(b, &skel, err);
	libbpf_set_print(print);
	if (r < 0)
		return r;
	r = settle(b, skel, ret_replaced, err);
	if (r == 0)
		r = take_maps(b, skel, err);
	edt__destroy(skel);
	return r;
}

/* The directory, locked, which ends when it is closed; or negative errno. */
static int lock_dir(const struct net_bpf *b, struct qerr *err)
{
	int r, fd = open(b->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT) {
		r = net_pin_make_dirs(b->dir, err);
		if (r < 0)
			return r;
		fd = open(b->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	if (fd < 0)
		return qerr_set(err, -errno, "cannot open %s: %s", b->dir, strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return fd;
	r = errno == EWOULDBLOCK ? -EBUSY : -errno;
	close(fd);
	return qerr_set(err, r, "cannot lock %s: %s", b->dir,
			r == -EBUSY ? "another qosd works on it at this moment" : strerror(-r));
}

/* The daemon and its keeper make them ready one after the other, and find the same maps. */
int net_bpf_ready(struct net_bpf *b, bool *ret_replaced, struct qerr *err)
{
	int r, lock;

	*ret_replaced = false;
	if (b->loaded)
		return 0;
	lock = lock_dir(b, err);
	if (lock < 0)
		return lock;
	r = make_ready(b, ret_replaced, err);
	close(lock);
	b->loaded = r == 0;
	return r;
}

int net_bpf_unpin(struct net_bpf *b, struct qerr *err)
{
	const char *names[NET_MAPS + NET_PROGS];
	size_t count = 0;

	for (int i = 0; i < NET_MAPS; i++)
		names[count++] = maps[i].pin;
	for (int i = 0; i < NET_PROGS; i++)
		names[count++] = prog_pins[i];
	net_bpf_done(b);
	return net_pin_remove(b->dir, names, count, err);
}
