/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qosctl_top - the live view: pressure and guests, once a second.
 *
 * On a terminal it draws on the alternate screen until q or Ctrl-C; what was there before comes
 * back in every case, signals included. Elsewhere, and with --json, it prints one frame.
 */
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "qosd/core/mem.h"
#include "tools/qosctl.h"

#define REFRESH_MS 1000

enum top_order { BY_WAIT, BY_CPU, BY_NET, BY_NAME };

struct frame {
	json_t *status, *list;
};

static volatile sig_atomic_t stop_asked;

static void on_stop(int signal_number)
{
	(void)signal_number;
	stop_asked = 1;
}

static void frame_done(struct frame *f)
{
	json_decref(f->status);
	json_decref(f->list);
	*f = (struct frame){ 0 };
}

static int take_frame(const struct qosctl *ctl, struct frame *ret)
{
	int r = qosctl_call(ctl, "Status", NULL, CALL_SECONDS, &ret->status);

	return r ? r : qosctl_call(ctl, "List", NULL, CALL_SECONDS, &ret->list);
}

/* ---- order ---- */

static double net_rate(const json_t *guest)
{
	const json_t *nic;
	double sum = 0;
	size_t i;

	json_array_foreach (json_at(guest, "net"), i, nic)
		sum += json_number(nic, "in_bps") + json_number(nic, "out_bps");
	return sum;
}

static int descending(double a, double b)
{
	return (a < b) - (a > b);
}

/* Who comes first; equals by name, so that rows do not jump. */
static int compare(const void *pa, const void *pb, void *user)
{
	const json_t *a = *(json_t *const *)pa, *b = *(json_t *const *)pb;
	enum top_order order = *(enum top_order *)user;
	int r = 0;

	if (order == BY_WAIT)
		r = descending(json_number(a, "cpu.wait"), json_number(b, "cpu.wait"));
	if (order == BY_CPU || (order == BY_WAIT && r == 0))
		r = descending(json_number(a, "cpu.usage"), json_number(b, "cpu.usage"));
	if (order == BY_NET)
		r = descending(net_rate(a), net_rate(b));
	return r ? r : strcmp(json_text(a, "name"), json_text(b, "name"));
}

/* ---- drawing ---- */

static void draw_heading(const json_t *s, enum top_order order, size_t width)
{
	static const char *const names[] = { "wait", "cpu", "net", "name" };
	char line[512];

	snprintf(line, sizeof(line), "qosd %s, %s, libvirt %s, %.0f guests, %.0f degraded; by %s",
		 json_text(s, "version"), json_text(s, "mode"), json_text(s, "libvirt"),
		 json_number(s, "guests"), json_number(s, "degraded"), names[order]);
	if (width && width < strlen(line))
		line[width] = '\0';
	printf("%s\n\n", text_clean(line));
}

/* height, width: of the terminal; 0: no bound. */
static void draw(const struct qosctl *ctl, const struct frame *f, enum top_order order,
		 size_t height, size_t width)
{
	const json_t *guests = json_at(f->list, "guests");
	size_t count = json_array_size(guests), rows = 0;
	struct table *pressure = table_new(pressure_table_headers);
	struct table *t = table_new(guest_table_headers);
	char levels[256];
	CLEANUP_FREE json_t **sorted = calloc(count + 1, sizeof(json_t *));

	if (!sorted)
		qosctl_out_of_memory();
	for (size_t i = 0; i < count; i++)
		sorted[i] = json_array_get(guests, i);
	qsort_r(sorted, count, sizeof(json_t *), compare, &order);
	for (size_t i = 0; i < count; i++)
		guest_table_add(t, sorted[i]);
	draw_heading(f->status, order, width);
	pressure_table_add_all(pressure, f->status);
	table_print(pressure, ctl->colour, 0, width);
	if (*throttle_levels(f->status, levels, sizeof(levels)))
		printf("%.*s", width ? (int)width : (int)sizeof(levels), levels);
	printf("\n\n");
	if (height) /* heading 2, pressure 5, levels 1, space 1, header 1, help 2 */
		rows = height > 13 ? height - 12 : 1;
	table_print(t, ctl->colour, rows, width);
}

