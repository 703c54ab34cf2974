/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test_varlink - frames and messages, without any socket.
 */
#include <errno.h>

#include "qosd/daemon/varlink.h"
#include "t/unit/harness.h"

#define LIMIT ((size_t)1000)

/* Three messages, one of them empty, cut in two at every byte, come out whole and in order. */
static void test_split_at_every_byte(void)
{
	static const char bytes[] = "{\"a\":1}\0\0{\"b\":[1,2]}";
	static const char *const expected[] = { "{\"a\":1}", "", "{\"b\":[1,2]}" };

	for (size_t cut = 0; cut <= sizeof(bytes); cut++) {
		struct varlink_buffer b = { 0 };
		const char *text;
		size_t size, seen = 0;

		for (int part = 0; part < 2; part++) {
			CU_ASSERT(varlink_buffer_append(&b, part ? bytes + cut : bytes,
							part ? sizeof(bytes) - cut : cut) == 0);
			while (varlink_buffer_next(&b, LIMIT, &text, &size) == 1) {
				CU_ASSERT_FATAL(seen < ARRAY_SIZE(expected));
				CU_ASSERT(size == strlen(expected[seen]));
				ASSERT_STR(text, expected[seen]);
				seen++;
			}
		}
		CU_ASSERT(seen == ARRAY_SIZE(expected));
		CU_ASSERT(varlink_buffer_size(&b) == 0);
		varlink_buffer_done(&b);
	}
}

static void test_limit(void)
{
	struct varlink_buffer b = { 0 };
	char bytes[LIMIT + 2];
	const char *text;
	size_t size;

	memset(bytes, 'x', sizeof(bytes));
	CU_ASSERT(varlink_buffer_append(&b, bytes, LIMIT) == 0);
	CU_ASSERT(varlink_buffer_next(&b, LIMIT, &text, &size) == 0);
	CU_ASSERT(varlink_buffer_append(&b, "", 1) == 0);
	CU_ASSERT(varlink_buffer_next(&b, LIMIT, &text, &size) == 1);
	CU_ASSERT(size == LIMIT);
	/* One byte more, ended or not, is too long. */
	CU_ASSERT(varlink_buffer_append(&b, bytes, LIMIT + 1) == 0);
	CU_ASSERT(varlink_buffer_next(&b, LIMIT, &text, &size) == -EMSGSIZE);
	CU_ASSERT(varlink_buffer_append(&b, "", 1) == 0);
	CU_ASSERT(varlink_buffer_next(&b, LIMIT, &text, &size) == -EMSGSIZE);
	varlink_buffer_done(&b);
}

/* Room in front is used again: many messages through one buffer do not make it grow. */
static void test_room_is_reused(void)
{
	struct varlink_buffer b = { 0 };
	const char *text;
	size_t size;

	for (int i = 0; i < 10000; i++) {
		CU_ASSERT_FATAL(varlink_buffer_append(&b, "{\"x\":1}\0{\"y", 11) == 0);
		CU_ASSERT_FATAL(varlink_buffer_next(&b, LIMIT, &text, &size) == 1);
		CU_ASSERT_FATAL(varlink_buffer_append(&b, "\":2}", 5) == 0);
		CU_ASSERT_FATAL(varlink_buffer_next(&b, LIMIT, &text, &size) == 1);
		ASSERT_STR(text, "{\"y\":2}");
	}
	CU_ASSERT(b.capacity < 4096);
	varlink_buffer_done(&b);
}

/* A large message does not keep its memory for ever. */
static void test_memory_is_given_back(void)
{
	struct varlink_buffer b = { 0 };
	size_t large = 1 << 20;
	const char *text;
	size_t size;

	CU_ASSERT(varlink_buffer_reserve(&b, large) == 0);
	memset(b.data, 'x', large);
	b.data[large - 1] = '\0';
	b.end = large;
	CU_ASSERT(varlink_buffer_next(&b, large, &text, &size) == 1);
	CU_ASSERT(varlink_buffer_next(&b, large, &text, &size) == 0);
	CU_ASSERT(b.capacity == 0);
	varlink_buffer_done(&b);
}

static int parse(const char *text, struct varlink_request *ret, struct qerr *err)
{
	return varlink_request_parse(text, strlen(text), ret, err);
}

