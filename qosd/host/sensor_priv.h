/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sensor_priv - what the files of the sensor share. Nobody else includes this.
 */
#ifndef QOSD_HOST_SENSOR_PRIV_H
#define QOSD_HOST_SENSOR_PRIV_H

#include "bpf/vcpu.h"
#include "qosd/host/sensor.h"

#define SENSOR_WHY_MAX QERR_TEXT_MAX

/* ---- sensor_text.c: texts of the kernel, parsed; pure ---- */
/*
 * A line of /proc/net/dev: its device and counters. *p moves to the next line. 0; -ENOENT: the
 * text ends before the line does (*p stays); -EINVAL: not such a line (*p moves).
 */
int sensor_text_net_dev(const char **p, char device[GUEST_DEVICE_MAX], uint64_t *ret_rx,
			uint64_t *ret_tx);

/* ---- sensor_host.c: pressure and memory of the host; triggers ---- */
struct sensor_host {
	int psi_fd[RESOURCE_COUNT]; /* -1: none */
	int meminfo_fd;
	uint64_t swap_bytes; /* all that there is; SAMPLE_UNKNOWN */
	int trigger_fd[RESOURCE_COUNT];
	int trigger_error[RESOURCE_COUNT]; /* negative errno of the last try */
};

void sensor_host_open(struct sensor_host *h, int proc_fd);
void sensor_host_close(struct sensor_host *h);
void sensor_host_drop_triggers(struct sensor_host *h);
void sensor_host_read(struct sensor_host *h, struct sample *ret);
int sensor_host_trigger(struct sensor_host *h, int proc_fd, enum resource r,
			const struct overload *o, struct qerr *err);
/* The whole file as a string. Length or negative errno. */
int sensor_read_fd(int fd, char *buf, size_t size);

/* ---- sensor_vcpu.c: the iterator ---- */
struct sensor_vcpu {
	int link_fd, map_fd; /* -1: not loaded */
	char *buf;
};

void sensor_vcpu_init(struct sensor_vcpu *v);
/* Load, and prove on this very thread that it works. */
int sensor_vcpu_open(struct sensor_vcpu *v, struct qerr *err);
void sensor_vcpu_close(struct sensor_vcpu *v);
/* A guest's threads are to be shown from now on, or no more. 0 or negative errno. */
int sensor_vcpu_add(struct sensor_vcpu *v, const struct guest *g);
void sensor_vcpu_remove(struct sensor_vcpu *v, const struct guest *g);
/* One read of all threads; `seen` for each that was added. 0 or negative errno. */
int sensor_vcpu_read(struct sensor_vcpu *v, void (*seen)(void *user, const struct vcpu_times *t),
		     void *user);

/* ---- sensor_link.c: NICs and uplinks ---- */
struct sensor_nic {
	char device[GUEST_DEVICE_MAX];
	uint32_t slot;                /* of its guest, or of its uplink */
	bool uplink;                  /* ... then it is the host's own device: received is in */
	bool macvtap;                 /* the kernel counts from the guest's side: received is in */
	uint64_t in_bytes, out_bytes; /* of the last reading; SAMPLE_UNKNOWN: it was not there */
};

struct sensor_uplink {
	char device[GUEST_DEVICE_MAX];
	uint64_t given_bps; /* by the policy; POLICY_NONE_U64: ask */
	uint64_t asked_bps; /* SAMPLE_UNKNOWN: it does not say */
	uint64_t asked_at_us;
};

struct sensor_link {
	int dev_fd, class_fd; /* /proc/net/dev, /sys/class/net; -1: none */
	char *buf;
	struct sensor_nic *nics; /* sorted by device */
	size_t nnics, capacity;
	struct sensor_uplink uplinks[SAMPLE_UPLINKS_MAX];
	size_t nuplinks;
};

int sensor_link_open(struct sensor_link *l, int proc_fd, const char *sys);
void sensor_link_close(struct sensor_link *l);
/* Are these the policy's uplinks? If not, they are from now on: index again. */
bool sensor_link_take_uplinks(struct sensor_link *l, const struct policy *policy);
/* Index the NICs of guests (slots in order of by_id; NULL: none) and the uplinks. 0 or -ENOMEM. */
int sensor_link_index(struct sensor_link *l, const struct inventory *inv);
/* Fill NIC counters of the guests and the uplinks. */
void sensor_link_read(struct sensor_link *l, struct sample *ret);
/* Of one guest's NIC, as of the last reading. -ENOENT: it was not there. */
int sensor_link_bytes(const struct sensor_link *l, const char *device, uint64_t *ret_in,
		      uint64_t *ret_out);

/* ---- sensor.c ---- */
/* Is one read of all threads cheaper than reading each vCPU's and guest's own files? */
bool sensor_iterator_pays(size_t host_threads, size_t vcpus);

struct sensor_slot {              /* one guest, in order of id */
	struct guest *guest;      /* a reference */
	bool shown;               /* its threads are with the iterator */
	uint64_t above;           /* throttling of groups above its vCPUs', while reading */
	struct sample_guest kept; /* of the reading before, for what is not read each time */
};

struct sensor {
	struct sensor_config config;
	int proc_fd;
	struct sensor_host host;
	struct sensor_vcpu vcpu;
	struct sensor_link link;
	char vcpu_why[SENSOR_WHY_MAX]; /* why the iterator is not used; "": it is */
	bool iterate;                  /* ... at the last reading */
	bool stale;                    /* the indices are to be made again */
	struct sensor_slot *slots;
	size_t nslots;
	uint64_t psi_before_us[RESOURCE_COUNT];
	uint64_t gauges_at_us;
};

#endif
