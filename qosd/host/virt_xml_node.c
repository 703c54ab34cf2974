/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virt_xml_node - reading elements, texts and numbers of a domain XML, without trust.
 */
#include "qosd/host/virt_xml_node.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "qosd/core/mem.h"

bool node_is(const xmlNode *n, const char *ns, const char *name)
{
	if (n->type != XML_ELEMENT_NODE || strcmp((const char *)n->name, name) != 0)
		return false;
	if (!ns)
		return !n->ns;
	return n->ns && n->ns->href && strcmp((const char *)n->ns->href, ns) == 0;
}

static xmlNode *first_from(xmlNode *n, const char *ns, const char *name)
{
	while (n && !node_is(n, ns, name))
		n = n->next;
	return n;
}

xmlNode *node_child(const xmlNode *parent, const char *name)
{
	return parent ? first_from(parent->children, NULL, name) : NULL;
}

xmlNode *node_child_ns(const xmlNode *parent, const char *ns, const char *name)
{
	return parent ? first_from(parent->children, ns, name) : NULL;
}

/* Text as a malloc'ed string; NULL when empty, of `max` bytes or more, or with control characters.
 */
static char *sound_text(xmlChar *text, size_t max)
{
	const unsigned char *p = text;
	char *ret = NULL;

	while (p && *p >= 0x20 && *p != 0x7f)
		p++;
	if (p && !*p && p > text && (size_t)(p - text) < max)
		ret = strdup((const char *)text);
	xmlFree(text);
	return ret;
}

char *node_attribute(const xmlNode *node, const char *name, size_t max)
{
	return node ? sound_text(xmlGetNoNsProp(node, BAD_CAST name), max) : NULL;
}

char *node_content(const xmlNode *node, size_t max)
{
	return node ? sound_text(xmlNodeGetContent(node), max) : NULL;
}

/* Into a fixed field; false and "" when absent or not sound. */
bool node_copy_attribute(const xmlNode *node, const char *name, char *buf, size_t size)
{
	char *text CLEANUP_FREE = node_attribute(node, name, size);

	strcpy(buf, text ? text : "");
	return text != NULL;
}

bool node_attribute_is(const xmlNode *node, const char *name, const char *value)
{
	char *text CLEANUP_FREE = node_attribute(node, name, 64);

	return text && strcmp(text, value) == 0;
}

int node_parse_number(const char *text, uint64_t max, uint64_t *ret)
{
	uint64_t value = 0;
	const char *p = text;

	while (*p == ' ')
		p++;
	if (!isdigit((unsigned char)*p))
		return -EINVAL;
	for (; isdigit((unsigned char)*p); p++) {
		unsigned int digit = (unsigned int)(*p - '0');

		if (value > (max - digit) / 10)
			return -ERANGE;
		value = value * 10 + digit;
	}
	while (*p == ' ')
		p++;
	if (*p)
		return -EINVAL;
	*ret = value;
	return 0;
}
