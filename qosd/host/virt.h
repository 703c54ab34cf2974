/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virt - libvirt on its own threads: the inventory of running guests, their class metadata, and
 * vCPU/emulator pins. The loop never waits for libvirt.
 *
 * Three threads: one runs libvirt's event loop (keepalive, callbacks: they only mark domains
 * dirty); one makes all calls (connect, list, XML, pins, metadata) and publishes whole inventories;
 * one pings each 2 s and so finds a hung libvirtd, which is not the same as one domain that keeps a
 * call waiting. An eventfd tells the loop that a new inventory, or a finished job, is there.
 * libvirtd gone is retried with back-off (the last inventory stays until then). libvirt's event
 * loop is one per process, and so is a running `struct virt` (-EBUSY).
 */
#ifndef QOSD_HOST_VIRT_H
#define QOSD_HOST_VIRT_H

#include "qosd/core/adapter.h"
#include "qosd/core/guest.h"
#include "qosd/core/sample.h"

enum virt_state { VIRT_CONNECTING, VIRT_CONNECTED, VIRT_RECONNECTING, VIRT_HUNG };

struct virt_config {
	const char *uri;     /* NULL: qemu:///system */
	const char *run_dir; /* where libvirt keeps NAME.pid; NULL: /run/libvirt/qemu */
	uint64_t resync_us;  /* slow full resync; 0: 60 s */
	/* A ping that takes longer, or another call that takes ten times as long: hung; 0: 1 s. */
	uint64_t hung_us;
	/*
	 * Fill pid-dependent fields (pid is given; start_ticks, cgroup, cgroup_memory, systemd,
	 * vcpu_tids). Called on virt's thread; must be thread safe. 0 or negative errno (the guest
	 * is then shown without a group). May be NULL.
	 */
	int (*bind)(void *ctx, struct guest *g);
	void *bind_ctx;
};

struct virt;

/* Starts the threads; connecting goes on behind. The config's texts are copied. */
int virt_new(const struct virt_config *config, struct virt **ret, struct qerr *err);
/* Waits that long for a running call; a thread that still hangs is left behind with `v`. */
void virt_free(struct virt *v, uint64_t timeout_us);
int virt_fd(const struct virt *v); /* eventfd: inventory or completion is there */
/* The newest inventory not yet taken (caller frees), or NULL. Never blocks. */
struct inventory *virt_take_inventory(struct virt *v);
/* Calls `done` once for each ticket that has completed. */
void virt_collect(struct virt *v,
		  void (*done)(void *user, uint64_t ticket, int r, const struct qerr *err),
		  void *user);
enum virt_state virt_state(const struct virt *v);
/* "connecting", "connected", "reconnecting", "hung" */
const char *virt_state_name(enum virt_state s);
/* libvirtd's version, 1000000 major + 1000 minor + release; 0: not known yet. Never blocks. */
unsigned long virt_version(const struct virt *v);
/* Ask for a refresh of all, or of one guest by uuid. Never blocks. */
void virt_refresh(struct virt *v, const char *uuid);
/*
 * Set or clear (NULL) the class in the domain's urn:qosd:1 metadata, running and stored definition.
 * 0: `ticket` completes later, -ENOENT if there is no such domain; -EAGAIN not connected or hung.
 */
int virt_set_class(struct virt *v, const char *uuid, const char *class_name, uint64_t ticket);
/*
 * The adapter for KNOB_CPU_AFFINITY of TARGET_VCPU and TARGET_EMULATOR (with the I/O threads),
 * KNOB_DISK_* of TARGET_DISK and KNOB_BALLOON.
 * apply: -EINPROGRESS; -EAGAIN not connected, hung or too many queued. Completions: -ECANCELED a
 * later change of the same target took its place, -ESRCH or -ENOENT the guest has gone. Limits of
 * one disk that wait together are one call of libvirt. A guest's balloon reads as what was asked of
 * it: it may follow later, or never (virt_balloon_check).
 */
struct adapter *virt_adapter(struct virt *v);

/*
 * 0: the guest's memory is what its balloon was asked for last, or it still has time for it (5 s);
 * -ETIMEDOUT with a sentence: it does not follow. Never blocks.
 */
int virt_balloon_check(struct virt *v, const struct guest *g, struct qerr *err);

/* Read disk statistics each second for the next for_us, at least once. Cheap, for each tick. */
void virt_disk_stats_want(struct virt *v, uint64_t for_us);
/*
 * Fills disk_ops, disk_bytes and disk_wait_ns (reads, writes and flushes of all disks) with the
 * latest reading, step by step; -ENODATA: nothing is known of right now. Never blocks.
 */
int virt_disk_stats(struct virt *v, const struct guest *g, struct sample_guest *ret);
/*
 * One disk (a place in g->disks) as it was at *ret_at_us (monotonic), the latest reading: reads and
 * writes so far, and their bytes. -ENODATA: it is not in a reading of the last 5 s. Never blocks.
 */
int virt_disk_count(struct virt *v, const struct guest *g, uint32_t disk, uint64_t *ret_ops,
		    uint64_t *ret_bytes, uint64_t *ret_at_us);

/*
 * Whether the PCI device of a NIC is a virtual function, of which card, and its number there: fills
 * vf, vf_number, card and card_ifindex (all 0 if it is none) from sysfs, mounted at `sysfs` (NULL:
 * /sys). An address that is not sound is none. Reads few small files.
 */
void virt_find_vf(const char *sysfs, struct guest_nic *nic);
/* When this process began, as struct guest has it; 0: it has gone. */
uint64_t virt_process_start_ticks(int pid);

/*
 * Parse a domain XML into a guest (no pid, no cgroup): shared by the inventory and the hook.
 * 0; -EINVAL not a domain; -E2BIG too long. Lengths and characters are validated.
 */
int virt_parse_domain_xml(const char *xml, size_t len, struct guest **ret, struct qerr *err);

#endif
