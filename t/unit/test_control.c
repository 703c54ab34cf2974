/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_control - the control server: messages, calls, answers now and later.
 */
#include <signal.h>

#include "t/unit/control_bench.h"

/* ---- framing ---- */

static void test_split_at_every_byte(void)
{
	static const char bytes[] = ECHO("one") "\0" ECHO("two");
	struct fixture f;

	begin(&f);
	for (size_t cut = 0; cut <= sizeof(bytes); cut++) {
		struct client c = client_new(&f);

		CU_ASSERT(send(c.fd, bytes, cut, 0) == (ssize_t)cut);
		settle(&f);
		CU_ASSERT(send(c.fd, bytes + cut, sizeof(bytes) - cut, 0) ==
			  (ssize_t)(sizeof(bytes) - cut));
		expect_text(&f, &c, "one");
		expect_text(&f, &c, "two");
		client_done(&c);
	}
	end(&f);
}

/* Many calls in one write are all answered, in order, and another client gets its turn between. */
static void test_pipelined(void)
{
	struct varlink_buffer out = { 0 };
	struct fixture f;
	struct client c, other;
	char text[128], number[16];

	begin(&f);
	c = client_new(&f);
	other = client_new(&f);
	for (int i = 0; i < 1000; i++) {
		int n = snprintf(text, sizeof(text),
				 "{\"method\":\"" PREFIX "Echo\",\"parameters\":{\"text\":\"%d\"}}",
				 i);

		CU_ASSERT(varlink_buffer_append(&out, text, (size_t)n + 1) == 0);
	}
	CU_ASSERT(send(c.fd, out.data, out.end, 0) == (ssize_t)out.end);
	put(&other, ECHO("me too"));
	expect_text(&f, &other, "me too");
	CU_ASSERT(f.served < 50);
	for (int i = 0; i < 1000; i++) {
		snprintf(number, sizeof(number), "%d", i);
		expect_text(&f, &c, number);
	}
	varlink_buffer_done(&out);
	client_done(&c);
	client_done(&other);
	end(&f);
}

static void test_bad_json(void)
{
	static const char *const bad[] = { "", "hello", "[1]", "{\"method\":1}",
					   "{\"method\":\"a.B\"" };
	struct fixture f;

	begin(&f);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct client c = client_new(&f);

		put(&c, bad[i]);
		put(&c, ECHO("never"));
		expect_error(&f, &c, "org.varlink.service.InvalidParameter");
		CU_ASSERT(await_close(&f, &c));
		client_done(&c);
	}
	CU_ASSERT(f.served == 0);
	settle(&f);
	CU_ASSERT(control_client_count(f.control) == 0);
	end(&f);
}

static void test_oversize(void)
{
	size_t size = CONTROL_WRITER_MESSAGE_MAX + 100000, sent = 0;
	char *bytes = malloc(size);
	struct fixture f;
	struct client c;

	begin(&f);
	memset(bytes, ' ', size);
	c = client_new(&f);
	while (sent < size) {
		ssize_t n = send(c.fd, bytes, size - sent, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n > 0)
			sent += (size_t)n;
		else if (errno != EAGAIN)
			break;
		settle(&f);
	}
	CU_ASSERT(sent <= size); /* the rest was not even taken */
	expect_error(&f, &c, "org.varlink.service.InvalidParameter");
	CU_ASSERT(await_close(&f, &c));
	client_done(&c);
	free(bytes);
	end(&f);
}

/* A domain XML of a megabyte goes through for root. */
static void test_large_message(void)
{
	size_t size = 1 << 20, at = 0;
	struct varlink_buffer out = { 0 };
	char *xml = malloc(size + 1);
	struct fixture f;
	struct client c;
	json_t *call;

	begin(&f);
	memset(xml, '<', size);
	xml[size] = '\0';
	call = json_pack("{s:s, s:{s:s}}", "method", PREFIX "Root", "parameters", "text", xml);
	CU_ASSERT(varlink_append(&out, call, CONTROL_WRITER_MESSAGE_MAX) == 0);
	c = client_new(&f);
	while (at < out.end) {
		ssize_t n = send(c.fd, out.data + at, out.end - at, MSG_DONTWAIT);

		at += n > 0 ? (size_t)n : 0;
		settle(&f);
	}
	expect_text(&f, &c, xml);
	json_decref(call);
	free(xml);
	varlink_buffer_done(&out);
	client_done(&c);
	end(&f);
}

/* A client that shuts its sending side still gets its answers: `printf ... | nc -N -U`. */
static void test_half_closed(void)
{
	struct fixture f;
	struct client c;

	begin(&f);
	c = client_new(&f);
	put(&c, CALL("Later"));
	put(&c, ECHO("after"));
	shutdown(c.fd, SHUT_WR);
	settle(&f);
	CU_ASSERT_FATAL(f.kept != NULL);
	CU_ASSERT(control_reply(f.kept, json_pack("{s:s}", "text", "late")) == 0);
	expect_text(&f, &c, "late");
	expect_text(&f, &c, "after");
	CU_ASSERT(await_close(&f, &c));
	client_done(&c);
	end(&f);
}

