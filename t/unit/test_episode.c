/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_episode - one overload as a record: when it begins and ends, what it says, its line. */
#include <errno.h>

#include "qosd/core/episode.h"
#include "t/unit/harness.h"

#define S  UINT64_C(1000000)
#define MS UINT64_C(1000)
#define T0 (100 * S)

static bool find(void *user, uint32_t id, const char **ret_name, const char **ret_class)
{
	static const char *const names[] = { NULL, "db1", "web1", "batch1", "batch\x01two" };
	static const char *const classes[] = { NULL, "gold", "silver", "bronze", "bronze" };

	(void)user;
	if (id >= ARRAY_SIZE(names))
		return false;
	*ret_name = names[id];
	*ret_class = classes[id];
	return true;
}

static const struct episode_names names = { .find = find };

struct bench {
	struct episode_track track;
	struct govern_resource found;
	struct episode_tick tick;
	uint64_t now_us, back_ms; /* back: by how much the wall clock was set back */
	char text[EPISODE_LINE_MAX];
};

static void bench_init(struct bench *b)
{
	memset(b, 0, sizeof(*b));
	b->now_us = T0;
}

static enum episode_news tick(struct bench *b, double pressure, double depth,
			      enum governor_state state, enum governor_event event)
{
	b->now_us += 100 * MS;
	b->found.pressure = pressure;
	b->found.depth = depth;
	b->found.state = state;
	b->found.event = event;
	b->tick.at_us = b->now_us;
	b->tick.wall_ms = 1700000000000 + b->now_us / 1000 - b->back_ms;
	b->tick.found = &b->found;
	b->tick.names = &names;
	return episode_step(&b->track, RESOURCE_CPU, &b->tick, 7);
}

static const char *cause(struct bench *b)
{
	return episode_cause(&b->track.now, b->text, sizeof(b->text));
}

/* Calm until it is over. */
static enum episode_news calm_down(struct bench *b)
{
	enum episode_news news = EPISODE_SAME;

	for (int i = 0; i < 31 && news == EPISODE_SAME; i++)
		news = tick(b, 0.1, 0, GOVERNOR_CALM, GOVERNOR_NOTHING);
	return news;
}

static void test_whole_life(void)
{
	struct bench b;

	bench_init(&b);
	CU_ASSERT_EQUAL(tick(&b, 0.2, 0, GOVERNOR_CALM, GOVERNOR_NOTHING), EPISODE_SAME);
	b.found.victim = 1;
	b.found.culprits[0] = 3;
	b.found.culprits[1] = 2;
	CU_ASSERT_EQUAL(tick(&b, 2.4, 0.3, GOVERNOR_PRESSED, GOVERNOR_ONSET), EPISODE_BEGAN);
	CU_ASSERT_EQUAL(b.track.now.id, 7);
	CU_ASSERT_EQUAL(b.track.now.began_ms, 1700000000000 + b.now_us / 1000);
	CU_ASSERT_TRUE(episode_acted(&b.track, 12, b.now_us + 42 * MS));
	CU_ASSERT_FALSE(episode_acted(&b.track, 3, b.now_us + 99 * MS));
	CU_ASSERT_EQUAL(b.track.now.reaction_ms, 42);
	CU_ASSERT_EQUAL(tick(&b, 3.1, 1.25, GOVERNOR_PRESSED, GOVERNOR_DEEPER), EPISODE_SAME);
	CU_ASSERT_EQUAL(b.track.now.effect, EPISODE_EFFECT_UNKNOWN);
	CU_ASSERT_EQUAL(tick(&b, 0.7, 1.25, GOVERNOR_HOLDING, GOVERNOR_NOTHING), EPISODE_CHANGED);
	CU_ASSERT_EQUAL(b.track.now.effect, EPISODE_HELPED);
	CU_ASSERT_EQUAL(tick(&b, 0.1, 0.6, GOVERNOR_RELEASING, GOVERNOR_BACK), EPISODE_SAME);
	CU_ASSERT_EQUAL(calm_down(&b), EPISODE_ENDED);
	CU_ASSERT_EQUAL(b.track.now.ended_ms, 1700000000000 + b.now_us / 1000 - 3000);
	CU_ASSERT_EQUAL(b.track.now.peak_permille, 3100);
	CU_ASSERT_EQUAL(b.track.now.depth_permille, 1250);
	CU_ASSERT_EQUAL(b.track.now.actions, 15);
	CU_ASSERT_EQUAL(b.track.now.relapses, 0);
	ASSERT_STR(cause(&b), "db1 (gold) waited for CPU; the use of batch1 (bronze), "
			      "web1 (silver) rose");
	CU_ASSERT_EQUAL(tick(&b, 0.1, 0, GOVERNOR_CALM, GOVERNOR_NOTHING), EPISODE_SAME);
	CU_ASSERT_EQUAL(b.track.now.id, 0);
}

