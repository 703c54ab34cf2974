/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * signal - from two samples to the pressure of each resource, 1.0 at target.
 *
 * First comes what protected guests feel. Each guest's feeling is averaged over SIGNAL_TAU of time
 * (not ticks), numerator and denominator apart, so that a guest with little evidence weighs little;
 * the pressure is that of the guest that suffers most. When a governor went deeper the averages
 * begin anew, because what was felt before the step says nothing about it. Waiting for a CPU counts
 * as too much only when two of three windows say so: one alone may be a program that was started.
 * While we settle after our own start no window counts.
 *
 * Guests of rank 0 are protected from all others. One with a reservation is protected while it does
 * not get what it reserved, and only from classes below its own: its pain asks for no depth at
 * which its own class would give way.
 */
#include <string.h>

#include "qosd/core/govern_private.h"

#define SIGNAL_TAU_S 0.15  /* two to three ticks of 100 ms */
#define STALL_TAU_S  0.5   /* stalls of memory come in bursts */
#define NEED_S       5.0   /* a guest's need of the network is what it took of late ... */
#define NEED_FULL_S  300.0 /* ... and before that while the uplink is full */
#define NEED_SPREADS                                                                               \
	3.0           /* mean deviations that it varies by itself: not a shortage (as TCP's RTO) */
#define DROPS_MIN 1.0 /* bytes a second: rests of an average are no drops */
/*
 * Beyond this more is not worse: requests that were stuck for long are no measure of what comes.
 * Shares (of time waited and stalled, of a reservation missed) have an end of their own, and with a
 * strict target that is not to make all storms look alike.
 */
#define PRESSURE_MAX 20.0
/* Below 1 % of a CPU runnable a guest's wait is chance. */
#define EVIDENCE_CPU  0.01
#define WINDOW_S      0.05              /* shorter ones are gathered */
#define WINDOW_OLD_US UINT64_C(2500000) /* two calm ticks and some more */
#define EVIDENCE_OPS  5.0               /* requests a second: fewer say nothing about a disk */
/*
 * A link that carries 94 % of its rate is full: virtual devices count one header for each large
 * segment (1448 of 1514 bytes), real ones leave out preambles and gaps.
 */
#define UPLINK_FULL 0.94
#define UPLINK_NEAR 0.90 /* room for what a second of giving back adds */
/*
 * Who takes this part of what it reserved from a full uplink, and has not been seen on one with
 * room in the last LEARNED_US, is taken to want all of it: the promise goes before the others'
 * leftovers. The throttle makes room, so what it really wants is known soon.
 */
#define LEARNED_US UINT64_C(300000000)
#define EAGER      0.1
#define CLEAN_EDGE 0.8 /* where clean begins for the governor */
/* Share of the time with stalled disk I/O that counts as target, where latency is not known. */
#define DISK_STALL_TARGET 0.1
#define STALE_US          UINT64_C(1000000) /* an older reading says nothing */
#define HELD_US           UINT64_C(250000)  /* the usual period of a throttle, and a tick */
#define COUNTS_OLD_US     UINT64_C(6000000) /* older counters say nothing of now */
#define STALE_PRESSURE    0.9               /* between clean and pressed */
#define UNSURE_PRESSURE   0.95              /* likewise */
/* At this part of its own limit a disk waits for the limit, not for others. */
#define OWN_LIMIT 0.9
/* Watermark: 5 % of RAM where the policy sets none. */
#define LOW_PERMILLE 50
#define FALL_TAU_S   0.3 /* of the speed at which memory is used up */
/* Steps of 2 s down to the floor, and what balloons need then, would come too late. */
#define BRINK_S 8.0

static double part(double dt_s, double tau_s, bool restart)
{
	return restart ? 1 : dt_s / (dt_s + tau_s);
}

static void blend(double *average, double value, double weight)
{
	*average += weight * (value - *average);
}

/* What was felt last still had something of the time before the governor's last step. */
static bool is_fresh(const struct govern *g, uint64_t felt_us, enum resource r)
{
	return felt_us < g->governors[r].act_after_us;
}

/* ---- what the host says ---- */

