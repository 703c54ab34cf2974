/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * governor - the law. Everything is counted in time, nothing in ticks: the same at a tick of 1 s
 * and of 100 ms but for the resolution.
 *
 * Between `clean` and 1 the depth rests, and the hold clock stands still (it is not set back: a
 * pressure that trembles there must not keep guests throttled for ever). Giving back therefore
 * stops by itself at the depth at which the victims are just within their target, and only a jump
 * over 1 is a relapse.
 *
 * Whether a throttle helps is judged on a slower average of the pressure, after the last step has
 * had time to show. "It does not help" can be wrong (the storm grew while we went deeper), so
 * giving back is the second half of the test: when p rises as the throttle is taken away, it did
 * help, and the depth is restored at once.
 */
#include "qosd/core/governor.h"

const char *const governor_state_names[] = { "calm", "pressed", "holding", "releasing" };

#define HOLD_GROWTH_MAX 8 /* times the law's hold: a storm that stays is tried every 80 s */
#define SLACK_HOLDS     3 /* halves of a hold: longer than one, or a storm of that rhythm resonates */
#define FORGET_HOLDS    8 /* a calm of this many holds: what comes after is another storm */
#define ALONE_DOUBLES   5 /* futile_us doubles this often at the most: 60 s to 32 min */
#define JUDGE_LAGS      3
#define JUDGE_LEAST_US  UINT64_C(3000000)
#define STALL_US        UINT64_C(2000000) /* a loop that stood still does not count as clean time */
/* Near the depth at which giving back went wrong it goes on at this part of the speed. */
#define CAREFUL_ZONE  0.2
#define CAREFUL_SPEED 0.25
/* And rests so much above it until the grown hold is over. */
#define RELAPSE_MARGIN 0.05
#define RAISE_US       UINT64_C(1000000) /* of govern_caps */
/* A relapse came of a small step back: a small one down is the answer (then the usual ones). */
#define RELAPSE_STEP 0.2
#define VERDICT_US                                                                                 \
	UINT64_C(2000000) /* so long without pain: the cause that was elsewhere is gone */
/* Taking a throttle away that did not help raises p by less than this. */
#define MATTERS 1.3
/*
 * Claims that rose by this part of what all guests claim are another cause. Less is the noise of
 * guests that come and go in a tick; a guest that storms alone on a full host is more. Where the
 * host itself took all, they claim next to nothing, and a tenth of that is noise as well: see
 * claim_least.
 */
#define CLAIM_MATTERS 0.1

struct governor_law governor_law_of(enum resource r, const struct overload *o)
{
	/*
	 * gain, steps: a pressure of 3 (15 % wait at a target of 5 %) asks for 0.4 of a class at
	 * once; a storm (p >= 4) for half a class a lag, so the lowest class is at its floor after
	 * two lags. step_min: what still shows above the noise of the signals. step_entry: the
	 * next class is entered by its first rung alone (CPU: a lower weight), because what the
	 * class below gave up may have been taken by it.
	 * clean 0.8: oomd, Heracles and PARTIES leave 15-20 % between acting and giving back.
	 * lag: CPU: the window after the step and half of the next. Memory: a reclaim of 20-50 MB
	 * took 0.3-0.8 s (measured), and stall shares need a second to fall. Network: a queue
	 * drains and TCP reacts within some round trips. Disk: libvirt's call and the requests
	 * under way.
	 * judge_us: three lags, and 3 s at the least. A real host's waits come in bursts, and some
	 * are told late (a wait is counted when it ends): judged after half a second, a storm of
	 * real guests whose pressure had fallen from 9 to 1.3 within 2 s was taken for futile.
	 * class_us: half a second for the same reason. Memory: pages of a class at its floor come
	 * back by some GB a second at the best (balloons, reclaim), so the class has that long
	 * before the next one is asked.
	 */
	static const struct governor_law laws[RESOURCE_COUNT] = {
		[RESOURCE_CPU] = { .gain = 0.2,
				   .step_min = 0.1,
				   .step_max = 0.5,
				   .lag_us = 0,
				   .class_us = 500000 },
		[RESOURCE_MEMORY] = { .gain = 0.5,
				      .step_min = 0.1,
				      .step_max = 0.25,
				      .lag_us = 2000000,
				      .class_us = 6000000 },
		[RESOURCE_NET] = { .gain = 0.1,
				   .step_min = 0.05,
				   .step_max = 0.5,
				   .lag_us = 300000 },
		[RESOURCE_DISK] = { .gain = 0.2,
				    .step_min = 0.1,
				    .step_max = 0.34,
				    .lag_us = 1000000 },
	};
	struct governor_law law = laws[r];