static void test_requests(void)
{
	struct varlink_request r;

	CU_ASSERT(parse("{\"method\":\"a.b.C\",\"parameters\":{\"x\":1},\"more\":true}", &r,
			NULL) == 0);
	ASSERT_STR(r.method, "a.b.C");
	CU_ASSERT(r.more && !r.oneway);
	CU_ASSERT(json_integer_value(json_object_get(r.parameters, "x")) == 1);
	varlink_request_done(&r);
	/* Unknown members are a later version's business; null stands for absent. */
	CU_ASSERT(parse("{\"method\":\"a.C\",\"parameters\":null,\"upgrade\":false}", &r, NULL) ==
		  0);
	CU_ASSERT(json_is_object(r.parameters) && json_object_size(r.parameters) == 0);
	varlink_request_done(&r);
}

static void test_bad_requests(void)
{
	static const char *const bad[] = {
		"",
		"[]",
		"\"x\"",
		"{",
		"{}",
		"{\"method\":1}",
		"{\"method\":\"a.B\",\"parameters\":[]}",
		"{\"method\":\"a.B\",\"more\":1}",
		"{\"method\":\"a.B\",\"oneway\":\"yes\"}",
		"{\"method\":\"a.B\",\"oneway\":true,\"more\":true}",
		"{\"method\":\"a.B\",\"method\":\"a.C\"}",
		"{\"method\":\"\xff\"}",
		"{\"method\":\"a\\u0000b\"}",
		"{\"method\":\"a.B\"} x",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct varlink_request r = { 0 };
		struct qerr err = { 0 };

		CU_ASSERT(parse(bad[i], &r, &err) == -EBADMSG);
		CU_ASSERT(err.code == -EBADMSG && err.text[0]);
		CU_ASSERT(r.root == NULL);
	}
}

/* A thousand brackets must not exhaust the stack. */
static void test_deep_nesting(void)
{
	char text[100001];
	struct varlink_request r;

	memset(text, '[', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	CU_ASSERT(parse(text, &r, NULL) == -EBADMSG);
}

static void test_replies(void)
{
	static const char good[] = "{\"parameters\":{\"a\":1},\"continues\":true}";
	static const char bad[] = "{\"error\":\"org.x.E\",\"parameters\":{\"message\":\"no\"}}";
	struct varlink_reply r;

	CU_ASSERT(varlink_reply_parse(good, strlen(good), &r, NULL) == 0);
	CU_ASSERT(r.continues && !r.error);
	varlink_reply_done(&r);
	CU_ASSERT(varlink_reply_parse(bad, strlen(bad), &r, NULL) == 0);
	ASSERT_STR(r.error, "org.x.E");
	varlink_reply_done(&r);
	CU_ASSERT(varlink_reply_parse("{\"error\":1}", 11, &r, NULL) == -EBADMSG);
	CU_ASSERT(varlink_reply_parse("{\"parameters\":1}", 16, &r, NULL) == -EBADMSG);
}

/* What does not fit leaves the buffer as it was. */
static void test_append(void)
{
	struct varlink_buffer b = { 0 };
	json_t *message = json_pack("{s:s}", "text", "hello");

	CU_ASSERT(varlink_append(&b, message, 16) == 0);
	CU_ASSERT(varlink_buffer_size(&b) == 17);
	ASSERT_STR(b.data, "{\"text\":\"hello\"}");
	CU_ASSERT(varlink_append(&b, message, 15) == -EMSGSIZE);
	CU_ASSERT(varlink_buffer_size(&b) == 17);
	json_decref(message);
	varlink_buffer_done(&b);
}

static void test_names(void)
{
	const char *name;
	size_t size;

	CU_ASSERT(varlink_split("org.qosd.Control.Status", &size, &name));
	CU_ASSERT(size == strlen("org.qosd.Control"));
	ASSERT_STR(name, "Status");
	CU_ASSERT(!varlink_split("Status", &size, &name));
	CU_ASSERT(!varlink_split("org.", &size, &name));
	CU_ASSERT(!varlink_split(".Status", &size, &name));
	CU_ASSERT(!varlink_split("", &size, &name));
}

static const struct test tests[] = {
	{ "frames cut at every byte", test_split_at_every_byte },
	{ "length limit", test_limit },
	{ "room is used again", test_room_is_reused },
	{ "memory is given back", test_memory_is_given_back },
	{ "requests", test_requests },
	{ "bad requests", test_bad_requests },
	{ "deep nesting", test_deep_nesting },
	{ "replies", test_replies },
	{ "append is whole or nothing", test_append },
	{ "names", test_names },
};

int main(void)
{
	return harness_run("varlink", tests, ARRAY_SIZE(tests));
}
