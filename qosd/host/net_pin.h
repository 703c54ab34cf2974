/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * net_pin - what the shaper's and the counters' programs share: pins below a directory of bpffs.
 *
 * Filters hold programs and programs hold maps, so both stay whoever dies; the pins are only how
 * the next qosd finds them. A directory is PIN_DIR/LAYOUT.
 */
#ifndef QOSD_HOST_NET_PIN_H
#define QOSD_HOST_NET_PIN_H

#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "qosd/core/err.h"

#define NET_PIN_DIR_BYTES  128
#define NET_PIN_PATH_BYTES (NET_PIN_DIR_BYTES + 32)

void net_pin_close(int *fd); /* -1 afterwards */
/* 0 or negative errno. */
int net_pin_prog_info(int fd, struct bpf_prog_info *info);
/* The path of a pin, into buf; returns buf. */
char *net_pin_path(const char *dir, const char *name, char buf[NET_PIN_PATH_BYTES]);
/* dir and the directory above it. -ENOTSUP: that is not on bpffs. */
int net_pin_make_dirs(const char *dir, struct qerr *err);
/* Put a program or a map where the pin is; the pin is there at every moment. */
int net_pin_replace(const char *dir, const char *name, int fd, struct qerr *err);
/*
 * Of the program that is pinned (*fd, -1: none) and the one just loaded, keep the pinned one if
 * both are the same, else pin the new one; *ret_replaced becomes true if there was another.
 */
int net_pin_settle(const char *dir, const char *name, int fresh_fd, int *fd, uint32_t *id,
		   bool *ret_replaced, struct qerr *err);
/* Remove these pins, and the directories if nothing else is in them. Absent is fine. */
int net_pin_remove(const char *dir, const char *const *names, size_t count, struct qerr *err);
/* libbpf is silent until it gets back what this returns (libbpf_set_print). */
libbpf_print_fn_t net_pin_hush(void);

#endif
