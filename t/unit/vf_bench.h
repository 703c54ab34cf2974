/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vf_bench - the engine with guests that drive virtual functions of one card.
 */
#ifndef QOSD_T_VF_BENCH_H
#define QOSD_T_VF_BENCH_H

#include "t/unit/engine_bench.h"
#include "t/unit/vf_tree.h"

#define SLOW                                                                                       \
	"{ name = \"slow\"; rank = 2; net = { limit = \"1500kbit\"; }; }, "                        \
	"{ name = \"fast\"; rank = 2; net = { limit = \"300Mbit\"; }; }"

/* A guest with nothing but function 1 of the card, which somebody has held to 777 Mbit/s. */
static inline struct bench *bench_vf(struct vf_tree *t, const char *mode, const char *class_name)
{
	struct bench *b = bench_new(mode);
	struct guest *g = bench_guest(b, "web1", 1, 2, 2 * GIB, class_name);

	vf_tree_make(t);
	b->e->sysfs = t->root;
	g->start_ticks = virt_process_start_ticks(getpid()); /* its pid is none yet */
	g->nnics = 0;
	make_vf(g, VF_1);
	bench_meddle(b, "web1", TARGET_NIC, 0, KNOB_NET_OUT, "777000000");
	bench_publish(b);
	bench_settle(b);
	bench_pass(b, BENCH_GROWN_US);
	return b;
}

static inline void free_both(struct bench *b, struct vf_tree *t)
{
	bench_free(b);
	vf_tree_free(t);
}

static inline const char *sent(struct bench *b)
{
	return bench_value(b, "web1", TARGET_NIC, 0, KNOB_NET_OUT);
}

/* Functions with a rate of before in the store. */
static inline size_t kept(struct bench *b)
{
	size_t n = 0;

	for (size_t i = 0; i < baseline_count(b->e->baseline); i++)
		n += strstr(baseline_at(b->e->baseline, i)->key, "/vf/") != NULL;
	return n;
}

/* A drift check without its turn. */
static inline void look_again(struct bench *b)
{
	b->e->drifts++;
	engine_give_back_vfs(b->e, b->e->inventory);
}

/* What the card has of a guest that is not in the inventory any more. */
static inline struct knob_value left(struct bench *b, const struct guest *g)
{
	struct target t = { .kind = TARGET_NIC, .guest_id = g->id, .guest = g };

	return world_get(&b->world, &t, KNOB_NET_OUT);
}

/* web1 has stopped; db1 has its function, and the card this rate. */
static inline void take_over(struct bench *b, const char *class_name, const char *rate)
{
	struct guest *g = bench_guest(b, "db1", 2, 2, 2 * GIB, class_name);

	g->nnics = 0;
	make_vf(g, VF_1);
	bench_stop(b, "web1");
	bench_meddle(b, "db1", TARGET_NIC, 0, KNOB_NET_OUT, rate);
	bench_publish(b);
	bench_settle(b);
	bench_turn(b);
}

static inline const char *sent_by_db1(struct bench *b)
{
	return bench_value(b, "db1", TARGET_NIC, 0, KNOB_NET_OUT);
}

#endif
