/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * control - the server: listening, limits, the sweep over idle and stalled clients.
 */
#include "qosd/daemon/control.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <syslog.h>
#include <unistd.h>

#include "qosd/core/mem.h"
#include "qosd/daemon/control_private.h"

#define ACCEPTS_PER_TURN 16
#define SWEEP_US         5000000ULL /* at the longest */
#define LOG_WINDOW_US    10000000ULL
#define LOGS_PER_WINDOW  5

uint64_t control_now(const struct control *c)
{
	uint64_t now = 0;

	sd_event_now(c->event, CLOCK_MONOTONIC, &now);
	return now;
}

__attribute__((format(printf, 3, 0))) static void log_va(const struct control *c, int priority,
							 const char *fmt, va_list ap)
{
	char sentence[512];

	if (!c->config.log)
		return;
	vsnprintf(sentence, sizeof(sentence), fmt, ap);
	c->config.log(c->config.user, priority, sentence);
}

void control_log(const struct control *c, int priority, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_va(c, priority, fmt, ap);
	va_end(ap);
}

void control_complain(struct control *c, int priority, const char *fmt, ...)
{
	uint64_t now = control_now(c);
	va_list ap;

	if (now - c->log_window_us > LOG_WINDOW_US) {
		c->log_window_us = now;
		c->logged = 0;
	}
	if (c->logged++ >= LOGS_PER_WINDOW)
		return;
	va_start(ap, fmt);
	log_va(c, priority, fmt, ap);
	va_end(ap);
}

/* ---- accepting ---- */

struct census {
	size_t of_user, not_root, refused;
};

static struct census count_clients(const struct control *c, uid_t uid)
{
	struct census n = { 0 };

	for (const struct control_client *client = c->clients; client; client = client->next) {
		n.of_user += client->peer.uid == uid;
		n.not_root += client->peer.uid != 0;
		n.refused += !client->peer.may_read;
	}
	return n;
}

static bool is_full(const struct control *c, const struct control_peer *peer)
{
	struct census n = count_clients(c, peer->uid);

	if (c->nclients >= CONTROL_CLIENTS_MAX)
		return true;
	if (peer->uid == 0)
		return false;
	return n.of_user >= CONTROL_CLIENTS_OF_USER ||
	       n.not_root >= CONTROL_CLIENTS_MAX - CONTROL_CLIENTS_KEPT ||
	       (!peer->may_read && n.refused >= CONTROL_CLIENTS_REFUSED);
}

/* No place: say so in one try and close. */
static void turn_away(struct control *c, int fd)
{
	struct varlink_buffer out = { 0 };
	char code[256];
	json_t *message;

	snprintf(code, sizeof(code), "%s.Busy", c->config.interface);
	message = control_error_message(code, NULL, "qosd has too many clients; try again later");
	if (message && varlink_append(&out, message, CONTROL_MESSAGE_MAX) == 0 &&
	    send(fd, out.data, out.end, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		control_complain(c, LOG_DEBUG, "control: a client that was turned away has gone");
	json_decref(message);
	varlink_buffer_done(&out);
	close(fd);
}

static void arm_sweep(struct control *c)
{
	uint64_t limit =
		c->config.idle_us < c->config.stall_us ? c->config.idle_us : c->config.stall_us;
	uint64_t period = limit / 4 < SWEEP_US ? limit / 4 : SWEEP_US;

	sd_event_source_set_time_relative(c->sweeper, period);
	sd_event_source_set_enabled(c->sweeper, SD_EVENT_ONESHOT);
}

static void welcome(struct control *c, int fd)
{
	struct control_peer peer;
	int r = control_socket_peer(fd, c->admin_gid, c->read_gid, &peer);

	if (r < 0) {
		close(fd);
		return;
	}
	if (is_full(c, &peer)) {
		control_complain(c, LOG_NOTICE,
				 "control: too many clients, turned away uid %u (pid %d)", peer.uid,
				 peer.pid);
		turn_away(c, fd);
		return;
	}
	if (!c->clients)
		arm_sweep(c);
	r = control_client_new(c, fd, &peer);
	if (r < 0)
		control_complain(c, LOG_WARNING, "control: cannot serve a client: %s",
				 strerror(-r));
}

/* A client that has gone meanwhile, or a signal: only this one is lost. */
static bool is_passing(int error)
{
	return error == EINTR || error == ECONNABORTED || error == EPROTO || error == EPERM;
}

static int on_connect(sd_event_source *source, int listen_fd, uint32_t revents, void *user)
{
	struct control *c = user;

	(void)revents;
	for (int n = 0; n < ACCEPTS_PER_TURN; n++) {
		int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd >= 0) {
			welcome(c, fd);
			continue;
		}
		if (is_passing(errno))
			continue;
		if (errno == EAGAIN)
			break;
		/* No file descriptors or memory: rest until the next sweep instead of spinning. */
		control_complain(c, LOG_WARNING, "control: cannot accept clients: %s",
				 strerror(errno));
		sd_event_source_set_enabled(source, SD_EVENT_OFF);
		arm_sweep(c);
		break;
	}
	return 0;
}

/* ---- sweeping ---- */

/* Why the client has to go, or NULL. */
static const char *overdue(const struct control_client *client, uint64_t now)
{
	const struct control_config *config = &client->server->config;
	uint64_t rest_us = now - client->active_us;

	if (varlink_buffer_size(&client->out) > 0)
		return rest_us > config->stall_us ? "takes no answers" : NULL;
	if (client->call)
		return NULL;
	if (!client->peer.may_read)
		return rest_us > config->stall_us ? "has no rights and says nothing" : NULL;
	return rest_us > config->idle_us ? "is idle" : NULL;
}

static int on_sweep(sd_event_source *source, uint64_t usec, void *user)
{
	struct control *c = user;
	struct control_client *client = c->clients;
	uint64_t now = control_now(c);

	(void)source;
	(void)usec;
	while (client) {
		struct control_client *next = client->next;
		const char *why = overdue(client, now);

		if (why) {
			control_complain(c, LOG_INFO,
					 "control: dropped a client that %s (uid %u, pid %d)", why,
					 client->peer.uid, client->peer.pid);
			control_client_drop(client);
		}
		client = next;
	}
	sd_event_source_set_enabled(c->listener, SD_EVENT_ON);
	if (c->clients)
		arm_sweep(c);
	return 0;
}

static void reap(struct control *c)
{
	struct control_client *client;

	while ((client = c->dead)) {
		c->dead = client->next;
		control_client_free(client);
	}
}

static int on_reap(sd_event_source *source, void *user)
{
	(void)source;
	reap(user);
	return 0;
}

/* ---- life ---- */

static int copy_string(const char **field, const char *fallback)
{
	const char *text = *field ? *field : fallback;

	*field = strdup(text);
	return *field ? 0 : -ENOMEM;
}

/* Own copies of the strings. On failure the rest is NULL, so that free_config() is safe. */
static int copy_config(struct control_config *to, const struct control_config *from)
{
	const char **fields[] = { &to->path,    &to->interface,   &to->description,
				  &to->version, &to->admin_group, &to->read_group };
	static const char *const fallbacks[] = { "", "", "", "", "qosd-admin", "qosd" };
	int r = 0;

	*to = *from;
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		if (r < 0)
			*fields[i] = NULL;
		else
			r = copy_string(fields[i], fallbacks[i]);
	}
	to->idle_us = from->idle_us ? from->idle_us : CONTROL_IDLE_US;
	to->stall_us = from->stall_us ? from->stall_us : CONTROL_STALL_US;
	return r;
}

