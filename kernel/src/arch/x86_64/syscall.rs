//! System calls, in and out.
//!
//! Two calls make up nearly all traffic, `Call` and `ReplyReceive`, and have a short path ([`crate::ipc::fast`]). It saves only what the
//! thread will need again (instruction and stack pointer), because the call's ABI ([`motte_abi::syscall`]) lets the kernel clobber the
//! rest; and it leaves the message words in their registers: those are the ones that compiled code preserves, so they
//! arrive where they were. When the short path does not apply nothing has been changed, the registers are saved
//! in full, and the general path begins.

use super::context::{FIXED_FLAGS, FRAME_END, UserContext};
use super::cpu::{self, Features, msr};
use super::entry::{enter_thread, leave, load, proceed};
use super::percore::{self, offset};
use super::{X86, kernel, paging};
use crate::Next;
use crate::arch::Context;
use crate::cap::slot::Slot;
use crate::ipc::fast::{Answer, Handover};
use crate::ipc::notification::Short;
use crate::object::endpoint::Endpoint;
use crate::object::thread::Thread;
use crate::sched::Core;
use core::arch::{asm, global_asm};
use core::mem::offset_of;
use motte_abi::{Error, Rights, Syscall};

/// How to leave after a lean call: the thread goes on.
const GO_ON: u64 = 0;
/// How to leave: with the registers that the context holds.
const SWITCH: u64 = 1;
/// How to leave: the call is not lean, make it by the general path.
const GENERAL: u64 = 2;
/// How to leave: nobody runs.
const IDLE: u64 = 3;

