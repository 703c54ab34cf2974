/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virt_adapter - the vtable of what libvirt sets: finds out who knows a knob, and how libvirt is.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "qosd/core/mem.h"
#include "qosd/host/virt_priv.h"

/* ---- probe ---- */

static void probe_connection(struct virt *v, struct diag_list *findings, const char *why)
{
	switch (virt_state(v)) {
	case VIRT_CONNECTED:
		diag_add(findings, DIAG_INFO, NULL, 0, "libvirt", NULL, "connected to %s", v->uri);
		break;
	case VIRT_HUNG:
		diag_add(findings, DIAG_ERROR, NULL, 0, "libvirt", "restart libvirtd",
			 "libvirtd does not answer: limits hold, guests are not followed");
		break;
	default:
		diag_add(findings, DIAG_ERROR, NULL, 0, "libvirt",
			 "start libvirtd (systemctl start libvirtd)",
			 "libvirt is not connected%s%s", why[0] ? ": " : "", why);
		break;
	}
}

static void probe_balloons(struct virt *v, struct diag_list *findings)
{
	uint64_t now = virt_now_us();
	unsigned int deaf = 0;

	pthread_mutex_lock(&v->lock);
	for (size_t i = 0; i < v->nknown; i++)
		deaf += virt_balloon_deaf(v->known[i], now);
	pthread_mutex_unlock(&v->lock);
	if (deaf)
		diag_add(findings, DIAG_WARNING, NULL, 0, "libvirt",
			 "load the virtio_balloon driver in the guest, or write memory.balloon = "
			 "\"no\" for its class",
			 "%u guest%s not follow the memory balloon", deaf,
			 deaf == 1 ? " does" : "s do");
}

static void virt_probe(struct adapter *a, struct diag_list *findings)
{
	struct virt *v = virt_of_adapter(a);
	char last_error[QERR_TEXT_MAX], guest_error[QERR_TEXT_MAX];

	pthread_mutex_lock(&v->lock);
	memcpy(last_error, v->last_error, sizeof(last_error));
	memcpy(guest_error, v->guest_error, sizeof(guest_error));
	pthread_mutex_unlock(&v->lock);
	probe_connection(v, findings, last_error);
	if (guest_error[0])
		diag_add(findings, DIAG_WARNING, NULL, 0, "libvirt",
			 "see `virsh dumpxml` of this guest", "a guest is left out: %s",
			 guest_error);
	if (strcmp(v->uri, "qemu:///system") == 0 && access(v->run_dir, R_OK | X_OK) < 0)
		diag_add(findings, DIAG_ERROR, NULL, 0, "libvirt", "run qosd as root",
			 "%s cannot be read: %s", v->run_dir, strerror(errno));
	probe_balloons(v, findings);
}

/* ---- the vtable ---- */

static const struct part {
	int (*read)(struct adapter *a, const struct target *t, enum knob_id knob,
		    struct knob_value *ret, struct qerr *err);
	int (*apply)(struct adapter *a, const struct change *c, uint64_t ticket, struct qerr *err);
} parts[KNOB_COUNT] = {
	[KNOB_CPU_AFFINITY] = { virt_pin_read, virt_pin_apply },
	[KNOB_DISK_READ_IOPS] = { virt_tune_read, virt_tune_apply },
	[KNOB_DISK_WRITE_IOPS] = { virt_tune_read, virt_tune_apply },
	[KNOB_DISK_TOTAL_IOPS] = { virt_tune_read, virt_tune_apply },
	[KNOB_DISK_READ_BPS] = { virt_tune_read, virt_tune_apply },
	[KNOB_DISK_WRITE_BPS] = { virt_tune_read, virt_tune_apply },
	[KNOB_DISK_TOTAL_BPS] = { virt_tune_read, virt_tune_apply },
	[KNOB_DISK_BURST_IOPS] = { virt_tune_read, virt_tune_apply },
	[KNOB_DISK_BURST_BPS] = { virt_tune_read, virt_tune_apply },
	[KNOB_DISK_BURST_S] = { virt_tune_read, virt_tune_apply },
	[KNOB_BALLOON] = { virt_balloon_read, virt_balloon_apply },
};

static int virt_read(struct adapter *a, const struct target *t, enum knob_id knob,
		     struct knob_value *ret, struct qerr *err)
{
	if (!parts[knob].read)
		return qerr_set(err, -EOPNOTSUPP, "libvirt does not set %s", knob_get(knob)->name);
	return parts[knob].read(a, t, knob, ret, err);
}

static int virt_apply(struct adapter *a, const struct change *c, uint64_t ticket, struct qerr *err)
{
	if (!parts[c->knob].apply || c->to.type != knob_get(c->knob)->type)
		return qerr_set(err, -EOPNOTSUPP, "libvirt does not set %s to such a value",
				knob_get(c->knob)->name);
	return parts[c->knob].apply(a, c, ticket, err);
}

static void virt_forget(struct adapter *a, const struct guest *g)
{
	virt_jobs_cancel_guest(virt_of_adapter(a), g->id);
}

static const struct adapter_ops virt_ops = {
	.name = "libvirt",
	.probe = virt_probe,
	.read = virt_read,
	.apply = virt_apply,
	.forget = virt_forget,
};

void virt_adapter_init(struct virt *v)
{
	v->adapter.ops = &virt_ops;
	v->adapter.ctx = v;
}
