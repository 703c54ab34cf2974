# SPDX-License-Identifier: GPL-2.0-or-later
#
# The eBPF programs: clang makes the object, bpftool the skeleton that user space includes as
# "bpf/NAME.skel.h" from the build directory.

BPF_TARGET_CFLAGS = -target bpf -mcpu=v2 -O2 -g -Wall -Wextra -Werror -I$(top_srcdir)

EXTRA_DIST += bpf/edt.bpf.c bpf/edt.h bpf/edt_codel.h bpf/edt_line.h bpf/hostcount.bpf.c \
	bpf/hostcount.h bpf/vcpu.bpf.c bpf/vcpu.h
BUILT_SOURCES += bpf/edt.skel.h bpf/hostcount.skel.h bpf/vcpu.skel.h
CLEANFILES += bpf/edt.bpf.o bpf/edt.skel.h bpf/hostcount.bpf.o bpf/hostcount.skel.h bpf/vcpu.bpf.o bpf/vcpu.skel.h

bpf/edt.bpf.o: $(top_srcdir)/bpf/edt.bpf.c $(top_srcdir)/bpf/edt.h $(top_srcdir)/bpf/edt_codel.h \
		$(top_srcdir)/bpf/edt_line.h
	@$(MKDIR_P) bpf
	$(CLANG) $(BPF_TARGET_CFLAGS) -I/usr/include/`uname -m`-linux-gnu \
		-c $(top_srcdir)/bpf/edt.bpf.c -o $@

bpf/edt.skel.h: bpf/edt.bpf.o
	$(BPFTOOL) gen skeleton bpf/edt.bpf.o name edt > $@.new
	mv -f $@.new $@

bpf/hostcount.bpf.o: $(top_srcdir)/bpf/hostcount.bpf.c $(top_srcdir)/bpf/hostcount.h
	@$(MKDIR_P) bpf
	$(CLANG) $(BPF_TARGET_CFLAGS) -I/usr/include/`uname -m`-linux-gnu \
		-c $(top_srcdir)/bpf/hostcount.bpf.c -o $@

bpf/hostcount.skel.h: bpf/hostcount.bpf.o
	$(BPFTOOL) gen skeleton bpf/hostcount.bpf.o name hostcount > $@.new
	mv -f $@.new $@

bpf/vcpu.bpf.o: $(top_srcdir)/bpf/vcpu.bpf.c $(top_srcdir)/bpf/vcpu.h
	@$(MKDIR_P) bpf
	$(CLANG) $(BPF_TARGET_CFLAGS) -I/usr/include/`uname -m`-linux-gnu \
		-c $(top_srcdir)/bpf/vcpu.bpf.c -o $@

bpf/vcpu.skel.h: bpf/vcpu.bpf.o
	$(BPFTOOL) gen skeleton bpf/vcpu.bpf.o name vcpu > $@.new
	mv -f $@.new $@
