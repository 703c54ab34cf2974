/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virt_priv - what the virt*.c files share; nobody else includes this.
 *
 * Threads and data: `lock` guards what the loop, libvirt's event thread and the calls thread
 * exchange, and is held for a few list operations only, never over a call. What is marked "calls
 * thread" is touched by that thread alone. Calls are made by the calls thread, the ping and the
 * disk statistics; only the calls thread opens and closes connections.
 */
#ifndef QOSD_HOST_VIRT_PRIV_H
#define QOSD_HOST_VIRT_PRIV_H

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <pthread.h>
#include <stdatomic.h>

#include "qosd/host/virt.h"

#define VIRT_QOS_URI        "urn:qosd:1"
#define VIRT_XML_MAX        ((size_t)1 << 20) /* bytes of one domain XML */
#define VIRT_COALESCE_US    UINT64_C(20000)   /* events closer together make one refresh */
#define VIRT_ANNOUNCE_US    UINT64_C(500000)  /* after foreign (or own) changes of tunables */
#define VIRT_PING_US        UINT64_C(2000000)
#define VIRT_BACKOFF_MIN_US UINT64_C(200000)
#define VIRT_BACKOFF_MAX_US UINT64_C(5000000)
#define VIRT_JOBS_MAX       8192 /* queued; one per target: 1000 guests of 4 vCPUs and 2 disks */
#define VIRT_JOB_BUCKETS    256
#define VIRT_DIRTY_MAX      256 /* more dirty domains at once become a full refresh */
#define VIRT_EVENTS         6
#define VIRT_CALLERS        3 /* threads that call libvirt: calls, ping, statistics */
#define VIRT_STATS_US       UINT64_C(1000000) /* between two readings of disk statistics */
#define VIRT_STATS_KEEP_US  UINT64_C(5000000) /* a longer time between two says nothing of now */
#define VIRT_BALLOON_US     UINT64_C(5000000) /* time that a guest has to follow its balloon */

enum virt_job_kind { VIRT_JOB_PIN, VIRT_JOB_CLASS, VIRT_JOB_TUNE, VIRT_JOB_BALLOON };

struct virt_job { /* queued, then with its result in the list of finished ones */
	struct virt_job *next, *bucket_next;
	enum virt_job_kind kind;
	uint64_t ticket;
	bool cancelled; /* its ticket is completed already: skip it */
	/* all but VIRT_JOB_CLASS: one target */
	uint32_t guest_id, index;
	uint8_t target_kind;
	/* VIRT_JOB_PIN */
	struct cpuset cpus;
	/* VIRT_JOB_TUNE */
	char disk[16];
	unsigned int tune_set;      /* bit per limit that is to change */
	uint64_t tune[GUEST_TUNES]; /* 0: none */
	struct virt_job *merged;    /* went into this one: they end with it, as it does */
	/* VIRT_JOB_BALLOON */
	uint64_t bytes;
	bool gives_back; /* what it had before us: from then on it is others' */
	/* VIRT_JOB_CLASS */
	char uuid[GUEST_UUID_MAX];
	char *class_name; /* NULL: clear */
	/* result */
	int result;
	struct qerr err;
};

struct virt_jobs {
	struct virt_job *first, *last;
	struct virt_job *buckets[VIRT_JOB_BUCKETS]; /* queued ones by target */
	unsigned int count;
	struct virt_job *done_first, *done_last;
};

struct virt_record { /* one running domain as the calls thread knows it */
	char uuid[GUEST_UUID_MAX];
	int domain_id;
	struct guest *guest;
	bool unbound; /* its process or group was not found: look again soon */
	bool seen;    /* mark and sweep of a full refresh */
};

struct virt_known_disk {
	char target[16];
	uint64_t tune[GUEST_TUNES]; /* 0: no limit */
};

struct virt_known { /* values of a guest that libvirt owns, as last heard of */
	uint32_t guest_id;
	struct guest *guest; /* a reference; its tunes are those of when it was looked at */
	uint64_t balloon_bytes;
	uint64_t asked_bytes, asked_at_us; /* what we asked it to shrink or grow to; 0: nothing */
	bool given_back;                   /* ... and nothing more, once it is there */
	size_t ndisks;
	struct virt_known_disk disks[];
};

struct virt_disk_sum {
	uint64_t ops, bytes, wait_ns;
};

struct virt_disk_counts { /* one disk */
	char uuid[GUEST_UUID_MAX];
	char target[16];
	struct virt_disk_sum from, to; /* shown when it was read; read */
	bool climbs;                   /* `from` is known: there was a reading not long before */
};

