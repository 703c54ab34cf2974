/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net_tcx - links by libbpf; what its headers of this age do not know yet is told here.
 */
#include "qosd/host/net_tcx.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>

#include "qosd/host/net_clock.h"

/* linux/bpf.h of 6.6 */
#define TCX_INGRESS     46
#define TCX_EGRESS      47
#define TCX_BEFORE      (1U << 3) /* the first of all */
#define LINK_TCX        11
#define OTHERS_MAX      16
#define LOOPBACK        1
#define LINK_NAME_BYTES 32
#define GOING_MS        50 /* what a link takes to go when its pin has gone */
#define IMPATIENT_NS    10000000000ULL

static const struct {
	const char *name;
	enum bpf_attach_type hook;
} uses[NET_LINKS] = {
	[NET_PROG_IN] = { "in", TCX_EGRESS },
	[NET_PROG_OUT] = { "out", TCX_EGRESS },
	[NET_PROG_DIVERT] = { "divert", TCX_INGRESS },
	[NET_PROG_COUNT_IN] = { "host_in", TCX_INGRESS },
	[NET_PROG_COUNT_OUT] = { "host_out", TCX_EGRESS },
};

int net_tcx_init(struct net_tcx *t, const char *pin_dir, struct qerr *err)
{
	int n = snprintf(t->dir, sizeof(t->dir), "%s/links", pin_dir);

	t->asked = t->there = false;
	t->events = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	t->watched = -1;
	t->patient_ns = 0;
	if (n < 0 || (size_t)n >= sizeof(t->dir))
		return qerr_set(err, -EINVAL, "the name of the pin directory is too long");
	return 0;
}

void net_tcx_done(struct net_tcx *t)
{
	if (t->events > 0) /* 0: never begun */
		close(t->events);
	t->events = 0;
}

static int query(uint32_t ifindex, uint32_t ids[OTHERS_MAX], uint32_t *count)
{
	*count = OTHERS_MAX;
	return bpf_prog_query((int)ifindex, TCX_INGRESS, 0, NULL, ids, count);
}

bool net_tcx_there(struct net_tcx *t)
{
	uint32_t ids[OTHERS_MAX], count;

	if (!t->asked)
		t->there = query(LOOPBACK, ids, &count) == 0 || errno == ENOSPC;
	t->asked = true;
	return t->there;
}

static bool is_one_of(uint32_t id, const uint32_t ids[NET_LINKS])
{
	for (int i = 0; i < NET_LINKS; i++)
		if (ids[i] == id)
			return true;
	return false;
}

uint32_t net_tcx_others(uint32_t ifindex, const uint32_t ours[NET_LINKS])
{
	uint32_t ids[OTHERS_MAX], count, others = 0;

	if (query(ifindex, ids, &count) < 0 && errno != ENOSPC)
		return 0;
	for (uint32_t i = 0; i < count && i < OTHERS_MAX; i++)
		others += !is_one_of(ids[i], ours);
	return others;
}

/* ---- links ---- */

static char *name_of(uint32_t ifindex, enum net_prog prog, char name[LINK_NAME_BYTES])
{
	snprintf(name, LINK_NAME_BYTES, "%u-%s", ifindex, uses[prog].name);
	return name;
}

static char *path_of(const struct net_tcx *t, uint32_t ifindex, enum net_prog prog,
		     char path[NET_PIN_PATH_BYTES])
{
	char name[LINK_NAME_BYTES];

	return net_pin_path(t->dir, name_of(ifindex, prog, name), path);
}

/* The link, if it is one and still on the device: a descriptor, or -1. */
static int open_link(const struct net_tcx *t, uint32_t ifindex, enum net_prog prog,
		     uint32_t *ret_program)
{
	char path[NET_PIN_PATH_BYTES];
	struct bpf_link_info info = { 0 };
	uint32_t size = sizeof(info);
	int fd = bpf_obj_get(path_of(t, ifindex, prog, path));

	/* The index lies where that of an XDP link does. It is 0 when the device has gone. */
	if (fd >= 0 && (bpf_obj_get_info_by_fd(fd, &info, &size) < 0 || info.type != LINK_TCX ||
			info.xdp.ifindex != ifindex)) {
		net_pin_close(&fd);
		errno = ENOLINK;
	}
	*ret_program = fd >= 0 ? info.prog_id : 0;
	return fd;
}

uint32_t net_tcx_program(const struct net_tcx *t, uint32_t ifindex, enum net_prog prog)
{
	char path[NET_PIN_PATH_BYTES];
	uint32_t program;
	int fd = open_link(t, ifindex, prog, &program);
	bool refused = fd < 0 && errno == EPERM;

	net_pin_close(&fd);
	return refused && access(path_of(t, ifindex, prog, path), F_OK) == 0 ? NET_TCX_UNKNOWN
									     : program;
}

/*
 * A link of this program that is there already has lost its pin, and the kernel is about to take it
 * off: that is waited for. If it does not go, somebody else holds it; then nobody waits for a
 * while.
 */
static int new_link(struct net_tcx *t, uint32_t ifindex, enum net_prog prog, int prog_fd)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = TCX_BEFORE);
	const struct timespec pause = { .tv_nsec = 1000000 };
	bool waits = clock_now_ns() >= t->patient_ns;
	int fd, left = GOING_MS;

	do {
		fd = bpf_link_create(prog_fd, (int)ifindex, uses[prog].hook, &opts);
		if (fd >= 0 || errno != EEXIST)
			return fd;
		if (waits)
			nanosleep(&pause, NULL);
	} while (waits && --left > 0);
	if (waits)
		t->patient_ns = clock_now_ns() + IMPATIENT_NS;
	errno = EEXIST;
	return -1;
}