/* The kernel's trigger is the onset when the sample follows it closely. */
static void test_clock_set_back(void)
{
	struct bench b;

	bench_init(&b);
	CU_ASSERT_EQUAL(tick(&b, 2.4, 0.3, GOVERNOR_PRESSED, GOVERNOR_ONSET), EPISODE_BEGAN);
	b.back_ms = 3600000;
	CU_ASSERT_EQUAL(calm_down(&b), EPISODE_ENDED);
	CU_ASSERT_EQUAL(b.track.now.ended_ms, b.track.now.began_ms);
}

static void test_onset_of_trigger(void)
{
	struct bench b;

	bench_init(&b);
	b.tick.trigger_us = T0 + 20 * MS;
	tick(&b, 2, 0.3, GOVERNOR_PRESSED, GOVERNOR_ONSET);
	episode_acted(&b.track, 1, b.now_us + 10 * MS);
	CU_ASSERT_EQUAL(b.track.now.reaction_ms, 90);
	CU_ASSERT_EQUAL(b.track.now.began_ms, 1700000000000 + (T0 + 20 * MS) / 1000);

	bench_init(&b);
	b.tick.trigger_us = T0 - 5 * S; /* of something else */
	tick(&b, 2, 0.3, GOVERNOR_PRESSED, GOVERNOR_ONSET);
	episode_acted(&b.track, 1, b.now_us + 10 * MS);
	CU_ASSERT_EQUAL(b.track.now.reaction_ms, 10);
}

/* Over target before the governor acts: the reaction counts from there. */
static void test_onset_before_the_act(void)
{
	struct bench b;

	bench_init(&b);
	tick(&b, 1.2, 0, GOVERNOR_CALM, GOVERNOR_NOTHING);
	tick(&b, 1.4, 0, GOVERNOR_CALM, GOVERNOR_NOTHING);
	tick(&b, 2.0, 0.3, GOVERNOR_PRESSED, GOVERNOR_ONSET);
	episode_acted(&b.track, 1, b.now_us);
	CU_ASSERT_EQUAL(b.track.now.reaction_ms, 200);
}

/* Nobody may give way: no reaction, no effect, but an episode. */
static void test_nothing_to_do(void)
{
	struct bench b;

	bench_init(&b);
	CU_ASSERT_EQUAL(tick(&b, 2, 0, GOVERNOR_PRESSED, GOVERNOR_ONSET), EPISODE_BEGAN);
	CU_ASSERT_FALSE(episode_acted(&b.track, 1, b.now_us));
	CU_ASSERT_FALSE(episode_acted(&b.track, 0, b.now_us));
	tick(&b, 0.5, 0, GOVERNOR_HOLDING, GOVERNOR_NOTHING);
	CU_ASSERT_EQUAL(calm_down(&b), EPISODE_ENDED);
	CU_ASSERT_EQUAL(b.track.now.reaction_ms, EPISODE_UNKNOWN);
	CU_ASSERT_EQUAL(b.track.now.effect, EPISODE_EFFECT_UNKNOWN);
	ASSERT_STR(cause(&b), "the host's CPUs were short; no guest's use rose, so it came from "
			      "the host itself");
}

