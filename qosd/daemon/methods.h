/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * methods - the table of what the control socket can be asked for: names, rights, parameters and
 * handlers, whose user is the engine. Tests of clients take it with handlers of their own.
 */
#ifndef QOSD_DAEMON_METHODS_H
#define QOSD_DAEMON_METHODS_H

#include "qosd/daemon/control.h"

#define METHODS_COUNT 20

extern const struct control_method methods_table[METHODS_COUNT];

#endif