	if (law.lag_us < o->tick_us + o->tick_us / 2)
		law.lag_us = o->tick_us + o->tick_us / 2;
	if (law.class_us < law.lag_us)
		law.class_us = law.lag_us;
	law.judge_us = JUDGE_LAGS * law.lag_us;
	if (law.judge_us < JUDGE_LEAST_US)
		law.judge_us = JUDGE_LEAST_US;
	law.step_entry = 0.1;
	law.clean = 0.8;
	law.hold_us = o->release_hold_us;
	law.release_step = o->release_step_permille / 1000.0;
	law.futile_gain = 0.25; /* to take all from everyone for less is a harm */
	law.futile_us = 60000000;
	law.claim_least = r == RESOURCE_CPU ? 100 : 0; /* mCPU: a tenth of a CPU is no storm */
	return law;
}

static uint64_t hold_of(const struct governor *g, const struct governor_law *law)
{
	return g->hold_us > law->hold_us ? g->hold_us : law->hold_us;
}

static void forget(struct governor *g)
{
	g->hold_us = 0;
	g->relapse_depth = -1;
	if (g->futile)
		g->claim_most = g->pressure_most = 0;
	g->futile = 0;
}

/* From now on progress is measured against this pressure and depth. */
static void begin_judging(struct governor *g, double pressure)
{
	g->smooth_pressure = pressure;
	g->onset_pressure = pressure;
	g->onset_depth = g->depth;
}

/* All that is taken is judged once more. */
static void judge_whole(struct governor *g, const struct governor_law *law, double pressure,
			uint64_t now_us)
{
	begin_judging(g, pressure);
	g->onset_depth = 0;
	g->judge_after_us = now_us + law->judge_us;
}

static void follow(struct governor *g, const struct governor_law *law, double pressure,
		   uint64_t dt_us)
{
	double part = (double)dt_us / ((double)dt_us + (double)law->judge_us / 3);

	g->smooth_pressure += part * (pressure - g->smooth_pressure);
	if (g->smooth_pressure > g->onset_pressure)
		g->onset_pressure = g->smooth_pressure;
}

/* The largest step from here: up to the end of the class; the next is entered by its first rung. */
static double step_most(const struct governor *g, const struct governor_law *law,
			const struct governor_reading *in)
{
	double whole = (double)(unsigned int)g->depth;

	if (in->brink)
		return whole + 1 - g->depth;
	if (g->depth >= 1 && g->depth - whole < law->step_entry)
		return whole + law->step_entry - g->depth;
	if (g->depth > 0 && g->depth + law->step_max > whole + 1)
		return whole + 1 - g->depth;
	return law->step_max;
}

/* A class just reached its floor and the next one is still whole. */
static bool at_floor(const struct governor *g)
{
	return g->depth >= 1 && g->depth <= (double)(unsigned int)g->depth;
}

static void deepen(struct governor *g, const struct governor_law *law,
		   const struct governor_reading *in, double most, uint64_t now_us)
{
	double step = law->gain * (in->pressure - 1);

	if (step < law->step_min)
		step = law->step_min;
	if (step > most || in->brink)
		step = most;
	if (g->depth + step > in->steps)
		step = g->depth < in->steps ? in->steps - g->depth : 0;
	if (step <= 0)
		return;
	g->depth += step;
	g->act_after_us = now_us + (at_floor(g) && !in->brink ? law->class_us : law->lag_us);
	g->judge_after_us = now_us + law->judge_us;
}

/*
 * A relapse shows a lag late, and caps follow the depth up only once in RAISE_US: what was given
 * back in that time is part of the margin.
 */
static double rest_margin(const struct governor_law *law)
{
	return RELAPSE_MARGIN + law->release_step * (double)(law->lag_us + RAISE_US) / 1e6;
}

static void grow_hold(struct governor *g, const struct governor_law *law)
{
	uint64_t max = HOLD_GROWTH_MAX * law->hold_us;
	uint64_t hold = 2 * hold_of(g, law);

	g->hold_us = hold < max ? hold : max;
}