/* A pressure that flickers about its target is one episode. */
static void test_flicker(void)
{
	unsigned int began = 0, ended = 0;
	struct bench b;

	bench_init(&b);
	for (int i = 0; i < 100; i++) {
		bool over = i % 20 < 10;
		enum episode_news news =
			tick(&b, over ? 1.1 : 0.9, 0, over ? GOVERNOR_PRESSED : GOVERNOR_CALM,
			     i % 20 == 0 ? GOVERNOR_ONSET : GOVERNOR_NOTHING);

		began += news == EPISODE_BEGAN;
		ended += news == EPISODE_ENDED;
	}
	CU_ASSERT_EQUAL(began, 1);
	CU_ASSERT_EQUAL(ended, 0);
	CU_ASSERT_EQUAL(b.track.now.relapses, 4);
	CU_ASSERT_EQUAL(calm_down(&b), EPISODE_ENDED);
}

static void test_futile(void)
{
	struct bench b;

	bench_init(&b);
	b.found.victim = 1;
	tick(&b, 2, 0.5, GOVERNOR_PRESSED, GOVERNOR_ONSET);
	episode_acted(&b.track, 5, b.now_us);
	CU_ASSERT_EQUAL(tick(&b, 2, 1.5, GOVERNOR_RELEASING, GOVERNOR_FUTILE), EPISODE_CHANGED);
	/* pressure that falls by itself while all is given back is no merit */
	tick(&b, 0.5, 0.5, GOVERNOR_RELEASING, GOVERNOR_NOTHING);
	CU_ASSERT_EQUAL(b.track.now.effect, EPISODE_NO_HELP);
	ASSERT_STR(cause(&b), "db1 (gold) waited for CPU; no guest's use rose, so it came from the "
			      "host itself; throttling did not help, the cause is elsewhere");
	/* it goes deeper again: judged anew */
	tick(&b, 2, 0.8, GOVERNOR_PRESSED, GOVERNOR_RELAPSE);
	CU_ASSERT_EQUAL(b.track.now.effect, EPISODE_EFFECT_UNKNOWN);
	CU_ASSERT_EQUAL(b.track.now.relapses, 1);
	tick(&b, 0.5, 0.8, GOVERNOR_HOLDING, GOVERNOR_NOTHING);
	CU_ASSERT_EQUAL(b.track.now.effect, EPISODE_HELPED);
}

/* Who it was may be known only later; what is known is not lost again. */
static void test_learns_who(void)
{
	struct bench b;

	bench_init(&b);
	tick(&b, 2, 0.5, GOVERNOR_PRESSED, GOVERNOR_ONSET);
	b.found.victim = 1;
	b.found.culprits[0] = 4;
	CU_ASSERT_EQUAL(tick(&b, 2, 0.5, GOVERNOR_PRESSED, GOVERNOR_NOTHING), EPISODE_CHANGED);
	ASSERT_STR(cause(&b), "db1 (gold) waited for CPU; the use of batch?two (bronze) rose");
	b.found.victim = 2;
	b.found.culprits[0] = 0;
	CU_ASSERT_EQUAL(tick(&b, 2, 0.5, GOVERNOR_PRESSED, GOVERNOR_NOTHING), EPISODE_SAME);
	ASSERT_STR(cause(&b), "db1 (gold) waited for CPU; the use of batch?two (bronze) rose");
	b.found.culprits[0] = 99; /* has stopped */
	CU_ASSERT_EQUAL(tick(&b, 2, 0.5, GOVERNOR_PRESSED, GOVERNOR_NOTHING), EPISODE_SAME);
	ASSERT_STR(cause(&b), "db1 (gold) waited for CPU; the use of batch?two (bronze) rose");
}

/* The first to be named is not the one that was it all along. */
static void test_names_who_was_it_most(void)
{
	struct bench b;

	bench_init(&b);
	b.found.victim = 1;
	b.found.culprits[0] = 1;
	tick(&b, 2, 0.5, GOVERNOR_PRESSED, GOVERNOR_ONSET);
	ASSERT_STR(cause(&b), "db1 (gold) waited for CPU; the use of db1 (gold) rose");
	for (uint32_t i = 0; i < 100; i++) {
		b.found.culprits[0] = 3;
		b.found.culprits[1] = 4;
		b.found.culprits[2] = i % 2 ? 2 : 100 + i; /* passers-by, more than are kept */
		CU_ASSERT_EQUAL(tick(&b, 2, 0.5, GOVERNOR_PRESSED, GOVERNOR_NOTHING), EPISODE_SAME);
	}
	/* what is named after the pressure does not count */
	b.found.culprits[0] = 1;
	for (int i = 0; i < 500; i++)
		tick(&b, 0.5, 0.5, GOVERNOR_HOLDING, GOVERNOR_NOTHING);
	ASSERT_STR(cause(&b), "db1 (gold) waited for CPU; the use of batch1 (bronze), "
			      "batch?two (bronze), web1 (silver) rose");
}

