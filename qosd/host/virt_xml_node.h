/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virt_xml_node - what the virt_xml*.c files share: elements, texts and numbers, read without
 * trust.
 *
 * `parent` and `node` may be NULL everywhere. Texts of `max` bytes or more, empty ones and those
 * with control characters count as absent.
 */
#ifndef QOSD_HOST_VIRT_XML_NODE_H
#define QOSD_HOST_VIRT_XML_NODE_H

#include <libxml/tree.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "qosd/core/guest.h"

/* An element of this name; ns NULL: without a namespace. */
bool node_is(const xmlNode *n, const char *ns, const char *name);
/* The first such child, or NULL. */
xmlNode *node_child(const xmlNode *parent, const char *name);
xmlNode *node_child_ns(const xmlNode *parent, const char *ns, const char *name);
/* malloc'ed, or NULL. */
char *node_attribute(const xmlNode *node, const char *name, size_t max);
char *node_content(const xmlNode *node, size_t max);
/* Into a fixed field; false and "" when absent or not sound. */
bool node_copy_attribute(const xmlNode *node, const char *name, char *buf, size_t size);
bool node_attribute_is(const xmlNode *node, const char *name, const char *value);
/* Decimal digits between blanks. 0, -EINVAL, -ERANGE. */
int node_parse_number(const char *text, uint64_t max, uint64_t *ret);

/* virt_xml_disk.c */
/* Fills all of *disk. */
void virt_xml_read_disk(const xmlNode *node, struct guest_disk *disk);
/* Its image, of a disk that is one of RBD; fills all of *rbd. */
void virt_xml_read_rbd(const xmlNode *node, uint32_t disk, struct guest_rbd *rbd);

#endif