/* It went far enough and had its time: has p fallen? */
static bool is_futile(struct governor *g, const struct governor_law *law, unsigned int steps,
		      uint64_t now_us)
{
	/*
	 * Only the end of the ladder can tell: what one class gives up the next may take, so p
	 * often stays the same until the last has given way.
	 */
	bool far = g->depth >= steps && g->depth > g->onset_depth;

	if (!far || now_us < g->judge_after_us)
		return false;
	if (g->smooth_pressure > g->onset_pressure * (1 - law->futile_gain))
		return true;
	if (g->futile) /* a verdict of before was wrong */
		g->futile--;
	begin_judging(g, g->smooth_pressure); /* it helps: the next stretch is judged anew */
	return false;
}

static void end_verdict(struct governor *g)
{
	g->alone_until_us = 0;
	g->giving_up = false;
}

static enum governor_event give_up(struct governor *g, const struct governor_law *law,
				   double pressure, uint64_t now_us)
{
	unsigned int doubles = g->futile < ALONE_DOUBLES ? g->futile : ALONE_DOUBLES;

	g->giving_up = true;
	g->unblamed = false;
	g->futile++;
	g->futile_pressure = g->smooth_pressure > pressure ? g->smooth_pressure : pressure;
	g->futile_at_depth = g->depth;
	g->alone_until_us = now_us + (law->futile_us << doubles);
	g->state = GOVERNOR_RELEASING;
	return GOVERNOR_FUTILE;
}

/* Nobody fills his cap. Should they want more again, that is another cause, the storm of before or
 * not. */
static enum governor_event acquit(struct governor *g, const struct governor_law *law,
				  double pressure, uint64_t now_us)
{
	enum governor_event event = give_up(g, law, pressure, now_us);

	g->unblamed = true;
	return event;
}

/* Taking it away made it worse: it had helped. */
static enum governor_event take_up(struct governor *g, const struct governor_law *law,
				   uint64_t now_us)
{
	end_verdict(g);
	if (g->depth < g->futile_at_depth)
		g->depth = g->futile_at_depth;
	g->state = GOVERNOR_PRESSED;
	g->act_after_us = now_us + law->lag_us;
	judge_whole(g, law, g->smooth_pressure, now_us);
	/* It helps when half of what giving back has cost is gone again. */
	g->onset_pressure = (g->smooth_pressure + g->futile_pressure) / 2 / (1 - law->futile_gain);
	return GOVERNOR_RELAPSE;
}

/* Those who are throttled have not filled their caps for a while: giving back cannot hurt. */
static bool is_slack(const struct governor *g, const struct governor_law *law, uint64_t now_us)
{
	return g->slack_since_us && now_us - g->slack_since_us >= SLACK_HOLDS * law->hold_us / 2;
}

/*
 * Classes a second. What did not help is a harm, so while that is the verdict it goes as fast as
 * its going can be judged: a class in the time of a verdict.
 */
static double release_speed(const struct governor *g, const struct governor_law *law,
			    uint64_t now_us)
{
	bool near = g->relapse_depth >= 0 && g->depth < g->relapse_depth + CAREFUL_ZONE &&
		    g->depth > g->relapse_depth - CAREFUL_ZONE;
	double judged = 1e6 / (double)law->judge_us;

	bool careful = near && !g->giving_up && !is_slack(g, law, now_us);

	if (g->alone_until_us)
		return law->release_step > judged ? law->release_step : judged;
	return law->release_step * (careful ? CAREFUL_SPEED : 1);
}

/* Give back, but not below `bound`. */
static enum governor_event give_back(struct governor *g, const struct governor_law *law,
				     double bound, uint64_t dt_us, uint64_t now_us)
{
	bool first = g->state != GOVERNOR_RELEASING;
	double depth = g->depth - release_speed(g, law, now_us) * (double)dt_us / 1e6;

	if (g->depth > 0 && g->depth <= bound) {
		g->state = GOVERNOR_HOLDING;
		return GOVERNOR_NOTHING;
	}
	g->state = GOVERNOR_RELEASING;
	g->depth = depth > bound ? depth : bound;
	if (g->depth > 1e-6)
		return first ? GOVERNOR_BACK : GOVERNOR_NOTHING;
	g->depth = 0;
	g->state = GOVERNOR_CALM;
	g->giving_up = false;
	g->clean_since_us = 0;
	g->calm_since_us = now_us;
	return GOVERNOR_OVER;
}

