//! I/O ports.

use core::arch::asm;

/// Reads a port; `width` is 1, 2 or 4 bytes, anything else reads as 4.
pub fn read(port: u16, width: u8) -> u32 {
    let value: u32;
    // SAFETY: port accesses do not touch memory. What the device does is the caller's concern: the kernel uses ports of
    // its own chips only, and others on behalf of a holder of the port's capability.
    unsafe {
        match width {
            1 => asm!("in al, dx", "movzx eax, al", out("eax") value, in("dx") port, options(nomem, nostack)),
            2 => asm!("in ax, dx", "movzx eax, ax", out("eax") value, in("dx") port, options(nomem, nostack)),
            _ => asm!("in eax, dx", out("eax") value, in("dx") port, options(nomem, nostack)),
        }
    }
    value
}

/// Writes a port; `width` is 1, 2 or 4 bytes, anything else writes 4.
pub fn write(port: u16, width: u8, value: u32) {
    // SAFETY: as for `read`. Ports that start a device's DMA reach memory, but only a holder of their capability asks
    // for those.
    unsafe {
        match width {
            1 => asm!("out dx, al", in("al") value as u8, in("dx") port, options(nomem, nostack)),
            2 => asm!("out dx, ax", in("ax") value as u16, in("dx") port, options(nomem, nostack)),
            _ => asm!("out dx, eax", in("eax") value, in("dx") port, options(nomem, nostack)),
        }
    }
}

/// QEMU's debug console.
const DEBUG_CONSOLE: u16 = 0xe9;
/// QEMU's exit device.
const DEBUG_EXIT: u16 = 0xf4;

/// Writes bytes to the debug console.
pub fn debug_write(bytes: &[u8]) {
    for &byte in bytes {
        write(DEBUG_CONSOLE, 1, u32::from(byte));
    }
}

/// Ends the machine with a status where it can be ended (QEMU); elsewhere does nothing.
pub fn exit(status: u32) {
    write(DEBUG_EXIT, 4, status);
}
