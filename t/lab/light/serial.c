/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The serial port: lines "load NAME" and "hello", answered as the real guest does. */
#include "t/lab/light/light.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char *obey(struct light *light, const char *line)
{
	static const char *const commands[] = {
		[LAB_IDLE] = "load idle\n",
		[LAB_CPU] = "load cpu\n",
		[LAB_NET] = "load net\n",
		[LAB_MEMORY] = "load memory\n",
		[LAB_DISK] = "load disk\n",
		[LAB_SERVICE] = "load service\n",
		[LAB_DISK_READ] = "load disk-read\n",
		[LAB_DISK_WRITE] = "load disk-write\n",
	};
	size_t i;

	for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(line, commands[i])) {
			vcpus_load(light, (enum lab_load)i);
			return "ok\n";
		}
	return strcmp(line, "hello\n") ? "unknown\n" : "ok\n";
}

static void *serve(void *arg)
{
	struct light *light = arg;
	char line[200];

	for (;;) {
		int fd = accept(light->options.serial_fd, NULL, NULL);
		FILE *f = fd < 0 ? NULL : fdopen(fd, "r");

		while (f && fgets(line, sizeof(line), f)) {
			const char *answer = obey(light, line);

			if (send(fd, answer, strlen(answer), MSG_NOSIGNAL) < 0)
				break;
		}
		if (f)
			fclose(f);
		else
			usleep(100000);
	}
	return NULL;
}

void serial_start(struct light *light)
{
	pthread_t thread;

	if (light->options.serial_fd >= 0 && pthread_create(&thread, NULL, serve, light))
		fail("Cannot start the serial port's thread.");
}