/* ---- calls ---- */

static void test_wrong_parameters(void)
{
	static const char *const bad[] = {
		"{}",
		"{\"text\":null}",
		"{\"text\":1}",
		"{\"text\":[\"x\"]}",
		"{\"text\":\"x\",\"count\":1.5}",
		"{\"text\":\"x\",\"count\":\"1\"}",
		"{\"text\":\"x\",\"ratio\":true}",
		"{\"text\":\"x\",\"flag\":0}",
		"{\"text\":\"x\",\"colour\":\"red\"}",
	};
	static const char *const good[] = {
		"{\"text\":\"x\"}",
		"{\"text\":\"x\",\"count\":null}",
		"{\"text\":\"x\",\"count\":-1}",
		"{\"text\":\"x\",\"ratio\":1}",
		"{\"text\":\"x\",\"ratio\":1.5,\"flag\":false}",
	};
	struct fixture f;
	struct client c;
	char text[256];

	begin(&f);
	c = client_new(&f);
	for (size_t i = 0; i < ARRAY_SIZE(bad) + ARRAY_SIZE(good); i++) {
		bool is_bad = i < ARRAY_SIZE(bad);

		snprintf(text, sizeof(text), "{\"method\":\"" PREFIX "Echo\",\"parameters\":%s}",
			 is_bad ? bad[i] : good[i - ARRAY_SIZE(bad)]);
		put(&c, text);
		if (is_bad)
			expect_error(&f, &c, "org.varlink.service.InvalidParameter");
		else
			expect_text(&f, &c, "x");
	}
	CU_ASSERT(f.served == ARRAY_SIZE(good));
	client_done(&c);
	end(&f);
}

static void test_unknown_names(void)
{
	struct fixture f;
	struct client c;

	begin(&f);
	c = client_new(&f);
	put(&c, CALL("Nothing"));
	expect_error(&f, &c, "org.varlink.service.MethodNotFound");
	put(&c, "{\"method\":\"org.varlink.service.Nothing\"}");
	expect_error(&f, &c, "org.varlink.service.MethodNotFound");
	put(&c, "{\"method\":\"Echo\"}");
	expect_error(&f, &c, "org.varlink.service.MethodNotFound");
	put(&c, "{\"method\":\"org.elsewhere.Echo\"}");
	expect_error(&f, &c, "org.varlink.service.InterfaceNotFound");
	put(&c, "{\"method\":\"org.varlink.service.GetInterfaceDescription\","
		"\"parameters\":{\"interface\":\"org.elsewhere\"}}");
	expect_error(&f, &c, "org.varlink.service.InterfaceNotFound");
	client_done(&c);
	end(&f);
}

static void test_service(void)
{
	struct fixture f;
	struct client c;
	json_t *message, *reply;

	begin(&f);
	c = client_new(&f);
	put(&c, "{\"method\":\"org.varlink.service.GetInfo\"}");
	message = await_message(&f, &c);
	reply = json_object_get(message, "parameters");
	ASSERT_STR(json_string_value(json_object_get(reply, "product")), "qosd");
	ASSERT_STR(json_string_value(json_object_get(reply, "version")), "9.8.7");
	CU_ASSERT(json_array_size(json_object_get(reply, "interfaces")) == 2);
	json_decref(message);
	put(&c, "{\"method\":\"org.varlink.service.GetInterfaceDescription\","
		"\"parameters\":{\"interface\":\"org.test.Unit\"}}");
	message = await_message(&f, &c);
	reply = json_object_get(message, "parameters");
	ASSERT_STR(json_string_value(json_object_get(reply, "description")),
		   "interface org.test.Unit\n");
	json_decref(message);
	client_done(&c);
	end(&f);
}

static void test_handler_errors(void)
{
	struct fixture f;
	struct client c;
	json_t *reply;

	begin(&f);
	c = client_new(&f);
	put(&c, CALL("Fail"));
	expect_error(&f, &c, PREFIX "Failed");
	put(&c, CALL("Lose"));
	expect_error(&f, &c, PREFIX "Failed");
	put(&c, CALL("Null"));
	expect_error(&f, &c, PREFIX "Failed");
	put(&c, CALL("Twice"));
	reply = await_message(&f, &c);
	ASSERT_STR(json_string_value(json_object_get(reply, "error")), PREFIX "Refused");
	CU_ASSERT(json_integer_value(
			  json_object_get(json_object_get(reply, "parameters"), "count")) == 7);
	json_decref(reply);
	put(&c, ECHO("still there"));
	expect_text(&f, &c, "still there");
	client_done(&c);
	end(&f);
}

static void test_oneway(void)
{
	struct fixture f;
	struct client c;

	begin(&f);
	c = client_new(&f);
	put(&c,
	    "{\"method\":\"" PREFIX "Echo\",\"parameters\":{\"text\":\"quiet\"},\"oneway\":true}");
	put(&c, "{\"method\":\"" PREFIX "Fail\",\"oneway\":true}");
	put(&c, "{\"method\":\"" PREFIX "Nothing\",\"oneway\":true}");
	put(&c, ECHO("loud"));
	expect_text(&f, &c, "loud");
	CU_ASSERT(f.served == 2);
	client_done(&c);
	end(&f);
}