struct virt {
	/* never changes after virt_new() */
	char *uri, *run_dir;
	uint64_t resync_us, hung_us;
	int (*bind)(void *ctx, struct guest *g);
	void *bind_ctx;
	int event_fd;
	struct adapter adapter;
	pthread_t callers[VIRT_CALLERS], events_thread;

	/* any thread */
	atomic_bool stop;
	atomic_int state;               /* enum virt_state, without the running call */
	_Atomic uint64_t call_since_us; /* when the calls thread's call began; 0: none runs */
	_Atomic uint64_t call_limit_us; /* longer means hung */
	_Atomic uint64_t ping_since_us; /* the same of the ping; longer than hung_us means hung */
	atomic_ulong version;           /* of libvirtd, as the last ping told; 0: none yet */

	pthread_mutex_t lock;
	pthread_cond_t wake; /* threads wait here for work and for the end */
	/* under lock */
	unsigned int threads; /* that use libvirt's calls and have not ended */
	/* Changed by the calls thread only, under lock; read there without. */
	virConnectPtr conn, events_conn; /* on the latter no other calls are made (virt_calls.c) */
	bool lost;                       /* one of them closed */
	bool broke_hung;                 /* ... because libvirt did not answer */
	bool dirty_all;
	char dirty[VIRT_DIRTY_MAX][GUEST_UUID_MAX];
	size_t ndirty;
	uint64_t dirty_at_us;    /* when to refresh; 0: nothing is dirty */
	uint64_t announce_at_us; /* when to publish anew although no guest differs; 0: not */
	struct virt_jobs jobs;
	struct inventory *pending;
	struct virt_known **known; /* sorted by guest id */
	size_t nknown, known_capacity;
	struct virt_disk_counts *counts; /* sorted by uuid, then target; NULL: none */
	size_t ncounts;
	uint64_t counts_at_us, counts_span_us; /* of the reading; since the one before */
	uint64_t counts_wanted_us;             /* nobody asks for one later */
	char last_error[QERR_TEXT_MAX];        /* of the connection; "" when it is well */
	char guest_error[QERR_TEXT_MAX];       /* the latest domain that could not be read */

	/* calls thread */
	int event_ids[VIRT_EVENTS];
	struct virt_record *records; /* sorted by uuid */
	size_t nrecords, records_capacity;
	uint32_t last_id;
	uint64_t next_care_us, next_resync_us, backoff_us;
	bool was_connected;
	bool changed; /* records differ from what was published */

	/* the daemon's loop */
	struct cpuset cpus_read; /* lent with the value that was read last */
};

/* virt.c */
uint64_t virt_now_us(void);                              /* CLOCK_MONOTONIC */
void virt_notify(struct virt *v);                        /* make the eventfd readable */
void virt_wait_until(struct virt *v, uint64_t until_us); /* on `wake`, under lock */
void virt_thread_ends(struct virt *v);

