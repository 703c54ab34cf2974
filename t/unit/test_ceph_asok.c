/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_ceph_asok - the client of Ceph's admin sockets against a socket that answers as told. */
#include <errno.h>
#include <linux/capability.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "qosd/host/ceph_asok.h"
#include "t/unit/harness.h"

struct server {
	struct ceph_asok asok;
	char dir[64];
	int fd;
	const char *answer; /* NULL: accept and say nothing */
	size_t announce;    /* length told; 0: the true one */
	char request[256];
	pthread_t thread;
};

static void *serve(void *arg)
{
	struct server *s = arg;
	int fd = accept(s->fd, NULL, NULL);
	size_t len = s->answer ? strlen(s->answer) : 0, told = s->announce ? s->announce : len;
	unsigned char head[4] = { (unsigned char)(told >> 24), (unsigned char)(told >> 16),
				  (unsigned char)(told >> 8), (unsigned char)told };
	char wait;

	for (size_t i = 0; i < sizeof(s->request); i++)
		if (read(fd, &s->request[i], 1) != 1 || s->request[i] == '\0')
			break;
	if (s->answer && send(fd, head, 4, MSG_NOSIGNAL) == 4 &&
	    send(fd, s->answer, len, MSG_NOSIGNAL) == (ssize_t)len && !s->announce)
		shutdown(fd, SHUT_WR);
	while (read(fd, &wait, 1) > 0)
		;
	close(fd);
	return NULL;
}

static void server_start(struct server *s, const char *answer)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	memset(s, 0, sizeof(*s));
	strcpy(s->dir, "/tmp/qosd-asok-XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(s->dir));
	snprintf(s->asok.path, sizeof(s->asok.path), "%s/c.asok", s->dir);
	s->asok.pid = getpid();
	s->answer = answer;
	s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	memcpy(a.sun_path, s->asok.path, sizeof(a.sun_path));
	CU_ASSERT_EQUAL_FATAL(bind(s->fd, (struct sockaddr *)&a, sizeof(a)), 0);
	CU_ASSERT_EQUAL_FATAL(listen(s->fd, 4), 0);
	pthread_create(&s->thread, NULL, serve, s);
}

static void server_stop(struct server *s)
{
	pthread_join(s->thread, NULL);
	close(s->fd);
	unlink(s->asok.path);
	rmdir(s->dir);
}

static void test_get(void)
{
	struct server s;
	struct qerr err = { 0 };
	char value[64];

	server_start(&s, "{\"rbd_cache_size\": \"67108864\"}");
	CU_ASSERT_EQUAL(ceph_asok_config_get(&s.asok, "rbd_cache_size", value, sizeof(value), &err),
			0);
	ASSERT_STR(value, "67108864");
	server_stop(&s);
	ASSERT_STR(s.request, "{\"prefix\":\"config get\",\"var\":\"rbd_cache_size\"}");
}

static void test_set_and_unset(void)
{
	struct server s;

	server_start(&s, "{\"success\": \"rbd_qos_iops_limit = '50' \"}");
	CU_ASSERT_EQUAL(ceph_asok_config_set(&s.asok, "rbd_qos_iops_limit", "50", NULL), 0);
	server_stop(&s);
	ASSERT_STR(s.request,
		   "{\"prefix\":\"config set\",\"var\":\"rbd_qos_iops_limit\",\"val\":[\"50\"]}");
	/* Ceph answers an unset with nothing at all. */
	server_start(&s, "");
	CU_ASSERT_EQUAL(ceph_asok_config_unset(&s.asok, "rbd_qos_iops_limit", NULL), 0);
	server_stop(&s);
}

static void test_refusal(void)
{
	struct server s;
	struct qerr err = { 0 };
	char value[64];

	server_start(&s, "ERROR: (2) No such file or directory\nerror getting 'rbd_nonsense'\n");
	CU_ASSERT_EQUAL(ceph_asok_config_get(&s.asok, "rbd_nonsense", value, sizeof(value), &err),
			-EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "ERROR: (2) No such file or directory"));
	CU_ASSERT_PTR_NULL(strchr(err.text, '\n'));
	server_stop(&s);
	server_start(&s, "{ no json");
	CU_ASSERT_EQUAL(ceph_asok_config_get(&s.asok, "k", value, sizeof(value), &err), -EPROTO);
	server_stop(&s);
	server_start(&s, "{\"other\": 1}");
	CU_ASSERT_EQUAL(ceph_asok_config_get(&s.asok, "k", value, sizeof(value), &err), -EPROTO);
	server_stop(&s);
	server_start(&s, "{\"k\": \"too long for the buffer\"}");
	CU_ASSERT_EQUAL(ceph_asok_config_get(&s.asok, "k", value, 4, &err), -EPROTO);
	server_stop(&s);
}

