#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""mom.py - the peer: what a Python manager of overcommitted hosts does each period.

The same readings that qosd takes, the way oVirt's MOM takes them: for every domain CPU, vCPU, balloon,
interface and block statistics by libvirt-python, PSI and meminfo of the host, then one pass of rules
over all guests. No actions.

    mom.py PERIOD_S SECONDS      prints how much CPU it took itself, in ms for each pass
"""
import resource
import sys
import time

import libvirt


def host():
    facts = {}
    for name in ("cpu", "memory", "io"):
        with open("/proc/pressure/" + name) as f:
            facts[name] = float(f.readline().split("avg10=")[1].split()[0])
    with open("/proc/meminfo") as f:
        for line in f:
            key, value = line.split(":")
            facts[key] = int(value.split()[0])
    return facts


def guests(conn):
    flags = (libvirt.VIR_DOMAIN_STATS_STATE | libvirt.VIR_DOMAIN_STATS_CPU_TOTAL
             | libvirt.VIR_DOMAIN_STATS_VCPU | libvirt.VIR_DOMAIN_STATS_BALLOON
             | libvirt.VIR_DOMAIN_STATS_INTERFACE | libvirt.VIR_DOMAIN_STATS_BLOCK)
    return {dom.name(): stats for dom, stats in conn.getAllDomainStats(flags, 0)}


def rules(facts, now, before, period_s):
    """Whom MOM would squeeze: the guests that use more CPU than their even share."""
    use = {}
    for name, stats in now.items():
        if name in before:
            use[name] = (stats.get("cpu.time", 0) - before[name].get("cpu.time", 0)) / 1e9 / period_s
    share = sum(use.values()) / max(1, len(use))
    if facts["cpu"] < 10:
        return []
    return [name for name, cpus in use.items() if cpus > share]


def main():
    period_s, seconds = float(sys.argv[1]), float(sys.argv[2])
    conn = libvirt.openReadOnly("qemu:///system")
    before, passes = guests(conn), 0
    began = resource.getrusage(resource.RUSAGE_SELF)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        due = time.monotonic() + period_s
        now = guests(conn)
        rules(host(), now, before, period_s)
        before, passes = now, passes + 1
        time.sleep(max(0, due - time.monotonic()))
    ended = resource.getrusage(resource.RUSAGE_SELF)
    took = ended.ru_utime + ended.ru_stime - began.ru_utime - began.ru_stime
    print("%.3f" % (took * 1000 / max(1, passes)))


main()
