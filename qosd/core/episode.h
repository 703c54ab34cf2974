/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * episode - one overload of one resource, from its onset until all is calm again, as a record.
 *
 * A track watches one resource: each tick's outcome goes in (episode_step), and what was written
 * to the host because of it (episode_acted); the record of now comes out. The governor's state
 * alone says when an overload begins and ends: an episode lasts while it is not calm, and ends when
 * it has been calm for EPISODE_APART_US, so that a pressure that flickers about its target is one
 * episode with relapses and not a flood of them.
 *
 * Times named _us are monotonic, those named _ms are of the wall clock (since 1970). Pressure and
 * depth are kept in permille: 1000 is at target, or one class at its floor.
 *
 * Whose use rose is asked at every tick that is pressed, since guests of a storm come one by one:
 * those that were named most are told. (A small table that forgets who was named least: Metwally
 * et al., Space-Saving, 2005.)
 *
 * In a file an episode is one line of JSON; the reader takes what the writer makes and nothing
 * else, for a file may be torn or damaged.
 */
#ifndef QOSD_CORE_EPISODE_H
#define QOSD_CORE_EPISODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "qosd/core/govern.h"

#define EPISODE_WHY_MAX    512
#define EPISODE_CAUSE_MAX  640
#define EPISODE_LINE_MAX   (2 * EPISODE_WHY_MAX + 512)
#define EPISODE_UNKNOWN    UINT64_MAX
#define EPISODE_APART_US   3000000ULL /* calm this long: over */
#define EPISODE_TRIGGER_US 2000000ULL /* a trigger is the onset of what is seen this soon after */

enum episode_effect { EPISODE_EFFECT_UNKNOWN, EPISODE_HELPED, EPISODE_NO_HELP };
extern const char *const episode_effect_names[]; /* "unknown", "helped", "no help" */

struct episode {
	uint64_t id;       /* from 1, ascending; 0: none */
	uint32_t resource; /* enum resource */
	uint32_t effect;   /* enum episode_effect: below target while throttled, or futile */
	uint64_t began_ms, ended_ms; /* ended 0: it lasts */
	uint64_t peak_permille;      /* highest pressure */
	uint64_t depth_permille;     /* deepest on the ladder */
	uint64_t reaction_ms;        /* onset to all throttles in force; EPISODE_UNKNOWN */
	uint64_t actions;            /* values written to the host while it lasted */
	uint32_t relapses;
	bool interrupted; /* qosd was started anew while it lasted */
	char why[EPISODE_WHY_MAX];
};

/* Names of a guest and its class by the guest's id; false: not known any more. */
struct episode_names {
	bool (*find)(void *user, uint32_t id, const char **ret_name, const char **ret_class);
	void *user;
};

struct episode_tick {
	uint64_t at_us, wall_ms; /* of the sample */
	uint64_t trigger_us;     /* when the kernel told of pressure; 0: it did not */
	const struct govern_resource *found;
	const struct episode_names *names;
};

#define EPISODE_SUSPECTS 8
#define EPISODE_NAMED    3

struct episode_suspect {
	uint32_t id; /* 0: free */
	uint32_t weight;
};

struct episode_track {          /* one resource; all zero at first */
	struct episode now;     /* id 0: no overload */
	uint64_t over_since_us; /* first sample over target without a break; 0: not over */
	uint64_t onset_us;      /* of `now`; 0: not seen (before a restart) */
	uint64_t calm_since_us; /* 0: not calm */
	uint64_t calm_since_ms;
	double depth;                                      /* of the last tick */
	bool moved;                                        /* the last tick changed the depth */
	struct episode_suspect suspects[EPISODE_SUSPECTS]; /* whose use rose, tick by tick */
	uint32_t victim, culprits[EPISODE_NAMED];          /* that `why` names; 0: none */
};

enum episode_news { EPISODE_SAME, EPISODE_BEGAN, EPISODE_CHANGED, EPISODE_ENDED };

/*
 * One tick of resource `r`. An episode that begins gets `next_id`. CHANGED: more is known than
 * before (who, or that it is futile), worth telling anew. After ENDED the record can be read until
 * the next step.
 */
enum episode_news episode_step(struct episode_track *t, enum resource r,
			       const struct episode_tick *tick, uint64_t next_id);
/* `writes` values are in force at `now_us`. True when that completed the reaction to the onset. */
bool episode_acted(struct episode_track *t, uint64_t writes, uint64_t now_us);
/* Go on with a record of before a restart. */
void episode_resume(struct episode_track *t, const struct episode *e);

/* One sentence: what was short, who suffered, whose use rose, and whether throttling helped. buf.
 */
char *episode_cause(const struct episode *e, char *buf, size_t size);

/* One line without its end; EPISODE_LINE_MAX always suffices. Returns buf. */
char *episode_format_line(const struct episode *e, char *buf, size_t size);
/* The opposite, of `len` bytes without the line's end. 0 or -EINVAL; *ret untouched on error. */
int episode_parse_line(const char *line, size_t len, struct episode *ret);

#endif