global_asm!(
    r#"
    .text
    // What the thread with the frame at rax, which waited in a call, needs besides its results.
    .macro load_after_call
    mov rcx, [rax - {rip}]
    mov rsp, [rax - {rsp}]
    mov r8, [rax + {tls}]
    wrfsbase r8
    swapgs
    xor r9d, r9d
    wrgsbase r9
    mov r11d, {flags}
    xor r10d, r10d                  // of what the kernel had in registers, nothing is shown
    .endm

    // Out with the frame at rax, the badge in rdi and the description of the message in rdx.
    .macro leave_with_message
    mov rsi, rdx
    load_after_call
    xor eax, eax
    sysretq
    .endm

    .balign 64
    .global short_syscall_entry
short_syscall_entry:
    cmp rax, {reply_receive}
    ja syscall_entry
    swapgs
    mov r8, gs:[{frame_end}]
    mov [r8 - {rsp}], rsp
    mov [r8 - {rip}], rcx
    mov rsp, gs:[{stack_top}]       // moves leave the flags as they are
    je 2f
    call fast_call                  // gives the frame to leave with in rax, the description of the message in rdx
    test rax, rax
    jz 3f
    mov rdi, [rax - {badge}]
    leave_with_message

    .balign 64
2:
    call fast_reply_receive
    test rax, rax
    jz 3f
    xor edi, edi                    // an answer has no badge
    leave_with_message

    // Any other call. Its number and arguments are saved; the message words stay where they are and are saved only if another
    // thread runs next.
    .balign 16
    .global syscall_entry
syscall_entry:
    swapgs
    mov r11, gs:[{frame_end}]
    mov [r11 - {rip}], rcx; mov [r11 - {rsp}], rsp
    mov [r11 - {rax}], rax; mov [r11 - {rdi}], rdi; mov [r11 - {rsi}], rsi; mov [r11 - {rdx}], rdx
    mov [r11 - {r8}], r8; mov [r11 - {r9}], r9; mov [r11 - {r10}], r10
    mov [r11 - {rbp}], rbp          // for whoever looks at a thread that waits
    mov rsi, rax
    mov rdx, r11
    mov rsp, gs:[{stack_top}]
    mov gs:[{scratch}], r11
    call lean_syscall               // gives the frame to leave with in rax, and how in edx
    test edx, edx
    jnz 4f
    // The thread goes on: its results only.
    mov rdi, [rax - {rdi}]; mov rsi, [rax - {rsi}]; mov rdx, [rax - {rdx}]
    mov rcx, [rax - {rip}]; mov rsp, [rax - {rsp}]
    mov r11d, {flags}
    // Of use to a call that is made again.
    mov r8, [rax - {r8}]; mov r9, [rax - {r9}]; mov r10, [rax - {r10}]; mov rax, [rax - {rax}]
    swapgs
    sysretq

    // Out with the frame at rax, of a thread that waited in a call. The one before has given its message words up.
    .balign 16
    .global leave_after_call
leave_after_call:
    mov r12, [rax - {r12}]; mov r13, [rax - {r13}]; mov r14, [rax - {r14}]; mov r15, [rax - {r15}]
    mov rbx, [rax - {rbx}]; mov rbp, [rax - {rbp}]
    mov rdi, [rax - {rdi}]; mov rsi, [rax - {rsi}]; mov rdx, [rax - {rdx}]
    load_after_call
    mov rax, [rax - {rax}]
    sysretq

    // A message that does not take the short path: its arguments have been saved, its words are now.
3:
    mov edx, {general}
    mov rcx, gs:[{frame_end}]
    mov gs:[{scratch}], rcx
4:
    mov rcx, gs:[{scratch}]
    mov [rcx - {r12}], r12; mov [rcx - {r13}], r13; mov [rcx - {r14}], r14; mov [rcx - {r15}], r15
    mov [rcx - {rbx}], rbx; mov [rcx - {rbp}], rbp
    xor ebp, ebp
    cmp edx, {general}
    je 5f
    cmp edx, {idle}
    je wait_for_interrupt
    sub rax, {frame_bytes}
    jmp leave_kernel
5:
    mov rdi, rcx
    mov rsp, gs:[{stack_top}]
    call syscall_from_user
    jmp leave_kernel
    "#,
    reply_receive = const Syscall::ReplyReceive as u64, frame_end = const offset::FRAME_END,
    stack_top = const offset::STACK_TOP, scratch = const offset::SCRATCH,
    tls = const offset_of!(UserContext, tls) as u64 - FRAME_END,
    badge = const FRAME_END + (Thread::<X86>::CONTEXT_OFFSET - Thread::<X86>::BADGE_OFFSET) as u64,
    rdi = const FRAME_END - offset_of!(UserContext, rdi) as u64,
    rip = const FRAME_END - offset_of!(UserContext, rip) as u64,
    rsp = const FRAME_END - offset_of!(UserContext, rsp) as u64,
    r12 = const FRAME_END - offset_of!(UserContext, r12) as u64,
    r13 = const FRAME_END - offset_of!(UserContext, r13) as u64,
    r14 = const FRAME_END - offset_of!(UserContext, r14) as u64,
    r15 = const FRAME_END - offset_of!(UserContext, r15) as u64,
    rbx = const FRAME_END - offset_of!(UserContext, rbx) as u64,
    rbp = const FRAME_END - offset_of!(UserContext, rbp) as u64, flags = const FIXED_FLAGS,
    r8 = const FRAME_END - offset_of!(UserContext, r8) as u64,
    r9 = const FRAME_END - offset_of!(UserContext, r9) as u64,
    r10 = const FRAME_END - offset_of!(UserContext, r10) as u64,
    rax = const FRAME_END - offset_of!(UserContext, rax) as u64,
    rsi = const FRAME_END - offset_of!(UserContext, rsi) as u64,
    rdx = const FRAME_END - offset_of!(UserContext, rdx) as u64, frame_bytes = const FRAME_END,
    general = const GENERAL, idle = const IDLE,
);

unsafe extern "C" {
    fn short_syscall_entry();
    fn syscall_entry();
    fn leave_after_call();
}

