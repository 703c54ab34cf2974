/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The network side of a guest, in one program because starting `ip` six times for each guest takes
 * longer in the lab than starting the guest.
 *
 *   inside GUEST TAPS          makes the namespace g-GUEST and persistent taps lgID-0, lgID-1...,
 *                              and prints ID, a number that no other guest has
 *   connect GUEST [TAP ADDRESS MAC GATEWAY]...
 *                              moves the taps, which the emulator has open by now, into g-GUEST
 *                              as eth0, eth1...; all traffic but the own /17 goes by the gateway
 *                              (the first NIC's, and for 10.N.0.0/16 each NIC's own)
 */
#include "t/lab/netio/netio.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <net/route.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define NUMBER_FILE  "/run/lab/guest-number"
#define FIRST_NUMBER 257 /* 10.N.1.1 */

static int next_number(void)
{
	int fd = open(NUMBER_FILE, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	int number = FIRST_NUMBER - 1;
	char text[16] = "";

	if (fd < 0 || flock(fd, LOCK_EX) < 0)
		fail("Cannot lock " NUMBER_FILE ": %s.", strerror(errno));
	if (pread(fd, text, sizeof(text) - 1, 0) > 0)
		sscanf(text, "%d", &number);
	snprintf(text, sizeof(text), "%d\n", ++number);
	if (pwrite(fd, text, strlen(text), 0) < 0)
		fail("Cannot write " NUMBER_FILE ": %s.", strerror(errno));
	close(fd);
	return number;
}

static void make_tap(int number, int k)
{
	struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	snprintf(request.ifr_name, sizeof(request.ifr_name), "lg%d-%d", number, k);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0 || ioctl(fd, TUNSETOWNER, 0) < 0 ||
	    ioctl(fd, TUNSETPERSIST, 1) < 0)
		fail("Cannot make the tap %s: %s.", request.ifr_name, strerror(errno));
	close(fd);
}

static void write_setting(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd >= 0 && write(fd, text, strlen(text)) < 0)
		fail("Cannot write %s: %s.", path, strerror(errno));
	if (fd >= 0)
		close(fd);
}

static void interface_request(unsigned long what, struct ifreq *request)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || ioctl(fd, what, request) < 0)
		fail("Cannot set up the interface %s: %s.", request->ifr_name, strerror(errno));
	close(fd);
}

static void set_up(const char *name)
{
	struct ifreq request = { .ifr_flags = IFF_UP | IFF_RUNNING };

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	interface_request(SIOCSIFFLAGS, &request);
}

