/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virt_metadata - the class of a guest in its domain's metadata, element <qos> of urn:qosd:1.
 *
 * Only the attribute `class` is ours to change; overrides in the same element stay. libvirt hands
 * the element out without its prefix and puts prefix and namespace back when it stores it. The
 * running and the stored definition are edited each on its own, since they may differ.
 */
#include <errno.h>
#include <libxml/parser.h>
#include <libxml/tree.h>
#include <string.h>

#include "qosd/core/mem.h"
#include "qosd/host/virt_priv.h"

#define METADATA_KEY "qosd"

static bool has_content(const xmlNode *root)
{
	const xmlNode *n;

	if (root->properties)
		return true;
	for (n = root->children; n; n = n->next)
		if (n->type == XML_ELEMENT_NODE)
			return true;
	return false;
}

static int set_class_attribute(xmlNode *root, const char *class_name)
{
	if (!class_name) {
		xmlUnsetProp(root, BAD_CAST "class");
		return 0;
	}
	return xmlSetProp(root, BAD_CAST "class", BAD_CAST class_name) ? 0 : -ENOMEM;
}

static int dump_node(xmlDoc *doc, xmlNode *root, char **ret)
{
	xmlBuffer *buffer = xmlBufferCreate();
	int r = -ENOMEM;

	if (buffer && xmlNodeDump(buffer, doc, root, 0, 0) > 0) {
		*ret = strdup((const char *)xmlBufferContent(buffer));
		r = *ret ? 0 : -ENOMEM;
	}
	if (buffer)
		xmlBufferFree(buffer);
	return r;
}

int virt_metadata_edit(const char *old, const char *class_name, char **ret)
{
	const char *from = old ? old : "<qos/>";
	xmlDoc *doc;
	xmlNode *root;
	int r = -EINVAL;

	*ret = NULL;
	if (strlen(from) > VIRT_XML_MAX)
		return -EINVAL;
	doc = xmlReadMemory(from, (int)strlen(from), "metadata.xml", NULL,
			    XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
	root = doc ? xmlDocGetRootElement(doc) : NULL;
	if (root && !doc->intSubset) {
		r = set_class_attribute(root, class_name);
		if (r == 0 && has_content(root))
			r = dump_node(doc, root, ret);
	}
	xmlFreeDoc(doc);
	return r;
}

/* The element as stored, malloc'ed; *ret NULL when there is none. */
static int get_element(struct virt *v, virDomainPtr dom, unsigned int flags, char **ret,
		       struct qerr *err)
{
	const virError *e;

	virt_calling(v);
	*ret = virDomainGetMetadata(dom, VIR_DOMAIN_METADATA_ELEMENT, VIRT_QOS_URI, flags);
	if (*ret)
		return 0;
	e = virGetLastError();
	if (e && e->code == VIR_ERR_NO_DOMAIN_METADATA) {
		virResetLastError();
		return 0;
	}
	return virt_failed(v, err, "the class cannot be read from the guest's metadata");
}

static int set_element(struct virt *v, virDomainPtr dom, unsigned int flags, const char *class_name,
		       struct qerr *err)
{
	char *old CLEANUP_FREE = NULL, *new CLEANUP_FREE = NULL;
	int r = get_element(v, dom, flags, &old, err);

	if (r < 0)
		return r;
	r = virt_metadata_edit(old, class_name, &new);
	if (r < 0)
		return qerr_set(err, r, "the guest's metadata of %s cannot be edited",
				VIRT_QOS_URI);
	if (!old && !new)
		return 0;
	virt_calling(v);
	if (virDomainSetMetadata(dom, VIR_DOMAIN_METADATA_ELEMENT, new, METADATA_KEY, VIRT_QOS_URI,
				 flags) < 0)
		return virt_failed(v, err, "the class cannot be stored in the guest's %s metadata",
				   flags == VIR_DOMAIN_AFFECT_LIVE ? "live" : "persistent");
	return 0;
}

static int set_both(struct virt *v, virDomainPtr dom, const char *class_name, struct qerr *err)
{
	bool live = (int)virDomainGetID(dom) != -1;
	int persistent, r = 0;

	virt_calling(v);
	persistent = virDomainIsPersistent(dom);
	if (persistent < 0)
		return virt_failed(v, err, "the guest cannot be examined");
	if (live)
		r = set_element(v, dom, VIR_DOMAIN_AFFECT_LIVE, class_name, err);
	if (r == 0 && persistent)
		r = set_element(v, dom, VIR_DOMAIN_AFFECT_CONFIG, class_name, err);
	return r;
}

int virt_class_run(struct virt *v, const struct virt_job *job, struct qerr *err)
{
	virDomainPtr dom;
	int r;

	virt_calling(v);
	dom = virDomainLookupByUUIDString(v->conn, job->uuid);
	if (!dom)
		return virt_failed(v, err, "guest %s is not found", job->uuid);
	r = set_both(v, dom, job->class_name, err);
	virDomainFree(dom);
	virt_mark_dirty(v, job->uuid);
	return r;
}
