# SPDX-License-Identifier: GPL-2.0-or-later
#
# The lab's own programs: `make lab-programs` puts them below $(builddir)/t/lab/.
#   qosguest.rom  what real QEMU runs in place of a BIOS (qosguest.elf: the same with symbols)
#   lab-light     the stand-in emulator
#   lab-netio     traffic, measuring, and reading what a guest did
#   lab-farewell.so   preloaded into libvirtd: tells how it forgets a client

lab_guest_sources = \
	$(top_srcdir)/t/lab/guest/main.c \
	$(top_srcdir)/t/lab/guest/cpu.c \
	$(top_srcdir)/t/lab/guest/balloon.c \
	$(top_srcdir)/t/lab/guest/disk.c \
	$(top_srcdir)/t/lab/guest/net.c \
	$(top_srcdir)/t/lab/guest/pci.c \
	$(top_srcdir)/t/lab/guest/serial.c \
	$(top_srcdir)/t/lab/guest/service.c \
	$(top_srcdir)/t/lab/guest/virtio.c
lab_guest_others = \
	$(top_srcdir)/t/lab/guest/boot.S \
	$(top_srcdir)/t/lab/guest/guest.h \
	$(top_srcdir)/t/lab/guest/guest.ld \
	$(top_srcdir)/t/lab/guest/page.h
lab_warnings = -Wall -Wextra -Wshadow -Wformat=2 -Wmissing-prototypes -Wstrict-prototypes \
	-Wpointer-arith -Wvla -Wimplicit-fallthrough
lab_guest_cflags = -m32 -march=i686 -std=gnu11 -O2 -g $(lab_warnings) -ffreestanding \
	-fno-pic -fno-pie -fno-stack-protector -fno-asynchronous-unwind-tables -fcf-protection=none \
	-mno-sse -mno-mmx -mno-80387 -mgeneral-regs-only -nostdlib -nostartfiles -static

$(builddir)/t/lab/qosguest.elf: $(lab_guest_sources) $(lab_guest_others)
	@mkdir -p $(builddir)/t/lab
	$(CC) $(lab_guest_cflags) -I$(top_srcdir) -Wl,-T,$(top_srcdir)/t/lab/guest/guest.ld \
		-Wl,--build-id=none -o $@ $(top_srcdir)/t/lab/guest/boot.S $(lab_guest_sources)

$(builddir)/t/lab/qosguest.rom: $(builddir)/t/lab/qosguest.elf
	objcopy -O binary -j .text -j .reset --gap-fill 0xff $< $@

lab_netio_sources = \
	$(top_srcdir)/t/lab/netio/main.c \
	$(top_srcdir)/t/lab/netio/blast.c \
	$(top_srcdir)/t/lab/netio/flow.c \
	$(top_srcdir)/t/lab/netio/ping.c \
	$(top_srcdir)/t/lab/netio/rate.c \
	$(top_srcdir)/t/lab/netio/say.c \
	$(top_srcdir)/t/lab/netio/series.c \
	$(top_srcdir)/t/lab/netio/stat.c \
	$(top_srcdir)/t/lab/netio/util.c \
	$(top_srcdir)/t/lab/netio/wire.c
lab_cflags = -std=gnu11 -O2 -g $(lab_warnings) -D_GNU_SOURCE -I$(top_srcdir) -pthread

$(builddir)/t/lab/lab-netio: $(lab_netio_sources) $(top_srcdir)/t/lab/netio/netio.h \
		$(top_srcdir)/t/lab/guest/page.h
	@mkdir -p $(builddir)/t/lab
	$(CC) $(lab_cflags) -o $@ $(lab_netio_sources)

lab_light_sources = \
	$(top_srcdir)/t/lab/light/main.c \
	$(top_srcdir)/t/lab/light/nic.c \
	$(top_srcdir)/t/lab/light/qmp.c \
	$(top_srcdir)/t/lab/light/serial.c \
	$(top_srcdir)/t/lab/light/vcpu.c

$(builddir)/t/lab/lab-light: $(lab_light_sources) $(top_srcdir)/t/lab/light/light.h \
		$(top_srcdir)/t/lab/guest/page.h
	@mkdir -p $(builddir)/t/lab
	$(CC) $(lab_cflags) -o $@ $(lab_light_sources) -ljansson

$(builddir)/t/lab/lab-farewell.so: $(top_srcdir)/t/lab/farewell.c
	@mkdir -p $(builddir)/t/lab
	$(CC) $(lab_cflags) -shared -fPIC -o $@ $<

EXTRA_DIST += t/lab/farewell.c $(lab_guest_sources) $(lab_guest_others) $(lab_netio_sources) $(lab_light_sources) \
	t/lab/netio/netio.h t/lab/light/light.h t/lab/guest/README.md \
	t/lab/bin/lab-guest t/lab/bin/lab-net
CLEANFILES += t/lab/qosguest.elf t/lab/qosguest.rom t/lab/lab-netio t/lab/lab-light \
	t/lab/lab-farewell.so

lab-programs: $(builddir)/t/lab/qosguest.rom $(builddir)/t/lab/lab-netio \
	$(builddir)/t/lab/lab-light $(builddir)/t/lab/lab-farewell.so
.PHONY: lab-programs