static bool find_long(void *user, uint32_t id, const char **ret_name, const char **ret_class)
{
	(void)id;
	*ret_name = user;
	*ret_class = user;
	return true;
}

/* Names of any length and bytes: the sentence fits, ends whole, and its line reads in again. */
static void test_long_names(void)
{
	static const char *const units[] = { "x", "\xc3\xbc", "\"", "\\", "\xe2\x82\xac" };

	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		struct episode back;
		struct bench b;
		char name[300] = "";
		struct episode_names long_names = { .find = find_long, .user = name };

		while (strlen(name) + strlen(units[i]) < 255)
			strcat(name, units[i]);
		bench_init(&b);
		b.found = (struct govern_resource){ .pressure = 2,
						    .depth = 1,
						    .state = GOVERNOR_PRESSED,
						    .victim = 1,
						    .culprits = { 2, 3, 4 } };
		b.tick = (struct episode_tick){
			.at_us = T0, .wall_ms = 1, .found = &b.found, .names = &long_names
		};
		episode_step(&b.track, RESOURCE_DISK, &b.tick, 1);
		CU_ASSERT(strlen(b.track.now.why) < EPISODE_WHY_MAX - 1);
		CU_ASSERT_PTR_NOT_NULL(strstr(b.track.now.why, " rose"));
		episode_format_line(&b.track.now, b.text, sizeof(b.text));
		CU_ASSERT(strlen(b.text) < EPISODE_LINE_MAX - 1);
		CU_ASSERT_EQUAL(episode_parse_line(b.text, strlen(b.text), &back), 0);
		ASSERT_STR(back.why, b.track.now.why);
	}
}

static const struct episode sample_episode = { .id = 12,
					       .resource = RESOURCE_MEMORY,
					       .effect = EPISODE_NO_HELP,
					       .began_ms = 1700000000123,
					       .ended_ms = 1700000009123,
					       .peak_permille = 2400,
					       .depth_permille = 1250,
					       .reaction_ms = 180,
					       .actions = 12,
					       .relapses = 2,
					       .interrupted = true,
					       .why = "a \"quote\" and a \\" };

static const char sample_line[] =
	"{\"id\":12,\"resource\":\"memory\",\"began_ms\":1700000000123,"
	"\"ended_ms\":1700000009123,\"peak_permille\":2400,\"depth_permille\":1250,"
	"\"reaction_ms\":180,\"actions\":12,\"relapses\":2,\"effect\":\"no help\","
	"\"interrupted\":true,\"why\":\"a \\\"quote\\\" and a \\\\\"}";

static void test_line(void)
{
	struct episode back = { 0 }, open = sample_episode;
	char line[EPISODE_LINE_MAX];

	ASSERT_STR(episode_format_line(&sample_episode, line, sizeof(line)), sample_line);
	CU_ASSERT_EQUAL(episode_parse_line(line, strlen(line), &back), 0);
	CU_ASSERT_EQUAL(memcmp(&back, &sample_episode, sizeof(back)), 0);
	open.ended_ms = 0;
	open.reaction_ms = EPISODE_UNKNOWN;
	episode_format_line(&open, line, sizeof(line));
	CU_ASSERT_PTR_NOT_NULL(strstr(line, "\"ended_ms\":null,"));
	CU_ASSERT_PTR_NOT_NULL(strstr(line, "\"reaction_ms\":null,"));
	CU_ASSERT_EQUAL(episode_parse_line(line, strlen(line), &back), 0);
	CU_ASSERT_EQUAL(memcmp(&back, &open, sizeof(back)), 0);
}

