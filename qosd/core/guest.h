/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * guest - one running VM as seen now, and the inventory of all of them.
 *
 * A guest is immutable once published in an inventory and counted by reference (atomically: the
 * libvirt thread makes them, the loop reads them). A new look at the same VM that finds anything
 * different is a new `struct guest` with the same `id`. `id` names one incarnation (a start of the
 * VM): it is never used again in the life of the daemon, so that values of a dead VM cannot be
 * taken for those of its successor.
 */
#ifndef QOSD_CORE_GUEST_H
#define QOSD_CORE_GUEST_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GUEST_UUID_MAX   37
#define GUEST_DEVICE_MAX 16
#define GUEST_NAME_MAX   256  /* longer names are refused by the reader */
#define GUEST_VCPUS_MAX  4096 /* more are refused by the reader; core counts no more than these */

struct guest_nic {
	char device[GUEST_DEVICE_MAX]; /* host side: "vnet0"; "" if none (vhost-user, hostdev) */
	char bridge[GUEST_DEVICE_MAX]; /* bridge or parent device, "" if unknown */
	uint32_t ifindex;              /* 0: no host device */
	char mac[18];
	char type[16]; /* libvirt's: bridge, network, ethernet, direct, vhostuser, hostdev */
	/*
	 * Of a hostdev. The device that the guest drives itself is, if `vf`, virtual function
	 * number `vf_number` of a card that the host knows as `card`.
	 */
	char pci[GUEST_DEVICE_MAX]; /* "0000:3b:02.1"; "": none, or none that is sound */
	bool vf;
	uint32_t vf_number;
	char card[GUEST_DEVICE_MAX]; /* "" if the host has no network device of it */
	uint32_t card_ifindex;       /* 0 with it */
};

#define GUEST_LIMITS 6                  /* of a disk, in the order of KNOB_DISK_READ_IOPS.. */
#define GUEST_TUNES  (GUEST_LIMITS + 3) /* then its bursts */

struct guest_disk {
	char target[16];  /* "vda" */
	char source[192]; /* file, device or pool/image */
	bool rbd;
	bool fixed;     /* can be limited: no CD-ROM, floppy or vhost-user device */
	char cache[16]; /* QEMU cache mode, "" = default */
	/*
	 * Its limits when it was looked at, 0: none. They may change without a new guest: only
	 * virt reads them, who knows newer ones.
	 */
	uint64_t tune[GUEST_TUNES];
};

/*
 * Where an RBD disk's image lies and what QEMU's librbd reads at open; beside its guest_disk, so
 * that guests without Ceph pay nothing. Texts are "" where the domain says nothing (or nothing
 * sound).
 */
struct guest_rbd {
	uint32_t disk;                                  /* place in guest->disks */
	char pool[64], ns[64], image[96], snapshot[64]; /* ns: namespace in the pool */
	char monitors[192]; /* "10.0.0.1:6789,10.0.0.2"; "": those of the configuration file */
	char user[64];      /* without "client."; "": Ceph's default, admin */
	char conf[128];     /* <config file>; "": /etc/ceph/ceph.conf */
};

enum guest_balloon {
	GUEST_BALLOON_NONE,
	GUEST_BALLOON_PLAIN,
	GUEST_BALLOON_SAFE, /* it gives memory back by itself before the guest runs out */
};

struct guest_override { /* from the metadata: one key of the class, overridden for this guest */
	char *key;      /* "cpu.limit" */
	char *value;    /* "50%" */
};

struct guest {
	atomic_uint refs;
	uint32_t id; /* incarnation, > 0 */
	char uuid[GUEST_UUID_MAX];
	char *name;
	char *title, *flavor, *project; /* NULL if none; flavor and project from Nova's metadata */
	char *class_name;               /* from urn:qosd:1 metadata, NULL if none */
	struct guest_override *overrides;
	size_t noverrides;
	uint32_t vcpus;
	uint64_t memory_bytes;     /* what the guest may use now (maximum balloon) */
	uint32_t balloon;          /* enum guest_balloon */
	uint64_t hard_limit_bytes; /* <memtune>'s, of all QEMU; 0: none */
	uint64_t current_bytes;    /* balloon when it was looked at; as with guest_disk.tune */
	int pid;                   /* QEMU; 0 unknown */
	uint64_t start_ticks;      /* field 22 of /proc/PID/stat: tells a PID used again apart */
	int *vcpu_tids;            /* nvcpu_tids entries, -1 unknown */
	size_t nvcpu_tids;
	struct guest_nic *nics;
	size_t nnics;
	struct guest_disk *disks;
	size_t ndisks;
	struct guest_rbd *rbds; /* one for each RBD disk, in the order of disks */
	size_t nrbds;
	char *cgroup;        /* VMTOP relative to the mount
			      * ("/machine.slice/X.scope/libvirt"); v1: the cpu controller's
			      * path; NULL unknown */
	char *cgroup_memory; /* v1: the memory controller's path; v2: equal to cgroup */
	bool systemd;        /* the parent of VMTOP is a systemd scope */
};

struct guest *guest_new(void); /* refs 1, zeroed; NULL when out of memory */
/* Why this NIC cannot be limited from the host, in a sentence's middle; NULL: it can. */
const char *guest_nic_obstacle(const struct guest_nic *nic);
/* A virtual function whose card is there: what it sends is what the card may limit. */
bool guest_nic_is_vf(const struct guest_nic *nic);
#define GUEST_NIC_TEXT_MAX (GUEST_DEVICE_MAX + 16)
/* For people: its device on the host, or "eth0/vf1"; "": it has neither. Returns buf. */
const char *guest_nic_text(const struct guest_nic *nic, char buf[GUEST_NIC_TEXT_MAX]);
/* How many of its NICs have a device on the host. */
uint32_t guest_shaped_nics(const struct guest *g);
/* How many of its disks can be limited. */
uint32_t guest_fixed_disks(const struct guest *g);
/* The image of a disk (a place in g->disks); NULL: it is no RBD disk. Borrowed. */
const struct guest_rbd *guest_rbd_of(const struct guest *g, uint32_t disk);
/* Are both the same image, or (NULL) none? Of clusters that the domain names alike. */
bool guest_rbd_same(const struct guest_rbd *a, const struct guest_rbd *b);
struct guest *guest_ref(struct guest *g);
/* A copy (refs 1) of another class; class_name NULL: none named. NULL when out of memory. */
struct guest *guest_with_class(const struct guest *g, const char *class_name);
void guest_unref(struct guest *g); /* NULL is fine; frees all strings and arrays at 0 */

struct inventory {
	struct guest **guests; /* sorted by name, then uuid; one reference each */
	struct guest **by_id;  /* the same guests sorted by id (oldest first); borrowed */
	size_t count, capacity;
};

struct inventory *inventory_new(size_t capacity); /* a hint; it grows. NULL when out of memory */
void inventory_free(struct inventory *inv);       /* drops its references; NULL is fine */
/* The same guests, one more reference each. NULL when out of memory. */
struct inventory *inventory_copy(const struct inventory *inv);
/* Takes a reference of its own and keeps the order. 0 or -ENOMEM. */
int inventory_add(struct inventory *inv, struct guest *g);
/* Put `g` in the place of the guest with the same id and name. 0, -ENOENT. */
int inventory_replace(struct inventory *inv, struct guest *g);
/* A guest by name, else by uuid (upper or lower case). Borrowed, NULL if there is none. */
struct guest *inventory_find(const struct inventory *inv, const char *name_or_uuid);
struct guest *inventory_by_id(const struct inventory *inv, uint32_t id); /* borrowed, NULL */

#endif
