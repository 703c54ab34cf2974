/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tools/json.h"

#include <string.h>

const json_t *json_at(const json_t *object, const char *path)
{
	char key[64];
	size_t size = strcspn(path, ".");
	const json_t *value;

	if (size >= sizeof(key))
		return NULL;
	memcpy(key, path, size);
	key[size] = '\0';
	value = json_object_get(object, key);
	if (!value || json_is_null(value))
		return NULL;
	return path[size] ? json_at(value, path + size + 1) : value;
}

const char *json_text(const json_t *object, const char *path)
{
	const char *text = json_string_value(json_at(object, path));

	return text && *text ? text : "-";
}

double json_number(const json_t *object, const char *path)
{
	return json_number_value(json_at(object, path));
}
