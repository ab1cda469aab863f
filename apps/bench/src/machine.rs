//! The processor's counter, marks in the stream of instructions, and memory reached by address.

use core::arch::{asm, naked_asm};
use core::ptr;

use motte::abi::{PAGE_SIZE, Syscall};
use motte::layout::PROGRAM_ADDRESS;

/// The low half of the time-stamp counter: one instruction. Differences of less than four thousand million are true.
#[inline(always)]
pub fn stamp() -> u32 {
    let low: u32;
    // SAFETY: reads a counter. Without `pure`, it keeps its place among other assembly.
    unsafe { asm!("rdtsc", out("eax") low, out("edx") _, options(nomem, nostack, preserves_flags)) };
    low
}

/// Whether the counter counts instructions, as in QEMU with `-icount shift=0`.
pub fn counts_instructions() -> bool {
    let short = time_loop(1000);
    let long = time_loop(10_000);
    // A turn of the loop is two instructions.
    long.wrapping_sub(short) == 2 * 9000
}

/// Executes so many instructions, and says how many the counter saw meanwhile.
pub fn work(instructions: u32) -> u32 {
    time_loop(instructions / 2)
}

fn time_loop(turns: u32) -> u32 {
    let begin = stamp();
    // SAFETY: counts a register down.
    unsafe { asm!("2:", "dec {0:e}", "jnz 2b", inout(reg) turns => _, options(nomem, nostack)) };
    stamp().wrapping_sub(begin)
}

/// Leaves a mark that a tool beneath the machine can see: a no-op whose displacement holds `ID` and the letters RM.
#[inline(always)]
pub fn mark<const ID: u32>() {
    // SAFETY: the instruction does nothing. It is written as bytes because the displacement must have four of them.
    unsafe {
        asm!(
            ".byte 0x0f, 0x1f, 0x80, {low}, {high}, 0x52, 0x4d",
            low = const ID & 0xff,
            high = const ID >> 8 & 0xff,
            options(nomem, nostack, preserves_flags)
        );
    }
}

/// The program's constants and code, from [`PROGRAM_ADDRESS`] on.
pub fn code() -> &'static [u8] {
    unsafe extern "C" {
        static motte_code_end: u8;
    }
    let end = (&raw const motte_code_end).addr().next_multiple_of(PAGE_SIZE);
    let start = PROGRAM_ADDRESS as usize;
    // SAFETY: the linker script puts constants and code, without a gap of a page, from that address to the symbol; they are mapped
    // readable in whole pages and never change.
    unsafe { core::slice::from_raw_parts(ptr::with_exposed_provenance(start), end - start) }
}

/// Writes a word of the running thread's own memory: 8 bytes at a multiple of 8.
///
/// # Safety
/// The memory is mapped writable and no Rust object lies in it; or the thread means to fault there.
#[inline(always)]
pub unsafe fn write_word(address: u64, value: u64) {
    // SAFETY: as the caller promises.
    unsafe { ptr::with_exposed_provenance_mut::<u64>(address as usize).write_volatile(value) }
}

/// Reads a word of the running thread's own memory: 8 bytes at a multiple of 8.
///
/// # Safety
/// The memory is mapped and no Rust object lies in it.
#[inline(always)]
pub unsafe fn read_word(address: u64) -> u64 {
    // SAFETY: as the caller promises.
    unsafe { ptr::with_exposed_provenance::<u64>(address as usize).read_volatile() }
}

/// Writes the counter to the word at `address`, again and again, until the next word is no longer `until`: whoever interrupts this
/// finds there when it was. What is written is at most three instructions old.
///
/// # Safety
/// Both words are mapped writable and no Rust object lies in them.
pub unsafe fn write_stamps(address: u64, until: u64) {
    // SAFETY: writes the first word and reads the second, as the caller promises.
    unsafe {
        asm!(
            "2:",
            "rdtsc",
            "mov [{address}], rax",
            "cmp [{address} + 8], {until}",
            "je 2b",
            address = in(reg) address,
            until = in(reg) until,
            out("rax") _,
            out("rdx") _,
            options(nostack)
        );
    }
}

/// A thread that needs no memory, not even a stack: goes to the end of the ready queue, for ever.
#[unsafe(naked)]
pub extern "C" fn yield_for_ever(_: u64) -> ! {
    naked_asm!("2:", "mov eax, {yield_}", "syscall", "jmp 2b", yield_ = const Syscall::Yield as u64)
}

/// A thread that needs no memory, not even a stack: calls the endpoint in slot 1, for ever.
#[unsafe(naked)]
pub extern "C" fn call_for_ever(_: u64) -> ! {
    naked_asm!("2:", "mov eax, {call}", "mov edi, 1", "xor esi, esi", "syscall", "jmp 2b", call = const Syscall::Call as u64)
}

/// Ends the program with a fault: something went wrong where nobody can be told.
pub fn give_up() -> ! {
    // SAFETY: raises an exception, and does so again should it be resumed.
    unsafe { asm!("2:", "ud2", "jmp 2b", options(noreturn, nomem, nostack)) }
}