/* Share of its rate that an uplink carried, by direction; < 0: not known. */
static void uplink_use(const struct govern_turn *turn, size_t i, double use[2])
{
	const struct sample *now = turn->in->now, *before = turn->in->before;
	const struct sample_uplink *u = &now->uplinks[i];
	uint64_t bytes[2] = { SAMPLE_UNKNOWN, SAMPLE_UNKNOWN };

	if (before && i < before->nuplinks && turn->dt_s > 0) {
		bytes[0] = sample_delta(before->uplinks[i].in_bytes, u->in_bytes);
		bytes[1] = sample_delta(before->uplinks[i].out_bytes, u->out_bytes);
	}
	for (size_t d = 0; d < 2; d++)
		use[d] = bytes[d] == SAMPLE_UNKNOWN
				 ? -1
				 : (double)bytes[d] * 8 / turn->dt_s / (double)u->rate_bps;
}

static void read_uplinks(struct govern *g, struct govern_turn *turn)
{
	const struct sample *now = turn->in->now;
	double fullest[2] = { -1, -1 };

	for (size_t i = 0; i < now->nuplinks && i < SAMPLE_UPLINKS_MAX; i++) {
		double rate_bps = (double)now->uplinks[i].rate_bps, use[2];

		if (now->uplinks[i].rate_bps == SAMPLE_UNKNOWN || rate_bps <= 0)
			continue;
		if (turn->uplink_bps >= TRACK_FREE || turn->uplink_bps < rate_bps)
			turn->uplink_bps = rate_bps;
		uplink_use(turn, i, use);
		for (size_t d = 0; d < 2; d++)
			fullest[d] = use[d] > fullest[d] ? use[d] : fullest[d];
	}
	for (size_t d = 0; d < 2; d++) {
		if (fullest[d] >= 0)
			blend(&g->uplink_use[d], fullest[d],
			      part(turn->dt_s, SIGNAL_TAU_S,
				   is_fresh(g, turn->in->before->at_us, RESOURCE_NET)));
		turn->saturated[d] = fullest[d] >= UPLINK_FULL;
	}
}

static double psi_share(const struct govern_turn *turn, size_t r)
{
	const struct sample *now = turn->in->now, *before = turn->in->before;
	uint64_t some =
		before ? sample_delta(before->psi_some_us[r], now->psi_some_us[r]) : SAMPLE_UNKNOWN;

	return some == SAMPLE_UNKNOWN || turn->dt_s <= 0 ? -1 : (double)some / 1e6 / turn->dt_s;
}

/* MemAvailable against its watermark: 1 at the mark, 0.5 at twice as much. */
static double watermark(const struct govern_turn *turn)
{
	const struct sample *s = turn->in->now;
	uint64_t low = turn->in->policy->overload.memory_low_bytes;
	double p;

	if (s->memory_available_bytes == SAMPLE_UNKNOWN)
		return -1;
	if (low == POLICY_NONE_U64) {
		if (s->memory_total_bytes == SAMPLE_UNKNOWN)
			return -1;
		low = s->memory_total_bytes / 1000 * LOW_PERMILLE;
	}
	if (s->memory_available_bytes == 0)
		return PRESSURE_MAX;
	p = (double)low / (double)s->memory_available_bytes;
	return p < PRESSURE_MAX ? p : PRESSURE_MAX;
}

/* What guests may take before something is killed; < 0: not known. */
static double memory_room(const struct sample *s)
{
	if (s->memory_available_bytes == SAMPLE_UNKNOWN || s->swap_free_bytes == SAMPLE_UNKNOWN)
		return -1;
	return (double)s->memory_available_bytes + (double)s->swap_free_bytes;
}

static void read_memory(struct govern *g, struct govern_turn *turn)
{
	const struct sample *before = turn->in->before;
	double room = memory_room(turn->in->now), was = before ? memory_room(before) : -1, fall;

	turn->memory_left_s = TRACK_FREE;
	if (room < 0 || was < 0 || turn->dt_s <= 0)
		return;
	fall = (was - room) / turn->dt_s;
	blend(&g->memory_fall_bps, fall, part(turn->dt_s, FALL_TAU_S, false));
	if (fall > g->memory_fall_bps) /* that much at once may have been all */
		fall = g->memory_fall_bps;
	if (fall > 0 && watermark(turn) > 1)
		turn->memory_left_s = room / fall;
}

