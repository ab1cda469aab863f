//! The first instructions: from the boot loader's 32-bit mode (PVH) into 64-bit mode in the upper half.
//!
//! The page tables used here are constants of the image: the first GiB of memory, in 2 MiB pages, at address 0 (which the
//! switch itself needs), at the direct map, and at the kernel's own addresses. [`super::paging`] replaces them.
//! Nothing is checked: a processor without 64-bit mode cannot run this kernel, and has no way to say so.

use core::arch::global_asm;

/// Bytes of the stack until the core has its own, guarded one.
const BOOT_STACK_BYTES: usize = 16384;

global_asm!(
    r#"
    .section .note.pvh, "a", @note
    .balign 4
    .long 4, 4, 18
    .asciz "Xen"
    .long pvh_entry - {offset}

    .section .text.pvh, "ax", @progbits
    .code32
    .global pvh_entry
pvh_entry:
    cld
    cli
    mov esp, offset boot_gdt_pointer - {offset}
    lgdt [esp]
    mov eax, cr4
    or eax, 0x20                    // PAE
    mov cr4, eax
    mov eax, offset boot_root - {offset}
    mov cr3, eax
    mov ecx, 0xc0000080             // EFER: long mode
    rdmsr
    or eax, 0x100
    wrmsr
    mov eax, cr0
    or eax, 0x80010001              // paging, write protection
    mov cr0, eax
    mov eax, offset pvh_entry64 - {offset}
    // A far return needs a stack: its two words lie in the boot stack's low alias.
    mov esp, offset boot_stack_top - {offset}
    push 8
    push eax
    retf

    .code64
pvh_entry64:
    movabs rax, offset pvh_entry_high
    jmp rax
pvh_entry_high:
    mov rsp, offset boot_stack_top
    xor eax, eax
    mov ds, eax
    mov es, eax
    mov ss, eax
    mov fs, eax
    mov gs, eax
    xor ebp, ebp
    mov edi, ebx                    // physical address of hvm_start_info
    call kernel_main
    ud2

    .section .rodata.pvh, "a", @progbits
    .balign 8
boot_gdt:
    .quad 0
    .quad 0x00af9b000000ffff        // 64-bit code
boot_gdt_pointer:
    .word 15
    .long boot_gdt - {offset}

    .section .data.pages, "aw", @progbits
    .balign 4096
boot_root:
    .quad boot_low - {offset} + 3
    .fill 255, 8, 0
    .quad boot_low - {offset} + 3   // the direct map
    .fill 254, 8, 0
    .quad boot_high - {offset} + 3
boot_low:
    .quad boot_first_gib - {offset} + 3
    .fill 511, 8, 0
boot_high:
    .fill 510, 8, 0
    .quad boot_first_gib - {offset} + 3
    .quad 0
boot_first_gib:
    .set page, 0
    .rept 512
    .quad page * 0x200000 + 0x83
    .set page, page + 1
    .endr

    .section .bss.boot_stack, "aw", @nobits
    .balign 16
    .global boot_stack
boot_stack:
    .skip {stack}
    .global boot_stack_top
boot_stack_top:
    .text
    "#,
    offset = const super::paging::KERNEL_OFFSET,
    stack = const BOOT_STACK_BYTES,
);
