//! The kernel's end: the reason and where it happened, on the debug console; then a failure status, and silence.

use super::{cpu, paging, port};
use core::arch::asm;
use core::fmt::{self, Write};
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use motte_abi::boot_image::BootImage;
use motte_abi::symbols::Symbols;
use motte_boot::Range;

/// What the exit device is told.
const PANIC_STATUS: u32 = 1;
/// The most functions that are named.
const MAX_DEPTH: usize = 32;

/// The debug console as a place to write text to. Takes no lock: there is nothing to protect when the kernel has failed.
struct Console;

impl Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        port::debug_write(text.as_bytes());
        Ok(())
    }
}

/// The boot image in the direct map, for the symbol table in it.
static IMAGE_ADDRESS: AtomicU64 = AtomicU64::new(0);
static IMAGE_BYTES: AtomicU64 = AtomicU64::new(0);

/// Where the boot image is, once it is mapped in the direct map.
pub fn set_image(image: Range) {
    IMAGE_BYTES.store(image.len(), Relaxed);
    IMAGE_ADDRESS.store(paging::DIRECT_MAP + image.start, Relaxed);
}

fn symbols() -> Option<Symbols<'static>> {
    let address = IMAGE_ADDRESS.load(Relaxed);
    if address == 0 {
        return None;
    }
    // SAFETY: the image is mapped (`set_image`), and nobody writes to it: its frames are handed out read-only.
    let bytes = unsafe { core::slice::from_raw_parts(address as *const u8, IMAGE_BYTES.load(Relaxed) as usize) };
    Symbols::parse(BootImage::parse(bytes).ok()?.file("symbols/kernel")?.data)
}

/// Prints the reason and a backtrace, and stops the machine.
pub fn panicked(info: &PanicInfo<'_>) -> ! {
    static ALREADY: AtomicBool = AtomicBool::new(false);
    if !ALREADY.swap(true, Relaxed) {
        let _ = write!(Console, "\nkernel panic: {}", info.message());
        if let Some(location) = info.location() {
            let _ = write!(Console, "\n  at {location}");
        }
        let _ = writeln!(Console);
        backtrace();
    }
    port::exit(PANIC_STATUS);
    cpu::halt()
}

/// Follows the chain of frame pointers as long as it stays on kernel stacks and goes up.
fn backtrace() {
    let symbols = symbols();
    let mut frame: u64;
    // SAFETY: reading the frame pointer has no effect.
    unsafe { asm!("mov {}, rbp", out(reg) frame, options(nomem, nostack, preserves_flags)) };
    for depth in 0..MAX_DEPTH {
        if !frame.is_multiple_of(8) || !(paging::is_stack(frame) || paging::is_boot_stack(frame)) {
            break;
        }
        // SAFETY: an aligned address on a mapped kernel stack, below whose top lie at least the two words of a frame:
        // the frames above the first are those of the entry code.
        let (next, address) = unsafe { ((frame as *const u64).read(), (frame as *const u64).add(1).read()) };
        if !(paging::kernel_text().start..paging::kernel_text().end).contains(&address) {
            break;
        }
        // The return address may belong to the next function already, if the call does not return.
        let _ = match symbols.and_then(|symbols| symbols.find(address - 1)) {
            Some(symbol) => writeln!(Console, "  {depth}: {address:#x} {symbol}"),
            None => writeln!(Console, "  {depth}: {address:#x}"),
        };
        if next <= frame {
            break;
        }
        frame = next;
    }
}