bool signal_brink(const struct govern_turn *turn, enum resource r)
{
	return r == RESOURCE_MEMORY && turn->memory_left_s < BRINK_S;
}

void signal_turn_init(struct govern *g, struct govern_turn *turn, const struct govern_input *in)
{
	*turn = (struct govern_turn){ .in = in, .uplink_bps = TRACK_FREE };
	if (in->before && in->now->at_us > in->before->at_us)
		turn->dt_s = (double)(in->now->at_us - in->before->at_us) / 1e6;
	for (size_t r = 0; r < RESOURCE_COUNT; r++)
		turn->psi[r] = psi_share(turn, r);
	read_uplinks(g, turn);
	read_memory(g, turn);
}

/* ---- what guests feel ---- */

/* Short windows are gathered, idle ones left out; old ones are of another storm. */
static void note_window(struct feeling *f, const struct wait_window *w, uint64_t now_us,
			bool restart)
{
	struct wait_window *o = &f->open;
	double runnable_s;

	if (restart || now_us - f->window_us > WINDOW_OLD_US) {
		*o = (struct wait_window){ 0 };
		for (size_t i = 0; i < WAIT_WINDOWS; i++)
			f->wait_share[i] = -1;
		f->window_us = now_us;
	}
	o->run_s += w->run_s;
	o->wait_s += w->wait_s;
	o->s += w->s;
	if (o->s < WINDOW_S)
		return;
	runnable_s = o->run_s + o->wait_s;
	if (runnable_s >= EVIDENCE_CPU * o->s) {
		memmove(&f->wait_share[1], &f->wait_share[0],
			(WAIT_WINDOWS - 1) * sizeof(f->wait_share[0]));
		f->wait_share[0] = o->wait_s / (runnable_s + EVIDENCE_CPU * o->s);
		f->window_us = now_us;
	}
	*o = (struct wait_window){ 0 };
}

/* Two of the last three windows. */
static bool waits_again(const struct feeling *f, double target)
{
	unsigned int over = 0;

	for (size_t i = 0; i < WAIT_WINDOWS; i++)
		over += f->wait_share[i] > target;
	return over >= 2;
}

/*
 * run_delay counts the time that a quota held it, which says nothing about others. A throttle's
 * period may be longer than a window: then one without a mark may have been held all the same.
 */
static bool is_held(struct feeling *f, uint64_t throttled, bool capped, uint64_t now_us)
{
	if (throttled != 0 && throttled != SAMPLE_UNKNOWN)
		f->held_us = now_us;
	return f->held_us == now_us || (capped && f->held_us && now_us - f->held_us < HELD_US);
}

static void feel_cpu(struct feeling *f, const struct sample_guest *was,
		     const struct sample_guest *is, const struct govern_turn *turn, bool restart,
		     bool capped)
{
	uint64_t run = sample_delta(was->run_ns, is->run_ns);
	uint64_t wait = sample_delta(was->wait_ns, is->wait_ns);
	uint64_t throttled = sample_delta(was->throttled, is->throttled);
	double weight = part(turn->dt_s, SIGNAL_TAU_S, restart || !f->cpu_known);
	struct wait_window window = { (double)run / 1e9, (double)wait / 1e9, turn->dt_s };
	static const struct wait_window none;

	if (is_held(f, throttled, capped, turn->in->now->at_us)) {
		f->cpu_known = false;
		return;
	}
	if (run == SAMPLE_UNKNOWN || wait == SAMPLE_UNKNOWN)
		return;
	blend(&f->run, (double)run / 1e9 / turn->dt_s, weight);
	blend(&f->wait, (double)wait / 1e9 / turn->dt_s, weight);
	note_window(f, turn->in->settling ? &none : &window, turn->in->now->at_us,
		    restart || !f->cpu_known);
	f->cpu_known = true;
	f->felt_us[RESOURCE_CPU] = turn->in->now->at_us;
}

static void feel_memory(struct feeling *f, const struct sample_guest *was,
			const struct sample_guest *is, const struct govern_turn *turn)
{
	uint64_t stall = sample_delta(was->memory_stall_us, is->memory_stall_us);

	if (stall == SAMPLE_UNKNOWN)
		return;
	blend(&f->stall, (double)stall / 1e6 / turn->dt_s,
	      part(turn->dt_s, STALL_TAU_S, !f->stall_known));
	f->stall_known = true;
	f->felt_us[RESOURCE_MEMORY] = turn->in->now->at_us;
}

