//! The beginning of a program: what happens before `main`, and what after it.

use motte_abi::PAGE_SIZE;
use motte_abi::boot_info::{BOOT_INFO_MAGIC, BootInfo};

use crate::kernel::own;
use crate::start_info::{START_INFO_MAGIC, StartInfo};
use crate::thread::ThreadControl;
use crate::{heap, last_words, layout, memory, slots, start};

/// Declares the function with which the program begins. It takes no arguments and returns nothing, an exit status (`i32`), or a
/// `Result` of either, whose error is printed.
///
/// ```ignore
/// motte::entry!(main);
///
/// fn main() {
///     motte::println!("hello");
/// }
/// ```
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        #[cfg(target_os = "none")]
        #[unsafe(no_mangle)]
        fn motte_main() -> i32 {
            $crate::Termination::report($main())
        }
    };
}

/// What `main` may return.
pub trait Termination {
    /// The exit status.
    fn report(self) -> i32;
}

impl Termination for () {
    fn report(self) -> i32 {
        0
    }
}

impl Termination for i32 {
    fn report(self) -> i32 {
        self
    }
}

impl Termination for core::convert::Infallible {
    fn report(self) -> i32 {
        match self {}
    }
}

impl<T: Termination, E: core::fmt::Display> Termination for Result<T, E> {
    fn report(self) -> i32 {
        match self {
            Ok(value) => value.report(),
            Err(error) => {
                log::error!("{error}");
                last_words::leave(last_words::Kind::Exit, 1, format_args!("{error}"));
                1
            }
        }
    }
}

/// The first thread's control block. Only that thread uses what is in it.
struct FirstThread(ThreadControl);

// SAFETY: the first thread alone reaches the block: here once, later through its FS base.
unsafe impl Sync for FirstThread {}

static FIRST_THREAD: FirstThread = FirstThread(ThreadControl::new());

/// Where the machine's entry code goes.
#[cfg_attr(not(target_os = "none"), expect(dead_code, reason = "only the machine's entry code calls it"))]
pub(crate) extern "C" fn start(info: *const u64, buffer: u64) -> ! {
    let tls = FIRST_THREAD.0.set_up(buffer, own::THREAD);
    if own::THREAD.set_tls(tls).is_err() {
        crate::arch::trap();
    }
    // SAFETY: kernel and loader pass the address of a mapped page that begins with a magic number.
    match unsafe { info.read() } {
        START_INFO_MAGIC => begin_component(info.cast()),
        // SAFETY: the magic number says that the kernel put boot information there; the page stays mapped and unchanged.
        BOOT_INFO_MAGIC => begin_init(unsafe { &*info.cast::<BootInfo>() }),
        _ => crate::arch::trap(),
    }
    last_words::enable();
    crate::logger::initialize();
    exit(run_main())
}

fn begin_component(first: *const u8) {
    // SAFETY: the first page is mapped, and the loader has mapped as many as the length says, for good and read-only.
    let bytes = unsafe {
        let page = core::slice::from_raw_parts(first, PAGE_SIZE);
        let length = StartInfo::length(page).unwrap_or(0).min(layout::START_INFO_MAX as usize);
        core::slice::from_raw_parts(first, length)
    };
    let Some(info) = StartInfo::parse(bytes) else { crate::arch::trap() };
    slots::initialize(info.header.first_free_slot, info.header.slots);
    memory::initialize(layout::HEAP_ADDRESS);
    start::set(info);
}

fn begin_init(info: &'static BootInfo) {
    slots::initialize(info.first_free_slot, motte_abi::boot_info::INIT_SLOTS);
    let low = info.first_free_address.next_multiple_of(motte_abi::LARGE_PAGE_SIZE as u64);
    memory::initialize(if low < layout::HEAP_END / 2 { low.max(layout::HEAP_ADDRESS) } else { layout::HEAP_ADDRESS });
    start::set_boot_info(info);
    heap::set_chunk(64 * 1024);
    let largest = info.untyped[..(info.untyped_count as usize).min(info.untyped.len())]
        .iter()
        .filter(|range| range.device == 0)
        .max_by_key(|range| range.size);
    if let Some(range) = largest {
        memory::set_source(crate::kernel::Untyped::at(range.slot));
    }
    memory::map_clock();
}

#[cfg(target_os = "none")]
fn run_main() -> i32 {
    unsafe extern "Rust" {
        safe fn motte_main() -> i32;
    }
    motte_main()
}

#[cfg(not(target_os = "none"))]
fn run_main() -> i32 {
    0
}

/// Ends the program with a status, 0 for success.
pub fn exit(status: i32) -> ! {
    last_words::leave(last_words::Kind::Exit, status, format_args!(""));
    crate::arch::trap()
}

#[cfg(target_os = "none")]
#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    if heap::is_exhausted() {
        let usage = memory::usage();
        let quota = start::header().memory_quota / 1024;
        last_words::leave(
            last_words::Kind::Panic,
            101,
            format_args!("memory quota of {quota} KiB used up ({} KiB of it heap): {info}", usage.heap / 1024),
        );
    }
    if slots::is_full() {
        let (all, _) = slots::usage();
        let words = format_args!("capability table of {all} slots full: {info}");
        last_words::leave(last_words::Kind::Panic, 101, words);
    }
    last_words::leave(last_words::Kind::Panic, 101, format_args!("{info}"));
    crate::arch::trap()
}
