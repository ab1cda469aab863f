//! System calls, entry and thread register of x86-64. The registers are those of `motte_abi::syscall`.

use core::arch::{asm, naked_asm};

use super::{MessageResult, ObjectResult};
use crate::thread::ThreadControl;

/// A message call with all six words. `reply` is the third argument; calls that have none ignore it.
#[inline(always)]
pub fn message_call(number: u64, object: u64, info: u64, reply: u64, words: [u64; 6]) -> MessageResult {
    let (status, badge, out_info): (u64, u64, u64);
    let [mut w0, mut w1, mut w2, mut w3, mut w4, mut w5] = words;
    // SAFETY: the call changes only the registers named here and memory that the kernel may write on the program's behalf
    // (the message buffer, or what the capabilities it is given let it change); the compiler assumes all memory changed. rbx and
    // rbp, which it reserves, are saved on the stack.
    unsafe {
        asm!(
            "push rbx",
            "push rbp",
            "mov rbx, r8",
            "mov rbp, r9",
            "syscall",
            "mov r8, rbx",
            "mov r9, rbp",
            "pop rbp",
            "pop rbx",
            inlateout("rax") number => status,
            inlateout("rdi") object => badge,
            inlateout("rsi") info => out_info,
            inlateout("rdx") reply => _,
            inlateout("r12") w0,
            inlateout("r13") w1,
            inlateout("r14") w2,
            inlateout("r15") w3,
            inlateout("r8") w4,
            inlateout("r9") w5,
            lateout("r10") _,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    MessageResult { status, badge, info: out_info, words: [w0, w1, w2, w3, w4, w5] }
}

/// A message call that neither sends nor expects more than four words; the other two are sent as 0.
#[inline(always)]
pub fn message_call_short(number: u64, object: u64, info: u64, reply: u64, words: [u64; 4]) -> MessageResult {
    let (status, badge, out_info): (u64, u64, u64);
    let [mut w0, mut w1, mut w2, mut w3] = words;
    // SAFETY: as in `message_call`.
    unsafe {
        asm!(
            "push rbx",
            "push rbp",
            "xor ebx, ebx",
            "xor ebp, ebp",
            "syscall",
            "pop rbp",
            "pop rbx",
            inlateout("rax") number => status,
            inlateout("rdi") object => badge,
            inlateout("rsi") info => out_info,
            inlateout("rdx") reply => _,
            inlateout("r12") w0,
            inlateout("r13") w1,
            inlateout("r14") w2,
            inlateout("r15") w3,
            lateout("r8") _,
            lateout("r9") _,
            lateout("r10") _,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    MessageResult { status, badge, info: out_info, words: [w0, w1, w2, w3, 0, 0] }
}

/// A message call whose words nobody looks at: they are what the registers happen to hold. Status, badge and information.
#[inline(always)]
pub fn message_call_empty(number: u64, object: u64, info: u64, reply: u64) -> (u64, u64, u64) {
    let (status, badge, out_info): (u64, u64, u64);
    // SAFETY: as in `message_call`.
    unsafe {
        asm!(
            "push rbx",
            "push rbp",
            "syscall",
            "pop rbp",
            "pop rbx",
            inlateout("rax") number => status,
            inlateout("rdi") object => badge,
            inlateout("rsi") info => out_info,
            inlateout("rdx") reply => _,
            lateout("r8") _,
            lateout("r9") _,
            lateout("r10") _,
            lateout("r12") _,
            lateout("r13") _,
            lateout("r14") _,
            lateout("r15") _,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    (status, badge, out_info)
}

/// A call below [`motte_abi::Syscall::FIRST_OBJECT_CALL`] that carries no message: status and `rdi`.
#[inline(always)]
pub fn plain_call(number: u64, object: u64) -> (u64, u64) {
    let (status, value): (u64, u64);
    // SAFETY: as in `message_call`.
    unsafe {
        asm!(
            "push rbx",
            "push rbp",
            "syscall",
            "pop rbp",
            "pop rbx",
            inlateout("rax") number => status,
            inlateout("rdi") object => value,
            lateout("rsi") _,
            lateout("rdx") _,
            lateout("r8") _,
            lateout("r9") _,
            lateout("r10") _,
            lateout("r12") _,
            lateout("r13") _,
            lateout("r14") _,
            lateout("r15") _,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    (status, value)
}

/// An object call.
#[inline(always)]
pub fn object_call(number: u64, arguments: [u64; 6]) -> ObjectResult {
    let (status, r0, r1, r2): (u64, u64, u64, u64);
    // SAFETY: as in `message_call`; object calls preserve the message registers.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => status,
            inlateout("rdi") arguments[0] => r0,
            inlateout("rsi") arguments[1] => r1,
            inlateout("rdx") arguments[2] => r2,
            inlateout("r8") arguments[3] => _,
            inlateout("r9") arguments[4] => _,
            inlateout("r10") arguments[5] => _,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    ObjectResult { status, values: [r0, r1, r2] }
}

/// Up to 48 bytes to the kernel's debug console.
pub fn debug_write(length: u64, words: [u64; 6]) {
    // SAFETY: the call reads registers only; rbx and rbp are saved on the stack.
    unsafe {
        asm!(
            "push rbx",
            "push rbp",
            "mov rbx, r8",
            "mov rbp, r9",
            "syscall",
            "pop rbp",
            "pop rbx",
            inlateout("rax") motte_abi::Syscall::DebugWrite as u64 => _,
            inlateout("rsi") length => _,
            lateout("rdi") _,
            lateout("rdx") _,
            inlateout("r8") words[4] => _,
            inlateout("r9") words[5] => _,
            inlateout("r12") words[0] => _,
            inlateout("r13") words[1] => _,
            inlateout("r14") words[2] => _,
            inlateout("r15") words[3] => _,
            lateout("r10") _,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
}

/// Copies memory of which another may change either side meanwhile, eight bytes at a step.
///
/// # Safety
/// Both ranges are mapped, the destination writable, and they do not overlap.
#[inline(always)]
pub unsafe fn copy(from: *const u8, to: *mut u8, length: usize) {
    // SAFETY: the ranges are the caller's promise. To the compiler this is a write of unknown memory, and not a
    // read or write of the language's, so that what another does meanwhile is no data race.
    unsafe {
        asm!(
            "rep movsq",
            "mov rcx, {rest}",
            "jrcxz 2f",
            "rep movsb",
            "2:",
            rest = in(reg) length % 8,
            inout("rcx") length / 8 => _,
            inout("rsi") from => _,
            inout("rdi") to => _,
            options(nostack, preserves_flags),
        );
    }
}

/// The processor's time-stamp counter.
#[inline(always)]
pub fn time_stamp() -> u64 {
    // SAFETY: reads a counter.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// Ends in an illegal instruction, which the kernel reports to the fault endpoint.
pub fn trap() -> ! {
    // SAFETY: the instruction raises an exception and does nothing else; should it be resumed, it is executed again.
    unsafe { asm!("2:", "ud2", "jmp 2b", options(noreturn, nomem)) }
}

/// The running thread's control block.
#[inline(always)]
pub fn thread_control() -> *const ThreadControl {
    let control;
    // SAFETY: the FS base of every thread points to its control block, whose first word is its own address; it is
    // set before anything in the thread can ask.
    unsafe { asm!("mov {}, fs:[0]", out(reg) control, options(nostack, readonly, preserves_flags, pure)) };
    control
}

/// The same value, of which the compiler knows nothing any more: a check of it stays, though it cannot fail as long as the code before it is as
/// it was built. Costs no instruction.
#[inline(always)]
pub fn unknown(mut value: usize) -> usize {
    // SAFETY: nothing is executed.
    unsafe { asm!("/* {0} */", inout(reg) value, options(pure, nomem, nostack, preserves_flags)) };
    value
}

/// Hint that the processor is waiting for another.
pub fn relax() {
    core::hint::spin_loop();
}

/// The program's entry: `rdi` start information, `rsi` message buffer, the stack aligned to 16.
///
/// # Safety
/// Called by the kernel or the loader only, once, at the beginning of a program.
#[unsafe(naked)]
#[unsafe(no_mangle)]
#[unsafe(link_section = ".text.motte_start")]
unsafe extern "C" fn _start() -> ! {
    naked_asm!("xor ebp, ebp", "and rsp, -16", "call {start}", "ud2", start = sym crate::entry::start)
}

/// Where a further thread begins: `rdi` is its packet.
#[unsafe(naked)]
unsafe extern "C" fn thread_start() -> ! {
    naked_asm!("xor ebp, ebp", "and rsp, -16", "call {start}", "ud2", start = sym crate::thread::thread_main)
}

/// The address at which further threads begin.
pub fn thread_entry_address() -> u64 {
    thread_start as *const () as u64
}
