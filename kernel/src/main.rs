//! The kernel's executable: ties the machine's entry to the kernel's logic. Everything else is in the library.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
use motte_kernel::arch::x86_64;

#[cfg(target_os = "none")]
#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    x86_64::panic::panicked(info)
}

/// Where the boot code arrives: 64-bit mode, the first GiB mapped, on the boot stack. `start_info` is the physical
/// address that the boot loader gave.
#[cfg(target_os = "none")]
#[unsafe(no_mangle)]
extern "C" fn kernel_main(start_info: u64) -> ! {
    x86_64::start::start(start_info)
}

#[cfg(not(target_os = "none"))]
fn main() {}