static void free_config(struct control_config *config)
{
	const char *fields[] = { config->path,    config->interface,   config->description,
				 config->version, config->admin_group, config->read_group };

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		free((void *)(uintptr_t)fields[i]);
}

static int attach_sources(struct control *c, int fd)
{
	sd_event_source *sources[3];
	int r;

	r = sd_event_add_io(c->event, &c->listener, fd, EPOLLIN, on_connect, c);
	if (r < 0) {
		close(fd);
		return r;
	}
	sd_event_source_set_io_fd_own(c->listener, true);
	r = sd_event_add_time_relative(c->event, &c->sweeper, CLOCK_MONOTONIC, SWEEP_US, 0,
				       on_sweep, c);
	if (r < 0)
		return r;
	r = sd_event_add_defer(c->event, &c->reaper, on_reap, c);
	if (r < 0)
		return r;
	sd_event_source_set_enabled(c->sweeper, SD_EVENT_OFF);
	sd_event_source_set_enabled(c->reaper, SD_EVENT_OFF);
	sources[0] = c->listener;
	sources[1] = c->sweeper;
	sources[2] = c->reaper;
	for (size_t i = 0; i < ARRAY_SIZE(sources); i++)
		sd_event_source_set_priority(sources[i], c->config.priority);
	return 0;
}

static int open_server(struct control *c, struct qerr *err)
{
	int fd, r;

	c->admin_gid = control_group(c->config.admin_group);
	c->read_gid = control_group(c->config.read_group);
	fd = control_socket_listen(c->config.path, &c->socket_dev, &c->socket_ino, err);
	if (fd < 0)
		return fd;
	r = attach_sources(c, fd);
	if (r < 0)
		return qerr_set(err, r, "cannot watch the control socket: %s", strerror(-r));
	return 0;
}

int control_new(sd_event *event, const struct control_config *config, struct control **ret,
		struct qerr *err)
{
	struct control *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return qerr_set(err, -ENOMEM, "out of memory");
	c->event = sd_event_ref(event);
	r = copy_config(&c->config, config);
	if (r < 0)
		qerr_set(err, r, "out of memory");
	else
		r = open_server(c, err);
	if (r < 0) {
		control_free(c);
		return r;
	}
	*ret = c;
	return 0;
}

void control_free(struct control *c)
{
	if (!c)
		return;
	while (c->clients)
		control_client_drop(c->clients);
	reap(c);
	if (c->socket_ino)
		control_socket_unlink(c->config.path, c->socket_dev, c->socket_ino);
	sd_event_source_disable_unref(c->listener);
	sd_event_source_disable_unref(c->sweeper);
	sd_event_source_disable_unref(c->reaper);
	sd_event_unref(c->event);
	free_config(&c->config);
	free(c);
}

size_t control_client_count(const struct control *c)
{
	return c->nclients;
}