/* virt_calls.c */
void *virt_calls_main(void *arg);
/* Before each call of libvirt: starts the clock by which "hung" is found. */
void virt_calling(struct virt *v);
/* After a failed call, at once: libvirt's error as negative errno and sentence "WHAT: message". */
int virt_failed(struct virt *v, struct qerr *err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* A call has failed because `conn` is closed. */
void virt_connection_broke(struct virt *v, virConnectPtr conn);
bool virt_usable(struct virt *v); /* not stopping and the connection not lost */

/* virt_ping.c */
void *virt_ping_main(void *arg);

/* virt_events.c */
int virt_events_start(struct virt *v, struct qerr *err);
void virt_events_stop(struct virt *v);
int virt_events_register(struct virt *v, struct qerr *err);
void virt_events_deregister(struct virt *v);
void virt_mark_dirty(struct virt *v, const char *uuid); /* NULL: all */

/* virt_inventory.c: calls thread */
int virt_refresh_now(struct virt *v, struct qerr *err);
void virt_look_after(struct virt *v); /* every 2 s: unbound guests, dead processes */
const struct virt_record *virt_record_of_guest(const struct virt *v, uint32_t guest_id);
void virt_records_free(struct virt *v);

/* virt_process.c: what the host knows of a guest's process and devices, without libvirt */
int virt_process_find(const char *run_dir, const char *name); /* pid or 0 */
uint32_t virt_device_ifindex(const char *device);             /* 0: none */
/*
 * The host's end of the NIC with this address, where its name is another one than libvirt tells,
 * and none that libvirt gives: a tap has the NIC's address but for the first byte, fe (fa where
 * that is the NIC's own), a macvtap the same. Of the sysfs mounted at `sysfs`. 0: none, or more
 * than one.
 */
uint32_t virt_device_by_mac(const char *sysfs, const char *mac);
/* Its threads stand still (cgroup v2's freezer), so QEMU would answer nothing. */
bool virt_process_frozen(const struct guest *g);

/* virt_jobs.c */
struct virt_job *virt_job_new(enum virt_job_kind kind, uint64_t ticket);
void virt_job_free(struct virt_job *job);
/* Takes over `job` in any case. A queued pin of the same target completes with -ECANCELED. */
int virt_job_submit(struct virt *v, struct virt_job *job, struct qerr *err);
struct virt_job *virt_job_take(struct virt *v); /* the next one to run, or NULL */
void virt_job_finish(struct virt *v, struct virt_job *job, int result);
void virt_jobs_cancel_guest(struct virt *v, uint32_t guest_id);
void virt_jobs_fail_all(struct virt *v, int result, const char *text);
void virt_jobs_free(struct virt *v);

/* virt_known.c: takes the lock itself where it is not said to be held */
/* A guest was looked at. Calls thread. */
void virt_known_update(struct virt *v, struct guest *g);
void virt_known_forget(struct virt *v, uint32_t guest_id);
void virt_known_free(struct virt *v);
/* Under lock. NULL: not known. */
struct virt_known *virt_known_find(const struct virt *v, uint32_t guest_id);
struct virt_known *virt_known_by_uuid(const struct virt *v, const char *uuid);
struct virt_known_disk *virt_known_disk(struct virt_known *k, const char *target);

/* Under lock: it was asked for some time ago, and has not followed. */
bool virt_balloon_deaf(const struct virt_known *k, uint64_t now_us);
/* Under lock: the guest has so much now. */
void virt_balloon_heard(struct virt_known *k, uint64_t bytes);

/* virt_stats.c */
void *virt_stats_main(void *arg);
/* virt_stats.c: a reading, sorted here; takes `counts` over. */
void virt_stats_publish(struct virt *v, struct virt_disk_counts *counts, size_t count,
			uint64_t now_us);
/* The connection with a reference of its own (virConnectClose() it), or NULL. (virt_ping.c) */
virConnectPtr virt_borrow_connection(struct virt *v);

/* virt_adapter.c */
void virt_adapter_init(struct virt *v);
static inline struct virt *virt_of_adapter(struct adapter *a)
{
	return a->ctx;
}

/* virt_pin.c, virt_tune.c, virt_balloon.c: the adapter's part, on the loop */
int virt_pin_read(struct adapter *a, const struct target *t, enum knob_id knob,
		  struct knob_value *ret, struct qerr *err);
int virt_pin_apply(struct adapter *a, const struct change *c, uint64_t ticket, struct qerr *err);
int virt_tune_read(struct adapter *a, const struct target *t, enum knob_id knob,
		   struct knob_value *ret, struct qerr *err);
int virt_tune_apply(struct adapter *a, const struct change *c, uint64_t ticket, struct qerr *err);
int virt_balloon_read(struct adapter *a, const struct target *t, enum knob_id knob,
		      struct knob_value *ret, struct qerr *err);
int virt_balloon_apply(struct adapter *a, const struct change *c, uint64_t ticket,
		       struct qerr *err);

/* virt_pin.c, virt_metadata.c, virt_tune.c, virt_balloon.c: calls thread, connected */
/* Runs `act` on the running domain of the job's guest; -ESRCH when it has gone or stops. */
int virt_with_domain(struct virt *v, const struct virt_job *job,
		     int (*act)(struct virt *v, virDomainPtr dom, const char *name,
				const struct virt_job *job, struct qerr *err),
		     struct qerr *err);
int virt_pin_run(struct virt *v, const struct virt_job *job, struct qerr *err);
int virt_class_run(struct virt *v, const struct virt_job *job, struct qerr *err);
int virt_tune_run(struct virt *v, const struct virt_job *job, struct qerr *err);
int virt_balloon_run(struct virt *v, const struct virt_job *job, struct qerr *err);
/*
 * The limits to write: `wanted` where `set` has its bit, else those of `now`; but libvirt takes no
 * total beside a limit of reading or writing of the same unit: what is set wins.
 */
void virt_tune_resolve(const uint64_t now[GUEST_TUNES], const uint64_t wanted[GUEST_TUNES],
		       unsigned int set, uint64_t ret[GUEST_TUNES]);
/*
 * The element <qos> `old` (NULL: none) with another class (NULL: none), everything else kept.
 * *ret is malloc'ed; NULL when nothing is left to store. 0, -EINVAL, -ENOMEM.
 */
int virt_metadata_edit(const char *old, const char *class_name, char **ret);

#endif