static int make_link(struct net_tcx *t, uint32_t ifindex, enum net_prog prog, int prog_fd,
		     struct qerr *err)
{
	char path[NET_PIN_PATH_BYTES];
	int r = net_pin_make_dirs(t->dir, err), fd;

	if (r < 0)
		return r;
	fd = new_link(t, ifindex, prog, prog_fd);
	if (fd < 0)
		return qerr_set(err, -errno, "cannot link the program %s to device %u: %s",
				uses[prog].name, ifindex, strerror(errno));
	unlink(path_of(t, ifindex, prog, path)); /* of a link that has lost its device */
	if (bpf_obj_pin(fd, path) < 0)
		r = qerr_set(err, -errno, "cannot pin %s: %s", path, strerror(errno));
	net_pin_close(&fd); /* not pinned: off it goes */
	return r;
}

int net_tcx_set(struct net_tcx *t, uint32_t ifindex, enum net_prog prog, int prog_fd,
		struct qerr *err)
{
	uint32_t program;
	int fd = open_link(t, ifindex, prog, &program), r = 0;

	if (fd < 0)
		r = make_link(t, ifindex, prog, prog_fd, err);
	net_tcx_watch(t);
	if (fd < 0)
		return r;
	if (bpf_link_update(fd, prog_fd, NULL) < 0)
		r = qerr_set(err, -errno, "cannot replace the program %s of device %u: %s",
			     uses[prog].name, ifindex, strerror(errno));
	net_pin_close(&fd);
	return r;
}

int net_tcx_clear(const struct net_tcx *t, uint32_t ifindex, enum net_prog prog, struct qerr *err)
{
	char path[NET_PIN_PATH_BYTES];
	uint32_t program;
	int fd = open_link(t, ifindex, prog, &program), r = 0;

	if (fd >= 0 && bpf_link_detach(fd) < 0 && errno != ENOLINK)
		r = qerr_set(err, -errno, "cannot take the program %s off device %u: %s",
			     uses[prog].name, ifindex, strerror(errno));
	net_pin_close(&fd);
	if (r == 0 && unlink(path_of(t, ifindex, prog, path)) < 0 && errno != ENOENT)
		r = qerr_set(err, -errno, "cannot remove %s: %s", path, strerror(errno));
	rmdir(t->dir); /* stays while there is a pin */
	return r;
}

/* The device of a pin called "INDEX-use"; 0: it is called otherwise. */
static uint32_t device_of(const char *name, const char **ret_use)
{
	char *end;
	unsigned long ifindex = strtoul(name, &end, 10);

	*ret_use = end + 1;
	return end != name && *end == '-' && ifindex <= UINT32_MAX ? (uint32_t)ifindex : 0;
}

bool net_tcx_each(const struct net_tcx *t, enum net_prog prog,
		  bool (*fn)(void *user, uint32_t ifindex, const char *path), void *user)
{
	char path[NET_PIN_PATH_BYTES];
	struct dirent *entry;
	const char *use;
	bool found = false;
	DIR *d = opendir(t->dir);

	while (d && !found && (entry = readdir(d)) != NULL)
		if (strlen(entry->d_name) < LINK_NAME_BYTES && device_of(entry->d_name, &use) &&
		    (prog == NET_LINKS || strcmp(use, uses[prog].name) == 0))
			found = fn(user, device_of(entry->d_name, &use),
				   net_pin_path(t->dir, entry->d_name, path));
	if (d)
		closedir(d);
	return found;
}

static bool is_there(void *user, uint32_t ifindex, const char *path)
{
	char name[IF_NAMESIZE];

	(void)user;
	(void)path;
	return if_indextoname(ifindex, name) || (errno != ENXIO && errno != ENODEV);
}

bool net_tcx_any(const struct net_tcx *t, enum net_prog prog)
{
	return net_tcx_each(t, prog, is_there, NULL);
}

static bool drop_if_gone(void *user, uint32_t ifindex, const char *path)
{
	if (!is_there(user, ifindex, path))
		unlink(path);
	return false;
}

void net_tcx_sweep(const struct net_tcx *t)
{
	net_tcx_each(t, NET_LINKS, drop_if_gone, NULL);
}

static bool drop(void *user, uint32_t ifindex, const char *path)
{
	(void)user;
	(void)ifindex;
	unlink(path);
	return false;
}

int net_tcx_remove(const struct net_tcx *t, struct qerr *err)
{
	net_tcx_each(t, NET_LINKS, drop, NULL);
	if (rmdir(t->dir) < 0 && errno != ENOENT)
		return qerr_set(err, -errno, "cannot remove %s: %s", t->dir, strerror(errno));
	return 0;
}

/* ---- events ---- */

void net_tcx_watch(struct net_tcx *t)
{
	if (t->events > 0 && t->watched < 0)
		t->watched = inotify_add_watch(t->events, t->dir, IN_DELETE | IN_MOVED_FROM);
}

void net_tcx_handle(struct net_tcx *t, void (*fn)(void *user, uint32_t ifindex), void *user)
{
	_Alignas(struct inotify_event) char buf[4096];
	const struct inotify_event *e;
	const char *use;
	ssize_t n;

	while (t->events > 0 && (n = read(t->events, buf, sizeof(buf))) > 0)
		for (char *p = buf; p < buf + n; p += sizeof(*e) + e->len) {
			e = (const struct inotify_event *)p;
			if (e->mask & IN_IGNORED) /* the directory has gone */
				t->watched = -1;
			else if (e->mask & IN_Q_OVERFLOW) {
				t->watched = -1; /* even that may be among what is lost */
				fn(user, 0);
			} else if (e->len > 0 && device_of(e->name, &use))
				fn(user, device_of(e->name, &use));
		}
	net_tcx_watch(t);
}
