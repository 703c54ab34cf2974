# SPDX-License-Identifier: GPL-2.0-or-later
# Tests of `make check`, benchmarks, and what developers type: format, update-golden.

CORE_TESTS = \
	t/unit/test_arena \
	t/unit/test_baseline \
	t/unit/test_classify \
	t/unit/test_cpuset \
	t/unit/test_cpushare \
	t/unit/test_diag \
	t/unit/test_diff \
	t/unit/test_diskshare \
	t/unit/test_diskshare_law \
	t/unit/test_episode \
	t/unit/test_govern \
	t/unit/test_governor \
	t/unit/test_governor_verdict \
	t/unit/test_guest \
	t/unit/test_host \
	t/unit/test_knob \
	t/unit/test_ledger \
	t/unit/test_netshare \
	t/unit/test_netshare_recover \
	t/unit/test_placement \
	t/unit/test_plan \
	t/unit/test_plan_disk \
	t/unit/test_plan_throttle \
	t/unit/test_policy \
	t/unit/test_portset \
	t/unit/test_rbd \
	t/unit/test_sample_text \
	t/unit/test_share \
	t/unit/test_signal \
	t/unit/test_throttle \
	t/unit/test_unit
HOST_TESTS = \
	t/conf/run_golden \
	t/conf/test_roundtrip \
	t/unit/test_ceph_asok \
	t/unit/test_ceph_qos \
	t/unit/test_ceph_conf \
	t/unit/test_ceph_look \
	t/unit/test_cgroup \
	t/unit/test_cgroup_act \
	t/unit/test_net \
	t/unit/test_net_count \
	t/unit/test_net_hostcount \
	t/unit/test_net_edt \
	t/unit/test_net_htb \
	t/unit/test_net_survive \
	t/unit/test_net_law \
	t/unit/test_net_line \
	t/unit/test_net_slots \
	t/unit/test_net_vf \
	t/unit/test_proc \
	t/unit/test_sensor \
	t/unit/test_sensor_vcpu \
	t/unit/test_topology \
	t/unit/test_virt \
	t/unit/test_virt_pci \
	t/unit/test_virt_pin \
	t/unit/test_virt_process \
	t/unit/test_virt_tune \
	t/unit/test_virt_xml \
	t/unit/test_worker
DAEMON_TESTS = \
	t/unit/test_control \
	t/unit/test_control_limits \
	t/unit/test_engine \
	t/unit/test_engine_admission \
	t/unit/test_engine_diskshare \
	t/unit/test_engine_episode \
	t/unit/test_engine_lanes \
	t/unit/test_engine_lease \
	t/unit/test_engine_overload \
	t/unit/test_engine_passing \
	t/unit/test_engine_rbd \
	t/unit/test_engine_release \
	t/unit/test_engine_round \
	t/unit/test_engine_share \
	t/unit/test_engine_state \
	t/unit/test_engine_luck \
	t/unit/test_engine_trial \
	t/unit/test_engine_vf \
	t/unit/test_engine_vf_left \
	t/unit/test_hook \
	t/unit/test_methods \
	t/unit/test_replay \
	t/unit/test_lease \
	t/unit/test_varlink \
	t/unit/test_view
FUZZ_TESTS = \
	t/fuzz/fuzz_ceph_conf \
	t/fuzz/fuzz_conf \
	t/fuzz/fuzz_cpuset \
	t/fuzz/fuzz_domain_xml \
	t/fuzz/fuzz_episode \
	t/fuzz/fuzz_metrics \
	t/fuzz/fuzz_proc \
	t/fuzz/fuzz_record \
	t/fuzz/fuzz_unit \
	t/fuzz/fuzz_varlink
SCRIPT_TESTS = \
	t/check-layering \
	t/conf/check-man.sh \
	t/unit/test_exporter.sh \
	t/unit/test_lab_kernel.sh \
	t/unit/test_qosctl.sh

if HAVE_CUNIT
check_PROGRAMS += $(CORE_TESTS) $(HOST_TESTS) $(DAEMON_TESTS) $(FUZZ_TESTS) \
	t/unit/fake_qosd
TESTS += $(CORE_TESTS) $(HOST_TESTS) $(DAEMON_TESTS) $(FUZZ_TESTS) $(SCRIPT_TESTS)
endif

# Tests of the core link the core alone: that is what keeps it pure.
LDADD = libqos-core.a $(CUNIT_LIBS)

