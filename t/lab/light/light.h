/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lab-light: a stand-in for QEMU that libvirt accepts. It has what a host sees of a guest (a QMP
 * monitor, vCPU threads, memory, taps, a disk file) and runs no guest code: its vCPU threads do the
 * loads themselves. It is for scale: a guest costs a megabyte and a few tens of milliseconds.
 *
 * It keeps the same work page and speaks the same lines on its serial port as the real guest.
 */
#ifndef T_LAB_LIGHT_LIGHT_H
#define T_LAB_LIGHT_LIGHT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "t/lab/guest/page.h"

#define LIGHT_MAX_NICS 4

/* What the command line says. File descriptors come from libvirt; -1 = not there. */
struct light_options {
	int vcpus;
	size_t ram_bytes;
	int monitor_fd, serial_fd; /* listening sockets */
	char disk[256];
	int outer_fd[LIGHT_MAX_NICS]; /* taps on the bridge */
	int outer_nics;
	char inner_tap[LIGHT_MAX_NICS][32]; /* names of the taps of the guest's inside */
	int inner_nics;
};

struct light {
	struct light_options options;
	unsigned char *ram;    /* anonymous, taken from the host when touched */
	struct lab_page *page; /* in ram */
	pid_t tid[LAB_MAX_CPUS];
};

void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* vcpu.c: threads "CPU n/TCG" and the loads. All idle until they run. */
void vcpus_start(struct light *light);
void vcpus_run(bool run); /* QMP cont and stop */
void vcpus_load(struct light *light, enum lab_load load);

/* nic.c: one forwarding thread for each pair of taps */
void nics_start(struct light *light);

/* serial.c: one thread, lines as the real guest */
void serial_start(struct light *light);

/* qmp.c: serves the monitor for ever */
void qmp_serve(struct light *light) __attribute__((noreturn));

#endif
