/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * control_client - one connection: reading, cutting into messages, writing, going away.
 *
 * What a client may wait for decides what is watched: input only while no call is in work and its
 * output has been taken, so that a client that does not read cannot make us work. A hang-up is
 * always noticed. In one turn a client gets at most TURN_MESSAGES calls done.
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <syslog.h>
#include <unistd.h>

#include "qosd/core/mem.h"
#include "qosd/daemon/control_private.h"

#define TURN_MESSAGES 16
#define READ_BYTES    ((size_t)8 << 10)  /* least room for one read */
#define OUTPUT_BUSY   ((size_t)64 << 10) /* no new call while more than this waits */

static size_t message_limit(const struct control_client *client)
{
	return client->peer.may_write ? CONTROL_WRITER_MESSAGE_MAX : CONTROL_MESSAGE_MAX;
}

/* May the next message be taken? */
static bool is_ready(const struct control_client *client)
{
	return client->fd >= 0 && !client->call && !client->closing &&
	       varlink_buffer_size(&client->out) <= OUTPUT_BUSY;
}

static void watch(struct control_client *client)
{
	uint32_t events = 0;

	if (is_ready(client) && !client->eof)
		events |= EPOLLIN;
	if (varlink_buffer_size(&client->out) > 0)
		events |= EPOLLOUT;
	sd_event_source_set_io_events(client->io, events);
}

/* Done with: all is answered and taken, and nothing more can come. */
static bool is_finished(const struct control_client *client)
{
	return varlink_buffer_size(&client->out) == 0 && !client->call &&
	       (client->closing || client->eof);
}

/* Do the messages that are there, up to a turn's worth; then watch for what comes next. */
static void work(struct control_client *client)
{
	const char *text;
	size_t size;
	int r = 1;

	for (int n = 0; n < TURN_MESSAGES && is_ready(client); n++) {
		r = varlink_buffer_next(&client->in, message_limit(client), &text, &size);
		if (r == 0)
			break;
		if (r > 0) {
			control_call_begin(client, text, size);
			continue;
		}
		control_client_error(client, CONTROL_INVALID_PARAMETER, "the message is too long");
		client->closing = true;
	}
	if (client->fd < 0)
		return;
	if (is_ready(client) && r > 0)
		control_client_resume(client);
	else if (is_finished(client))
		control_client_drop(client);
	if (client->fd >= 0)
		watch(client);
}

/* One read. False: the client has been dropped. */
static bool take_input(struct control_client *client)
{
	struct varlink_buffer *in = &client->in;
	ssize_t n;

	if (varlink_buffer_reserve(in, READ_BYTES) < 0) {
		control_client_drop(client);
		return false;
	}
	n = recv(client->fd, in->data + in->end, in->capacity - in->end, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (n < 0) {
		control_client_drop(client);
		return false;
	}
	client->eof = n == 0;
	in->end += (size_t)n;
	return true;
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *user)
{
	struct control_client *client = user;

	(void)source;
	(void)fd;
	if (revents & EPOLLOUT)
		control_client_flush(client);
	if (client->fd >= 0 && (revents & EPOLLIN) && !take_input(client))
		return 0;
	if (client->fd >= 0 && (revents & (EPOLLHUP | EPOLLERR)) && !(revents & EPOLLIN))
		control_client_drop(client);
	if (client->fd >= 0)
		work(client);
	return 0;
}

static int on_again(sd_event_source *source, uint64_t usec, void *user)
{
	struct control_client *client = user;

	(void)source;
	(void)usec;
	if (client->fd >= 0)
		work(client);
	return 0;
}

void control_client_resume(struct control_client *client)
{
	if (client->fd >= 0)
		sd_event_source_set_enabled(client->again, SD_EVENT_ONESHOT);
}

void control_client_flush(struct control_client *client)
{
	struct varlink_buffer *out = &client->out;

	while (varlink_buffer_size(out) > 0) {
		ssize_t n = send(client->fd, out->data + out->begin, varlink_buffer_size(out),
				 MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0) {
			control_client_drop(client);
			return;
		}
		varlink_buffer_consume(out, (size_t)n);
		client->active_us = control_now(client->server);
	}
	watch(client);
}

static int attach(struct control_client *client)
{
	struct control *c = client->server;
	int r;

	r = sd_event_add_io(c->event, &client->io, client->fd, EPOLLIN, on_io, client);
	if (r < 0)
		return r;
	/*
	 * A timer that is due at once, no defer source: the latter counts as pending since it was
	 * made and so would always go before the input of others. This one stands in line.
	 */
	r = sd_event_add_time(c->event, &client->again, CLOCK_MONOTONIC, 0, 1, on_again, client);
	if (r < 0)
		return r;
	sd_event_source_set_enabled(client->again, SD_EVENT_OFF);
	sd_event_source_set_priority(client->io, c->config.priority);
	return sd_event_source_set_priority(client->again, c->config.priority);
}

int control_client_new(struct control *c, int fd, const struct control_peer *peer)
{
	struct control_client *client = calloc(1, sizeof(*client));
	int r;

	if (!client) {
		close(fd);
		return -ENOMEM;
	}
	client->server = c;
	client->fd = fd;
	client->peer = *peer;
	client->active_us = control_now(c);
	client->next = c->clients;
	c->clients = client;
	c->nclients++;
	r = attach(client);
	if (r < 0)
		control_client_drop(client);
	return r;
}

static void unlink_client(struct control *c, struct control_client *client)
{
	struct control_client **at = &c->clients;

	while (*at != client)
		at = &(*at)->next;
	*at = client->next;
	c->nclients--;
}

void control_client_drop(struct control_client *client)
{
	struct control *c = client->server;
	struct control_call *call = TAKE_PTR(client->call);

	if (client->fd < 0)
		return;
	client->io = sd_event_source_disable_unref(client->io);
	client->again = sd_event_source_disable_unref(client->again);
	close(client->fd);
	client->fd = -1;
	unlink_client(c, client);
	client->next = c->dead;
	c->dead = client;
	sd_event_source_set_enabled(c->reaper, SD_EVENT_ONESHOT);
	if (call)
		control_call_abandon(call);
}

void control_client_free(struct control_client *client)
{
	varlink_buffer_done(&client->in);
	varlink_buffer_done(&client->out);
	free(client);
}
