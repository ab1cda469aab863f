//! In and out of the kernel: exceptions and interrupts. System calls come in by [`super::syscall`].
//!
//! An entry from user mode saves every register into the current thread's [`UserContext`], whose frame's end is the stack pointer
//! that the processor takes (TSS RSP0), then changes to the core's kernel stack. The handler says which context to leave
//! with. Interrupts are off in the kernel except while it idles; an interrupt then does not return to
//! the idle loop but starts at the top of the stack again. An exception in kernel mode is the kernel's end.

use super::context::{FIXED_FLAGS, UserContext};
use super::cpu;
use super::percore::{self, FaultStack, offset};
use super::syscall::{resume, thread_at};
use super::{X86, apic, fpu, idt, kernel};
use crate::Next;
use crate::arch::Interrupt;
use crate::object::thread::{Fault, Thread};
use core::arch::{asm, global_asm};
use core::mem::offset_of;
use motte_abi::fault::FaultKind;

/// First vector of devices.
pub const DEVICE_VECTOR: usize = 0x30;
/// First vector that is not a device's.
pub const DEVICE_VECTOR_END: usize = 0xf0;
/// The core's timer.
pub const TIMER_VECTOR: usize = 0xf0;
/// Raised by the local APIC when an interrupt vanished before it was taken.
pub const SPURIOUS_VECTOR: usize = 0xff;

global_asm!(
    r#"
    .text
    .macro push_registers
    .irp register, rax, rcx, rdx, rsi, rdi, r8, r9, r10, r11, rbx, rbp, r12, r13, r14, r15
    push \register
    .endr
    .endm

    .macro pop_registers registers:vararg
    .irp register, \registers
    pop \register
    .endr
    .endm

    // One stub per vector, 16 bytes each: make every frame look alike, with error code and vector.
    .balign 16
    .global vector_stubs
vector_stubs:
    .set vector, 0
    .rept 256
    .balign 16
    .if vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || vector == 29 || vector == 30
    .else
    push 0
    .endif
    .byte 0x6a, vector              // push: sign-extended, only the low byte counts
    .if vector == 8 || vector == 18
    jmp broken_entry                // on a stack of its own, whatever it came out of
    .else
    jmp interrupt_entry
    .endif
    .set vector, vector + 1
    .endr

    .balign 16
    .global nmi_entry
nmi_entry:
    iretq

    .balign 16
interrupt_entry:
    test byte ptr [rsp + 24], 3
    jz kernel_entry
    swapgs
    push_registers
    lea rdi, [rsp - {r15}]
    mov qword ptr [rdi + {resume}], 0
    test byte ptr gs:[{has_smap}], 1
    jz 2f
    clac
2:
    mov rsp, gs:[{stack_top}]
    xor ebp, ebp
    cld
    call interrupt_from_user
    jmp leave_kernel

    // Out of kernel mode: an interrupt while idle, or an exception that must not be.
kernel_entry:
    cmp dword ptr [rsp], 32
    jge 3f
    cmp dword ptr [rsp], 0
    jge broken_entry
3:
    mov edi, [rsp]
    mov rsp, gs:[{stack_top}]
    xor ebp, ebp
    call interrupt_from_idle
    jmp leave_kernel
broken_entry:
    push_registers
    mov rdi, rsp
    // The frame pointer chain goes on: a return address of where it happened.
    push qword ptr [rsp + 17 * 8]
    push rbp
    mov rbp, rsp
    and rsp, -16
    cld
    call exception_in_kernel
    ud2

    // Into user mode with the context at rax.
    .balign 16
    .global leave_kernel
leave_kernel:
    cmp qword ptr [rax + {resume}], 0
    lea rsp, [rax + {r15}]
    pop_registers r15, r14, r13, r12, rbp, rbx
    je 5f
    add rsp, 8                      // r11: the flags
    pop_registers r10, r9, r8, rdi, rsi, rdx
    add rsp, 8                      // rcx: the instruction pointer
    pop rax
    mov rcx, [rsp + 16]
    mov r11d, {flags}
    mov rsp, [rsp + 40]
    swapgs
    sysretq
5:
    mov qword ptr [rax + {resume}], 1
    pop_registers r11, r10, r9, r8, rdi, rsi, rdx, rcx, rax
    add rsp, 16
    swapgs
    iretq
    "#,
    resume = const offset_of!(UserContext, resume),
    r15 = const offset_of!(UserContext, r15),
    stack_top = const offset::STACK_TOP,
    has_smap = const offset::HAS_SMAP,
    flags = const FIXED_FLAGS,
);

// The order that the pushes above produce.
const _: () = {
    let end = offset_of!(UserContext, resume);
    assert!(end % 16 == 0, "the processor aligns the stack before it pushes");
    assert!(offset_of!(UserContext, rip) + 40 == end);
    assert!(offset_of!(UserContext, vector) + 56 == end);
    assert!(offset_of!(UserContext, rax) + 64 == end);
    assert!(offset_of!(UserContext, r15) + 22 * 8 == end);
};

unsafe extern "C" {
    static vector_stubs: [u8; 256 * 16];
    fn nmi_entry();
    fn leave_kernel();
}