/* What a guest wants of a full uplink is what it took before it was full. */
static void feel_net(struct feeling *f, const struct sample_guest *was,
		     const struct sample_guest *is, const struct govern_turn *turn,
		     uint64_t reserved_bps, bool restart)
{
	uint64_t bytes[2] = { sample_delta(was->in_bytes, is->in_bytes),
			      sample_delta(was->out_bytes, is->out_bytes) };
	uint64_t dropped[2] = { sample_delta(was->in_dropped, is->in_dropped),
				sample_delta(was->out_dropped, is->out_dropped) };
	double weight = part(turn->dt_s, SIGNAL_TAU_S, restart || !f->net_known);

	if (bytes[0] == SAMPLE_UNKNOWN || bytes[1] == SAMPLE_UNKNOWN)
		return;
	for (size_t d = 0; d < 2; d++) {
		double lost = dropped[d] == SAMPLE_UNKNOWN ? 0 : (double)dropped[d] / turn->dt_s;
		double got = (double)bytes[d] * 8 / turn->dt_s, off;
		double tau_s = turn->saturated[d] ? NEED_FULL_S : NEED_S;

		if (!turn->saturated[d] && got > EAGER * (double)reserved_bps)
			f->learned_us[d] = turn->in->now->at_us;
		blend(&f->got[d], got, weight);
		blend(&f->dropped[d], lost, weight);
		off = got > f->need[d] ? got - f->need[d] : f->need[d] - got;
		if (f->net_known && !turn->saturated[d])
			blend(&f->spread[d], off, part(turn->dt_s, NEED_S, false));
		blend(&f->need[d], f->got[d], part(turn->dt_s, tau_s, !f->net_known));
	}
	f->net_known = true;
	f->felt_us[RESOURCE_NET] = turn->in->now->at_us;
}

static void see_counts(struct feeling *f, const struct sample_guest *s, uint64_t at_us)
{
	if (s->disk_ops == SAMPLE_UNKNOWN || s->disk_wait_ns == SAMPLE_UNKNOWN)
		return;
	f->disk_ops_seen = s->disk_ops;
	f->disk_bytes_seen = s->disk_bytes;
	f->disk_wait_seen_ns = s->disk_wait_ns;
	f->disk_seen_us = at_us;
}

/*
 * How long requests took since the reading before, which need not be the sample before: the
 * hypervisor is asked once a second at the most, and may not answer. Such a reading is an average
 * over a second already.
 */
static void feel_latency(struct feeling *f, const struct sample_guest *is, uint64_t now_us)
{
	double dt_s = (double)(now_us - f->disk_seen_us) / 1e6;
	uint64_t ops = sample_delta(f->disk_ops_seen, is->disk_ops);
	uint64_t bytes = sample_delta(f->disk_bytes_seen, is->disk_bytes);
	uint64_t wait = sample_delta(f->disk_wait_seen_ns, is->disk_wait_ns);

	if (f->disk_seen_us && now_us - f->disk_seen_us <= COUNTS_OLD_US && dt_s > 0 &&
	    ops != SAMPLE_UNKNOWN && wait != SAMPLE_UNKNOWN) {
		f->disk_ops = (double)ops / dt_s;
		f->disk_bytes = bytes == SAMPLE_UNKNOWN ? 0 : (double)bytes / dt_s;
		f->disk_wait_ns = (double)wait / dt_s;
		f->disk_known = true;
		f->felt_us[RESOURCE_DISK] = now_us;
	}
	see_counts(f, is, now_us);
}

/*
 * Stalls are the second choice, for a host that is calm and asks for no latencies. While somebody
 * is throttled, latencies that do not come any more are unknown, not good.
 */
static void feel_disk(struct feeling *f, const struct sample_guest *was,
		      const struct sample_guest *is, const struct govern_turn *turn, bool throttled)
{
	uint64_t now_us = turn->in->now->at_us;
	uint64_t stall = sample_delta(was->disk_stall_us, is->disk_stall_us);

	if (!f->disk_seen_us)
		see_counts(f, was, turn->in->before->at_us);
	feel_latency(f, is, now_us);
	if (!throttled && now_us - f->disk_seen_us > COUNTS_OLD_US)
		f->disk_known = false;
	if (stall == SAMPLE_UNKNOWN)
		return;
	blend(&f->disk_stall, (double)stall / 1e6 / turn->dt_s,
	      part(turn->dt_s, STALL_TAU_S, !f->disk_stall_known));
	f->disk_stall_known = true;
	if (!f->disk_known)
		f->felt_us[RESOURCE_DISK] = now_us;
}