static void terminal_size(size_t *ret_height, size_t *ret_width)
{
	struct winsize size = { 0 };

	*ret_height = 24;
	*ret_width = 80;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row && size.ws_col) {
		*ret_height = size.ws_row;
		*ret_width = size.ws_col;
	}
}

/* ---- the terminal ---- */

static bool set_terminal(struct termios *before)
{
	struct termios raw;

	if (tcgetattr(STDIN_FILENO, before) < 0)
		return false;
	raw = *before;
	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	raw.c_cc[VMIN] = 0;
	raw.c_cc[VTIME] = 0;
	return tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
}

static void catch_signals(void)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
	struct sigaction action = { .sa_handler = on_stop };

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		sigaction(signals[i], &action, NULL);
}

/* Wait for a key or the next frame. False: the user has seen enough. */
static bool wait_for_key(bool keys, enum top_order *order)
{
	struct pollfd p = { .fd = keys ? STDIN_FILENO : -1, .events = POLLIN };
	char key = 0;

	if (poll(&p, 1, REFRESH_MS) <= 0 || !(p.revents & (POLLIN | POLLHUP)))
		return !stop_asked;
	if (read(STDIN_FILENO, &key, 1) <= 0)
		return false; /* the terminal has gone */
	switch (key) {
	case 'q':
		return false;
	case 'w':
		*order = BY_WAIT;
		break;
	case 'c':
		*order = BY_CPU;
		break;
	case 'n':
		*order = BY_NET;
		break;
	case 'g':
		*order = BY_NAME;
		break;
	default:
		break;
	}
	return !stop_asked;
}

/* A frame without complaints: a daemon that restarts is waited for. */
static bool ask_frame(const struct qosctl *ctl, struct frame *ret)
{
	ret->status = qosctl_ask(ctl, "Status");
	ret->list = ret->status ? qosctl_ask(ctl, "List") : NULL;
	return ret->list != NULL;
}

static void run_live(const struct qosctl *ctl, bool keys)
{
	enum top_order order = BY_WAIT;

	do {
		struct frame f = { 0 };
		size_t height, width;

		terminal_size(&height, &width);
		if (ask_frame(ctl, &f)) {
			printf("\033[H\033[J");
			draw(ctl, &f, order, height, width);
			printf("\nsort: w wait, c cpu, n net, g guest; q quits");
		} else {
			printf("\r\033[Kno answer from qosd, trying again; q quits");
		}
		fflush(stdout);
		frame_done(&f);
	} while (wait_for_key(keys, &order));
}

static int live_view(const struct qosctl *ctl)
{
	struct termios before;
	struct frame first = { 0 };
	bool keys;
	int r = take_frame(ctl, &first); /* no daemon: complain on the normal screen */

	frame_done(&first);
	if (r)
		return r;
	catch_signals();
	keys = isatty(STDIN_FILENO) && set_terminal(&before);
	printf("\033[?1049h\033[?25l");
	run_live(ctl, keys);
	printf("\033[?25h\033[?1049l");
	fflush(stdout);
	if (keys)
		tcsetattr(STDIN_FILENO, TCSANOW, &before);
	return EXIT_DONE;
}

static int one_frame(const struct qosctl *ctl)
{
	struct frame f = { 0 };
	int r = take_frame(ctl, &f);

	if (r == EXIT_DONE && ctl->json) {
		json_object_set(f.list, "status", f.status);
		json_print(f.list, false);
	} else if (r == EXIT_DONE) {
		draw(ctl, &f, BY_WAIT, 0, 0);
	}
	frame_done(&f);
	return r;
}

int verb_top(struct qosctl *ctl, int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return ctl->json || !isatty(STDOUT_FILENO) ? one_frame(ctl) : live_view(ctl);
}
