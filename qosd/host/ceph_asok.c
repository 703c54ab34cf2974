/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The wire: a JSON object and a NUL byte go out; four bytes of length (big endian) and as many of
 * JSON come back, then the end.
 */
#include "qosd/host/ceph_asok.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "qosd/core/mem.h"
#include "qosd/host/ceph_priv.h"

#define REPLY_MAX     ((size_t)4 << 20) /* perf dump has some 50 KiB */
#define LISTENING     0x10000u          /* SO_ACCEPTCON among the flags of /proc/net/unix */
#define LISTENERS_MAX 4096

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void close_fd(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static void close_dir(DIR **d)
{
	if (*d)
		closedir(*d);
}

/* ---- the wire ---- */

/* Wait until the socket is ready for `events`. 0, -ETIMEDOUT. */
static int wait_ready(int fd, short events, uint64_t until_us)
{
	struct pollfd p = { .fd = fd, .events = events };
	uint64_t now = now_us();
	int n;

	if (now >= until_us)
		return -ETIMEDOUT;
	do
		n = poll(&p, 1, (int)((until_us - now + 999) / 1000));
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return n ? 0 : -ETIMEDOUT;
}

static int send_all(int fd, const char *data, size_t len, uint64_t until_us)
{
	while (len) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
		int r = n < 0 ? -errno : 0;

		if (r == -EAGAIN || r == -EINTR)
			r = wait_ready(fd, POLLOUT, until_us);
		if (r < 0)
			return r;
		if (n > 0) {
			data += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

static int receive_all(int fd, void *data, size_t len, uint64_t until_us)
{
	char *at = data;

	while (len) {
		ssize_t n = recv(fd, at, len, 0);
		int r = n < 0 ? -errno : n == 0 ? -EPROTO : 0;

		if (r == -EAGAIN || r == -EINTR)
			r = wait_ready(fd, POLLIN, until_us);
		if (r < 0)
			return r;
		if (n > 0) {
			at += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

/* Whose process this is (the effective user, as the kernel tells of a listener); -ESRCH. */
static int owner_of(int pid, uid_t *ret)
{
	FILE *f CLEANUP(ceph_close_file) = ceph_open_proc(pid, "status");
	unsigned int user;
	char line[128];

	if (!f)
		return errno == ENOENT ? -ESRCH : -errno;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "Uid: %*u %u", &user) == 1) {
			*ret = user;
			return 0;
		}
	return -ESRCH;
}

/* A number may be used again after its process, a user's listener stays that user's. */
static int check_listener(int fd, int pid)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);
	uid_t owner;
	int r;

	if (!pid)
		return 0;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return -errno;
	r = owner_of(pid, &owner);
	if (r < 0)
		return r;
	return peer.pid == pid && peer.uid == owner ? 0 : -EPERM;
}

/* A connected socket or a negative errno. */
static int connect_to(const struct ceph_asok *s)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd, r = 0;

	memcpy(address.sun_path, s->path, sizeof(address.sun_path));
	address.sun_path[sizeof(address.sun_path) - 1] = '\0';
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	/* A full backlog is EAGAIN at once: its owner does not accept. */
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		r = errno == EAGAIN ? -ETIMEDOUT : -errno;
	if (r == 0)
		r = check_listener(fd, s->pid);
	if (r < 0) {
		close(fd);
		return r;
	}
	return fd;
}

/* The answer as a string that the caller frees. */
static int exchange(const struct ceph_asok *s, const char *request, char **ret, size_t *ret_len)
{
	uint64_t until = now_us() + (s->timeout_us ? s->timeout_us : CEPH_ASOK_TIMEOUT_US);
	int fd CLEANUP(close_fd) = connect_to(s);
	char *text CLEANUP_FREE = NULL;
	unsigned char head[4];
	size_t len;
	int r;

	if (fd < 0)
		return fd;
	r = send_all(fd, request, strlen(request) + 1, until);
	if (r == 0)
		r = receive_all(fd, head, sizeof(head), until);
	if (r < 0)
		return r;
	len = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
	text = len <= REPLY_MAX ? malloc(len + 1) : NULL;
	if (!text)
		return len <= REPLY_MAX ? -ENOMEM : -EPROTO;
	r = receive_all(fd, text, len, until);
	if (r < 0)
		return r;
	text[len] = '\0';
	*ret_len = len;
	*ret = TAKE_PTR(text);
	return 0;
}

/* ---- commands ---- */

static int tell(struct qerr *err, const struct ceph_asok *s, int r)
{
	if (r == -EPERM)
		return qerr_set(err, r, "%s: the process that listens is not the guest's QEMU",
				s->path);
	if (r == -ETIMEDOUT)
		return qerr_set(err, r, "%s: the Ceph client does not answer", s->path);
	return qerr_set(err, r, "%s: %s", s->path, strerror(-r));
}

/* "ERROR: (22) Invalid argument", perhaps with more lines: the first one is told. */
static int refuse(struct qerr *err, const struct ceph_asok *s, char *answer)
{
	answer[strcspn(answer, "\n")] = '\0';
	return qerr_set(err, -EINVAL, "%s: %s", s->path, answer);
}

/* Takes over `request`. */
static int call(const struct ceph_asok *s, json_t *request, json_t **ret, struct qerr *err)
{
	char *text CLEANUP_FREE = request ? json_dumps(request, JSON_COMPACT) : NULL;
	char *answer CLEANUP_FREE = NULL;
	size_t len = 0;
	json_t *json;
	int r;

	json_decref(request);
	r = text ? exchange(s, text, &answer, &len) : -ENOMEM;
	if (r < 0)
		return tell(err, s, r);
	if (strncmp(answer, "ERROR:", 6) == 0)
		return refuse(err, s, answer);
	/* Counters that went below zero are printed as 2^64-1, which is no integer for JSON. */
	json = len ? json_loadb(answer, len, JSON_DECODE_INT_AS_REAL, NULL) : json_object();
	if (!json)
		return qerr_set(err, -EPROTO, "%s: its answer is no JSON", s->path);
	*ret = json;
	return 0;
}

int ceph_asok_command(const struct ceph_asok *s, const char *prefix, json_t **ret, struct qerr *err)
{
	return call(s, json_pack("{s:s}", "prefix", prefix), ret, err);
}

int ceph_asok_config_get(const struct ceph_asok *s, const char *key, char *buf, size_t size,
			 struct qerr *err)
{
	json_t *answer;
	const char *value;
	int r = call(s, json_pack("{s:s, s:s}", "prefix", "config get", "var", key), &answer, err);

	if (r < 0)
		return r;
	value = json_string_value(json_object_get(answer, key));
	if (!value || (size_t)snprintf(buf, size, "%s", value) >= size)
		r = qerr_set(err, -EPROTO, "%s: no value of %s in its answer", s->path, key);
	json_decref(answer);
	return r;
}

int ceph_asok_config_set(const struct ceph_asok *s, const char *key, const char *value,
			 struct qerr *err)
{
	json_t *answer;
	int r = call(
		s, json_pack("{s:s, s:s, s:[s]}", "prefix", "config set", "var", key, "val", value),
		&answer, err);

	if (r == 0)
		json_decref(answer);
	return r;
}

int ceph_asok_config_unset(const struct ceph_asok *s, const char *key, struct qerr *err)
{
	json_t *answer;
	int r = call(s, json_pack("{s:s, s:s}", "prefix", "config unset", "var", key), &answer,
		     err);

	if (r == 0)
		json_decref(answer);
	return r;
}

int ceph_asok_buffer_bytes(const struct ceph_asok *s, uint64_t *ret, struct qerr *err)
{
	json_t *answer, *bytes;
	int r = ceph_asok_command(s, "dump_mempools", &answer, err);

	if (r < 0)
		return r;
	bytes = json_object_get(answer, "mempool");
	bytes = json_object_get(json_object_get(bytes, "by_pool"), "buffer_anon");
	bytes = json_object_get(bytes, "bytes");
	if (json_is_number(bytes) && json_number_value(bytes) >= 0)
		*ret = (uint64_t)json_number_value(bytes);
	else
		r = qerr_set(err, -EPROTO, "%s: no buffer_anon in its answer", s->path);
	json_decref(answer);
	return r;
}

/* ---- finding ---- */

struct listener {
	uint64_t inode;
	char path[CEPH_ASOK_PATH_MAX];
};

/* One line of /proc/net/unix: a socket that listens and has a path. */
static bool read_listener(const char *line, struct listener *ret)
{
	unsigned long long inode;
	unsigned int flags;
	int at = 0;

	if (sscanf(line, "%*s %*s %*s %x %*s %*s %llu %n", &flags, &inode, &at) < 2 || !at)
		return false;
	line += at;
	if (!(flags & LISTENING) || line[0] != '/')
		return false;
	ret->inode = inode;
	return (size_t)snprintf(ret->path, sizeof(ret->path), "%.*s", (int)strcspn(line, "\n"),
				line) < sizeof(ret->path);
}

/* Those of the process's network namespace, whoever owns them. */
static int read_listeners(int pid, struct listener **ret, size_t *ret_count)
{
	FILE *f CLEANUP(ceph_close_file) = NULL;
	char *line CLEANUP_FREE = NULL;
	size_t room = 0, capacity = 0;
	struct listener one;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/net/unix", pid);
	f = fopen(path, "re");
	if (!f)
		return errno == ENOENT ? -ESRCH : -errno;
	while (*ret_count < LISTENERS_MAX && getline(&line, &room, f) >= 0) {
		if (!read_listener(line, &one))
			continue;
		if (mem_grow(ret, &capacity, *ret_count + 1, sizeof(one)) < 0)
			return -ENOMEM;
		(*ret)[(*ret_count)++] = one;
	}
	return 0;
}

/* The socket behind a descriptor of the process. 0: it is something else; -EACCES. */
static int socket_inode(int dir_fd, const char *name, uint64_t *ret)
{
	char text[64];
	ssize_t len = readlinkat(dir_fd, name, text, sizeof(text) - 1);
	unsigned long long inode = 0;

	if (len < 0 && errno == EACCES)
		return -EACCES;
	text[len > 0 ? len : 0] = '\0';
	(void)sscanf(text, "socket:[%llu]", &inode);
	*ret = inode;
	return 0;
}

struct found {
	struct ceph_asok *list;
	size_t count, max;
};

static void add_found(struct found *f, int pid, const struct listener *l)
{
	if (f->count == f->max)
		return;
	f->list[f->count] = (struct ceph_asok){ .pid = pid };
	memcpy(f->list[f->count++].path, l->path, sizeof(l->path));
}

/* By what the process has open. -EACCES: that may only be read with CAP_SYS_PTRACE. */
static int find_open(int pid, const struct listener *all, size_t count, struct found *ret)
{
	DIR *dir CLEANUP(close_dir) = NULL;
	struct dirent *entry;
	char path[64];
	int r = 0;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	if (!dir)
		return errno == ENOENT ? -ESRCH : -errno;
	while (r == 0 && (entry = readdir(dir))) {
		uint64_t inode = 0;

		if (entry->d_name[0] == '.')
			continue;
		r = socket_inode(dirfd(dir), entry->d_name, &inode);
		for (size_t i = 0; inode && i < count; i++)
			if (all[i].inode == inode)
				add_found(ret, pid, &all[i]);
	}
	return r;
}

/* QEMU's monitor is none: it has one client, libvirt. */
static bool is_asok(const char *path)
{
	size_t len = strlen(path);

	return len > 5 && strcmp(path + len - 5, ".asok") == 0;
}

enum naming { NAMES_NOBODY, NAMES_ANOTHER, NAMES_IT };

/*
 * Which process does the file's name tell, as it should ($pid)? Numbers that are no process of the
 * same user are something else: an OSD's, an address.
 */
static enum naming naming_of(const char *path, int pid, uid_t owner)
{
	enum naming naming = NAMES_NOBODY;
	const char *p = strrchr(path, '/') + 1;

	while (*p) {
		char *end = (char *)p + 1;
		long number = isdigit((unsigned char)*p) ? strtol(p, &end, 10) : 0;
		uid_t user;

		if (number == pid)
			return NAMES_IT;
		if (number > 0 && number <= INT_MAX && owner_of((int)number, &user) == 0 &&
		    user == owner)
			naming = NAMES_ANOTHER;
		p = end;
	}
	return naming;
}

/* Is nobody there, or somebody else? */
static bool is_nobodys(int r)
{
	return r == -ENOENT || r == -ECONNREFUSED || r == -EPERM || r == -EINVAL;
}

/* 0: the process's user has made it and it answers; else why not. */
static int try_listener(int pid, uid_t owner, const struct listener *l)
{
	struct ceph_asok one = { .pid = pid };
	struct stat st;
	int fd;

	if (stat(l->path, &st) < 0)
		return -errno;
	if (st.st_uid != owner)
		return -EPERM;
	memcpy(one.path, l->path, sizeof(one.path));
	fd = connect_to(&one);
	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

/*
 * By who answers: the kernel tells whose listener it is. Those that name the process, else those
 * that name none: nobody else's are touched. 0, or why one could not be looked at.
 */
static int find_answering(int pid, const struct listener *all, size_t count, enum naming naming,
			  struct found *ret)
{
	uid_t owner;
	int worst = 0, r = owner_of(pid, &owner);

	if (r < 0)
		return r;
	for (size_t i = 0; i < count; i++) {
		if (!is_asok(all[i].path) || naming_of(all[i].path, pid, owner) != naming)
			continue;
		r = try_listener(pid, owner, &all[i]);
		if (r == 0)
			add_found(ret, pid, &all[i]);
		else if (!is_nobodys(r))
			worst = r;
	}
	return worst;
}

/* All of its sockets, or why that is not certain. */
static int find_untraced(int pid, const struct listener *all, size_t count, struct found *ret)
{
	int r;

	ret->count = 0;
	r = find_answering(pid, all, count, NAMES_IT, ret);
	if (r == 0 && !ret->count)
		r = find_answering(pid, all, count, NAMES_NOBODY, ret);
	return r;
}

int ceph_asok_list(int pid, struct ceph_asok *list, size_t max)
{
	struct listener *all CLEANUP_FREE = NULL;
	struct found found = { .list = list, .max = max };
	size_t count = 0;
	int r = read_listeners(pid, &all, &count);

	if (r == 0)
		r = find_open(pid, all, count, &found);
	if (r == -EACCES)
		r = find_untraced(pid, all, count, &found);
	return r < 0 ? r : (int)found.count;
}

/* "librbd-<image id>-<pool>-<image>[-<snapshot>]" */
bool ceph_asok_has_image(const json_t *perf, const struct guest_rbd *rbd)
{
	char wanted[sizeof(rbd->pool) + sizeof(rbd->image) + sizeof(rbd->snapshot) + 2];
	const char *name;
	json_t *counters;

	snprintf(wanted, sizeof(wanted), "%s-%s%s%s", rbd->pool, rbd->image,
		 rbd->snapshot[0] ? "-" : "", rbd->snapshot);
	json_object_foreach ((json_t *)perf, name, counters) {
		const char *id = strncmp(name, "librbd-", 7) == 0 ? name + 7 : NULL;
		const char *rest = id ? strchr(id, '-') : NULL;

		if (rest && strcmp(rest + 1, wanted) == 0)
			return true;
	}
	return false;
}

bool ceph_asok_is_ceph(const struct ceph_asok *s)
{
	return is_asok(s->path);
}

int ceph_asok_find(int pid, const struct guest_rbd *rbd, struct ceph_asok *ret, struct qerr *err)
{
	struct ceph_asok list[CEPH_ASOK_MAX];
	int n = ceph_asok_list(pid, list, ARRAY_SIZE(list)), r = 0, unsure = 0;
	struct qerr silent = { 0 };
	json_t *perf;

	if (n < 0)
		return qerr_set(err, n, "process %d: %s", pid, strerror(-n));
	for (int i = 0; i < n; i++) {
		bool found;

		if (!ceph_asok_is_ceph(&list[i]))
			continue;
		r = ceph_asok_command(&list[i], "perf dump", &perf, &silent);
		if (r == -ETIMEDOUT)
			return qerr_set(err, r, "%s",
					silent.text); /* the whole process stands still */
		if (r < 0) {
			unsure = is_nobodys(r) ? unsure : r;
			continue;
		}
		found = ceph_asok_has_image(perf, rbd);
		json_decref(perf);
		if (found) {
			*ret = list[i];
			return 0;
		}
	}
	if (unsure)
		return qerr_set(err, unsure, "process %d: a Ceph client there: %s", pid,
				strerror(-unsure));
	return qerr_set(err, -ENOENT,
			"image %s/%s has no admin socket: set admin_socket for clients in "
			"ceph.conf, in force from the guest's next start",
			rbd->pool, rbd->image);
}
