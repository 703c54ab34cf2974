/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_methods - throttle, trials and episodes as a client of the control socket asks for them. */
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "qosd/daemon/overload.h"
#include "qosd/daemon/trial.h"
#include "qosd/daemon/varlink.h"
#include "qosd/daemon/view.h"
#include "t/unit/engine_bench.h"

#define TRIES 2000

struct door {
	struct bench *b;
	int fd;
	struct varlink_buffer in;
	char path[96];
};

static struct door *door_open(void)
{
	struct door *d = must(calloc(1, sizeof(*d)));
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct qerr err = { 0 };

	d->b = bench_three(BENCH_ENFORCE);
	bench_publish(d->b);
	bench_settle(d->b);
	snprintf(d->path, sizeof(d->path), "%s/sock", d->b->dir);
	d->b->e->options.socket_path = d->path;
	CU_ASSERT_EQUAL_FATAL(methods_start(d->b->e, &err), 0);
	d->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", d->path);
	CU_ASSERT_EQUAL(connect(d->fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return d;
}

static void door_close(struct door *d)
{
	close(d->fd);
	varlink_buffer_done(&d->in);
	bench_free(d->b);
	free(d);
}

static bool answer(struct door *d, struct varlink_reply *ret)
{
	struct qerr err = { 0 };
	const char *text;
	size_t size;
	ssize_t got;

	CU_ASSERT_EQUAL(varlink_buffer_reserve(&d->in, 65536), 0);
	got = recv(d->fd, d->in.data + d->in.end, 65536, MSG_DONTWAIT);
	if (got > 0)
		d->in.end += (size_t)got;
	if (varlink_buffer_next(&d->in, 1 << 20, &text, &size) != 1)
		return false;
	CU_ASSERT_EQUAL(varlink_reply_parse(text, size, ret, &err), 0);
	return true;
}

/* The answer to one call; the loop and the workers run meanwhile. */
static struct varlink_reply call(struct door *d, const char *method, const char *parameters)
{
	struct varlink_reply reply = { 0 };
	char text[512];
	int size = snprintf(text, sizeof(text),
			    "{\"method\":\"org.qosd.Control.%s\",\"parameters\":%s}", method,
			    parameters);

	CU_ASSERT_EQUAL(send(d->fd, text, (size_t)size + 1, MSG_NOSIGNAL), size + 1);
	for (int i = 0; i < TRIES && !reply.root; i++) {
		(void)sd_event_run(d->b->e->event, 1000);
		bench_settle(d->b);
		(void)answer(d, &reply);
	}
	CU_ASSERT_PTR_NOT_NULL(reply.root);
	return reply;
}

/* The call fails with this error, and its sentence has this text. */
static void refuses(struct door *d, const char *method, const char *parameters, const char *error,
		    const char *sentence)
{
	struct varlink_reply r = call(d, method, parameters);
	const char *message = json_string_value(json_object_get(r.parameters, "message"));

	if (!r.error || !strstr(r.error, error) || !message || !strstr(message, sentence))
		fprintf(d->b->real_stderr, "%s %s: %s %s\n", method, parameters,
			r.error ? r.error : "done", message ? message : "");
	CU_ASSERT(r.error && strstr(r.error, error));
	CU_ASSERT(message && strstr(message, sentence));
	varlink_reply_done(&r);
}

/* The call succeeds; a member of its answer as text, "" when it is null or absent. */
static const char *works(struct door *d, const char *method, const char *parameters,
			 const char *member)
{
	struct varlink_reply r = call(d, method, parameters);
	char *text = json_dumps(json_object_get(r.parameters, member), JSON_ENCODE_ANY);

	CU_ASSERT_PTR_NULL(r.error);
	snprintf(d->b->text, sizeof(d->b->text), "%s", text ? text : "");
	free(text);
	varlink_reply_done(&r);
	return d->b->text;
}

static void test_throttle(void)
{
	struct door *d = door_open();
	const struct protection *p = d->b->e->protection;
	const char *until;
	json_t *view;

	until = works(d, "Throttle",
		      "{\"class\":\"bronze\",\"resource\":\"net\",\"level\":400,\"seconds\":60}",
		      "until");
	CU_ASSERT(until[0] == '"' && strlen(until) > 20);
	CU_ASSERT_EQUAL(p->nmanual, 1);
	CU_ASSERT_EQUAL(p->manual[0].level_permille, 400);
	CU_ASSERT_EQUAL(p->manual[0].resource, RESOURCE_NET);
	view = must(view_throttles(d->b->e));
	CU_ASSERT_EQUAL(json_array_size(view), 1);
	CU_ASSERT_EQUAL(json_integer_value(json_object_get(json_array_get(view, 0), "level")), 400);
	json_decref(view);
	/* a second word takes the place of the first; 0 seconds end it */
	works(d, "Throttle",
	      "{\"class\":\"bronze\",\"resource\":\"net\",\"level\":0,\"seconds\":60}", "until");
	CU_ASSERT_EQUAL(p->nmanual, 1);
	ASSERT_STR(works(d, "Throttle",
			 "{\"class\":\"bronze\",\"resource\":\"net\",\"level\":0,\"seconds\":0}",
			 "until"),
		   "null");
	CU_ASSERT_EQUAL(p->nmanual, 0);
	door_close(d);
}

static void test_throttle_refused(void)
{
	struct door *d = door_open();

	refuses(d, "Throttle",
		"{\"class\":\"iron\",\"resource\":\"cpu\",\"level\":400,\"seconds\":60}",
		"NoSuchClass", "qosctl status");
	refuses(d, "Throttle",
		"{\"class\":\"gold\",\"resource\":\"cpu\",\"level\":400,\"seconds\":60}", "Failed",
		"rank 0");
	refuses(d, "Throttle",
		"{\"class\":\"bronze\",\"resource\":\"heat\",\"level\":400,\"seconds\":60}",
		"InvalidParameter", "cpu, memory, net or disk");
	refuses(d, "Throttle",
		"{\"class\":\"bronze\",\"resource\":\"cpu\",\"level\":1001,\"seconds\":60}",
		"InvalidParameter", "1000");
	refuses(d, "Throttle",
		"{\"class\":\"bronze\",\"resource\":\"cpu\",\"level\":-1,\"seconds\":60}",
		"InvalidParameter", "1000");
	refuses(d, "Throttle",
		"{\"class\":\"bronze\",\"resource\":\"cpu\",\"level\":1,\"seconds\":-1}",
		"InvalidParameter", "30 days");
	refuses(d, "Throttle",
		"{\"class\":\"bronze\",\"resource\":\"cpu\",\"level\":1,\"seconds\":1e300}",
		"InvalidParameter", "30 days");
	CU_ASSERT_EQUAL(d->b->e->protection->nmanual, 0);
	door_close(d);
}

static void test_trial(void)
{
	struct door *d = door_open();

	CU_ASSERT(strstr(works(d, "Reload", "{\"canary\":1000,\"seconds\":60}", "trial"),
			 "\"guests\": 3") != NULL);
	CU_ASSERT_PTR_NOT_NULL(d->b->e->trial);
	refuses(d, "Reload", "{\"canary\":100}", "Failed", "qosctl confirm");
	refuses(d, "Reload", "{}", "Failed", "qosctl confirm");
	ASSERT_STR(works(d, "Confirm", "{}", "generation"), "2");
	CU_ASSERT_PTR_NULL(d->b->e->trial);
	refuses(d, "Confirm", "{}", "Failed", "no policy is on trial");
	works(d, "Reload", "{\"canary\":1}", "trial");
	ASSERT_STR(works(d, "Undo", "{}", "generation"), "2");
	CU_ASSERT_PTR_NULL(d->b->e->trial);
	door_close(d);
}

static void test_trial_refused(void)
{
	struct door *d = door_open();

	refuses(d, "Reload", "{\"canary\":0}", "InvalidParameter", "0.1%");
	refuses(d, "Reload", "{\"canary\":1001}", "InvalidParameter", "100%");
	refuses(d, "Reload", "{\"canary\":100,\"seconds\":0.5}", "InvalidParameter", "24 hours");
	refuses(d, "Reload", "{\"canary\":100,\"seconds\":86401}", "InvalidParameter", "24 hours");
	refuses(d, "Reload", "{\"seconds\":60}", "InvalidParameter", "only a trial");
	refuses(d, "Reload", "{\"canary\":100,\"path\":\"qosd.conf\"}", "InvalidParameter",
		"absolute");
	write_text(d->b->config_path, "mode = \"perhaps\";\n");
	refuses(d, "Reload", "{\"canary\":100}", "Refused", "stays in force");
	CU_ASSERT_PTR_NULL(d->b->e->trial);
	door_close(d);
}

/* What the unit's sandbox may hide is told; a file that is there and wrong is wrong anywhere. */
static void test_reload_hidden(void)
{
	struct door *d = door_open();
	char text[256];
	struct varlink_reply r;

	refuses(d, "Reload", "{\"path\":\"/tmp/qosd-nowhere/new.conf\"}", "Refused", "/etc/qosd");
	refuses(d, "Reload", "{\"path\":\"/home/qosd-nowhere.conf\",\"canary\":100}", "Refused",
		"hides /home");
	refuses(d, "Reload", "{\"path\":\"/nowhere/new.conf\"}", "Refused", "stays in force");
	write_text(d->b->config_path, "mode = \"perhaps\";\n");
	snprintf(text, sizeof(text), "{\"path\":\"%s\"}", d->b->config_path);
	r = call(d, "Reload", text);
	CU_ASSERT_PTR_NOT_NULL_FATAL(r.error);
	CU_ASSERT_PTR_NULL(
		strstr(json_string_value(json_object_get(r.parameters, "message")), "hides"));
	varlink_reply_done(&r);
	door_close(d);
}

/* A file taken by its path is not taken again by a plain reload. */
static void test_reload_is_not_remembered(void)
{
	struct door *d = door_open();
	char path[128], text[256];

	snprintf(path, sizeof(path), "%s/other.conf", d->b->dir);
	write_text(path,
		   "classes = ( { name = \"other\"; rank = 0; } );\ndefault_class = \"other\";\n");
	snprintf(text, sizeof(text), "{\"path\":\"%s\"}", path);
	ASSERT_STR(works(d, "Reload", text, "generation"), "2");
	CU_ASSERT_PTR_NOT_NULL(policy_class(d->b->e->policy, "other"));
	ASSERT_STR(works(d, "Reload", "{}", "generation"), "3");
	CU_ASSERT_PTR_NULL(policy_class(d->b->e->policy, "other"));
	unlink(path);
	door_close(d);
}

static void test_version(void)
{
	struct door *d = door_open();

	ASSERT_STR(works(d, "Version", "{}", "libvirt"), "null"); /* there is none on the bench */
	door_close(d);
}

static void test_episodes(void)
{
	struct door *d = door_open();

	ASSERT_STR(works(d, "Episodes", "{}", "episodes"), "[]");
	door_close(d);
}

static const struct test tests[] = {
	{ "throttle", test_throttle },
	{ "throttle refused", test_throttle_refused },
	{ "reload on trial, confirm, undo", test_trial },
	{ "trial refused", test_trial_refused },
	{ "reload of a file that the unit hides", test_reload_hidden },
	{ "reload of another file", test_reload_is_not_remembered },
	{ "version", test_version },
	{ "episodes", test_episodes },
};

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	return harness_run("methods", tests, ARRAY_SIZE(tests));
}
