/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The QMP monitor: enough of it that libvirt 9 starts, watches, pauses and ends the guest. Queries
 * about devices that the stand-in does not have are answered with empty lists, changes of settings
 * that have no meaning here with success.
 */
#include "t/lab/light/light.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct qmp {
	struct light *light;
	FILE *in;
	int fd;
	bool running;
};

/* libvirt takes a message as ended at CR LF only. */
static void send_json(struct qmp *q, json_t *message)
{
	char *text = json_dumps(message, JSON_COMPACT), *line = NULL;
	int sent = 0, bytes = text ? asprintf(&line, "%s\r\n", text) : -1;

	if (bytes < 0)
		fail("There is no memory for a monitor message.");
	while (sent < bytes) {
		ssize_t n = send(q->fd, line + sent, (size_t)(bytes - sent), MSG_NOSIGNAL);

		if (n <= 0)
			break;
		sent += (int)n;
	}
	json_decref(message);
	free(text);
	free(line);
}

static void send_event(struct qmp *q, const char *name, json_t *data)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	send_json(q, json_pack("{s:{s:I,s:I},s:s,s:o*}", "timestamp", "seconds",
			       (json_int_t)now.tv_sec, "microseconds",
			       (json_int_t)(now.tv_nsec / 1000), "event", name, "data", data));
}

static json_t *set_running(struct qmp *q, bool running)
{
	q->running = running;
	vcpus_run(running);
	send_event(q, running ? "RESUME" : "STOP", NULL);
	return json_object();
}

static json_t *reply_cont(struct qmp *q)
{
	return set_running(q, true);
}

static json_t *reply_stop(struct qmp *q)
{
	return set_running(q, false);
}

static json_t *reply_status(struct qmp *q)
{
	return json_pack("{s:s,s:b,s:b}", "status", q->running ? "running" : "paused", "singlestep",
			 0, "running", q->running);
}

static json_t *vcpu_place(int vcpu)
{
	return json_pack("{s:i,s:i,s:i}", "core-id", 0, "thread-id", 0, "socket-id", vcpu);
}

static json_t *reply_cpus(struct qmp *q)
{
	json_t *list = json_array();
	char path[64];
	int i;

	for (i = 0; i < q->light->options.vcpus; i++) {
		snprintf(path, sizeof(path), "/machine/unattached/device[%d]", i);
		json_array_append_new(list, json_pack("{s:o,s:s,s:i,s:i,s:s}", "props",
						      vcpu_place(i), "qom-path", path, "thread-id",
						      (int)q->light->tid[i], "cpu-index", i,
						      "target", "x86_64"));
	}
	return list;
}

static json_t *reply_cpu_slots(struct qmp *q)
{
	json_t *list = json_array();
	char path[64];
	int i;

	for (i = 0; i < q->light->options.vcpus; i++) {
		snprintf(path, sizeof(path), "/machine/unattached/device[%d]", i);
		json_array_append_new(list, json_pack("{s:o,s:s,s:i,s:s}", "props", vcpu_place(i),
						      "qom-path", path, "vcpus-count", 1, "type",
						      "qemu64-x86_64-cpu"));
	}
	return list;
}

static json_t *reply_chardev(struct qmp *q)
{
	(void)q;
	return json_pack("[{s:b,s:s,s:s},{s:b,s:s,s:s}]", "frontend-open", 1, "filename",
			 "unix:monitor,server=on", "label", "charmonitor", "frontend-open", 1,
			 "filename", "unix:serial,server=on", "label", "charserial0");
}

static json_t *reply_balloon(struct qmp *q)
{
	return json_pack("{s:I}", "actual", (json_int_t)q->light->options.ram_bytes);
}

static json_t *reply_dirty_rate(struct qmp *q)
{
	(void)q;
	return json_pack("{s:s,s:i,s:s,s:i,s:i}", "status", "unstarted", "sample-pages", 0, "mode",
			 "page-sampling", "start-time", 0, "calc-time", 0);
}

static json_t *reply_powerdown(struct qmp *q)
{
	send_event(q, "SHUTDOWN", json_pack("{s:b,s:s}", "guest", 1, "reason", "guest-shutdown"));
	return json_object();
}

static const struct {
	const char *command;
	json_t *(*reply)(struct qmp *q);
} commands[] = {
	{ "cont", reply_cont },
	{ "stop", reply_stop },
	{ "query-status", reply_status },
	{ "query-cpus-fast", reply_cpus },
	{ "query-hotpluggable-cpus", reply_cpu_slots },
	{ "query-chardev", reply_chardev },
	{ "query-balloon", reply_balloon },
	{ "query-dirty-rate", reply_dirty_rate },
	{ "system_powerdown", reply_powerdown },
};

/* CPU properties: feature lists are empty, everything else is off. */
static json_t *reply_property(const json_t *arguments)
{
	const char *property = json_string_value(json_object_get(arguments, "property"));

	return property && strstr(property, "feature") ? json_array() : json_false();
}

static json_t *reply_to(struct qmp *q, const char *command, const json_t *arguments)
{
	size_t i;

	for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(command, commands[i].command))
			return commands[i].reply(q);
	if (!strcmp(command, "qom-get"))
		return reply_property(arguments);
	if (!strncmp(command, "query-", 6) || !strcmp(command, "qom-list"))
		return json_array();
	return json_object();
}

static void serve_client(struct qmp *q)
{
	json_t *request;

	send_json(q, json_pack("{s:{s:{s:{s:i,s:i,s:i},s:s},s:[s]}}", "QMP", "version", "qemu",
			       "micro", 22, "minor", 2, "major", 7, "package", "lab-light",
			       "capabilities", "oob"));
	while ((request = json_loadf(q->in, JSON_DISABLE_EOF_CHECK, NULL))) {
		const char *command = json_string_value(json_object_get(request, "execute"));
		json_t *id = json_object_get(request, "id");

		if (!command)
			command = json_string_value(json_object_get(request, "exec-oob"));
		send_json(q, json_pack("{s:o,s:O*}", "return",
				       reply_to(q, command ? command : "",
						json_object_get(request, "arguments")),
				       "id", id));
		if (command && !strcmp(command, "quit"))
			exit(0);
		json_decref(request);
	}
}

void qmp_serve(struct light *light)
{
	struct qmp q = { .light = light };

	for (;;) {
		q.fd = accept(light->options.monitor_fd, NULL, NULL);
		q.in = q.fd < 0 ? NULL : fdopen(q.fd, "r");
		if (!q.in)
			fail("The monitor cannot take a client.");
		setvbuf(q.in, NULL, _IONBF, 0); /* answer as soon as a request is whole */
		serve_client(&q);
		fclose(q.in);
	}
}
