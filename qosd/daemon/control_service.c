/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * control_service - org.varlink.service: what every varlink service tells about itself.
 */
#include <errno.h>
#include <string.h>

#include "qosd/core/mem.h"
#include "qosd/daemon/control_private.h"

static const char service_description[] =
	"# What every varlink service tells about itself.\n"
	"interface org.varlink.service\n"
	"\n"
	"method GetInfo() -> (\n"
	"  vendor: string,\n"
	"  product: string,\n"
	"  version: string,\n"
	"  url: string,\n"
	"  interfaces: []string\n"
	")\n"
	"\n"
	"method GetInterfaceDescription(interface: string) -> (description: string)\n"
	"\n"
	"error InterfaceNotFound (interface: string)\n"
	"error MethodNotFound (method: string)\n"
	"error MethodNotImplemented (method: string)\n"
	"error InvalidParameter (parameter: string)\n"
	"error PermissionDenied ()\n"
	"error ExpectedMore ()\n";

static int get_info(struct control_call *call, json_t *parameters, void *user)
{
	const struct control *server = user;

	(void)parameters;
	return control_reply(call, json_pack("{s:s, s:s, s:s, s:s, s:[s, s]}", "vendor", "qosd",
					     "product", "qosd", "version", server->config.version,
					     "url", "", "interfaces", CONTROL_SERVICE_INTERFACE,
					     server->config.interface));
}

static int get_interface_description(struct control_call *call, json_t *parameters, void *user)
{
	const struct control *server = user;
	const char *name = json_string_value(json_object_get(parameters, "interface"));
	const char *description = NULL;

	if (strcmp(name, server->config.interface) == 0)
		description = server->config.description;
	else if (strcmp(name, CONTROL_SERVICE_INTERFACE) == 0)
		description = service_description;
	if (!description)
		return control_error_with(call, CONTROL_SERVICE_INTERFACE ".InterfaceNotFound",
					  json_pack("{s:s}", "interface", name),
					  "this service has no interface %s", name);
	return control_reply(call, json_pack("{s:s}", "description", description));
}

static const struct control_method methods[] = {
	{ .name = "GetInfo", .handler = get_info },
	{ .name = "GetInterfaceDescription",
	  .handler = get_interface_description,
	  .params = { { .name = "interface", .type = CONTROL_STRING } } },
};

const struct control_method *control_service_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(methods); i++)
		if (strcmp(methods[i].name, name) == 0)
			return &methods[i];
	return NULL;
}