static enum governor_event onset(struct governor *g, const struct governor_law *law,
				 const struct governor_reading *in, uint64_t now_us)
{
	uint64_t calm_us = now_us - g->calm_since_us;
	bool again = g->calm_since_us && calm_us < law->hold_us && !g->futile;

	if (g->calm_since_us == 0 || calm_us > FORGET_HOLDS * hold_of(g, law))
		forget(g);
	if (again) {
		grow_hold(g, law);
		g->relapse_depth = g->held_depth - rest_margin(law);
		if (g->relapse_depth < 0)
			g->relapse_depth = 0;
	}
	begin_judging(g, in->pressure);
	g->state = GOVERNOR_PRESSED;
	g->slack_since_us = 0; /* without caps there was nothing to fill */
	deepen(g, law, in, step_most(g, law, in), now_us);
	return again ? GOVERNOR_RELAPSE : GOVERNOR_ONSET;
}

static enum governor_event relapse(struct governor *g, const struct governor_law *law,
				   const struct governor_reading *in, uint64_t now_us)
{
	/* a class is left only when its floor did not help */
	double most = step_most(g, law, in);

	grow_hold(g, law);
	g->relapse_depth = g->depth;
	g->giving_up = false;
	g->state = GOVERNOR_PRESSED;
	begin_judging(g, in->pressure);
	deepen(g, law, in, most < RELAPSE_STEP || in->brink ? most : RELAPSE_STEP, now_us);
	if (g->onset_depth >= in->steps) /* nothing is left to take */
		judge_whole(g, law, in->pressure, now_us);
	return GOVERNOR_RELAPSE;
}

/* No verdict now, and none before there was time to help. A guest that is stopped stops the fall,
 * but gives nothing back by itself: the operator has agreed to that, so he stays so for longer. And
 * no class keeps its peace for as long as usual because the one below it has just reached its
 * floor. */
static void hurry(struct governor *g, const struct governor_law *law,
		  const struct governor_reading *in, uint64_t now_us)
{
	g->judge_after_us = now_us + (in->frozen ? law->futile_us : law->judge_us);
	if (g->act_after_us > now_us + law->lag_us)
		g->act_after_us = now_us + law->lag_us;
}

/* p > 1. */
static enum governor_event press(struct governor *g, const struct governor_law *law,
				 const struct governor_reading *in, uint64_t now_us)
{
	double before = g->depth;
	/* a moment of ease within a storm is no end of it */
	bool rested = g->clean_since_us && now_us > g->clean_since_us + law->judge_us;

	g->clean_since_us = 0;
	if (g->state == GOVERNOR_CALM)
		return onset(g, law, in, now_us);
	if (g->state == GOVERNOR_RELEASING)
		return relapse(g, law, in, now_us);
	if (g->state == GOVERNOR_HOLDING && rested)
		begin_judging(g, in->pressure);
	g->state = GOVERNOR_PRESSED;
	if (in->brink)
		hurry(g, law, in, now_us);
	if (is_futile(g, law, in->steps, now_us))
		return give_up(g, law, in->pressure, now_us);
	if (now_us >= g->act_after_us || (in->brink && !at_floor(g)))
		deepen(g, law, in, step_most(g, law, in), now_us);
	return g->depth > before ? GOVERNOR_DEEPER : GOVERNOR_NOTHING;
}

/* p <= 1, or not known. */
static enum governor_event ease(struct governor *g, const struct governor_law *law, bool clean,
				uint64_t dt_us, uint64_t now_us)
{
	uint64_t clean_us;
	bool remembers;

	if (g->state == GOVERNOR_CALM)
		return GOVERNOR_NOTHING;
	if (g->state == GOVERNOR_PRESSED) {
		g->state = GOVERNOR_HOLDING;
		g->held_depth = g->depth;
	}
	if (!g->clean_since_us)
		g->clean_since_us = now_us;
	if (!clean) {
		g->clean_since_us += dt_us;
		return GOVERNOR_NOTHING;
	}
	if (g->clean_since_us > now_us)
		g->clean_since_us = now_us;
	clean_us = now_us - g->clean_since_us;
	if (clean_us < law->hold_us)
		return GOVERNOR_NOTHING;
	remembers =
		g->relapse_depth >= 0 && clean_us < hold_of(g, law) && !is_slack(g, law, now_us);
	return give_back(g, law, remembers ? g->relapse_depth + rest_margin(law) : 0, dt_us,
			 now_us);
}

/* Those who may give way want clearly more than when throttling them did not help, or what is left
 * becomes less than ever in this storm, and quickly. */