HOST_TEST_LIBS = libqos-host.a libqos-core.a $(HOST_LIBS) $(JANSSON_LIBS) $(CUNIT_LIBS) -lm
t_conf_run_golden_LDADD = $(HOST_TEST_LIBS)
t_conf_test_roundtrip_LDADD = $(HOST_TEST_LIBS)
t_unit_test_ceph_asok_LDADD = $(HOST_TEST_LIBS) -lpthread
t_unit_test_ceph_qos_LDADD = $(HOST_TEST_LIBS) -lpthread
t_unit_test_ceph_conf_LDADD = $(HOST_TEST_LIBS)
t_unit_test_ceph_look_LDADD = $(HOST_TEST_LIBS) -lpthread
t_unit_test_cgroup_LDADD = $(HOST_TEST_LIBS)
t_unit_test_cgroup_act_LDADD = $(HOST_TEST_LIBS)
t_unit_test_net_LDADD = $(HOST_TEST_LIBS)
t_unit_test_net_count_LDADD = $(HOST_TEST_LIBS)
t_unit_test_net_hostcount_LDADD = $(HOST_TEST_LIBS)
t_unit_test_net_edt_LDADD = $(HOST_TEST_LIBS)
t_unit_test_net_htb_LDADD = $(HOST_TEST_LIBS)
t_unit_test_net_survive_LDADD = $(HOST_TEST_LIBS)
t_unit_test_net_law_LDADD = $(HOST_TEST_LIBS)
t_unit_test_net_line_LDADD = $(HOST_TEST_LIBS)
t_unit_test_net_slots_LDADD = $(HOST_TEST_LIBS)
t_unit_test_net_vf_LDADD = $(HOST_TEST_LIBS)
t_unit_test_net_vf_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=net_nl_talk -Wl,--wrap=net_nl_ask \
	-Wl,--wrap=clock_gettime
t_unit_test_proc_LDADD = $(HOST_TEST_LIBS)
t_unit_test_sensor_LDADD = $(HOST_TEST_LIBS)
t_unit_test_sensor_vcpu_LDADD = $(HOST_TEST_LIBS) -lpthread
t_unit_test_topology_LDADD = $(HOST_TEST_LIBS)
t_unit_test_virt_LDADD = $(HOST_TEST_LIBS)
t_unit_test_virt_pci_LDADD = $(HOST_TEST_LIBS)
t_unit_test_virt_pin_LDADD = $(HOST_TEST_LIBS)
t_unit_test_virt_tune_LDADD = $(HOST_TEST_LIBS)
t_unit_test_virt_process_LDADD = $(HOST_TEST_LIBS)
t_unit_test_virt_xml_LDADD = $(HOST_TEST_LIBS)
t_unit_test_worker_LDADD = $(HOST_TEST_LIBS)

# Adapters on the command line, for the lab: one step is one process, as after a restart.
LAB_TOOLS = t/lab/lab-askctl t/lab/lab-cgctl t/lab/lab-netctl t/lab/lab-rbdctl \
	t/lab/lab-sensorctl t/lab/lab-virtctl
LAB_TOOL_LIBS = libqos-host.a libqos-core.a $(HOST_LIBS) $(JANSSON_LIBS)
t_lab_lab_askctl_SOURCES = t/lab/askctl.c
t_lab_lab_askctl_LDADD = libqos-daemon.a $(LAB_TOOL_LIBS) -lm
t_lab_lab_cgctl_SOURCES = t/lab/cgctl.c
t_lab_lab_cgctl_LDADD = $(LAB_TOOL_LIBS)
t_lab_lab_netctl_SOURCES = t/lab/netctl.c
t_lab_lab_netctl_LDADD = $(LAB_TOOL_LIBS)
t_lab_lab_rbdctl_SOURCES = t/lab/rbdctl.c
t_lab_lab_rbdctl_LDADD = libqos-daemon.a $(LAB_TOOL_LIBS) -lm
t_lab_lab_sensorctl_SOURCES = t/lab/sensorctl.c
t_lab_lab_sensorctl_LDADD = $(LAB_TOOL_LIBS)
t_lab_lab_virtctl_SOURCES = t/lab/virtctl.c
t_lab_lab_virtctl_LDADD = $(LAB_TOOL_LIBS)
# Tests with real packets, which net-kinds.sh runs on the lab's kernels too.
if HAVE_CUNIT
LAB_TESTS = t/unit/test_net_count t/unit/test_net_hostcount t/unit/test_net_htb \
	t/unit/test_net_survive
