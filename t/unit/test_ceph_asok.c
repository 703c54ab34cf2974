/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_ceph_asok - the client of Ceph's admin sockets against a socket that answers as told. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
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
	{ "images by their counters", test_image_names },
};

int main(void)
{
	return harness_run("ceph_asok", tests, ARRAY_SIZE(tests));
}