void signal_feel(struct govern *g, const struct govern_turn *turn)
{
	const struct sample *now = turn->in->now, *before = turn->in->before;
	size_t a = 0, b = 0;

	if (!before || turn->dt_s <= 0)
		return;
	for (size_t i = 0; i < g->nstates; i++) {
		struct feeling *f = &g->states[i].feeling;
		const struct sample_guest *was = govern_next(before, &b, g->states[i].id);
		const struct sample_guest *is = govern_next(now, &a, g->states[i].id);

		if (!was || !is)
			continue;
		feel_cpu(f, was, is, turn,
			 turn->in->settling || is_fresh(g, f->felt_us[RESOURCE_CPU], RESOURCE_CPU),
			 g->states[i].tracks[TRACK_CPU].cap < TRACK_FREE);
		feel_memory(f, was, is, turn);
		feel_net(f, was, is, turn, turn->in->guests[i].net_reserved_bps,
			 is_fresh(g, f->felt_us[RESOURCE_NET], RESOURCE_NET));
		feel_disk(f, was, is, turn, g->governors[RESOURCE_DISK].depth > 0);
	}
}

/* ---- pain of one guest; < 0: it says nothing ---- */

static double pain_cpu(const struct feeling *f, const struct govern_guest *guest,
		       const struct govern_turn *turn)
{
	double target = turn->in->policy->overload.cpu_target_wait_permille / 1000.0;
	double runnable = f->run + f->wait, pain;

	if (!f->cpu_known || guest->cpu_alone)
		return -1;
	if (runnable < EVIDENCE_CPU)
		return 0;
	if (guest->rank > 0 && f->run * 1000 >= (double)guest->cpu_reserved_mcpu)
		return 0;
	pain = f->wait / (runnable + EVIDENCE_CPU) / target;
	return pain > UNSURE_PRESSURE && !waits_again(f, target) ? UNSURE_PRESSURE : pain;
}

static double pain_memory(const struct feeling *f, const struct govern_guest *guest,
			  const struct govern_turn *turn)
{
	if (!f->stall_known || guest->rank > 0)
		return -1;
	return f->stall / (turn->in->policy->overload.memory_target_pressure_permille / 1000.0);
}

static double pain_net(const struct feeling *f, const struct govern_guest *guest,
		       const struct govern_turn *turn)
{
	double reserved = (double)guest->net_reserved_bps, worst = 0;

	if (!f->net_known || guest->net_reserved_bps == 0)
		return -1;
	for (size_t d = 0; d < 2; d++) {
		bool drops = f->dropped[d] > DROPS_MIN;
		bool known =
			f->learned_us[d] && turn->in->now->at_us - f->learned_us[d] < LEARNED_US;
		bool eager =
			drops || (turn->saturated[d] && !known && f->got[d] > EAGER * reserved);
		double missing;
		double need = eager || f->need[d] > reserved ? reserved : f->need[d];
		double limit =
			d == 0 ? (double)guest->net_in_full_bps : (double)guest->net_out_full_bps;

		if (need > limit)
			need = limit;
		missing = need - f->got[d] - (eager ? 0 : NEED_SPREADS * f->spread[d]);
		if ((drops || turn->saturated[d]) && missing > worst * need)
			worst = missing / need;
	}
	return worst / (turn->in->policy->overload.net_target_short_permille / 1000.0);
}

static double pain_disk(const struct feeling *f, const struct govern_guest *guest,
			const struct govern_turn *turn)
{
	double target_ns = (double)turn->in->policy->overload.disk_target_latency_us * 1000;

	if (guest->rank > 0)
		return -1;
	if (!f->disk_known)
		return f->disk_stall_known ? f->disk_stall / DISK_STALL_TARGET : -1;
	if (f->disk_ops < EVIDENCE_OPS ||
	    f->disk_ops >= OWN_LIMIT * (double)guest->disk_full_iops ||
	    f->disk_bytes >= OWN_LIMIT * (double)guest->disk_full_bytes_ps)
		return 0;
	return f->disk_wait_ns / f->disk_ops / target_ns;
}