static bool ends_verdict(const struct governor *g, const struct governor_law *law,
			 const struct governor_reading *in)
{
	double rise = in->claim - g->claim_most;
	bool claims = rise > CLAIM_MATTERS * in->claim_all && rise > law->claim_least;
	bool worst = in->brink && in->pressure > MATTERS * g->pressure_most;

	return in->pressure > 1 && in->steps > 0 && (claims || worst);
}

/* It did not help: give back whatever p is, unless that makes it worse or the cause is another. */
static enum governor_event leave_alone(struct governor *g, const struct governor_law *law,
				       const struct governor_reading *in, uint64_t dt_us,
				       uint64_t now_us)
{
	double pressure = in->pressure;

	if (ends_verdict(g, law, in)) {
		end_verdict(g);
		return press(g, law, in, now_us);
	}
	if (g->smooth_pressure > 1 && g->smooth_pressure > MATTERS * g->futile_pressure &&
	    pressure > MATTERS * g->futile_pressure)
		return take_up(g, law, now_us);
	if (pressure < 0 || pressure >= law->clean)
		g->clean_since_us = 0;
	else if (!g->clean_since_us)
		g->clean_since_us = now_us;
	else if (now_us - g->clean_since_us >= VERDICT_US)
		end_verdict(g); /* that cause is gone: what comes next is judged anew */
	if (g->depth > 0)
		return give_back(g, law, 0, dt_us, now_us);
	if (pressure > 1)
		g->calm_since_us = now_us; /* not a calm to forget in */
	return GOVERNOR_NOTHING;
}

/*
 * What those who may give way wanted in this storm, and at rest before it: the cause itself may
 * keep them from it, and then to get it again is no rise.
 */
static void remember(struct governor *g, const struct governor_reading *in)
{
	bool fresh = g->state == GOVERNOR_CALM && !g->futile;

	if (g->alone_until_us && g->unblamed && in->claim < g->claim_most)
		g->claim_most = in->claim;
	if (g->alone_until_us)
		return;
	if (fresh || in->claim > g->claim_most)
		g->claim_most = in->claim;
	if (fresh || in->pressure > g->pressure_most)
		g->pressure_most = in->pressure;
}

/* Time since the last step; a loop that stood still has seen no clean time. */
static uint64_t pass_time(struct governor *g, uint64_t now_us)
{
	uint64_t dt_us = g->at_us && now_us > g->at_us ? now_us - g->at_us : 0;

	if (!g->at_us)
		g->relapse_depth = -1;
	g->at_us = now_us;
	if (dt_us <= STALL_US)
		return dt_us;
	if (g->clean_since_us)
		g->clean_since_us += dt_us - STALL_US;
	return STALL_US;
}

static enum governor_event step(struct governor *g, const struct governor_law *law,
				const struct governor_reading *in, uint64_t now_us)
{
	uint64_t dt_us = pass_time(g, now_us);
	bool idle;

	if (in->pressure >= 0)
		follow(g, law, in->pressure, dt_us);
	if (!in->slack)
		g->slack_since_us = 0;
	else if (!g->slack_since_us)
		g->slack_since_us = now_us;
	if (g->depth > in->steps)
		g->depth = in->steps;
	if (g->alone_until_us && now_us >= g->alone_until_us)
		end_verdict(g);
	if (g->alone_until_us)
		return leave_alone(g, law, in, dt_us, now_us);
	/* when nobody is held by his cap, what pressure there is comes from elsewhere */
	idle = g->depth > 0 && is_slack(g, law, now_us);
	if (in->pressure > 1 && in->steps > 0)
		return idle && !in->brink ? acquit(g, law, in->pressure, now_us)
					  : press(g, law, in, now_us);
	return ease(g, law, idle || in->pressure < law->clean, dt_us, now_us);
}

enum governor_event governor_step(struct governor *g, const struct governor_law *law,
				  const struct governor_reading *in, uint64_t now_us)
{
	enum governor_event event = step(g, law, in, now_us);

	remember(g, in);
	return event;
}

uint32_t governor_level(double depth, unsigned int place)
{
	double level = 1 - (depth - place);

	if (level <= 0)
		return 0;
	return level >= 1 ? 1000 : (uint32_t)(1000 * level + 0.5);
}

bool governor_active(const struct governor *g)
{
	return g->state != GOVERNOR_CALM;
}
