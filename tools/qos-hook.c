/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qos-hook - libvirt's hook for QEMU guests, installed as /etc/libvirt/hooks/qemu.d/50-qosd.
 *
 * libvirt waits for it and holds the guest's lock meanwhile, so: it never calls libvirt, it ends
 * within 500 ms whatever happens, and it fails open. It asks the daemon one question and refuses
 * only when the daemon says so at `prepare`, before the guest runs; at `reconnect` a failure would
 * kill a running guest, so every other phase ends with status 0.
 *
 *	50-qosd GUEST PHASE SUBPHASE EXTRA < DOMAIN-XML
 */
#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define SOCKET_PATH    "/run/qosd/control.sock"
#define METHOD         "org.qosd.Control.Hook"
#define XML_MAX        ((size_t)1 << 20)
#define REPLY_MAX      ((size_t)64 << 10)
#define REASON_MAX     400
#define DEADLINE_MS    400 /* for waiting; the rest is for starting and ending the process */
#define LAST_RESORT_US 450000

struct text {
	char *data;
	size_t len;
};

/* ---- time ---- */

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Wait until fd is ready; false when the time is over. */
static bool wait_for(int fd, short events, int64_t until_ms)
{
	struct pollfd p = { .fd = fd, .events = events };
	int64_t left;
	int r;

	do {
		left = until_ms - now_ms();
		if (left <= 0)
			return false;
		r = poll(&p, 1, (int)left);
	} while (r < 0 && errno == EINTR);
	return r > 0;
}

static void give_up(int sig)
{
	(void)sig;
	_exit(0);
}

/* Should anything block that must not: out, without a word, and the guest starts. */
static void set_last_resort(void)
{
	struct sigaction action = { .sa_handler = give_up };
	struct itimerval timer = { .it_value.tv_usec = LAST_RESORT_US };

	signal(SIGPIPE, SIG_IGN);
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
}

/* ---- input ---- */

/* All of fd up to `end` (-1: end of file), with a NUL added; fails when longer than max. */
static bool read_until(int fd, int end, size_t max, int64_t until_ms, struct text *ret)
{
	char *data = malloc(max + 1);
	size_t len = 0;
	ssize_t n = 0;
	bool complete = false;

	if (!data)
		return false;
	while (!complete && len < max && wait_for(fd, POLLIN, until_ms)) {
		n = read(fd, data + len, max - len);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n <= 0)
			break;
		complete = end >= 0 && memchr(data + len, end, (size_t)n) != NULL;
		len += (size_t)n;
	}
	if (end < 0)
		complete = len < max && n == 0 && len > 0;
	data[len] = '\0';
	if (!complete) {
		free(data);
		return false;
	}
	*ret = (struct text){ data, len };
	return true;
}

/* ---- the question ---- */

/* {"method": ..., "parameters": {...}} with its closing NUL; NULL when a text is not UTF-8. */
static char *make_call(const char *guest, const char *phase, const struct text *xml)
{
	json_t *call;
	char *text = NULL;

	call = json_pack("{s:s, s:{s:s, s:s, s:s%}}", "method", METHOD, "parameters", "guest",
			 guest, "phase", phase, "xml", xml->data, xml->len);
	if (call)
		text = json_dumps(call, JSON_COMPACT);
	json_decref(call);
	return text;
}

static int connect_daemon(void)
{
	const char *path = getenv("QOSD_SOCKET");
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd;

	if (!path)
		path = SOCKET_PATH;
	if (strlen(path) >= sizeof(address.sun_path))
		return -1;
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static bool send_all(int fd, const char *data, size_t len, int64_t until_ms)
{
	while (len > 0) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return false;
		if (n > 0) {
			data += n;
			len -= (size_t)n;
		} else if (!wait_for(fd, POLLOUT, until_ms)) {
			return false;
		}
	}
	return true;
}

static bool ask_daemon(const char *call, int64_t until_ms, struct text *ret)
{
	int fd = connect_daemon();
	bool ok;

	if (fd < 0)
		return false;
	ok = send_all(fd, call, strlen(call) + 1, until_ms) &&
	     read_until(fd, '\0', REPLY_MAX, until_ms, ret);
	close(fd);
	return ok;
}

/* ---- the answer ---- */

static void copy_reason(const char *reason, char *buf, size_t size)
{
	size_t i;

	for (i = 0; reason[i] && i < size - 1; i++)
		buf[i] = (unsigned char)reason[i] < 0x20 || reason[i] == 0x7f ? ' ' : reason[i];
	buf[i] = '\0';
}

/*
 * True only for a whole and well-formed refusal: exactly one message, no error, no more to come,
 * `admit` is false. Whatever else the answer is, the guest may start.
 */
static bool is_refusal(const struct text *reply, char *reason, size_t size)
{
	const json_t *admit, *why, *parameters;
	bool refused = false;
	json_t *root;

	if (strlen(reply->data) + 1 != reply->len)
		return false;
	root = json_loadb(reply->data, reply->len - 1, JSON_REJECT_DUPLICATES, NULL);
	parameters = json_object_get(root, "parameters");
	admit = json_object_get(parameters, "admit");
	why = json_object_get(parameters, "reason");
	if (json_is_false(admit) && !json_object_get(root, "error") &&
	    !json_is_true(json_object_get(root, "continues")) &&
	    (!why || json_is_null(why) || json_is_string(why))) {
		refused = true;
		copy_reason(json_is_string(why) ? json_string_value(why) : "", reason, size);
	}
	json_decref(root);
	return refused;
}

static bool refused(const char *guest, const char *phase, char *reason, size_t size)
{
	int64_t until_ms = now_ms() + DEADLINE_MS;
	struct text xml = { NULL, 0 }, reply = { NULL, 0 };
	char *call = NULL;
	bool no = false;

	if (read_until(STDIN_FILENO, -1, XML_MAX, until_ms, &xml))
		call = make_call(guest, phase, &xml);
	if (call && ask_daemon(call, until_ms, &reply))
		no = is_refusal(&reply, reason, size);
	free(call);
	free(xml.data);
	free(reply.data);
	return no;
}

int main(int argc, char **argv)
{
	char reason[REASON_MAX];

	set_last_resort();
	if (argc < 3) {
		fprintf(stderr,
			"usage: %s GUEST PHASE SUBPHASE EXTRA < DOMAIN-XML; "
			"libvirt runs this\n",
			argv[0]);
		return 0;
	}
	if (!refused(argv[1], argv[2], reason, sizeof(reason)) || strcmp(argv[2], "prepare") != 0)
		return 0;
	fprintf(stderr, "qosd: %s\n", reason[0] ? reason : "this host is full");
	return 1;
}
