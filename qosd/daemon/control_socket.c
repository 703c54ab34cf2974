/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * control_socket - the socket file and the peer's credentials.
 *
 * Everybody may connect (mode 0666): who may do what is decided from the credentials that the
 * kernel took at connect time. The file is made with mode 0600 and opened up when it listens, so
 * that no window is wider than it should be and the process's umask is left alone.
 */
#include <errno.h>
#include <grp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "qosd/core/mem.h"
#include "qosd/daemon/control_private.h"

#define LISTEN_BACKLOG 64

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static int unix_socket(struct qerr *err)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return fd >= 0 ? fd : qerr_set(err, -errno, "cannot make a socket: %s", strerror(errno));
}

/* Does a daemon serve the socket file? A full backlog (EAGAIN) means yes, too. */
static bool is_served(const struct sockaddr_un *address)
{
	CLEANUP(close_fd) int fd = unix_socket(NULL);

	if (fd < 0)
		return false;
	return connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ||
	       errno == EAGAIN || errno == EINPROGRESS;
}

/* Make way at the path: only for a socket that nobody serves. */
static int clear_path(const struct sockaddr_un *address, struct qerr *err)
{
	const char *path = address->sun_path;
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : qerr_set(err, -errno, "%s: %s", path, strerror(errno));
	if (!S_ISSOCK(st.st_mode))
		return qerr_set(err, -EEXIST, "%s is in the way and is no socket; move it", path);
	if (is_served(address))
		return qerr_set(err, -EADDRINUSE,
				"another qosd serves %s; stop it or choose another socket", path);
	if (unlink(path) < 0 && errno != ENOENT)
		return qerr_set(err, -errno, "cannot remove the old %s: %s", path, strerror(errno));
	return 0;
}

static int bind_and_listen(int fd, const struct sockaddr_un *address, struct stat *ret_st)
{
	if (fchmod(fd, 0600) < 0 ||
	    bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0)
		return -errno;
	if (listen(fd, LISTEN_BACKLOG) < 0 || chmod(address->sun_path, 0666) < 0 ||
	    lstat(address->sun_path, ret_st) < 0) {
		int r = -errno;

		unlink(address->sun_path);
		return r;
	}
	return 0;
}

int control_socket_listen(const char *path, dev_t *ret_dev, ino_t *ret_ino, struct qerr *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	CLEANUP(close_fd) int fd = -1;
	struct stat st;
	int listening, r;

	if (strlen(path) >= sizeof(address.sun_path))
		return qerr_set(err, -ENAMETOOLONG, "the socket path is longer than %zu bytes: %s",
				sizeof(address.sun_path) - 1, path);
	memcpy(address.sun_path, path, strlen(path) + 1);
	r = clear_path(&address, err);
	if (r < 0)
		return r;
	fd = unix_socket(err);
	if (fd < 0)
		return fd;
	r = bind_and_listen(fd, &address, &st);
	if (r < 0)
		return qerr_set(err, r, "cannot listen at %s: %s", path, strerror(-r));
	*ret_dev = st.st_dev;
	*ret_ino = st.st_ino;
	listening = fd;
	fd = -1;
	return listening;
}

void control_socket_unlink(const char *path, dev_t dev, ino_t ino)
{
	struct stat st;

	if (lstat(path, &st) == 0 && st.st_dev == dev && st.st_ino == ino)
		unlink(path);
}

gid_t control_group(const char *name)
{
	const struct group *group = getgrnam(name);

	return group ? group->gr_gid : (gid_t)-1;
}

/* The peer's supplementary groups, malloc'd; their number or negative errno. */
static ssize_t peer_groups(int fd, gid_t **ret)
{
	socklen_t size = 32 * sizeof(gid_t);
	gid_t *groups = NULL;

	for (int tries = 0; tries < 3; tries++) {
		gid_t *larger = realloc(groups, size);

		if (!larger)
			break;
		groups = larger;
		if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) == 0) {
			*ret = groups;
			return (ssize_t)(size / sizeof(gid_t));
		}
		if (errno != ERANGE) /* ERANGE: size says how much is needed */
			break;
	}
	free(groups);
	return -EIO;
}

static bool in_group(gid_t wanted, gid_t primary, const gid_t *groups, ssize_t count)
{
	if (wanted == (gid_t)-1)
		return false;
	if (wanted == primary)
		return true;
	for (ssize_t i = 0; i < count; i++)
		if (groups[i] == wanted)
			return true;
	return false;
}

int control_socket_peer(int fd, gid_t admin_gid, gid_t read_gid, struct control_peer *ret)
{
	CLEANUP_FREE gid_t *groups = NULL;
	struct ucred ucred;
	socklen_t size = sizeof(ucred);
	ssize_t count;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &ucred, &size) < 0)
		return -errno;
	count = peer_groups(fd, &groups);
	*ret = (struct control_peer){ .pid = ucred.pid, .uid = ucred.uid, .gid = ucred.gid };
	ret->may_write = ucred.uid == 0 || in_group(admin_gid, ucred.gid, groups, count);
	ret->may_read = ret->may_write || in_group(read_gid, ucred.gid, groups, count);
	return 0;
}
