/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qosctl_top - the live view: pressure, classes and guests (or their cards), once a second.
 *
 * On a terminal it draws on the alternate screen until q or Ctrl-C; what was there before comes
 * back in every case, signals included. It fills the terminal, whatever its size, and follows when
 * that changes. Elsewhere, and with --json, it prints one frame.
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

struct frame {
	json_t *status, *list;
};

struct view {
	size_t order; /* index in `orders` */
	bool reverse;
	bool cards;           /* instead of guests */
	size_t height, width; /* of the terminal; 0: no bound */
};

static volatile sig_atomic_t stop_asked;

static void on_stop(int signal_number)
{
	(void)signal_number;
	stop_asked = 1;
}

/* The size of the terminal has changed: that it interrupts the wait is enough. */
static void on_resize(int signal_number)
{
	(void)signal_number;
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

static double nic_sum(const json_t *guest, const char *key)
{
	const json_t *nic;
	double sum = 0;
	size_t i;

	json_array_foreach (json_at(guest, "net"), i, nic)
		sum += json_number(nic, key);
	return sum;
}

static double by_wait(const json_t *guest)
{
	return json_number(guest, "cpu.wait");
}

static double by_cpu(const json_t *guest)
{
	return json_number(guest, "cpu.usage");
}

static double by_net(const json_t *guest)
{
	return nic_sum(guest, "in_bps") + nic_sum(guest, "out_bps");
}

static double by_drops(const json_t *guest)
{
	return nic_sum(guest, "in_dropped") + nic_sum(guest, "out_dropped");
}

static double by_memory(const json_t *guest)
{
	return json_number(guest, "memory_bytes");
}

/* The largest first; equals, and all where value is NULL, by name, so that rows do not jump. */
static const struct order {
	char key;
	const char *name;
	double (*value)(const json_t *guest);
	const char *text; /* this comes before the name */
} orders[] = {
	{ 'w', "wait", by_wait, NULL },  { 'c', "cpu", by_cpu, NULL },
	{ 'n', "net", by_net, NULL },    { 'd', "drops", by_drops, NULL },
	{ 'm', "mem", by_memory, NULL }, { 'k', "class", NULL, "class" },
	{ 'g', "guest", NULL, NULL },
};

static int compare(const void *pa, const void *pb, void *user)
{
	const json_t *a = *(json_t *const *)pa, *b = *(json_t *const *)pb;
	const struct view *v = user;
	const struct order *o = &orders[v->order];
	int r = 0;

	if (o->value) {
		double x = o->value(a), y = o->value(b);

		r = (x < y) - (x > y);
	} else if (o->text) {
		r = strcmp(json_text(a, o->text), json_text(b, o->text));
	}
	if (r == 0)
		r = strcmp(json_text(a, "name"), json_text(b, "name"));
	return v->reverse ? -r : r;
}

/* ---- drawing ---- */

static void draw_heading(const json_t *s, const struct view *v)
{
	char line[512];

	snprintf(line, sizeof(line), "qosd %s, %s, by %s%s; libvirt %s, %.0f guests, %.0f degraded",
		 json_text(s, "version"), json_text(s, "mode"), orders[v->order].name,
		 v->reverse ? " reversed" : "", json_text(s, "libvirt"), json_number(s, "guests"),
		 json_number(s, "degraded"));
	if (v->width && v->width < strlen(line))
		line[v->width] = '\0';
	printf("%s\n\n", text_clean(line));
}

struct class_sum {
	double cpus, waiting_cpus, in_bps, out_bps;
};

static struct class_sum sum_class(const json_t *guests, const char *class)
{
	struct class_sum sum = { 0 };
	const json_t *guest;
	size_t i;

	json_array_foreach (guests, i, guest) {
		double usage = json_number(guest, "cpu.usage"),
		       wait = json_number(guest, "cpu.wait");

		if (strcmp(json_text(guest, "class"), class) != 0)
			continue;
		sum.cpus += usage;
		if (wait < 1)
			sum.waiting_cpus += usage * wait / (1 - wait);
		sum.in_bps += nic_sum(guest, "in_bps");
		sum.out_bps += nic_sum(guest, "out_bps");
	}
	return sum;
}

static void add_class(struct table *t, const json_t *class, const json_t *guests)
{
	struct class_sum sum = sum_class(guests, json_text(class, "name"));
	double wanted = sum.cpus + sum.waiting_cpus;
	char text[HUMAN_MAX];

	table_add(t, BOLD, "%s", json_text(class, "name"));
	table_add(t, PLAIN, "%.0f", json_number(class, "guests"));
	table_add(t, PLAIN, "%.2f", sum.cpus);
	table_add(t, PLAIN, "%s", human_share(wanted > 0 ? sum.waiting_cpus / wanted : 0, text));
	table_add(t, PLAIN, "%s", human_bps(sum.in_bps, text));
	table_add(t, PLAIN, "%s", human_bps(sum.out_bps, text));
	class_table_add_levels(t, class);
}

/* Classes with what their guests take together, and what they are left with. How many lines. */
static size_t draw_classes(const struct qosctl *ctl, const struct frame *f, const struct view *v,
			   size_t most)
{
	static const char *const headers[] = { "CLASS",   ">GUESTS",  ">CPU",       ">WAIT",
					       ">NET IN", ">NET OUT", ">CPU LEVEL", ">MEMORY",
					       ">NET",    ">DISK",    NULL };
	struct table *t = table_new(headers);
	const json_t *class;
	size_t rows, i;

	json_array_foreach (json_at(f->status, "classes"), i, class)
		add_class(t, class, json_at(f->list, "guests"));
	rows = table_rows(t);
	table_print(t, ctl->colour, most, v->width);
	putchar('\n');
	return (most && rows > most ? most : rows) + 2;
}

/* Guests or their cards, at most `rows` rows (0: all). How many there are. */
static size_t draw_guests(const struct qosctl *ctl, const struct frame *f, struct view *v,
			  size_t rows)
{
	const json_t *guests = json_at(f->list, "guests");
	size_t count = json_array_size(guests), all;
	struct table *t = table_new(v->cards ? nic_table_headers : guest_table_headers);
	CLEANUP_FREE json_t **sorted = calloc(count + 1, sizeof(json_t *));

	if (!sorted)
		qosctl_out_of_memory();
	for (size_t i = 0; i < count; i++)
		sorted[i] = json_array_get(guests, i);
	qsort_r(sorted, count, sizeof(json_t *), compare, v);
	for (size_t i = 0; i < count; i++) {
		if (v->cards)
			nic_table_add_all(t, sorted[i]);
		else
			guest_table_add(t, sorted[i]);
	}
	all = table_rows(t);
	table_print(t, ctl->colour, rows, v->width);
	return all;
}

#define HEADING_LINES  2
#define PRESSURE_LINES 6 /* with a header and an empty line, as those below */
#define CLASS_LINES    4 /* two of them at the least */
#define GUEST_LINES    4 /* one of them, how many more, and the keys */

/* On a small terminal guests come first, then pressure, then classes. */
static void draw(const struct qosctl *ctl, const struct frame *f, struct view *v)
{
	size_t used = HEADING_LINES, rows = 0, all;
	size_t room = v->height ? v->height : SIZE_MAX;

	draw_heading(f->status, v);
	if (room >= used + PRESSURE_LINES + GUEST_LINES) {
		struct table *pressure = table_new(pressure_table_headers);

		pressure_table_add_all(pressure, f->status);
		table_print(pressure, ctl->colour, 0, v->width);
		putchar('\n');
		used += PRESSURE_LINES;
	}
	if (room >= used + CLASS_LINES + GUEST_LINES)
		used += draw_classes(ctl, f, v, v->height ? (room - used - GUEST_LINES) / 2 : 0);
	if (v->height)
		rows = room > used + GUEST_LINES ? room - used - (GUEST_LINES - 1) : 1;
	all = draw_guests(ctl, f, v, rows);
	if (rows && all > rows)
		printf("%zu more", all - rows);
}

static void draw_help(const struct view *v)
{
	char line[256] = "sort:";
	size_t size = strlen(line);

	for (size_t i = 0; i < ARRAY_SIZE(orders); i++)
		size += (size_t)snprintf(line + size, sizeof(line) - size, " %c %s,", orders[i].key,
					 orders[i].name);
	snprintf(line + size, sizeof(line) - size, " r reverse; i %s; q quit",
		 v->cards ? "guests" : "cards");
	printf("\n%.*s", (int)(v->width ? v->width : sizeof(line)), line);
}

static void terminal_size(struct view *v)
{
	struct winsize size = { 0 };

	v->height = 24;
	v->width = 80;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row && size.ws_col) {
		v->height = size.ws_row;
		v->width = size.ws_col;
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
	struct sigaction stop = { .sa_handler = on_stop }, resize = { .sa_handler = on_resize };

	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		sigaction(signals[i], &stop, NULL);
	sigaction(SIGWINCH, &resize, NULL);
}

static void take_key(struct view *v, char key)
{
	for (size_t i = 0; i < ARRAY_SIZE(orders); i++)
		if (orders[i].key == key)
			v->order = i;
	v->reverse ^= key == 'r';
	v->cards ^= key == 'i';
}

/* Wait for a key, another size, or the next frame. False: the user has seen enough. */
static bool wait_for_key(bool keys, struct view *v)
{
	struct pollfd p = { .fd = keys ? STDIN_FILENO : -1, .events = POLLIN };
	char key = 0;

	if (poll(&p, 1, REFRESH_MS) <= 0 || !(p.revents & (POLLIN | POLLHUP)))
		return !stop_asked;
	if (read(STDIN_FILENO, &key, 1) <= 0 || key == 'q')
		return false; /* or the terminal has gone */
	take_key(v, key);
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
	struct view v = { 0 };

	do {
		struct frame f = { 0 };

		terminal_size(&v);
		if (ask_frame(ctl, &f)) {
			printf("\033[H\033[J");
			draw(ctl, &f, &v);
			draw_help(&v);
		} else {
			printf("\r\033[Kno answer from qosd, trying again; q quits");
		}
		fflush(stdout);
		frame_done(&f);
	} while (wait_for_key(keys, &v));
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
	struct view v = { 0 };
	int r = take_frame(ctl, &f);

	if (r == EXIT_DONE && ctl->json) {
		json_object_set(f.list, "status", f.status);
		json_print(f.list, false);
	} else if (r == EXIT_DONE) {
		draw(ctl, &f, &v);
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