/* Cut anywhere, or with any byte changed to one that does not belong there. */
static void test_damaged_line(void)
{
	size_t len = strlen(sample_line);

	for (size_t cut = 0; cut < len; cut++) {
		struct episode back = { .id = 99 };

		CU_ASSERT_EQUAL(episode_parse_line(sample_line, cut, &back), -EINVAL);
		CU_ASSERT_EQUAL(back.id, 99);
	}
	for (size_t at = 0; at < len; at++) {
		char line[sizeof(sample_line)];
		struct episode back = { .id = 99 };

		memcpy(line, sample_line, sizeof(line));
		line[at] = '\n';
		CU_ASSERT_EQUAL(episode_parse_line(line, len, &back), -EINVAL);
		CU_ASSERT_EQUAL(back.id, 99);
	}
}

static void test_bad_lines(void)
{
	static const struct {
		const char *from, *to;
	} swaps[] = {
		{ "\"id\":12", "\"id\":0" },
		{ "\"id\":12", "\"id\":-1" },
		{ "\"id\":12", "\"id\":012" },
		{ "\"id\":12", "\"id\":99999999999999999999" },
		{ "\"id\":12", "\"id\": 12" },
		{ "\"memory\"", "\"heat\"" },
		{ "\"relapses\":2", "\"relapses\":4294967296" },
		{ "\"actions\":12", "\"actions\":null" },
		{ "\"no help\"", "\"much\"" },
		{ "true", "1" },
		{ "\\\\", "\\n" },
		{ "\"}", "\"} " },
		{ "\"why\"", "\"Why\"" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(swaps); i++) {
		const char *at = strstr(sample_line, swaps[i].from);
		struct episode back;
		char line[sizeof(sample_line) + 32];

		CU_ASSERT_PTR_NOT_NULL_FATAL(at);
		snprintf(line, sizeof(line), "%.*s%s%s", (int)(at - sample_line), sample_line,
			 swaps[i].to, at + strlen(swaps[i].from));
		CU_ASSERT_EQUAL(episode_parse_line(line, strlen(line), &back), -EINVAL);
	}
}

/* After a restart the record goes on, and says so; its reaction is not measured again. */
static void test_resume(void)
{
	struct episode open = sample_episode;
	struct bench b;

	bench_init(&b);
	open.ended_ms = 0;
	open.interrupted = false;
	open.effect = EPISODE_EFFECT_UNKNOWN;
	open.reaction_ms = EPISODE_UNKNOWN;
	episode_resume(&b.track, &open);
	CU_ASSERT_EQUAL(tick(&b, 0.2, 0.5, GOVERNOR_HOLDING, GOVERNOR_NOTHING), EPISODE_CHANGED);
	CU_ASSERT_FALSE(episode_acted(&b.track, 4, b.now_us));
	CU_ASSERT_EQUAL(b.track.now.id, 12);
	CU_ASSERT_EQUAL(b.track.now.actions, 16);
	CU_ASSERT_EQUAL(b.track.now.reaction_ms, EPISODE_UNKNOWN);
	CU_ASSERT_EQUAL(calm_down(&b), EPISODE_ENDED);
	ASSERT_STR(cause(&b), "a \"quote\" and a \\; qosd was started anew meanwhile");
}

static const struct test tests[] = {
	{ "from onset to end", test_whole_life },
	{ "the wall clock is set back", test_clock_set_back },
	{ "the kernel's trigger is the onset", test_onset_of_trigger },
	{ "onset is the first sample over target", test_onset_before_the_act },
	{ "nobody may give way", test_nothing_to_do },
	{ "flicker is one episode", test_flicker },
	{ "a throttle that does not help", test_futile },
	{ "who it was is learnt later", test_learns_who },
	{ "names who was it most", test_names_who_was_it_most },
	{ "names of any length", test_long_names },
	{ "line and back", test_line },
	{ "damaged lines are refused", test_damaged_line },
	{ "wrong lines are refused", test_bad_lines },
	{ "goes on after a restart", test_resume },
};

int main(void)
{
	return harness_run("episode", tests, ARRAY_SIZE(tests));
}
