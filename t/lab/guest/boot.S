/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From the reset vector to C. The image is a 64 KiB ROM that takes the place of the BIOS: nothing
 * runs before it, so a guest is up within milliseconds.
 *
 * It is linked to run at 1 MiB. The first vCPU copies the ROM there and calls guest_main(); the
 * others start in real mode at AP_PAGE and call guest_ap(index). All interrupts share one handler
 * that acknowledges and notes "look at the devices"; the work is done by the loop in main.c.
 */
#define ROM_LOW 0xF0000		/* where the chipset shows the ROM below 1 MiB */
#define ROM_HIGH 0xFFFF0000
#define ROM_BYTES 0x10000
#define LINKED 0x100000
#define AP_PAGE 0x7000
#define STACK_BYTES 4096

	.section .rom, "ax"
	.code16
	.globl rom_start
rom_start:
	cli
	cld
	lgdtl	%cs:(gdt_pointer - rom_start)
	movl	%cr0, %eax
	orl	$1, %eax
	movl	%eax, %cr0
	ljmpl	$8, $(ROM_LOW + (copy_rom - rom_start))

	.code32
copy_rom:
	movw	$16, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	movl	$ROM_HIGH, %esi
	movl	$LINKED, %edi
	movl	$(ROM_BYTES / 4), %ecx
	rep movsl
	movl	$in_ram, %eax
	jmp	*%eax
in_ram:
	movl	$bss_start, %edi
	movl	$bss_end, %ecx
	subl	%edi, %ecx
	xorl	%eax, %eax
	rep stosb
	movl	$ap_start, %esi
	movl	$AP_PAGE, %edi
	movl	$(ap_end - ap_start), %ecx
	rep movsb
	lgdtl	ap_gdt_pointer
	movl	$(stacks + STACK_BYTES), %esp
	call	guest_main
1:	hlt
	jmp	1b

	/* Every other vCPU: CS is AP_PAGE >> 4. */
	.code16
ap_start:
	cli
	cld
	lgdtl	%cs:(ap_gdt_pointer - ap_start)
	movl	%cr0, %eax
	orl	$1, %eax
	movl	%eax, %cr0
	ljmpl	$8, $ap_in_ram
	.balign	4
ap_gdt_pointer:
	.word	gdt_end - gdt - 1
	.long	gdt
ap_end:

	.code32
ap_in_ram:
	movw	$16, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	movl	$1, %eax
	lock xaddl %eax, cpus_up
	movl	%eax, %ecx
	incl	%ecx
	shll	$12, %ecx
	leal	stacks(%ecx), %esp
	pushl	%eax
	call	guest_ap
1:	hlt
	jmp	1b

	.balign	8
gdt:	.quad	0
	.quad	0x00cf9a000000ffff
	.quad	0x00cf92000000ffff
gdt_end:
gdt_pointer:
	.word	gdt_end - gdt - 1
	.long	ROM_LOW + (gdt - rom_start)

	/* Device, serial and wake-up interrupts. */
	.globl	on_interrupt
on_interrupt:
	movl	$1, devices_pending
	movl	$0, 0xFEE000B0
	iret

	.globl	on_spurious
on_spurious:
	iret

	/* CPU faults: note the vector of the first one and stop this vCPU. */
	.globl	fault_entries
	.balign	8
fault_entries:
	.set	vector, 0
	.rept	32
	.balign	8
	movb	$vector + 1, %al
	jmp	on_fault
	.set	vector, vector + 1
	.endr
on_fault:
	movzbl	%al, %eax
	movl	%eax, guest_fault
1:	cli
	hlt
	jmp	1b

	.section .note.GNU-stack, "", @progbits
	.section .reset, "ax"
	.code16
	ljmp	$0xF000, $0

	.bss
	.balign	4096
	.globl	cpus_up
stacks:	.skip	STACK_BYTES * 65
cpus_up: .skip	4
	.globl	devices_pending
devices_pending: .skip 4
	.globl	guest_fault
guest_fault: .skip 4
