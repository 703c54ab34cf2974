/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sample - one reading of pressure and use of the whole host, with its time: all that the governor
 * ever sees of the world.
 *
 * Counters only grow (from an origin of their own: only the difference of two samples means
 * anything), gauges are of now. A counter that falls (a vCPU was unplugged, a guest restarted)
 * gives no difference. SAMPLE_UNKNOWN: it could not be read; the governor then does without.
 * The text form (sample_text.c) is one line a record, so that a recorded run can be replayed.
 */
#ifndef QOSD_CORE_SAMPLE_H
#define QOSD_CORE_SAMPLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SAMPLE_UNKNOWN UINT64_MAX

enum resource { RESOURCE_CPU, RESOURCE_MEMORY, RESOURCE_NET, RESOURCE_DISK, RESOURCE_COUNT };
extern const char *const resource_names[RESOURCE_COUNT]; /* "cpu", "memory", "net", "disk" */

struct sample_guest {
	uint32_t id; /* of the incarnation */
	/* counters */
	uint64_t run_ns, wait_ns;     /* sums over vCPU threads: on a CPU, runnable but waiting */
	uint64_t throttled;           /* periods in which its quota was used up */
	uint64_t memory_stall_us;     /* PSI memory "some" of its group */
	uint64_t disk_stall_us;       /* PSI io "some" of its group */
	uint64_t in_bytes, out_bytes; /* L2, all its NICs */
	uint64_t in_dropped, out_dropped; /* bytes that the shaper dropped */
	uint64_t disk_ops, disk_bytes;    /* all its disks, by the hypervisor's count */
	uint64_t disk_wait_ns;            /* sum of the latencies of those operations */
	/* gauges */
	uint64_t memory_bytes, swap_bytes;
};

struct sample_uplink {     /* one for each network of the policy that has an uplink, in its order */
	uint64_t rate_bps; /* what it can carry, each direction; gauge */
	uint64_t in_bytes, out_bytes; /* counters: in is towards the host */
};

#define SAMPLE_UPLINKS_MAX 8

/* What a source is asked to read of a guest. */
enum sample_part {
	SAMPLE_RUN = 1 << 0,          /* run_ns, wait_ns */
	SAMPLE_THROTTLED = 1 << 1,    /* throttled */
	SAMPLE_MEMORY = 1 << 2,       /* memory_bytes */
	SAMPLE_MEMORY_STALL = 1 << 3, /* memory_stall_us */
	SAMPLE_DISK_STALL = 1 << 4,   /* disk_stall_us */
	SAMPLE_SWAP = 1 << 5,         /* swap_bytes */
	/* With SAMPLE_THROTTLED: of groups, too, that had no quota when last asked. */
	SAMPLE_QUOTAS = 1 << 6,
};

struct sample {
	uint64_t at_us;                       /* monotonic */
	uint64_t psi_some_us[RESOURCE_COUNT]; /* counters; net: SAMPLE_UNKNOWN */
	uint64_t memory_total_bytes, memory_available_bytes, swap_free_bytes; /* gauges */
	struct sample_uplink uplinks[SAMPLE_UPLINKS_MAX];
	size_t nuplinks;
	struct sample_guest *guests; /* sorted by id */
	size_t nguests, capacity;
};

/* All fields of *g but the id unknown. */
void sample_guest_init(struct sample_guest *g, uint32_t id);
/* Begin a new reading in memory that is used again. */
void sample_reset(struct sample *s, uint64_t at_us);
void sample_done(struct sample *s);
/* Append a guest (ids ascending), all unknown; NULL when out of memory. Moves earlier ones. */
struct sample_guest *sample_add(struct sample *s, uint32_t id);
const struct sample_guest *sample_find(const struct sample *s, uint32_t id); /* NULL */
/* later - earlier; SAMPLE_UNKNOWN when either is unknown or the counter fell. */
uint64_t sample_delta(uint64_t earlier, uint64_t later);
/*
 * A counter that is read more seldom than samples are taken. Shown as it was read it would stand
 * still and then leap, and a window would see nothing or ten times too much; so from a reading on,
 * `age_us` ago, it climbs from what was shown to what was read, in the time between two readings.
 */
uint64_t sample_climb(uint64_t from, uint64_t to, uint64_t age_us, uint64_t span_us);

#endif
