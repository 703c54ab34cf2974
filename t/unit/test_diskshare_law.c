/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * diskshare - laws on random hosts: never more than there is, nothing left over while somebody
 * wants it, by weight, floors kept, all free when it is over, whatever the order.
 */
#include "t/unit/diskshare_model.h"

static uint64_t below(unsigned short seed[3], uint64_t n)
{
	return (uint64_t)nrand48(seed) % n;
}

static struct model random_model(unsigned short seed[3])
{
	struct model m = model_new(500 + below(seed, 20000));
	size_t n = 2 + below(seed, DISKS_MAX - 1);

	for (size_t i = 0; i < n; i++) {
		uint64_t scale = m.capacity * 2 / n + 2;
		size_t k = add(&m, below(seed, below(seed, 3) ? scale : 8 * scale),
			       1 + (uint32_t)below(seed, 500));

		if (below(seed, 4) == 0)
			m.disks[k].limit = 1 + below(seed, scale);
		if (below(seed, 3) == 0)
			m.disks[k].floor = below(seed, scale / 8 + 1);
		if (m.disks[k].limit && m.disks[k].floor > m.disks[k].limit)
			m.disks[k].floor = m.disks[k].limit;
	}
	return m;
}

static uint64_t wants(const struct disk_model *d)
{
	return d->limit ? least(d->offered, d->limit) : d->offered;
}

static uint64_t wanted(const struct model *m)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < m->n; i++)
		sum += wants(&m->disks[i]);
	return sum;
}

/* By weight nobody who wants more is far below one that has more than its floor. */
static void assert_fair(const struct model *m)
{
	for (size_t i = 0; i < m->n; i++)
		for (size_t k = 0; k < m->n; k++) {
			const struct disk_model *a = &m->disks[i], *b = &m->disks[k];

			if (a->got + 2 >= wants(a) || b->got <= b->floor + b->floor / 8 + 2)
				continue;
			/* A tenth of hysteresis for each, and rounding. */
			CU_ASSERT((a->got + 2) * b->weight * 100 >= b->got * a->weight * 75);
		}
}

static void assert_laws(const struct model *m)
{
	uint64_t most = wanted(m), sum = got(m);

	CU_ASSERT(sum <= m->capacity + m->capacity / 20 + m->n);
	if (most > m->capacity)
		CU_ASSERT(sum * 100 >= m->capacity * 78); /* use counts by 1.25 */
	if (most * 100 < m->capacity * 65)
		CU_ASSERT(all_free(m) && sum == most);
	for (size_t i = 0; i < m->n; i++)
		CU_ASSERT(m->disks[i].got + 1 >=
			  least(wants(&m->disks[i]), m->disks[i].floor) * 9 / 10);
	assert_fair(m);
}

static void test_laws(void)
{
	unsigned short seed[3] = { 1, 2, 3 };

	for (unsigned int i = 0; i < 400; i++) {
		struct model m = random_model(seed);

		run(&m, 30);
		assert_laws(&m);
		for (size_t k = 0; k < m.n; k += 2)
			m.disks[k].offered = below(seed, m.capacity);
		run(&m, 30);
		assert_laws(&m);
		for (size_t k = 0; k < m.n; k++)
			m.disks[k].offered = below(seed, m.capacity / (2 * m.n) + 1);
		run(&m, 20);
		CU_ASSERT(all_free(&m));
		diskshare_free(m.shares);
	}
}

/* The same disks by other ids, so in another order: each has the same part. */
static void test_order(void)
{
	unsigned short seed[3] = { 7, 8, 9 };

	for (unsigned int i = 0; i < 100; i++) {
		struct model m = random_model(seed), other = m;

		other.shares = diskshare_new();
		for (size_t k = 0; k < m.n; k++)
			other.disks[k].id = 1000 - other.disks[k].id;
		run(&m, 20);
		run(&other, 20);
		for (size_t k = 0; k < m.n; k++)
			CU_ASSERT_EQUAL(part(&m, k), part(&other, k));
		diskshare_free(m.shares);
		diskshare_free(other.shares);
	}
}

int main(void)
{
	static const struct test tests[] = {
		{ "laws on random hosts", test_laws },
		{ "the order does not matter", test_order },
	};

	return harness_run("diskshare laws", tests, ARRAY_SIZE(tests));
}
