/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qos-exporter - what qosd knows, for Prometheus: one page over HTTP, on this host alone unless
 * told otherwise.
 *
 * It reads the control socket and nothing else, with no rights but those of the group qosd. Whoever
 * may ask it can make the daemon work, so that is bounded: a reading is two calls, has a time
 * limit, and serves all who ask within the next second. libmicrohttpd runs one thread, in which
 * everything happens; a client that dawdles holds a connection, of which there are CONNECTIONS_MAX,
 * and no more.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "qosd/core/mem.h"
#include "qosd/core/unit.h"
#include "tools/client.h"
#include "tools/exporter.h"
#include "tools/text.h"

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "0.1.0"
#endif

#define LISTEN_DEFAULT     "127.0.0.1:9717"
#define LIMIT_DEFAULT_MS   3000
#define LIMIT_MAX_MS       60000
#define FRESH_S            1.0
#define CONNECTIONS_MAX    16
#define CONNECTION_SECONDS 10
#define CONNECTION_BYTES   16384 /* of a request's line and headers */

#define OPENMETRICS_TYPE "application/openmetrics-text"

struct exporter {
	const char *socket, *listen;
	unsigned int limit_ms;
	bool once;
	struct reading reading; /* from here on the server's thread alone */
	double read_at_s;
};

__attribute__((format(printf, 1, 2))) static int fail(const char *fmt, ...)
{
	va_list ap;

	fputs("qos-exporter: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return EXIT_FAILURE;
}

/* ---- a page ---- */

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* A change for the worse or the better is told once. */
static void read_daemon(struct exporter *x)
{
	bool first = x->reading.readings == 0, worked = first || x->reading.status;

	reading_take(&x->reading, x->socket, x->limit_ms);
	x->read_at_s = now_s();
	if (worked && !x->reading.status)
		fail("%s", x->reading.err.text);
	else if (!worked && x->reading.status)
		fputs("qos-exporter: qosd answers again\n", stderr);
}

/* malloc'd; NULL when out of memory. */
static char *make_page(const struct exporter *x, enum exposition form, size_t *ret_size)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, ret_size);
	bool failed;

	if (!out)
		return NULL;
	metrics_write(out, &x->reading, form);
	failed = ferror(out);
	if (fclose(out) != 0 || failed)
		free(TAKE_PTR(text));
	return text;
}

/* ---- HTTP ---- */

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned int status, char *text,
			      size_t size, enum MHD_ResponseMemoryMode mode, const char *type)
{
	struct MHD_Response *response = MHD_create_response_from_buffer(size, text, mode);
	enum MHD_Result r;

	if (!response) {
		if (mode == MHD_RESPMEM_MUST_FREE)
			free(text);
		return MHD_NO;
	}
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	r = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return r;
}

static enum MHD_Result say(struct MHD_Connection *connection, unsigned int status,
			   const char *sentence)
{
	return answer(connection, status, (char *)sentence, strlen(sentence),
		      MHD_RESPMEM_PERSISTENT, "text/plain; charset=utf-8");
}

static enum MHD_Result serve_metrics(struct exporter *x, struct MHD_Connection *connection)
{
	const char *accept =
		MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_ACCEPT);
	bool open = accept && strstr(accept, OPENMETRICS_TYPE);
	size_t size;
	char *page;

	if (!x->reading.readings || now_s() - x->read_at_s >= FRESH_S)
		read_daemon(x);
	page = make_page(x, open ? EXPOSITION_OPENMETRICS : EXPOSITION_TEXT, &size);
	if (!page)
		return say(connection, MHD_HTTP_INTERNAL_SERVER_ERROR, "out of memory\n");
	return answer(connection, MHD_HTTP_OK, page, size, MHD_RESPMEM_MUST_FREE,
		      open ? OPENMETRICS_TYPE "; version=1.0.0; charset=utf-8"
			   : "text/plain; version=0.0.4; charset=utf-8");
}