/// Makes this core take system calls. After `percore::initialise`.
pub fn initialise(features: &Features) {
    const TRAP: u64 = 1 << 8;
    const INTERRUPT: u64 = 1 << 9;
    const DIRECTION: u64 = 1 << 10;
    const NESTED: u64 = 1 << 14;
    const ALIGNMENT: u64 = 1 << 18;
    // As `percore` says: without these instructions no short path.
    let entry = if features.fsgsbase { short_syscall_entry } else { syscall_entry };
    // SAFETY: the registers exist on every 64-bit processor. The selectors are those of `percore`, the entry point is
    // above, and the flags cleared are those under which the kernel must not run.
    unsafe {
        cpu::write_msr(msr::STAR, percore::KERNEL_DATA << 48 | 3 << 48 | percore::KERNEL_CODE << 32);
        cpu::write_msr(msr::LSTAR, entry as *const () as u64);
        cpu::write_msr(msr::SFMASK, TRAP | INTERRUPT | DIRECTION | NESTED | ALIGNMENT);
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn syscall_from_user(frame_end: u64) -> *const UserContext {
    // SAFETY: the entry code passes what it read.
    let thread = unsafe { thread_at(frame_end) };
    proceed(kernel().syscall(percore::core(), thread))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn lean_syscall(first_argument: u64, number: u64, frame_end: u64) -> Leave {
    // SAFETY: the entry code passes what it read.
    let thread = unsafe { thread_at(frame_end) };
    if number >= Syscall::FIRST_OBJECT_CALL {
        return ordinary_call(thread, number);
    }
    match kernel().shortest_call(percore::core(), thread, number, first_argument) {
        Some(Short::GoesOn(status)) => {
            thread.context().set_status(status);
            Leave { frame_end, with: GO_ON }
        }
        Some(Short::Switches(slot)) => switching_call(thread, number, slot),
        None => ordinary_call(thread, number),
    }
}

/// A signal or a wait after which another thread may run.
#[inline(never)]
fn switching_call(thread: &Thread<X86>, number: u64, slot: &Slot) -> Leave {
    let core = percore::core();
    match kernel().short_switch(core, thread, number, slot) {
        Some(next) => resume(core, next),
        None => ordinary_call(thread, number),
    }
}

/// Any call that does not take a short path.
#[inline(never)]
fn ordinary_call(thread: &Thread<X86>, number: u64) -> Leave {
    let Some(call) = Syscall::lean_from_raw(number) else {
        return Leave { frame_end: thread.context().frame_end(), with: GENERAL };
    };
    percore::core().enter(thread);
    kernel().perform(thread, call);
    // The core's state is looked up again, which is shorter than to keep the address.
    let core = percore::core();
    match kernel().leave(core) {
        Next::Run(next) if core.machine.is_current(next) => Leave { frame_end: next.frame_end(), with: GO_ON },
        next => switch(next),
    }
}

/// How a call ends after which something else runs. The calling thread's registers are saved, unless it has destroyed itself.
#[inline(never)]
fn switch(next: Next<'_, X86>) -> Leave {
    match next {
        next if !percore::current().has_current() => leave(next),
        Next::Run(next) => Leave { frame_end: enter_thread(next).frame_end(), with: SWITCH },
        Next::Idle => Leave { frame_end: 0, with: IDLE },
    }
}

/// What the entry code is given: the end of the frame of the context to leave with, and in `with`
/// - after the short path of a message (frame 0: it did not apply) the description of the message,
/// - after any other call how to leave.
#[repr(C)]
struct Leave {
    frame_end: u64,
    with: u64,
}

/// The running thread, by the end of its context's frame.
///
/// # Safety
/// It must be what the entry code read from the core's task state.
pub(super) unsafe fn thread_at<'k>(frame_end: u64) -> &'k Thread<X86> {
    let thread = frame_end - FRAME_END - Thread::<X86>::CONTEXT_OFFSET as u64;
    // SAFETY: the context lies in the page of a thread, which runs, so it lives while the kernel lock is held.
    unsafe { &*core::ptr::with_exposed_provenance(thread as usize) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fast_call(endpoint: u64, info: u64, _reply: u64, _rip: u64, frame_end: u64) -> Leave {
    // SAFETY: the entry code passes what it read.
    let caller = unsafe { thread_at(frame_end) };
    let core = percore::core();
    match kernel().fast_call::<false>(core, caller, endpoint, info) {
        Some(handover) => hand_over(core, &handover),
        // In memory, so that the likely case above need not keep them apart.
        None => unusual_call(&[endpoint, info], caller),
    }
}

/// A call of a thread that uses the floating-point unit, with a long message, in error, or for the general path.
#[cold]
fn unusual_call(&[endpoint, info]: &[u64; 2], caller: &Thread<X86>) -> Leave {
    let core = percore::core();
    core.machine.let_fpu(false);
    if let Err(error) = kernel().object::<Endpoint<X86>>(caller, endpoint, Rights::SEND) {
        fail(caller.context(), error);
    }
    if let Some(handover) = kernel().fast_call::<true>(core, caller, endpoint, info) {
        return hand_over(core, &handover);
    }
    general(caller, Syscall::Call, [endpoint, info, 0])
}

/// The calling thread goes on with an error.
fn fail(context: &UserContext, error: Error) -> ! {
    context.set_status(error as u64);
    // The message registers get old values of their own: a message call preserves none.
    load(context)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fast_reply_receive(endpoint: u64, info: u64, reply: u64, _rip: u64, frame_end: u64) -> Leave {
    // SAFETY: the entry code passes what it read.
    let server = unsafe { thread_at(frame_end) };
    let core = percore::core();
    let faulted = match kernel().fast_reply_receive::<false>(core, server, endpoint, info, reply) {
        Some(Answer::Given(handover)) => return hand_over(core, &handover),
        Some(Answer::OfFault(faulted)) => Some(faulted),
        None => None,
    };
    unusual_reply(&[endpoint, info, reply], server, faulted)
}

/// An answer by a thread that uses the floating-point unit, to one that faulted, with a long message, or for the general path.
#[cold]
fn unusual_reply(&[endpoint, info, reply]: &[u64; 3], server: &Thread<X86>, faulted: Option<&Thread<X86>>) -> Leave {
    let core = percore::core();
    core.machine.let_fpu(false);
    if let Some(faulted) = faulted
        && let Some(faulted) = kernel().fast_fault_reply(core, server, endpoint, info, faulted)
    {
        resume(core, faulted);
    }
    if let Some(Answer::Given(handover)) = kernel().fast_reply_receive::<true>(core, server, endpoint, info, reply) {
        return hand_over(core, &handover);
    }
    general(server, Syscall::ReplyReceive, [endpoint, info, reply])
}

/// Makes the receiver the thread that the processor is in. The floating-point unit is withheld already: the short path does not apply
/// otherwise.
#[inline(always)]
fn hand_over(core: &Core<X86>, handover: &Handover<'_, X86>) -> Leave {
    Leave { frame_end: enter(core, handover.to), with: handover.info }
}

/// Makes a thread the one that the processor is in. The end of its frame.
#[inline(always)]
fn enter(core: &Core<X86>, thread: &Thread<X86>) -> u64 {
    paging::activate(&core.machine, thread.space_root.get());
    core.machine.set_current(thread.context());
    thread.context().frame_end()
}

/// Leaves with another thread, after a call by which the one before gave its message words up, or when that one's state has been saved.
#[inline(always)]
pub(super) fn resume(core: &Core<X86>, thread: &Thread<X86>) -> ! {
    let (context, frame_end) = (thread.context(), enter(core, thread));
    if !context.is_interrupted() {
        // SAFETY: the state that is loaded is complete, and nothing on this stack is needed any more.
        unsafe { asm!("jmp {}", sym leave_after_call, in("rax") frame_end, options(noreturn)) }
    }
    context.make_resumable();
    percore::load_bases(&core.machine, context);
    load(context)
}

fn general(thread: &Thread<X86>, call: Syscall, arguments: [u64; 3]) -> Leave {
    thread.context().save_call(call, arguments);
    Leave { frame_end: 0, with: 0 }
}