endif
lab-programs: $(LAB_TOOLS) $(LAB_TESTS)

DAEMON_TEST_LIBS = libqos-daemon.a $(HOST_TEST_LIBS)
t_unit_test_control_LDADD = $(DAEMON_TEST_LIBS)
t_unit_test_control_limits_LDADD = $(DAEMON_TEST_LIBS)
t_unit_test_engine_LDADD = $(DAEMON_TEST_LIBS)
t_unit_test_engine_admission_LDADD = $(DAEMON_TEST_LIBS)
t_unit_test_engine_diskshare_LDADD = $(DAEMON_TEST_LIBS)
t_unit_test_engine_episode_LDADD = $(DAEMON_TEST_LIBS)
t_unit_test_engine_lanes_LDADD = $(DAEMON_TEST_LIBS)
t_unit_test_engine_lease_LDADD = $(DAEMON_TEST_LIBS)
t_unit_test_engine_overload_LDADD = $(DAEMON_TEST_LIBS)
t_unit_test_engine_passing_LDADD = $(DAEMON_TEST_LIBS)
t_unit_test_engine_rbd_LDADD = $(DAEMON_TEST_LIBS)
t_unit_test_engine_release_LDADD = $(DAEMON_TEST_LIBS)
t_unit_test_engine_round_LDADD = $(DAEMON_TEST_LIBS)
t_unit_test_engine_share_LDADD = $(DAEMON_TEST_LIBS)
t_unit_test_engine_state_LDADD = $(DAEMON_TEST_LIBS)
t_unit_test_engine_luck_LDADD = $(DAEMON_TEST_LIBS)
t_unit_test_engine_trial_LDADD = $(DAEMON_TEST_LIBS)
t_unit_test_engine_vf_LDADD = $(DAEMON_TEST_LIBS)
t_unit_test_engine_vf_left_LDADD = $(DAEMON_TEST_LIBS)
t_unit_test_lease_LDADD = $(DAEMON_TEST_LIBS)
t_unit_test_hook_LDADD = $(DAEMON_TEST_LIBS)
t_unit_test_methods_LDADD = $(DAEMON_TEST_LIBS)
t_unit_test_replay_LDADD = $(DAEMON_TEST_LIBS)
t_unit_test_varlink_LDADD = $(DAEMON_TEST_LIBS)
t_unit_test_view_LDADD = $(DAEMON_TEST_LIBS)
t_unit_fake_qosd_LDADD = $(DAEMON_TEST_LIBS)

# One target and one main; with --enable-fuzzing libFuzzer brings the main.
if FUZZING
FUZZ_MAIN =
else
FUZZ_MAIN = t/fuzz/fuzz_main.c
endif
t_fuzz_fuzz_ceph_conf_SOURCES = t/fuzz/fuzz_ceph_conf.c $(FUZZ_MAIN)
t_fuzz_fuzz_ceph_conf_LDADD = $(DAEMON_TEST_LIBS)
t_fuzz_fuzz_ceph_conf_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
t_fuzz_fuzz_conf_SOURCES = t/fuzz/fuzz_conf.c $(FUZZ_MAIN)
t_fuzz_fuzz_conf_LDADD = $(DAEMON_TEST_LIBS)
t_fuzz_fuzz_conf_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
t_fuzz_fuzz_cpuset_SOURCES = t/fuzz/fuzz_cpuset.c $(FUZZ_MAIN)
t_fuzz_fuzz_cpuset_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
t_fuzz_fuzz_domain_xml_SOURCES = t/fuzz/fuzz_domain_xml.c $(FUZZ_MAIN)
t_fuzz_fuzz_domain_xml_LDADD = $(DAEMON_TEST_LIBS)
t_fuzz_fuzz_domain_xml_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
t_fuzz_fuzz_episode_SOURCES = t/fuzz/fuzz_episode.c $(FUZZ_MAIN)
t_fuzz_fuzz_episode_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
t_fuzz_fuzz_metrics_SOURCES = t/fuzz/fuzz_metrics.c tools/exporter_metrics.c tools/json.c $(FUZZ_MAIN)
t_fuzz_fuzz_metrics_LDADD = libqos-core.a $(JANSSON_LIBS) -lm
t_fuzz_fuzz_metrics_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
t_fuzz_fuzz_proc_SOURCES = t/fuzz/fuzz_proc.c $(FUZZ_MAIN)
t_fuzz_fuzz_proc_LDADD = $(DAEMON_TEST_LIBS)
t_fuzz_fuzz_proc_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
t_fuzz_fuzz_record_SOURCES = t/fuzz/fuzz_record.c $(FUZZ_MAIN)
t_fuzz_fuzz_record_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
t_fuzz_fuzz_varlink_SOURCES = t/fuzz/fuzz_varlink.c $(FUZZ_MAIN)
t_fuzz_fuzz_varlink_LDADD = $(DAEMON_TEST_LIBS)
t_fuzz_fuzz_varlink_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
t_fuzz_fuzz_unit_SOURCES = t/fuzz/fuzz_unit.c $(FUZZ_MAIN)
t_fuzz_fuzz_unit_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)