/// Makes this core enter by the stubs above. After `percore::initialise`.
pub fn initialise() {
    let stubs = (&raw const vector_stubs) as u64;
    for vector in 0..256 {
        idt::set(vector, stubs + 16 * vector as u64);
    }
    idt::set(2, nmi_entry as *const () as u64);
    idt::use_stack(2, FaultStack::NonMaskable);
    idt::use_stack(8, FaultStack::DoubleFault);
    idt::use_stack(18, FaultStack::MachineCheck);
    idt::allow_user(3);
    idt::load();
}

/// Makes what the kernel decided come true as far as it can be done before the registers are loaded.
pub(super) fn proceed(next: Next<'_, X86>) -> *const UserContext {
    match next {
        Next::Run(context) => enter_thread(context),
        Next::Idle => wait_for_interrupt(),
    }
}

/// The same, where a thread runs.
pub(super) fn enter_thread(context: &UserContext) -> &UserContext {
    context.make_resumable();
    percore::current().set_current(context);
    context
}

/// Waits for an interrupt, which does not come back here.
#[unsafe(no_mangle)]
extern "C" fn wait_for_interrupt() -> ! {
    loop {
        // SAFETY: interrupts are taken on the kernel stack, which holds nothing that anybody will return to.
        unsafe { asm!("sti", "hlt", options(nomem, nostack)) };
    }
}

/// Leaves the kernel without coming back to where it was entered.
pub fn leave(next: Next<'_, X86>) -> ! {
    load(proceed(next))
}

/// Leaves with all registers of a context. Those of the thread before hold nothing that it has a right to see again, or have been saved.
#[inline(always)]
pub(super) fn load(context: *const UserContext) -> ! {
    // SAFETY: the context is a complete user state, and nothing on this stack is needed any more.
    unsafe { asm!("jmp {}", sym leave_kernel, in("rax") context, options(noreturn)) }
}

#[unsafe(no_mangle)]
extern "C" fn interrupt_from_user(context: &UserContext) -> *const UserContext {
    let (vector, error) = ((context.vector.get() & 0xff) as usize, context.error.get());
    // SAFETY: the context is where this core's entries save to.
    let thread = unsafe { thread_at(context.frame_end()) };
    let (kind, address) = match vector {
        14 => (FaultKind::PageFault, cpu::fault_address()),
        32.. => return interrupt(Some(thread), vector),
        // The floating-point unit is not available.
        7 => {
            fpu::give(context);
            context.make_resumable();
            return context;
        }
        0 => (FaultKind::DivideError, 0),
        1 => (FaultKind::Debug, 0),
        3 => (FaultKind::Breakpoint, 0),
        6 => (FaultKind::IllegalInstruction, 0),
        11..=13 => (FaultKind::GeneralProtection, 0),
        16 | 19 => (FaultKind::FloatingPoint, 0),
        17 => (FaultKind::Alignment, 0),
        _ => (FaultKind::Other, vector as u64),
    };
    let fault = Fault { kind, address, code: error };
    let core = percore::core();
    core.machine.let_fpu(false);
    if let Some(handler) = kernel().fast_fault(core, thread, fault) {
        percore::save_bases(context);
        resume(core, handler);
    }
    proceed(kernel().exception(core, thread, fault))
}

#[unsafe(no_mangle)]
extern "C" fn interrupt_from_idle(vector: u32) -> *const UserContext {
    interrupt(None, (vector & 0xff) as usize)
}

fn interrupt(thread: Option<&Thread<X86>>, vector: usize) -> *const UserContext {
    let interrupt = match vector {
        DEVICE_VECTOR..DEVICE_VECTOR_END => Interrupt::Device(vector - DEVICE_VECTOR),
        TIMER_VECTOR if apic::timer_is_due() => Interrupt::Timer,
        _ => Interrupt::Wake,
    };
    let next = kernel().interrupt(percore::core(), thread, interrupt);
    // After the kernel has masked the line: a level-triggered one would come again at once.
    if vector != SPURIOUS_VECTOR {
        apic::end_of_interrupt();
    }
    proceed(next)
}

/// Registers of a kernel-mode exception, as pushed.
#[repr(C)]
pub struct KernelFrame {
    registers: [u64; 15],
    vector: u64,
    error: u64,
    rip: u64,
    cs: u64,
    rflags: u64,
    rsp: u64,
}

/// The general registers in the order they were pushed, last first.
struct Registers<'f>(&'f [u64; 15]);

impl core::fmt::Display for Registers<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        const NAMES: &str = "r15r14r13r12rbprbxr11r10r9 r8 rdirsirdxrcxrax";
        for (index, value) in self.0.iter().enumerate() {
            let separator = if index % 5 == 0 { "\n " } else { "" };
            write!(f, "{separator} {} {value:#018x}", &NAMES[3 * index..3 * index + 3])?;
        }
        Ok(())
    }
}

#[unsafe(no_mangle)]
extern "C" fn exception_in_kernel(frame: &KernelFrame) -> ! {
    let vector = (frame.vector & 0xff) as usize;
    panic!(
        "{} at {:#x}, error code {:#x}, address {:#x}, stack {:#x}, flags {:#x}, code segment {:#x}{}",
        idt::name(vector),
        frame.rip,
        frame.error,
        cpu::fault_address(),
        frame.rsp,
        frame.rflags,
        frame.cs,
        Registers(&frame.registers),
    )
}