static void test_silence(void)
{
	struct server s;
	struct qerr err = { 0 };
	json_t *answer = NULL;

	server_start(&s, NULL);
	s.asok.timeout_us = 30000;
	CU_ASSERT_EQUAL(ceph_asok_command(&s.asok, "perf dump", &answer, &err), -ETIMEDOUT);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "does not answer"));
	server_stop(&s);
	/* Half an answer, then silence. */
	server_start(&s, "{\"a\":");
	s.announce = 100;
	s.asok.timeout_us = 30000;
	CU_ASSERT_EQUAL(ceph_asok_command(&s.asok, "perf dump", &answer, &err), -ETIMEDOUT);
	server_stop(&s);
	/* A length that nobody should believe. */
	server_start(&s, "{}");
	s.announce = 0xffffffff;
	CU_ASSERT_EQUAL(ceph_asok_command(&s.asok, "perf dump", &answer, &err), -EPROTO);
	server_stop(&s);
}

static void test_stranger(void)
{
	struct server s;
	struct qerr err = { 0 };
	json_t *answer = NULL;

	server_start(&s, "{}");
	s.asok.pid = 1;
	CU_ASSERT_EQUAL(ceph_asok_command(&s.asok, "perf dump", &answer, &err), -EPERM);
	CU_ASSERT_PTR_NULL(answer);
	server_stop(&s);
	CU_ASSERT_EQUAL(ceph_asok_command(&s.asok, "perf dump", &answer, &err), -ENOENT);
}

static void test_buffers(void)
{
	struct server s;
	uint64_t bytes = 0;

	server_start(&s, "{\"mempool\":{\"by_pool\":{\"buffer_anon\":{\"items\":3,\"bytes\":"
			 "58720256}}}}");
	CU_ASSERT_EQUAL(ceph_asok_buffer_bytes(&s.asok, &bytes, NULL), 0);
	CU_ASSERT_EQUAL(bytes, 58720256);
	server_stop(&s);
	server_start(&s, "{\"mempool\":{\"by_pool\":{\"buffer_anon\":{\"bytes\":-1}}}}");
	CU_ASSERT_EQUAL(ceph_asok_buffer_bytes(&s.asok, &bytes, NULL), -EPROTO);
	server_stop(&s);
}

static void test_find(void)
{
	struct guest_rbd rbd = { .pool = "vms", .image = "disk-1" };
	struct ceph_asok found, list[8];
	struct qerr err = { 0 };
	struct server s;

	server_start(&s, "{\"librbd-10ab-vms-disk-1\": {\"wr\": 18446744073709551615}}");
	CU_ASSERT_EQUAL(ceph_asok_list(getpid(), list, 8), 1);
	ASSERT_STR(list[0].path, s.asok.path);
	CU_ASSERT_EQUAL(ceph_asok_find(getpid(), &rbd, &found, &err), 0);
	ASSERT_STR(found.path, s.asok.path);
	CU_ASSERT_EQUAL(found.pid, getpid());
	server_stop(&s);
	CU_ASSERT_EQUAL(ceph_asok_list(getpid(), list, 8), 0);
	CU_ASSERT_EQUAL(ceph_asok_find(getpid(), &rbd, &found, &err), -ENOENT);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "admin_socket"));
	CU_ASSERT_EQUAL(ceph_asok_list(1 << 29, list, 8), -ESRCH);
}

/* ---- a QEMU that is not root's, for a qosd that may not trace it ---- */

static int listen_at(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(fd, 4) < 0)
		_exit(1);
	return fd;
}

/* Says by a byte that it listens, on three paths; ends when the pipe is closed. */
static void be_guest(const char *dir, bool named, const int ready[2], const int stop[2])
{
	char path[100], byte = 0;

	close(ready[0]);
	close(stop[1]);
	if (setgid(65534) < 0 || setuid(65534) < 0 || prctl(PR_SET_DUMPABLE, 1) < 0)
		_exit(1);
	snprintf(path, sizeof(path), "%s/monitor.sock", dir);
	listen_at(path);
	snprintf(path, sizeof(path), named ? "%s/client.%d.1.asok" : "%s/client.asok", dir,
		 getpid());
	listen_at(path);
	snprintf(path, sizeof(path), "%s/another%d.asok", dir, named);
	listen_at(path);
	if (write(ready[1], &byte, 1) != 1)
		_exit(1);
	(void)!read(stop[0], &byte, 1);
	_exit(0);
}