/* As `ip netns add` does; the program is in the new namespace afterwards. Without IPv6. */
static void make_namespace(const char *netns)
{
	char path[300];
	int fd;

	mkdir("/run/netns", 0755);
	snprintf(path, sizeof(path), "/run/netns/%s", netns);
	fd = open(path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0);
	if (fd < 0)
		fail("Cannot make the network namespace %s: %s.", netns, strerror(errno));
	close(fd);
	if (unshare(CLONE_NEWNET) < 0 ||
	    mount("/proc/thread-self/ns/net", path, "none", MS_BIND, NULL) < 0)
		fail("Cannot make the network namespace %s: %s.", netns, strerror(errno));
	write_setting("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1");
	write_setting("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
	set_up("lo");
}

int verb_inside(int argc, char **argv)
{
	int i, taps, number = next_number();
	char netns[200];

	if (argc < 3)
		fail("inside needs a guest and a number of taps.");
	taps = (int)number_arg("TAPS", argv[2], 1, 8);
	for (i = 0; i < taps; i++)
		make_tap(number, i);
	snprintf(netns, sizeof(netns), "g-%s", argv[1]);
	make_namespace(netns);
	printf("%d\n", number);
	return 0;
}

/* Moves an interface of this namespace to the one that fd stands for. */
static void move_interface(const char *name, int fd)
{
	struct {
		struct nlmsghdr head;
		struct ifinfomsg link;
		struct rtattr attribute;
		int fd;
	} message = {
		.head = { sizeof(message), RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK, 1, 0 },
		.link = { .ifi_index = (int)if_nametoindex(name) },
		.attribute = { RTA_LENGTH(sizeof(int)), IFLA_NET_NS_FD },
		.fd = fd,
	};
	struct {
		struct nlmsghdr head;
		struct nlmsgerr error;
	} answer;
	int s = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (s < 0 || send(s, &message, sizeof(message), 0) < 0 ||
	    recv(s, &answer, sizeof(answer), 0) < (ssize_t)sizeof(answer.head))
		fail("Cannot talk to the kernel about %s: %s.", name, strerror(errno));
	close(s);
	if (answer.error.error)
		fail("Cannot move the interface %s: %s.", name, strerror(-answer.error.error));
}

static void set_mac(const char *name, const char *mac)
{
	struct ifreq request = { .ifr_hwaddr.sa_family = ARPHRD_ETHER };
	unsigned int byte[6];
	int i;

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	if (sscanf(mac, "%x:%x:%x:%x:%x:%x", &byte[0], &byte[1], &byte[2], &byte[3], &byte[4],
		   &byte[5]) != 6)
		fail("'%s' is no MAC address.", mac);
	for (i = 0; i < 6; i++)
		request.ifr_hwaddr.sa_data[i] = (char)byte[i];
	interface_request(SIOCSIFHWADDR, &request);
}

static struct sockaddr ip_address(const char *text)
{
	struct sockaddr_in ip = { .sin_family = AF_INET };
	struct sockaddr address;

	if (inet_pton(AF_INET, text, &ip.sin_addr) != 1)
		fail("'%s' is no IPv4 address.", text);
	memcpy(&address, &ip, sizeof(address));
	return address;
}

static void set_address(const char *name, const char *address)
{
	struct ifreq request;

	memset(&request, 0, sizeof(request));
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	request.ifr_addr = ip_address(address);
	interface_request(SIOCSIFADDR, &request);
	request.ifr_netmask = ip_address("255.255.128.0");
	interface_request(SIOCSIFNETMASK, &request);
}

static void add_route(const char *to, const char *mask, const char *gateway)
{
	struct rtentry route = { .rt_flags = RTF_UP | RTF_GATEWAY };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	route.rt_dst = ip_address(to);
	route.rt_genmask = ip_address(mask);
	route.rt_gateway = ip_address(gateway);
	if (fd < 0 || ioctl(fd, SIOCADDRT, &route) < 0)
		fail("Cannot add the route by %s: %s.", gateway, strerror(errno));
	close(fd);
}

static void set_up_interface(const char *tap, int k, char **address_mac_gateway)
{
	struct ifreq request;
	char network[32];
	unsigned int n;

	memset(&request, 0, sizeof(request));
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", tap);
	snprintf(request.ifr_newname, sizeof(request.ifr_newname), "eth%d", k);
	interface_request(SIOCSIFNAME, &request);
	snprintf(request.ifr_name, sizeof(request.ifr_name), "eth%d", k);
	set_mac(request.ifr_name, address_mac_gateway[1]);
	set_address(request.ifr_name, address_mac_gateway[0]);
	set_up(request.ifr_name);
	if (k == 0) {
		add_route("0.0.0.0", "0.0.0.0", address_mac_gateway[2]);
	} else if (sscanf(address_mac_gateway[2], "10.%u.", &n) == 1) {
		snprintf(network, sizeof(network), "10.%u.0.0", n);
		add_route(network, "255.255.0.0", address_mac_gateway[2]);
	}
}

int verb_connect(int argc, char **argv)
{
	char netns[200], path[300];
	int i, fd;

	if (argc < 2 || (argc - 2) % 4)
		fail("connect needs a guest and four words for each tap.");
	snprintf(netns, sizeof(netns), "g-%s", argv[1]);
	snprintf(path, sizeof(path), "/run/netns/%s", netns);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		fail("There is no network namespace %s: %s.", netns, strerror(errno));
	for (i = 2; i < argc; i += 4)
		move_interface(argv[i], fd);
	close(fd);
	ns_enter(netns);
	for (i = 2; i < argc; i += 4)
		set_up_interface(argv[i], (i - 2) / 4, argv + i + 1);
	return 0;
}