/* Who changed something is in the log; reading and routine are not. */
static void test_changes_are_logged(void)
{
	struct fixture f;
	struct client c;

	begin(&f);
	c = client_new(&f);
	put(&c, ECHO("read"));
	put(&c, CALL("Often"));
	put(&c, CALL("Write"));
	put(&c, ECHO("end"));
	expect_text(&f, &c, "read");
	json_decref(await_message(&f, &c));
	json_decref(await_message(&f, &c));
	expect_text(&f, &c, "end");
	CU_ASSERT(f.logged == 1);
	client_done(&c);
	end(&f);
}

/* ---- later answers ---- */

/* The answer keeps its place: a second call waits, another client does not. */
static void test_later(void)
{
	struct fixture f;
	struct client c, other;

	begin(&f);
	c = client_new(&f);
	other = client_new(&f);
	put(&c, CALL("Later"));
	put(&c, ECHO("second"));
	put(&other, ECHO("other"));
	expect_text(&f, &other, "other");
	CU_ASSERT(f.served == 2);
	CU_ASSERT(!control_call_gone(f.kept));
	CU_ASSERT(control_call_peer(f.kept)->uid == getuid());
	ASSERT_STR(control_call_method(f.kept), "Later");
	CU_ASSERT(control_reply_more(f.kept, json_object()) == -EINVAL); /* it did not ask */
	CU_ASSERT(control_reply(f.kept, json_pack("{s:s}", "text", "first")) == 0);
	expect_text(&f, &c, "first");
	expect_text(&f, &c, "second");
	CU_ASSERT(f.gone == 0);
	client_done(&c);
	client_done(&other);
	end(&f);
}

static void test_gone_before_answer(void)
{
	struct fixture f;
	struct client c;

	begin(&f);
	c = client_new(&f);
	put(&c, CALL("Later"));
	settle(&f);
	CU_ASSERT_FATAL(f.kept != NULL);
	client_done(&c);
	settle(&f);
	CU_ASSERT(f.gone == 1);
	CU_ASSERT(control_call_gone(f.kept));
	CU_ASSERT(control_client_count(f.control) == 0);
	CU_ASSERT(control_reply(f.kept, json_object()) == -EPIPE);
	CU_ASSERT(control_error(f.kept, "Failed", "too late") == -EPIPE);
	end(&f);
}

/* A call that outlives the server is a harmless shell; its end is told. */
static void test_free_with_call_in_work(void)
{
	struct fixture f;
	struct client c;

	begin(&f);
	c = client_new(&f);
	put(&c, CALL("Later"));
	settle(&f);
	control_free(f.control);
	f.control = NULL;
	CU_ASSERT(f.gone == 1);
	CU_ASSERT(control_reply(f.kept, json_object()) == -EPIPE);
	CU_ASSERT(await_close(&f, &c));
	client_done(&c);
	end(&f);
}

static void test_dropped_reference_is_told(void)
{
	struct fixture f;
	struct client c;

	begin(&f);
	c = client_new(&f);
	put(&c, CALL("Later"));
	settle(&f);
	control_call_unref(f.kept);
	f.kept = NULL;
	expect_error(&f, &c, PREFIX "Failed");
	client_done(&c);
	end(&f);
}

static void test_stream(void)
{
	struct fixture f;
	struct client c;

	begin(&f);
	c = client_new(&f);
	put(&c, "{\"method\":\"" PREFIX "Later\",\"more\":true}");
	put(&c, ECHO("then"));
	settle(&f);
	for (int i = 0; i < 3; i++) {
		json_t *reply;

		CU_ASSERT(control_reply_more(f.kept, json_object()) == 0);
		reply = await_message(&f, &c);
		CU_ASSERT(json_is_true(json_object_get(reply, "continues")));
		json_decref(reply);
	}
	CU_ASSERT(control_reply(f.kept, json_pack("{s:s}", "text", "last")) == 0);
	expect_text(&f, &c, "last");
	expect_text(&f, &c, "then");
	client_done(&c);
	end(&f);
}

static const struct test tests[] = {
	{ "messages cut at every byte", test_split_at_every_byte },
	{ "pipelined calls", test_pipelined },
	{ "bad JSON", test_bad_json },
	{ "oversize message", test_oversize },
	{ "a megabyte from root", test_large_message },
	{ "half-closed client", test_half_closed },
	{ "wrong parameters", test_wrong_parameters },
	{ "unknown names", test_unknown_names },
	{ "org.varlink.service", test_service },
	{ "handlers that fail", test_handler_errors },
	{ "oneway", test_oneway },
	{ "changes are logged", test_changes_are_logged },
	{ "later answer", test_later },
	{ "gone before the answer", test_gone_before_answer },
	{ "server freed with a call in work", test_free_with_call_in_work },
	{ "reference dropped without answer", test_dropped_reference_is_told },
	{ "stream", test_stream },
};

int main(void)
{
	signal(SIGPIPE, SIG_DFL); /* the server must never raise it */
	return harness_run("control", tests, ARRAY_SIZE(tests));
}