/*
 * A guest that could not be read this time: what it felt a moment ago neither deepens (the last
 * step may have cured it) nor counts as clean.
 */
static double of_now(double value, uint64_t felt_us, const struct govern_turn *turn)
{
	uint64_t age_us = turn->in->now->at_us - felt_us;

	if (age_us == 0)
		return value;
	if (age_us > STALE_US)
		return -1;
	return value < STALE_PRESSURE ? value : STALE_PRESSURE;
}

typedef double (*pain)(const struct feeling *f, const struct govern_guest *guest,
		       const struct govern_turn *turn);

static const pain pains[RESOURCE_COUNT] = {
	[RESOURCE_CPU] = pain_cpu,
	[RESOURCE_MEMORY] = pain_memory,
	[RESOURCE_NET] = pain_net,
	[RESOURCE_DISK] = pain_disk,
};

/* How many classes may give way for this guest; 0: it is not protected (now). */
static unsigned int steps_for(const struct govern *g, const struct govern_guest *guest,
			      enum resource r)
{
	uint32_t place = g->ladder.places[guest->qclass->index];

	if (guest->rank == 0 || place == PLACE_NONE)
		return guest->rank == 0 ? g->ladder.count : 0;
	if (r == RESOURCE_CPU && guest->cpu_reserved_mcpu == 0)
		return 0;
	if (r == RESOURCE_NET && guest->net_reserved_bps == 0)
		return 0;
	return g->governors[r].depth < place ? place : 0;
}

/*
 * The host's own memory signal. PSI counts only at the onset (our own reclaim raises it later) and
 * only when memory is short as well (PSI alone misfires both ways: systemd #23606, #36434).
 */
static double host_memory(const struct govern *g, const struct govern_turn *turn)
{
	double mark = watermark(turn), psi = turn->psi[RESOURCE_MEMORY];
	double target = turn->in->policy->overload.memory_target_pressure_permille / 1000.0;

	if (mark >= 0.5 && psi > 0 && g->governors[RESOURCE_MEMORY].depth <= 0 &&
	    psi / target > mark)
		return psi / target;
	return mark;
}

/*
 * While we throttle: an uplink that is nearly full again is reason to give back no more, though
 * nobody is short yet (shortage begins all at once, at 100 %). Never above 1.
 */
static double host_net(const struct govern *g)
{
	double use = g->uplink_use[0] > g->uplink_use[1] ? g->uplink_use[0] : g->uplink_use[1];
	double p =
		CLEAN_EDGE + (1 - CLEAN_EDGE) * (use - UPLINK_NEAR) / (UPLINK_FULL - UPLINK_NEAR);

	if (g->governors[RESOURCE_NET].depth <= 0 || p < 0)
		return -1;
	return p < 1 ? p : 1;
}

struct pressure signal_pressure(const struct govern *g, const struct govern_turn *turn,
				enum resource r)
{
	struct pressure p = { .value = -1, .steps = g->ladder.count };
	bool missing = false;

	if (r == RESOURCE_MEMORY)
		p.value = host_memory(g, turn);
	if (r == RESOURCE_NET)
		p.value = host_net(g);
	for (size_t i = 0; i < g->nstates; i++) {
		const struct govern_guest *guest = &turn->in->guests[i];
		unsigned int steps = steps_for(g, guest, r);
		const struct feeling *f = &g->states[i].feeling;
		double value = steps ? of_now(pains[r](f, guest, turn), f->felt_us[r], turn) : -1;

		missing |= steps && value < 0 && f->felt_us[r] &&
			   f->felt_us[r] != turn->in->now->at_us;
		if (value <= p.value)
			continue;
		p.value = value;
		p.victim = value > 0 ? guest->id : 0;
		p.steps = steps;
	}
	if (p.value < 0 && turn->dt_s > 0 && !missing && r != RESOURCE_MEMORY)
		p.value = 0; /* nobody is there who could suffer */
	if (r == RESOURCE_DISK && p.value > PRESSURE_MAX)
		p.value = PRESSURE_MAX;
	return p;
}
