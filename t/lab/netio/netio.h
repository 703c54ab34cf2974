/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lab-netio: what the lab needs from outside its guests and a shell cannot do well: traffic
 * between network namespaces, its measurement, words with a guest's serial port, and reading what
 * a guest did. Every verb is bounded in time; errors are one sentence on stderr.
 */
#ifndef T_LAB_NETIO_NETIO_H
#define T_LAB_NETIO_NETIO_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

/* util.c */
void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
double now_s(void); /* monotonic clock */
long number_arg(const char *option, const char *text, long min, long max);
void ns_enter(const char *netns); /* the calling thread moves to /run/netns/NETNS */
int ns_socket(const char *netns, int domain, int type, int protocol);

/*
 * flow.c: N parallel flows between two namespaces, kept up by one sending and one receiving thread.
 * Receivers drop the data and count it.
 */
#define MAX_FLOWS 256
struct flow_plan {
	const char *from, *to;                /* namespaces of the sender and the receiver */
	struct in_addr from_address, address; /* the sender's (or any), the receiver's */
	int flows;
	bool udp;
	double offered_bps; /* UDP: payload bit/s of all flows together */
};
struct flow_set {
	struct flow_plan plan;
	int sender[MAX_FLOWS], receiver[MAX_FLOWS];
	uint64_t received[MAX_FLOWS]; /* bytes, written by the receiving thread */
};
struct flow_set *flow_start(const struct flow_plan *plan); /* lives as long as the program */

/* verbs: argv[0] is the verb */
int verb_rate(int argc, char **argv);
int verb_series(int argc, char **argv);
int verb_stream(int argc, char **argv);
int verb_blast(int argc, char **argv);
int verb_ping(int argc, char **argv);
int verb_say(int argc, char **argv);
int verb_stat(int argc, char **argv);
int verb_inside(int argc, char **argv);
int verb_connect(int argc, char **argv);

#endif