AM_TESTS_ENVIRONMENT = \
	top_srcdir='$(abs_top_srcdir)'; export top_srcdir; \
	top_builddir='$(abs_top_builddir)'; export top_builddir; \
	HOOK_BIN='$(abs_top_builddir)/tools/50-qosd'; export HOOK_BIN; \
	FIXTURES='$(abs_top_srcdir)/t/fixtures'; export FIXTURES; \
	LIBVIRT_DEBUG=; export LIBVIRT_DEBUG; \
	ASAN_OPTIONS=detect_leaks=1; export ASAN_OPTIONS;

# ---- the simulation: overload protection against a model of a host (t/sim/README.md) -------------
check_PROGRAMS += t/sim/sim
TESTS += t/sim/sim
t_sim_sim_SOURCES = \
	t/sim/actuator.c \
	t/sim/actuator.h \
	t/sim/load.c \
	t/sim/load.h \
	t/sim/measure.c \
	t/sim/measure.h \
	t/sim/run.c \
	t/sim/run.h \
	t/sim/scenario.h \
	t/sim/scenarios_base.c \
	t/sim/scenarios_cpu.c \
	t/sim/scenarios_hard.c \
	t/sim/scenarios_io.c \
	t/sim/scenarios_memory.c \
	t/sim/scenarios_trouble.c \
	t/sim/sensor.c \
	t/sim/sensor.h \
	t/sim/series.c \
	t/sim/series_private.h \
	t/sim/sim.c \
	t/sim/world.c \
	t/sim/world.h \
	t/sim/world_cpu.c \
	t/sim/world_disk.c \
	t/sim/world_memory.c \
	t/sim/world_net.c
t_sim_sim_LDADD = libqos-core.a -lm

# ---- benchmarks: built and run by hand or by t/bench/run ----------------------------------------
BENCHMARKS = t/bench/bench_engine t/bench/bench_plan t/bench/bench_scrape t/bench/bench_sensor \
	t/bench/bench_share t/bench/bench_tick t/bench/bench_watch t/bench/rbd_call
EXTRA_PROGRAMS = $(BENCHMARKS) $(LAB_TOOLS)
CLEANFILES += $(EXTRA_PROGRAMS)
t_bench_bench_engine_LDADD = $(DAEMON_TEST_LIBS)
t_bench_bench_tick_LDADD = $(DAEMON_TEST_LIBS)
t_bench_bench_watch_LDADD = $(DAEMON_TEST_LIBS)
t_bench_bench_plan_LDADD = libqos-core.a
t_bench_bench_share_LDADD = libqos-core.a
t_bench_bench_scrape_SOURCES = t/bench/bench_scrape.c tools/exporter_metrics.c tools/json.c
t_bench_bench_scrape_LDADD = $(DAEMON_TEST_LIBS)
t_bench_bench_sensor_LDADD = $(HOST_TEST_LIBS) -lpthread
t_bench_rbd_call_LDADD = $(HOST_TEST_LIBS)
bench: $(BENCHMARKS)
.PHONY: bench

# ---- for developers ------------------------------------------------------------------------------
format:
	cd $(top_srcdir) && git ls-files '*.c' '*.h' | xargs clang-format -i
update-golden: t/conf/run_golden
	$(AM_TESTS_ENVIRONMENT) t/conf/run_golden --update
.PHONY: format update-golden

dist-hook:
	tar -C $(top_srcdir) --exclude='*.o' --exclude='*.log' --exclude='*.trs' --exclude=.deps \
		--exclude=.dirstamp -cf - t .ci/run quickstart bootstrap .clang-format \
		.editorconfig README.md ARCHITECTURE.md CONTRIBUTING.md doc | \
		tar -C $(distdir) -xf -