/* As the shipped unit; with its drop-in the files of others may be used. */
static bool drop_caps(struct __user_cap_data_struct before[2], bool drop_in)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, before) < 0)
		return false;
	memcpy(data, before, sizeof(data));
	data[0].effective &= ~(1u << CAP_SYS_PTRACE | 1u << CAP_DAC_READ_SEARCH);
	if (!drop_in)
		data[0].effective &= ~(1u << CAP_DAC_OVERRIDE);
	return syscall(SYS_capset, &header, data) == 0;
}

/* A stranger's socket that names the guest is none of its. */
static int list_of_guest(bool named, bool drop_in, struct ceph_asok *list, size_t max)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct before[2];
	char dir[] = "/tmp/qosd-asok-XXXXXX", byte, path[128];
	int ready[2], stop[2], n = 1, stranger;
	pid_t child;

	if (!mkdtemp(dir) || chmod(dir, 0777) < 0 || pipe(ready) < 0 || pipe(stop) < 0)
		abort();
	child = fork();
	if (child == 0)
		be_guest(dir, named, ready, stop);
	close(ready[1]);
	close(stop[0]);
	if (read(ready[0], &byte, 1) != 1)
		abort();
	snprintf(path, sizeof(path), "%s/stranger.%d.asok", dir, child);
	stranger = listen_at(path);
	if (chown(dir, 65534, 65534) == 0 && chmod(dir, 0700) == 0 && drop_caps(before, drop_in)) {
		n = ceph_asok_list(child, list, max);
		(void)syscall(SYS_capset, &header, before);
	}
	close(stranger);
	close(ready[0]);
	close(stop[1]);
	waitpid(child, NULL, 0);
	snprintf(path, sizeof(path), "rm -rf %s", dir);
	(void)!system(path);
	return n;
}

static void test_find_untraced(void)
{
	struct ceph_asok list[8];

	if (geteuid() != 0)
		return;
	/* One names it, so the others are not tried. */
	CU_ASSERT_EQUAL_FATAL(list_of_guest(true, true, list, 8), 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(list[0].path, ".1.asok"));
	CU_ASSERT_EQUAL_FATAL(list_of_guest(false, true, list, 8), 2);
	CU_ASSERT_PTR_NULL(strstr(list[0].path, "monitor"));
	CU_ASSERT_PTR_NULL(strstr(list[1].path, "monitor"));
	CU_ASSERT_EQUAL(list_of_guest(false, true, list, 1), 1);
	CU_ASSERT_EQUAL(list_of_guest(true, false, list, 8), -EACCES); /* not: it has none */
}

static void test_image_names(void)
{
	json_t *perf = json_pack("{s:{}, s:{}}", "librbd-1f-rbd-a-b", "objectcacher-librbd-1f-x");
	struct guest_rbd rbd = { .pool = "rbd", .image = "a-b" };

	CU_ASSERT_TRUE(ceph_asok_has_image(perf, &rbd));
	strcpy(rbd.snapshot, "s1");
	CU_ASSERT_FALSE(ceph_asok_has_image(perf, &rbd));
	rbd = (struct guest_rbd){ .pool = "rbd", .image = "a" };
	CU_ASSERT_FALSE(ceph_asok_has_image(perf, &rbd));
	rbd = (struct guest_rbd){ .pool = "rbd", .image = "a", .snapshot = "b" };
	CU_ASSERT_TRUE(ceph_asok_has_image(perf, &rbd)); /* they cannot be told apart */
	json_decref(perf);
}

static const struct test tests[] = {
	{ "config get", test_get },
	{ "config set and unset", test_set_and_unset },
	{ "what Ceph refuses, and what is no answer", test_refusal },
	{ "silence ends by the limit", test_silence },
	{ "another process's socket is not talked to", test_stranger },
	{ "bytes held", test_buffers },
	{ "the socket of a disk is found by its process", test_find },
	{ "sockets of another user's process, without the right to trace it", test_find_untraced },
	{ "images by their counters", test_image_names },
};

int main(void)
{
	return harness_run("ceph_asok", tests, ARRAY_SIZE(tests));
}