static enum MHD_Result on_request(void *user, struct MHD_Connection *connection, const char *url,
				  const char *method, const char *version, const char *upload,
				  size_t *upload_size, void **request)
{
	static int begun;

	(void)version;
	(void)upload;
	if (!*request) { /* headers only: answer at the second call, when the rest is there */
		*request = &begun;
		return MHD_YES;
	}
	if (*upload_size) { /* nobody wants it */
		*upload_size = 0;
		return MHD_YES;
	}
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
		return say(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD\n");
	if (strcmp(url, "/metrics") == 0)
		return serve_metrics(user, connection);
	if (strcmp(url, "/") == 0)
		return say(connection, MHD_HTTP_OK,
			   "Metrics of qosd for Prometheus are at /metrics\n");
	return say(connection, MHD_HTTP_NOT_FOUND, "there is only /metrics\n");
}

/* ---- where to listen ---- */

union address {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

/* "127.0.0.1:9717", "[::1]:9717", ":9717" for 127.0.0.1. */
static bool parse_listen(const char *text, union address *ret)
{
	const char *colon = strrchr(text, ':');
	size_t size = colon ? (size_t)(colon - text) : 0;
	bool bracketed = size >= 2 && text[0] == '[' && text[size - 1] == ']';
	char host[64] = "127.0.0.1", *end;
	unsigned long port;

	memset(ret, 0, sizeof(*ret));
	if (!colon || colon[1] < '0' || colon[1] > '9' || size >= sizeof(host))
		return false;
	port = strtoul(colon + 1, &end, 10);
	if (*end || port > 65535)
		return false;
	if (size)
		snprintf(host, sizeof(host), "%.*s", (int)(bracketed ? size - 2 : size),
			 text + bracketed);
	if (bracketed) {
		ret->in6.sin6_family = AF_INET6;
		ret->in6.sin6_port = htons((uint16_t)port);
		return inet_pton(AF_INET6, host, &ret->in6.sin6_addr) == 1;
	}
	ret->in.sin_family = AF_INET;
	ret->in.sin_port = htons((uint16_t)port);
	return inet_pton(AF_INET, host, &ret->in.sin_addr) == 1;
}

static struct MHD_Daemon *start(struct exporter *x, const union address *address)
{
	unsigned int flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL;

	if (address->any.sa_family == AF_INET6)
		flags |= MHD_USE_IPv6;
	return MHD_start_daemon(flags, 0, NULL, NULL, on_request, x, MHD_OPTION_SOCK_ADDR,
				&address->any, MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX,
				MHD_OPTION_CONNECTION_TIMEOUT, CONNECTION_SECONDS,
				MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES,
				MHD_OPTION_LISTENING_ADDRESS_REUSE, 1U, MHD_OPTION_END);
}

/* Until a signal says that it is enough. */
static int serve(struct exporter *x)
{
	const union MHD_DaemonInfo *info;
	struct MHD_Daemon *server;
	union address address;
	sigset_t ends;
	int signal_number;

	if (geteuid() == 0)
		return fail("it needs no root and does not serve as root; start it with: "
			    "systemctl start qos-exporter, or as a member of the group qosd");
	if (!parse_listen(x->listen, &address))
		return fail("\"%s\" is no address to listen at; write it as in 127.0.0.1:9717 or "
			    "[::1]:9717",
			    x->listen);
	sigemptyset(&ends);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	sigprocmask(SIG_BLOCK, &ends, NULL); /* in the server's thread, too */
	server = start(x, &address);
	if (!server)
		return fail("cannot listen at %s: %s", x->listen, strerror(errno));
	info = MHD_get_daemon_info(server, MHD_DAEMON_INFO_BIND_PORT);
	fprintf(stderr, "qos-exporter: port %u serves /metrics\n", info ? info->port : 0U);
	sigwait(&ends, &signal_number);
	MHD_stop_daemon(server);
	return EXIT_SUCCESS;
}

/* ---- once ---- */

static int print_once(struct exporter *x)
{
	CLEANUP_FREE char *page = NULL;
	size_t size;

	read_daemon(x);
	page = make_page(x, EXPOSITION_TEXT, &size);
	if (!page)
		return fail("out of memory");
	if (isatty(STDOUT_FILENO))
		text_clean_lines(page);
	if (fputs(page, stdout) == EOF || fflush(stdout) != 0)
		return fail("cannot write to standard output");
	return x->reading.status ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* ---- options ---- */

static const char usage[] =
	"usage: qos-exporter [--listen ADDRESS:PORT] [--socket PATH] [--limit TIME] [--once]\n"
	"\n"
	"  --listen ADDRESS:PORT  where to serve /metrics (" LISTEN_DEFAULT ")\n"
	"  --socket PATH          control socket of qosd (" CLIENT_SOCKET ")\n"
	"  --limit TIME           how long qosd may take to answer (3s)\n"
	"  --once                 print the metrics and exit; 1 when qosd does not answer\n"
	"  --help, --version\n";

static bool take_limit(struct exporter *x, const char *text)
{
	uint64_t us;

	if (unit_parse_time(text, &us) < 0 || us < 1000 || us / 1000 > LIMIT_MAX_MS) {
		fail("\"%s\" is no limit; write it as in 3s, up to 1min", text);
		return false;
	}
	x->limit_ms = (unsigned int)(us / 1000);
	return true;
}

/* -1: go on; else the exit status. */
static int take_options(struct exporter *x, int argc, char **argv)
{
	static const struct option options[] = {
		{ "listen", required_argument, NULL, 'l' },
		{ "socket", required_argument, NULL, 's' },
		{ "limit", required_argument, NULL, 't' },
		{ "once", no_argument, NULL, '1' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'l':
			x->listen = optarg;
			break;
		case 's':
			x->socket = optarg;
			break;
		case 't':
			if (!take_limit(x, optarg))
				return 2;
			break;
		case '1':
			x->once = true;
			break;
		case 'h':
			fputs(usage, stdout);
			return EXIT_SUCCESS;
		case 'V':
			puts("qos-exporter " PACKAGE_VERSION);
			return EXIT_SUCCESS;
		default:
			fputs(usage, stderr);
			return 2;
		}
	}
	if (optind < argc) {
		fputs(usage, stderr);
		return 2;
	}
	return -1;
}

int main(int argc, char **argv)
{
	struct exporter x = { .socket = CLIENT_SOCKET,
			      .listen = LISTEN_DEFAULT,
			      .limit_ms = LIMIT_DEFAULT_MS };
	int status = take_options(&x, argc, argv);

	if (status < 0)
		status = x.once ? print_once(&x) : serve(&x);
	reading_done(&x.reading);
	return status;
}
